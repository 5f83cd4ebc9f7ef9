//! What the reference bundle is worth at a scanner: fresh synthetic patients as DICOM in, flags over MQTT out.
//!
//! The trainer draws patients that the bundle has never seen, the daemon reads them, and `peers/quality.py` judges with
//! scipy and ONNX Runtime. The bars are those that the bundle was made for.

use anyhow::{Context, ensure};
use clap::Parser;
use ctedge_tests::appliance::Setup;
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::stage::{self, PATIENCE, Stage};
use ctedge_tests::{place, tools};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const EXPERIMENT: &str = "models/catalog/scale-vlp-tiny/scale-vlp-tiny-0.3.0.toml";
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

/// Measures the reference bundle's flags through the daemon.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many patients
    #[arg(long, default_value_t = 300)]
    count: usize,
    /// Seed of the first; the bundle learned from seeds 1 and up, by the thousand
    #[arg(long, default_value_t = 9_000_000)]
    seed: u64,
}

fn main() -> ExitCode {
    stage::ended("quality", quality(&Arguments::parse()))
}

fn quality(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    clock.say("building ctedge and ctedge-trainer with optimisation");
    let programs = stage::build(&["ctedge", "ctedge-trainer"])?;
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
    let plan = read(&folder, &patients, arguments.count, &clock)?;
    clock.say("judging with scipy and ONNX Runtime");
    let mut judge = Command::new(tools::python()?);
    judge.arg(place::root().join("tests/peers/quality.py")).arg(plan.to_string());
    let judged: Value = serde_json::from_str(&process::output(&mut judge)?)?;
    report(&judged)
}

/// Lets a daemon read every patient. Returns what the judge needs.
fn read(folder: &Path, patients: &Path, count: usize, clock: &Elapsed) -> anyhow::Result<Value> {
    let binary = place::target().join("release/ctedge");
    let setup = |port| Setup { quiet_s: QUIET_S, settle_s: SETTLE_S, ..Setup::quick(port) };
    let stage = Stage::new(&folder.join("box"), &binary, &setup)?;
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
    Ok(json!({
        "patients": patients, "results": folder.join("results.jsonl"), "model": stage.model()?,
        "site_key": stage.appliance.path("state/site.key"), "pool": POOL, "draws": DRAWS,
    }))
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
