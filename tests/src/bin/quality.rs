//! What the reference bundle is worth at a scanner: fresh synthetic patients as DICOM in, flags and drafts over MQTT out.
//!
//! The trainer draws patients that the bundle has never seen, the daemon reads them, and `peers/quality.py` judges with
//! scipy and ONNX Runtime. The bars are those that the bundle was made for.

use anyhow::{Context, ensure};
use clap::Parser;
use ctedge_models::labels::Label;
use ctedge_tests::appliance::Setup;
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::stage::{self, PATIENCE, Stage};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{drafts, process};
use ctedge_tests::{place, tools};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const EXPERIMENT: &str = "models/catalog/scale-vlp-tiny/experiment.toml";
/// Patients that are in the drop folder together.
const ROUND: usize = 10;
/// Seconds without a new file after which a series is complete; a round of patients is dropped in less.
const QUIET_S: f64 = 2.0;
const SETTLE_S: f64 = 0.2;

/// Cases of a retrieval pool, and how many pools are drawn.
const POOL: usize = 100;
const DRAWS: usize = 50;

/// The bars: macro AUROC over visible findings, and R@1 over chance.
const AUROC_BAR: f64 = 0.90;
const RECALL_BAR: f64 = 20.0;
/// Of drafts: label F1 over all findings, and findings a report that are not there.
const DRAFT_BAR: f64 = 0.85;
const HALLUCINATED_BAR: f64 = 0.3;

/// Measures the reference bundle's flags and drafts through the daemon.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many patients
    #[arg(long, default_value_t = 300)]
    count: usize,
    /// Seed of the first; the bundle learned from seeds 1 and up, by the thousand
    #[arg(long, default_value_t = 9_000_000)]
    seed: u64,
    /// Folder of `ctedge` and `ctedge-trainer`, in place of a build with optimisation: neither changes what they find
    #[arg(long)]
    programs: Option<PathBuf>,
}

fn main() -> ExitCode {
    stage::ended("quality", quality(&Arguments::parse()))
}

fn quality(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    let programs = if let Some(folder) = &arguments.programs {
        folder.canonicalize()?
    } else {
        clock.say("building ctedge and ctedge-trainer with optimisation");
        stage::build(&["ctedge", "ctedge-trainer"])?
    };
    let folder = place::target().join("quality");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    clock.say(&format!("drawing {} patients", arguments.count));
    let patients = folder.join("patients");
    let mut trainer = Command::new(programs.join("ctedge-trainer"));
    trainer.arg("phantom").arg(place::root().join(EXPERIMENT)).arg("--out").arg(&patients);
    trainer.args(["--count", &arguments.count.to_string(), "--seed", &arguments.seed.to_string()]);
    process::output(&mut trainer)?;
    let setup = |port| Setup { quiet_s: QUIET_S, settle_s: SETTLE_S, ..Setup::quick(port) };
    let stage = Stage::new(&folder.join("box"), &programs.join("ctedge"), &setup)?;
    let plan = read(&stage, (&folder, &patients, arguments.count), &clock)?;
    clock.say("judging with scipy and ONNX Runtime");
    let mut judge = Command::new(tools::python()?);
    judge.arg(place::root().join("tests/peers/quality.py")).arg(plan.to_string());
    let judged: Value = serde_json::from_str(&process::output(&mut judge)?)?;
    Ok(report(&judged)? & report_drafts(&judged)?)
}

/// Lets a daemon read every patient. Returns what the judge needs.
fn read(stage: &Stage, (folder, patients, count): (&Path, &Path, usize), clock: &Elapsed) -> anyhow::Result<Value> {
    let mut scans: Vec<PathBuf> =
        std::fs::read_dir(patients.join("scans"))?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    scans.sort();
    ensure!(scans.len() == count, "{} scans of {count} patients", scans.len());
    let mut heard = 0;
    for round in scans.chunks(ROUND) {
        for scan in round {
            let label = scan.file_name().context("a name")?.to_string_lossy().into_owned();
            arrival::drop_files(&arrival::files(scan)?, &stage.appliance.incoming(), &label, Manner::Rename)?;
        }
        heard += round.len();
        let results = stage.subscriber.wait_for_results(heard, PATIENCE);
        let results = results.with_context(|| stage.appliance.log_end())?;
        clock.say(&format!("{heard} of {count} read"));
        let lines: Vec<String> = results.iter().map(|result| result.payload.to_string()).collect();
        std::fs::write(folder.join("results.jsonl"), lines.join("\n"))?;
    }
    let is_report = |message: &&Message| message.topic.ends_with("/report");
    let all_there = |messages: &[Message]| messages.iter().filter(is_report).count() >= count;
    let messages = stage.subscriber.wait(PATIENCE, all_there).with_context(|| stage.appliance.log_end())?;
    let reports: Vec<&Message> = messages.iter().filter(is_report).collect();
    let drafts = read_drafts(&stage.subscriber.results(), &reports)?;
    std::fs::write(folder.join("drafts.jsonl"), drafts.join("\n"))?;
    Ok(json!({
        "patients": patients, "results": folder.join("results.jsonl"), "drafts": folder.join("drafts.jsonl"), "model": stage.appliance.model()?,
        "site_key": stage.appliance.path("state/site.key"), "pool": POOL, "draws": DRAWS,
    }))
}

