//! `ctedge check-config`.

use super::say;
use crate::config::Config;
use std::process::ExitCode;

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the whole configuration with defaults filled in, as TOML
    #[arg(long)]
    print: bool,
}

/// By now the configuration has been read and found good.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    if args.print {
        say(config.to_toml()?.trim_end());
    } else {
        say("the configuration is good");
    }
    Ok(ExitCode::SUCCESS)
}
