//! A daemon beside a broker and a subscriber, ready for scans: what benchmarks measure.

use crate::appliance::{Appliance, Setup};
use crate::mosquitto::{Memory, Mosquitto};
use crate::place;
use crate::progress::say;
use crate::subscriber::{Message, Subscriber};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Longest wait for what should take seconds.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    /// The daemon.
    pub appliance: Appliance,
    /// Hears everything it says.
    pub subscriber: Subscriber,
    _broker: Mosquitto,
}

impl Stage {
    /// Starts a daemon with the reference bundle in a folder that is made anew, and waits until it is online.
    pub fn new(folder: &Path, binary: &Path, setup: &dyn Fn(u16) -> Setup) -> anyhow::Result<Self> {
        let broker = Mosquitto::start(Memory::Forgetful)?;
        let subscriber = Subscriber::start(broker.port())?;
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let mut appliance = Appliance::in_folder(folder, binary.to_owned(), &setup(broker.port()))?;
        appliance.start()?;
        subscriber.wait(PATIENCE, is_online).with_context(|| appliance.log_end())?;
        Ok(Self { appliance, subscriber, _broker: broker })
    }
}

/// Builds packages with optimisation and returns the folder of their programs.
pub fn build(packages: &[&str]) -> anyhow::Result<PathBuf> {
    build_by(&packages.iter().flat_map(|package| ["-p", package]).collect::<Vec<_>>())
}

/// The same for whatever arguments of `cargo build` name.
pub fn build_by(arguments: &[&str]) -> anyhow::Result<PathBuf> {
    let built =
        Command::new("cargo").args(["build", "--release"]).args(arguments).current_dir(place::root()).status()?;
    ensure!(built.success(), "building with optimisation failed");
    Ok(place::target().join("release"))
}

/// How a benchmark ends: well if every bar is held.
pub fn ended(name: &str, held: anyhow::Result<bool>) -> ExitCode {
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether somebody said that it is online.
pub fn is_online(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.topic.ends_with("/status") && message.text("state") == "online")
}
