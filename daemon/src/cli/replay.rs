//! `ctedge replay`: a recorded result, once more.

use super::{complain, say};
use crate::config::Config;
use crate::evidence::{self, Decision, logits_digest};
use crate::floor::fate::{Code, Refusal};
use crate::floor::store::Store;
use crate::infer::{Inference, inferred};
use crate::intake::Spool;
use crate::pipeline::Ran;
use crate::series::{Completed, HeaderAnswer, Series, file_digest, nested, series_digest};
use crate::update::Stock;
use crate::volume::{self, HeaderReader};
use crate::{message, report};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do once more.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes the files as the spool keeps them, settings and model as they are now, and changes nothing. \
                        On the processor the same numbers must come out bit by bit.\n\nExit status: 0 when the same result \
                        came out, 1 when another did, 2 when it cannot be done: not recorded, files deleted, other \
                        settings, another model."
)]
pub(crate) struct Args {
    /// Id of a result (`r1_…`), or pseudonym of a series (`ek1_…`) for its newest one
    #[arg(value_name = "RESULT_ID|SERIES_KEY")]
    name: String,
    /// The bundle that made it, where another is in use now
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status when it cannot be done.
const IMPOSSIBLE: u8 = 2;

/// Does it, and says what came out.
pub(crate) fn run(args: &Args, config: &Config) -> ExitCode {
    let (recorded, again) = match replayed(args, config) {
        Ok(both) => both,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(IMPOSSIBLE);
        }
    };
    let told = compared(&recorded, &again);
    let same = told.get("same") == Some(&Value::Bool(true));
    say(&if args.json { told.to_string() } else { lines(&told) });
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was recorded, and what comes out now.
fn replayed(args: &Args, config: &Config) -> anyhow::Result<(Decision, Decision)> {
    let store = Store::open_to_read(&config.paths.database())?;
    let recorded = store.read(|connection| evidence::decision(connection, &args.name))?.with_context(|| {
        let mib = config.evidence.recorder_mib;
        format!("{} is not recorded: the recorder keeps the newest {mib} MiB of decisions", args.name)
    })?;
    if recorded.config_digest != config.digest() {
        bail!("the settings that matter (report.*, draft.*, watch, volume.limits.*) are not those of that result");
    }
    let folder = files(&recorded, config)?;
    let refusal = refusal(&recorded, &folder, config)?;
    let here = Some(Stock::below(&config.paths.state).path(&recorded.model.digest)).filter(|path| path.exists());
    let bundle = args.bundle.clone().or(here).unwrap_or_else(|| config.infer.bundle.clone());
    let mut inference = Inference::start(&config.setup(bundle))?;
    if inference.model().digest != recorded.model.digest {
        let (was, now) = (&recorded.model, inference.model());
        bail!(
            "it was made by {} with digest {}, this is {} {} with {}; --bundle names the right one",
            was.name,
            was.digest,
            now.name,
            now.version,
            now.digest
        );
    }
    let completed = Completed { series: Series { subject: recorded.subject.clone(), folder }, refusal };
    let reading = volume::read_once(&config.volume, &completed).context("no scan worker can be started")?;
    let scores = match &reading.scan {
        Err(refusal) => Err(refusal.clone()),
        Ok(scan) => inference.run(scan).context("the model")?,
    };
    let inferred = inferred(&reading, scores);
    let ran = Ran::of(&inferred);
    let report = report::report(&config.report, inferred, None, inference.model());
    let id = message::result_id(&report.subject.identity(), &inference.model().digest, &config.digest());
    let again = ran.decision(&id, &report, inference.model(), &config.digest());
    Ok((recorded, again))
}

/// The folder with exactly the files of that result.
fn files(recorded: &Decision, config: &Config) -> anyhow::Result<PathBuf> {
    let key = &recorded.subject.series_key;
    let folders = Spool::folders_of(&config.paths.spool, key).context("the spool")?;
    if folders.is_empty() {
        bail!(
            "the files of {key} are deleted; finished series are kept for series.keep_h = {} hours",
            config.series.keep_h
        );
    }
    for folder in folders {
        let mut digests = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            digests.push(file_digest(&entry?.path())?);
        }
        digests.sort();
        if series_digest(&digests) == recorded.subject.digest {
            return Ok(folder);
        }
    }
    bail!("the files of {key} are not those of that result: others have come since, or some were taken away")
}

/// Why the series was refused before it was read, if it was.
fn refusal(recorded: &Decision, folder: &Path, config: &Config) -> anyhow::Result<Option<Refusal>> {
    if let Some((code, detail)) = &recorded.refusal {
        let code = Code::try_from(code.clone()).map_err(anyhow::Error::msg)?;
        if code.spares_files() {
            return Ok(Some(Refusal::new(code, detail)));
        }
    }
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let (Some(only), true) = (entries.pop(), entries.is_empty()) else { return Ok(None) };
    let mut reader = HeaderReader::new(&config.volume, &config.series.urgent, vec![folder.to_owned()]);
    Ok(match reader.read(&only.path()) {
        HeaderAnswer::Header(_) => None,
        HeaderAnswer::Refused(refusal) => Some(refusal),
        HeaderAnswer::Archive => {
            let into = tempfile::tempdir()?;
            let unpacked = volume::unpack(&config.volume, &only.path(), into.path()).context("the archive")?;
            Some(unpacked.err().unwrap_or_else(nested))
        }
        HeaderAnswer::Unavailable => bail!("no scan worker answers"),
    })
}

fn compared(recorded: &Decision, again: &Decision) -> Value {
    let same_logits =
        recorded.logits_sha256 == again.logits_sha256 && again.logits_sha256 == logits_digest(&again.logits);
    let difference = recorded.logits.iter().zip(&again.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let both = |of: fn(&Decision) -> Value| json!([of(recorded), of(again)]);
    let same = recorded.result_id == again.result_id
        && (&recorded.outcome, &recorded.refusal) == (&again.outcome, &again.refusal)
        && same_logits;
    json!({
        "schema": "replay/1.0",
        "same": same,
        "result_id": both(|of| json!(of.result_id)),
        "outcome": both(|of| json!(of.outcome)),
        "reason_code": both(|of| json!(of.refusal.as_ref().map(|(code, _)| code))),
        "logits": { "same": same_logits, "count": [recorded.logits.len(), again.logits.len()], "max_difference": difference },
        "version": both(|of| json!(of.version)),
        "provider": both(|of| json!(of.model.provider)),
        "runtime": both(|of| json!(of.model.runtime)),
        "recorded_at": recorded.at,
    })
}

/// For people: what is the same on one line, what is not with both values.
fn lines(told: &Value) -> String {
    let verdict = if told.get("same") == Some(&Value::Bool(true)) { "the same result" } else { "ANOTHER RESULT" };
    let mut lines = vec![verdict.to_owned()];
    for name in ["result_id", "outcome", "reason_code", "version", "provider", "runtime"] {
        let pair = told.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match pair {
            [Value::Null, Value::Null] => {}
            [was, now] if was == now => lines.push(format!("  {name:<12} {}", plain(now))),
            [was, now] => lines.push(format!("  {name:<12} was {}, is {}", plain(was), plain(now))),
            _ => {}
        }
    }
    let logits = if told.pointer("/logits/same") == Some(&Value::Bool(true)) {
        "the same bit by bit".to_owned()
    } else {
        format!("differ by {} at most", told.pointer("/logits/max_difference").unwrap_or(&Value::Null))
    };
    lines.push(format!("  {:<12} {logits}", "logits"));
    lines.join("\n")
}
