//! The contract held against what is really sent: what every subscriber of the tests hears is written down, and other
//! people's validators read it afterwards.

use crate::{place, process, progress::say, tools};
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where one subscriber's messages are written down, a line each: topic, tab, payload.
#[derive(Debug, Default)]
pub struct Record(Option<File>);

impl Record {
    /// Writes down a message as `mosquitto_sub` prints it, topic and payload with a space between.
    pub fn heard(&mut self, message: &str) {
        let line = message.replacen(' ', "\t", 1) + "\n";
        if self.0.as_mut().is_some_and(|file| file.write_all(line.as_bytes()).is_err()) {
            self.0 = None;
        }
    }
}

/// A new record for a subscriber. Where none can be made, the check will miss what it would have held.
pub fn record(subscriber: &str) -> Record {
    let made = fs::create_dir_all(heard()).and_then(|()| File::create(heard().join(subscriber)));
    Record(made.ok())
}

/// Forgets what earlier tests heard.
pub fn forget() -> anyhow::Result<()> {
    if heard().exists() {
        fs::remove_dir_all(heard()).with_context(|| heard().display().to_string())?;
    }
    Ok(())
}

/// Holds everything that was heard against the committed schemas, of today and of earlier releases, and has AsyncAPI's own
/// parser read the document of all topics.
pub fn check() -> anyhow::Result<()> {
    let contract = place::root().join("daemon/contract");
    let asyncapi = contract.join("asyncapi.json");
    let script = provide_parser()?.join("check.mjs");
    say(process::output(Command::new("node").arg(script).arg(&asyncapi))?.trim_end());
    let heard = heard();
    ensure!(heard.is_dir(), "no test has heard a message: run `cargo verify --only test` first");
    let older = older()?;
    let mut arguments: Vec<&Path> = vec![&asyncapi, &contract, &heard];
    arguments.extend(older.iter().map(PathBuf::as_path));
    say(tools::peer("contract.py", &arguments)?.trim_end());
    Ok(())
}

/// The schemas of every earlier release.
fn older() -> anyhow::Result<Vec<PathBuf>> {
    let folder = place::root().join("tests/data/contract");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    found.sort();
    ensure!(!found.is_empty(), "{} holds no schemas", folder.display());
    Ok(found)
}

/// Gets AsyncAPI's parser into the build folder, if it is not there, and says where.
pub fn provide_parser() -> anyhow::Result<PathBuf> {
    let (from, to) = (place::root().join("tests/peers/asyncapi"), place::target().join("asyncapi"));
    let lock = "package-lock.json";
    let installed = to.join("installed");
    let is_new = fs::read(&installed).ok() != Some(fs::read(from.join(lock))?);
    fs::create_dir_all(&to)?;
    for name in ["package.json", lock, "check.mjs"] {
        fs::copy(from.join(name), to.join(name)).with_context(|| name.to_owned())?;
    }
    if is_new {
        say("getting AsyncAPI's parser by npm (about 54 MB)");
        process::output(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&to))?;
        // Written last: it says that all of it was installed.
        fs::copy(from.join(lock), &installed)?;
    }
    Ok(to)
}

fn heard() -> PathBuf {
    place::target().join("heard")
}