/// What each draft asserts, as the reader of reports reads it, a line each; a device's own word on what its drafts contradict has
/// to be the one that follows from its messages.
fn read_drafts(results: &[Message], reports: &[&Message]) -> anyhow::Result<Vec<String>> {
    let mut lines = BTreeMap::new();
    for report in reports {
        let result = results.iter().find(|result| result.text("id") == report.text("id")).context("its result")?;
        let (theirs, ours) =
            (drafts::disagreeing(&report.payload)?, drafts::offline(&result.payload, &report.payload)?);
        ensure!(theirs == ours, "disagreements are {theirs:?}, from the messages {ours:?}");
        ensure!(report.text("review_status") == "unverified_draft", "a draft without its mark");
        let labels = drafts::read(&report.payload)?.labels();
        let labels: Vec<&str> = Label::all().zip(labels).filter(|(_, is)| *is).map(|(label, _)| label.name()).collect();
        let key = result.text("series_key").to_owned();
        let author = report.text("author");
        lines.insert(key.clone(), json!({ "series_key": key, "labels": labels, "author": author }).to_string());
    }
    Ok(lines.into_values().collect())
}

/// Prints what the drafts were worth beside the baselines, and tells whether every bar is held.
fn report_drafts(judged: &Value) -> anyhow::Result<bool> {
    let rows = judged.get("drafts").and_then(Value::as_object).context("the judge read no drafts")?;
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64).with_context(|| format!("no {key}"));
    say(&format!("{:<36} {:>8} {:>8} {:>12} {:>8}", "label F1 of drafts", "micro", "macro", "hallucinated", "missed"));
    for (name, row) in rows {
        let [micro, mean, more, less] =
            ["micro_f1", "macro_f1", "hallucinated", "missed"].map(|key| number(row, key).unwrap_or(f64::NAN));
        say(&format!("{name:<36} {micro:>8.3} {mean:>8.3} {more:>12.2} {less:>8.2}"));
    }
    let of = |name: &str, key| number(rows.get(name).with_context(|| format!("no row {name}"))?, key);
    let (f1, hallucinated) = (of("draft", "micro_f1")?, of("draft", "hallucinated")?);
    let baselines = ["normal", "nearest", "template"].map(|name| of(name, "micro_f1"));
    let above = baselines.into_iter().collect::<Result<Vec<_>, _>>()?.iter().all(|other| f1 > *other);
    let verdict = |good: bool| if good { "PASS" } else { "FAIL" };
    say(&format!("label F1 of drafts: {f1:.3}  {} (bar {DRAFT_BAR})", verdict(f1 >= DRAFT_BAR)));
    say(&format!("above every baseline: {}", verdict(above)));
    say(&format!(
        "hallucinated findings a report: {hallucinated:.2}  {} (bar {HALLUCINATED_BAR})",
        verdict(hallucinated <= HALLUCINATED_BAR)
    ));
    Ok(f1 >= DRAFT_BAR && above && hallucinated <= HALLUCINATED_BAR)
}

/// Prints what was judged, and tells whether every bar is held.
fn report(judged: &Value) -> anyhow::Result<bool> {
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64);
    let labels = judged.get("labels").and_then(Value::as_object).context("the judge names no labels")?;
    say(&format!("{:<36} {:>8} {:>8} {:>7} {:>9}", "AUROC by label", "positive", "visible", "all", "visible"));
    for (label, row) in labels {
        let cell = |key| number(row, key).map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let count = |key| number(row, key).unwrap_or_default();
        let (positive, visible) = (count("positive"), count("visible"));
        say(&format!("{label:<36} {positive:>8} {visible:>8} {:>7} {:>9}", cell("auroc"), cell("auroc_visible")));
    }
    let mean = |key| {
        let areas: Vec<f64> = labels.values().filter_map(|row| number(row, key)).collect();
        areas.iter().sum::<f64>() / f64::from(u32::try_from(areas.len()).unwrap_or(u32::MAX))
    };
    let retrieval = judged.get("retrieval").context("the judge searched nothing")?;
    let found = |key| number(retrieval, key).with_context(|| format!("no {key}"));
    let (there, back, chance) = (found("volume_to_report")?, found("report_to_volume")?, found("chance")?);
    let (visible, all) = (mean("auroc_visible"), mean("auroc"));
    let pool = found("pool")?;
    let verdict = |good: bool| if good { "PASS" } else { "FAIL" };
    let (flags, recall) = (visible >= AUROC_BAR, there >= RECALL_BAR * chance);
    say(&format!(
        "macro AUROC, visible findings: {visible:.3}  {} (bar {AUROC_BAR}); all findings: {all:.3}",
        verdict(flags)
    ));
    say(&format!(
        "R@1 in {pool} reports: {there:.3}, {:.1} times chance ({chance:.4})  {} (bar {RECALL_BAR}); in {pool} volumes: {back:.3}",
        there / chance,
        verdict(recall)
    ));
    Ok(flags && recall)
}
