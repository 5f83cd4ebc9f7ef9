//! `ctedge-trainer`: the command line. Everything it does is in the library.

use clap::Parser;
use ctedge_trainer::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().run()
}
