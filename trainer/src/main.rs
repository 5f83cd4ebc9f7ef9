//! `ctedge-trainer`: the command line. Everything it does is in the library.

use clap::Parser;
use ctedge_trainer::cli::Cli;
use std::process::ExitCode;

/// Training takes and returns many megabytes with every operation. The system's allocator hands them back to the kernel
/// each time, which cost a fifth of the processor's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
