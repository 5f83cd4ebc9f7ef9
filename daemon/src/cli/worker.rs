//! `ctedge worker`: the other side of `floor::worker`.

use crate::floor::worker::Jail;
use crate::floor::worker::{jail, scan};
use crate::{infer, receive};
use std::process::ExitCode;

/// Role and limits, given by the supervisor.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    role: Role,
    #[arg(long)]
    memory_bytes: Option<u64>,
    #[arg(long)]
    cpu_s: Option<u64>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Role {
    Scan,
    Infer,
    Receive,
}

/// Enters the jail and works until the supervisor goes.
pub(crate) fn run(args: &Args) -> ExitCode {
    let limits = Jail { memory_bytes: args.memory_bytes, cpu_s: args.cpu_s, ..Jail::default() };
    let worked = jail::enter(limits).and_then(|()| match args.role {
        Role::Scan => scan::work(),
        Role::Infer => infer::work(),
        Role::Receive => receive::work(),
    });
    // The supervisor sees the closed socket; it has no use for words.
    if worked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
