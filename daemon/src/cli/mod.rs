//! The command line.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod check_config;
mod choosing;
pub(crate) mod diag;
pub(crate) mod doctor;
mod first_day;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod manual;
pub(crate) mod model;
mod montage;
mod page;
pub(crate) mod process;
pub(crate) mod pseudonym;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod send;
mod sorting;
pub(crate) mod status;
pub(crate) mod watch;
pub(crate) mod worker;

use crate::config::{Config, ConfigError};
use crate::floor::worker::jail;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status for a bad configuration (sysexits' `EX_CONFIG`), named in the unit's `RestartPreventExitStatus=`.
pub(crate) const BAD_CONFIG: u8 = 78;

/// A scanner-side CT appliance: watches a DICOM drop folder, runs a chest CT model on every series, and publishes
/// abnormality flags over MQTT. Its results are unverified drafts for a physician, never a diagnosis.
#[derive(Debug, Parser)]
#[command(name = "ctedge", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times
    #[arg(long, global = true, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArgs {
    /// Reads and checks the configuration.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), std::env::vars(), &self.set)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon until it is told to stop
    Run,
    /// Runs the model on a scan without the daemon and prints the result
    Process(process::Args),
    /// Shows what a file or folder holds: series, geometry, HU range, problems
    Inspect(inspect::Args),
    /// Shows how the daemon of this device is: health, counters, queue, outbox, model, last result
    Status(status::Args),
    /// Prints the messages of this device's topics as they arrive
    Watch(watch::Args),
    /// Shows and changes the models of this device: install, activate, rollback
    Model(model::Args),
    /// Sends a command to this device over the broker and says what becomes of it
    Send(send::Args),
    /// Checks the configuration and prints every problem; `--print` shows it as it is meant
    CheckConfig(check_config::Args),
    /// Checks this device: folders, ONNX Runtime, model, broker
    Doctor(doctor::Args),
    /// Times the model on this device, and compares its numbers with the processor's
    Bench(bench::Args),
    /// Does a recorded result once more from the kept files, and says whether the same comes out
    Replay(replay::Args),
    /// Writes a bundle for support: what runs and how, without names of people, machines and places
    Diag(diag::Args),
    /// Shows the audit log, or checks that nothing in it was changed, left out or cut off
    Audit(audit::Args),
    /// Prints the contract for machines: JSON Schemas of the messages, and the topics as AsyncAPI
    Schema(schema::Args),
    /// Writes man pages and completions for shells, for those who package this
    Manual(manual::Args),
    /// Prints the pseudonym of a UID under this site's key
    Pseudonym(pseudonym::Args),
    /// The site's key of pseudonyms: its generations, a new one, and the end of the old ones
    Key(key::Args),
    /// A worker process of the daemon; not for people
    #[command(hide = true)]
    Worker(worker::Args),
}

/// Runs the command line and returns the process's exit status.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Worker(args) = &cli.command {
        // A worker gets everything it needs over its socket, and reads no configuration.
        return worker::run(args);
    }
    // Scans pass through this process, too.
    if let Err(error) = jail::no_dumps() {
        complain(&format!("memory dumps cannot be switched off: {error}"));
    }
    let config = match cli.config.load() {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let ended = match cli.command {
        Command::Run => run::run(config),
        Command::Process(args) => process::run(&args, &config),
        Command::Inspect(args) => inspect::run(&args, &config),
        Command::Status(args) => status::run(&args, &config),
        Command::Watch(args) => watch::run(&args, &config),
        Command::Model(args) => model::run(&args, &config),
        Command::Send(args) => send::run(&args, &config),
        Command::CheckConfig(args) => check_config::run(&args, &config),
        Command::Doctor(args) => doctor::run(&args, &config),
        Command::Bench(args) => bench::run(&args, &config),
        Command::Replay(args) => Ok(replay::run(&args, &config)),
        Command::Diag(args) => diag::run(&args, &config),
        Command::Audit(args) => audit::run(&args, &config),
        Command::Schema(args) => schema::run(&args, &config),
        Command::Manual(args) => manual::run(&args),
        Command::Pseudonym(args) => pseudonym::run(&args, &config),
        Command::Key(args) => key::run(&args, &config),
        Command::Worker(args) => Ok(worker::run(&args)),
    };
    ended.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// Whether everything an operator asked for went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcomes {
    /// All of it.
    Good,
    /// Not all of it.
    Bad,
}

impl Outcomes {
    fn exit_code(self) -> ExitCode {
        match self {
            Self::Good => ExitCode::SUCCESS,
            Self::Bad => ExitCode::FAILURE,
        }
    }
}

/// Prints data on standard output. A reader that has gone away (`| head`) is no error.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Prints a message for people on standard error.
pub(crate) fn complain(text: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr().lock(), "ctedge: {text}"));
}
