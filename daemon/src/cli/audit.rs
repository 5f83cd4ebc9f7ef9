//! `ctedge audit`: the log of what happened, in DICOM's audit vocabulary.

use super::{complain, say};
use crate::config::Config;
use crate::evidence::{self, Entry, Event, Fault, Head};
use crate::floor::clock;
use crate::floor::store::Store;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Another ledger than this device's, e.g. a damaged one that was kept aside; reading it is not entered anywhere
    #[arg(long, global = true, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints the entries; that it was read becomes one of them
    Show(Show),
    /// Checks the chain
    #[command(
        after_help = "Exit status: 0 when the log is whole, 1 when it is not, 2 when it could not be looked at.\n\nA log \
                            that was written anew from its beginning is only found by a head that was heard before: \
                            every `counters` message holds one."
    )]
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Only entries since then: a day (UTC) or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// One JSON object a line, each exactly as the chain's digests cover it
    #[arg(long)]
    json: bool,
    /// One XML document a line, as audit repositories take it (DICOM PS3.15, A.5.1)
    #[arg(long, conflicts_with = "json")]
    xml: bool,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// A head as `counters` has published it; the entry of that number must be that one
    #[arg(long, value_name = "SEQ:SHA256")]
    head: Option<Head>,
}

/// Exit status when the log could not be looked at.
const UNKNOWN: u8 = 2;

/// Shows or checks the log.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Show(show) => {
            for (record, entry) in read(args, show, config)? {
                say(&match (show.json, show.xml) {
                    (true, _) => record,
                    (false, true) => evidence::xml_message(&entry, &config.mqtt.device),
                    (false, false) => line(&entry),
                });
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Verify(Verify { head }) => Ok(check(args, head.as_ref(), config).unwrap_or_else(|error| {
            complain(&format!("{error:#}"));
            ExitCode::from(UNKNOWN)
        })),
    }
}

/// The entries, after it has been entered that they are read: who cannot write the log cannot read it unseen.
fn read(args: &Args, show: &Show, config: &Config) -> anyhow::Result<Vec<(String, Entry)>> {
    let since = show.since.unwrap_or(i64::MIN);
    if let Some(file) = &args.ledger {
        return Ok(Store::open_to_read(file)?.read(|connection| evidence::entries(connection, since))?);
    }
    let mut store = Store::open_beside(&config.paths.database()).with_context(|| of_device(config))?;
    let entered = store.commit(|transaction| evidence::append(transaction, Event::Read));
    entered.context("it cannot be entered that the log is read, so that it is not shown")?;
    Ok(store.read(|connection| evidence::entries(connection, since))?)
}

fn check(args: &Args, head: Option<&Head>, config: &Config) -> anyhow::Result<ExitCode> {
    let file = args.ledger.clone().unwrap_or_else(|| config.paths.database());
    let store = Store::open_to_read(&file).with_context(|| of_device(config))?;
    Ok(match store.read(|connection| evidence::verify(connection, head))? {
        Ok(entries) => {
            say(&format!("whole: {entries} entries"));
            ExitCode::SUCCESS
        }
        Err(Fault { seq, reason }) => {
            say(&format!("BROKEN: entry {seq} {reason}"));
            ExitCode::FAILURE
        }
    })
}

fn of_device(config: &Config) -> String {
    format!("the ledger of this device, {}", config.paths.database().display())
}

/// An entry for people.
fn line(entry: &Entry) -> String {
    let kind = entry.kind.as_ref().map_or_else(String::new, |kind| format!(", {}", kind.meaning));
    let failed = if entry.outcome > 0 { " FAILURE" } else { "" };
    let objects = entry.objects.iter().map(|object| {
        let detail = object.detail.iter().map(|(name, text)| format!(" {name}={text}"));
        format!("  {} {}{}", object.kind, object.id, detail.collect::<String>())
    });
    let detail = entry.detail.iter().map(|detail| format!("  {detail}"));
    let more: String = objects.chain(detail).collect();
    format!("{:>6}  {}  {}  {}{kind}{failed}{more}", entry.seq, entry.at, entry.by, entry.event.meaning)
}

fn moment(text: &str) -> Result<i64, String> {
    clock::parse(text).ok_or_else(|| "a time is e.g. 2026-11-23 or 2026-11-23T21:00:00Z".to_owned())
}
