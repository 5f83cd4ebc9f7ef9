//! The commands. They join the rooms, and are the only place that speaks to a person.
//!
//! Results go to standard output, as text or with `--json` as one object; progress and errors go to standard error.
//! Exit status: 0 done, 1 failed, 2 wrong usage.

mod ablate;
mod bench;
mod broker;
mod bundle;
mod embed;
mod evaluate;
mod export;
mod fleet;
mod import;
mod init;
mod label;
mod live;
mod permit;
mod phantom;
mod place;
mod prepare;
mod publish;
mod reference;
mod root;
mod trace;
mod train;
mod train_decoder;

use clap::{Parser, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
From an experiment to a bundle that appliances install:
  ctedge-trainer prepare models/catalog/scale-vlp-tiny/experiment.toml --out shards
  ctedge-trainer init models/catalog/scale-vlp-tiny/experiment.toml --out run
  ctedge-trainer export run --out exported
  ctedge-trainer pack exported
  ctedge-trainer keygen --out keys
  ctedge-trainer sign scale-vlp-tiny-0.5.0.ctb --key keys/site.key

Each command has its own help: ctedge-trainer export --help";

/// Makes, exports and signs SCALE-VLP models for ctedge appliances.
#[derive(Debug, Parser)]
#[command(name = "ctedge-trainer", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print the result as one JSON object, and no progress.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Phantom(phantom::Phantom),
    Prepare(prepare::Prepare),
    Init(init::Init),
    Label(label::LabelReports),
    Train(train::Train),
    TrainDecoder(train_decoder::TrainDecoder),
    Import(import::Import),
    Evaluate(evaluate::Evaluate),
    Reference(reference::ReferenceCommand),
    Ablate(ablate::Ablate),
    Bench(bench::Bench),
    Embed(embed::Embed),
    Export(export::Export),
    Golden(bundle::Golden),
    Pack(bundle::Pack),
    Sign(bundle::Sign),
    Keygen(bundle::Keygen),
    Permit(permit::Permit),
    Root(root::RootCommand),
    Publish(publish::Publish),
    Activate(publish::Activate),
    Rollback(publish::Rollback),
    Fleet(fleet::Fleet),
    Trace(trace::Trace),
}

impl Command {
    fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        match self {
            Self::Phantom(command) => command.run(progress),
            Self::Prepare(command) => command.run(progress),
            Self::Init(command) => command.run(progress),
            Self::Label(command) => command.run(progress),
            Self::Train(command) => command.run(progress),
            Self::TrainDecoder(command) => command.run(progress),
            Self::Import(command) => command.run(progress),
            Self::Evaluate(command) => command.run(progress),
            Self::Reference(command) => command.run(progress),
            Self::Ablate(command) => command.run(progress),
            Self::Bench(command) => command.run(progress),
            Self::Embed(command) => command.run(progress),
            Self::Export(command) => command.run(progress),
            Self::Golden(command) => command.run(progress),
            Self::Pack(command) => command.run(progress),
            Self::Sign(command) => command.run(progress),
            Self::Keygen(command) => command.run(progress),
            Self::Permit(command) => command.run(progress),
            Self::Root(command) => command.run(progress),
            Self::Publish(command) => command.run(progress),
            Self::Activate(command) => command.run(progress),
            Self::Rollback(command) => command.run(progress),
            Self::Fleet(command) => command.run(progress),
            Self::Trace(command) => command.run(progress),
        }
    }
}

/// What a command has to say at its end.
#[derive(Debug)]
struct Outcome {
    text: String,
    json: Value,
}

/// What a command has to say although not all of it was done.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
struct Refused(Outcome);

impl Cli {
    /// Carries the command out and says how it went.
    pub fn run(self) -> ExitCode {
        let progress = Progress::new(if self.json { Speech::Silent } else { Speech::Spoken });
        let done = self.command.run(&progress);
        progress.finish();
        let (text, json, code) = match done {
            Ok(outcome) => (outcome.text, outcome.json, ExitCode::SUCCESS),
            Err(error) => match error.downcast::<Refused>() {
                Ok(Refused(outcome)) => (outcome.text, outcome.json, ExitCode::FAILURE),
                Err(error) => {
                    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
                    (format!("error: {}", chain.join(": ")), json!({ "error": chain }), ExitCode::FAILURE)
                }
            },
        };
        let said = match (self.json, code == ExitCode::SUCCESS) {
            (true, _) => writeln!(io::stdout(), "{json}"),
            (false, true) => writeln!(io::stdout(), "{text}"),
            (false, false) => writeln!(io::stderr(), "{text}"),
        };
        if said.is_ok() { code } else { ExitCode::FAILURE }
    }
}

/// One line on standard error that says what is being done, and how far it has come where that can be counted; nothing where that is not a terminal.
#[derive(Debug)]
struct Progress(ProgressBar, Speech);

const BAR: &str = "{msg} {wide_bar} {pos}/{len}, {eta} left";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Spoken,
    Silent,
}

impl Progress {
    fn new(speech: Speech) -> Self {
        let bar = match speech {
            Speech::Spoken => ProgressBar::new_spinner(),
            Speech::Silent => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar, speech)
    }

    /// What is being done now.
    fn say(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// How it goes.
    fn tell(&self, what: String) {
        self.0.set_message(what);
    }

    /// A line that stays; written to standard error even where that is no terminal.
    fn line(&self, what: &str) {
        if !self.speaks() {
            return;
        }
        // A line that nobody can read any more is no reason to stop.
        let write = || drop(writeln!(io::stderr(), "{what}"));
        self.0.suspend(write);
    }

    /// How much of the whole is done: from the first call on the line is a bar with the time that is left.
    fn count(&self, done: usize, total: usize) {
        let [done, total] = [done, total].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        if self.0.length() != Some(total) {
            self.0.set_length(total);
            self.0.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_never| ProgressStyle::default_bar()));
        }
        self.0.set_position(done);
    }

    /// Several bars in place of the line.
    fn many(&self) -> MultiProgress {
        self.finish();
        let target = if self.speaks() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        MultiProgress::with_draw_target(target)
    }

    /// Whether a person is spoken to.
    fn speaks(&self) -> bool {
        self.1 == Speech::Spoken
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests;
