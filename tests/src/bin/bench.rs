//! ctedge beside the same job in Python, in one run: time to the result, memory, and what an idle daemon costs.
//!
//! Both watch a folder with the same periods, run the same ONNX graph on the same input, and publish to the same kind of
//! broker; `mosquitto_sub` says when the result is there.

use anyhow::{Context, ensure};
use clap::Parser;
use ctedge_tests::appliance::Setup;
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::gauge::{self, Peak};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process::Running;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::stage::{self, PATIENCE, Stage, is_online};
use ctedge_tests::subscriber::Subscriber;
use ctedge_tests::{place, tools};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const QUIET_S: f64 = 1.0;
const SETTLE_S: f64 = 0.2;
/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(30);

/// The bars: share of Python's time and memory; share of a core; kB.
const TIME_BAR: f64 = 0.5;
const MEMORY_BAR: f64 = 1.0 / 3.0;
const IDLE_BAR: f64 = 0.01;
const RESIDENT_BAR_KB: u64 = 60_000;

/// Measures ctedge beside the same job in Python.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs of each; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// One run of one contestant.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// From the last file to the received result, in seconds.
    total_s: f64,
    peak_kb: u64,
}

/// A finished comparison: what, ours, theirs, and the bar for the ratio.
struct Row {
    what: String,
    ours: f64,
    theirs: f64,
    bar: f64,
}

fn main() -> ExitCode {
    stage::ended("bench", bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    clock.say("building ctedge with optimisation");
    let binary = stage::build(&["ctedge"])?.join("ctedge");
    let mut passed = idle(&binary, &clock)?;
    for (name, files) in subjects(&clock)? {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for run in 1..=arguments.runs {
            clock.say(&format!("{name}: run {run} of {}", arguments.runs));
            // By turns, so that a change of the machine's mood meets both.
            let (model, result) = ctedge(&binary, &files)?;
            ours.push(result);
            theirs.push(python(&model, &files)?);
        }
        let rows = rows(&name, &median(&ours), &median(&theirs));
        passed &= rows.iter().filter(|row| row.bar.is_finite()).all(|row| row.ours <= row.theirs * row.bar);
        rows.iter().for_each(print);
    }
    say(if passed { "PASS: every bar is held" } else { "FAIL: a bar is missed" });
    Ok(passed)
}

fn rows(name: &str, ours: &Run, theirs: &Run) -> Vec<Row> {
    let mb = |kb: u64| f64::from(u32::try_from(kb).unwrap_or(u32::MAX)) / 1000.0;
    let row = |what: &str, ours, theirs, bar| Row { what: format!("{name}: {what}"), ours, theirs, bar };
    let waiting = QUIET_S + SETTLE_S;
    vec![
        row("last file to result, s", ours.total_s, theirs.total_s, f64::INFINITY),
        row("the same without the waiting periods, s", ours.total_s - waiting, theirs.total_s - waiting, TIME_BAR),
        row("peak memory, MB", mb(ours.peak_kb), mb(theirs.peak_kb), MEMORY_BAR),
    ]
}

fn print(row: &Row) {
    let ratio = row.ours / row.theirs;
    let verdict = match row.bar {
        bar if !bar.is_finite() => String::new(),
        bar if ratio <= bar => format!("PASS (bar {bar:.2})"),
        bar => format!("FAIL (bar {bar:.2})"),
    };
    say(&format!("{:<72} ctedge {:8.3}  python {:8.3}  ratio {ratio:5.3}  {verdict}", row.what, row.ours, row.theirs));
}

fn median(runs: &[Run]) -> Run {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let mut peaks: Vec<u64> = runs.iter().map(|run| run.peak_kb).collect();
    peaks.sort_unstable();
    let peak_kb = peaks.get(peaks.len() / 2).copied().unwrap_or_default();
    Run { total_s: middle(runs.iter().map(|run| run.total_s).collect()), peak_kb }
}

fn subjects(clock: &Elapsed) -> anyhow::Result<Vec<(String, Vec<PathBuf>)>> {
    let mut subjects = Vec::new();
    if let Some(folder) = place::data("lung_pet_ct_dx_A0002/B40f") {
        subjects.push(("30 slices of a patient".to_owned(), arrival::files(&folder)?));
    }
    let folder = place::target().join("bench");
    if !folder.join("ready").is_file() {
        clock.say("writing a synthetic series of 300 slices with pydicom");
        std::fs::create_dir_all(&folder)?;
        series::write(&Plan { slices: 300, size: 512, ..Plan::small(1, 300) }, &folder)?;
        std::fs::write(folder.join("ready"), "")?;
    }
    subjects.push(("300 synthetic slices".to_owned(), arrival::files(&folder.join("0"))?));
    Ok(subjects)
}

/// Drops the files and waits for the result.
fn measure(pid: u32, subscriber: &Subscriber, incoming: &Path, files: &[PathBuf]) -> anyhow::Result<Run> {
    let peak = Peak::watch(pid)?;
    arrival::drop_files(files, incoming, "bench", Manner::Rename)?;
    let last = Instant::now();
    let result = subscriber.wait_for_results(1, PATIENCE)?.pop().context("a result")?;
    let peak_kb = peak.peak_kb();
    let outcome = result.text("outcome");
    ensure!(["flagged", "clear", "inconclusive"].contains(&outcome), "no flags: {}", result.raw);
    Ok(Run { total_s: result.at.duration_since(last).as_secs_f64(), peak_kb })
}

/// One run of ctedge. Also returns the folder of the model that it unpacked, for the other contestant.
fn ctedge(binary: &Path, files: &[PathBuf]) -> anyhow::Result<(PathBuf, Run)> {
    let stage = started(binary)?;
    let Stage { appliance, subscriber, .. } = &stage;
    let run =
        measure(appliance.pid()?, subscriber, &appliance.incoming(), files).with_context(|| appliance.log_end())?;
    let kept = place::target().join("bench/model");
    std::fs::create_dir_all(&kept)?;
    for file in arrival::files(&stage.appliance.model()?)? {
        std::fs::copy(&file, kept.join(file.file_name().context("a name")?))?;
    }
    Ok((kept, run))
}

fn started(binary: &Path) -> anyhow::Result<Stage> {
    let setup = |port| Setup { quiet_s: QUIET_S, settle_s: SETTLE_S, ..Setup::quick(port) };
    Stage::new(&place::target().join("bench/box"), binary, &setup)
}

fn python(model: &Path, files: &[PathBuf]) -> anyhow::Result<Run> {
    let broker = Mosquitto::start(Memory::Forgetful)?;
    let subscriber = Subscriber::start(broker.port())?;
    let incoming = tempfile::tempdir_in(place::target())?;
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(model.join("manifest.json"))?)?;
    let at = |path: &str| manifest.pointer(path).with_context(|| format!("{path} in the manifest"));
    let graph = at("/vision/file")?.as_str().context("the graph's file")?;
    let outputs = at("/vision/outputs")?.as_array().into_iter().flatten();
    let mut names = outputs.filter_map(|output| output.get("name")?.as_str());
    let logits = names.find(|name| name.contains("logits")).context("an output with logits")?;
    let plan = json!({
        "incoming": incoming.path(), "model": model.join(graph), "spec": at("/input")?, "port": broker.port(),
        "quiet_s": QUIET_S, "settle_s": SETTLE_S, "poll_s": 0.1, "topic": "ctedge/v1/peer", "logits": logits,
    });
    let script = place::root().join("tests/peers/pipeline.py");
    let mut command = Command::new(tools::python()?);
    let peer = Running::start(command.arg(script).arg(plan.to_string()).stdin(Stdio::null()))?;
    subscriber.wait(PATIENCE, is_online)?;
    measure(peer.pid(), &subscriber, incoming.path(), files)
}

/// What the daemon costs when nothing happens.
fn idle(binary: &Path, clock: &Elapsed) -> anyhow::Result<bool> {
    let stage = started(binary)?;
    clock.say(&format!("an idle daemon for {} s", IDLE.as_secs()));
    let pid = stage.appliance.pid()?;
    let before = gauge::processor_ticks(pid);
    std::thread::sleep(IDLE);
    let used = gauge::processor_ticks(pid).saturating_sub(before);
    // A tick is a hundredth of a second.
    let share = f64::from(u32::try_from(used).unwrap_or(u32::MAX)) / 100.0 / IDLE.as_secs_f64();
    let resident_kb = gauge::resident_kb(pid);
    let verdict = |good: bool| if good { "PASS" } else { "FAIL" };
    let (calm, small) = (share < IDLE_BAR, resident_kb < RESIDENT_BAR_KB);
    say(&format!("idle, all processes: {:.2} % of a core  {} (bar 1 %)", share * 100.0, verdict(calm)));
    say(&format!("idle, supervisor's resident memory: {} kB  {} (bar 60 MB)", resident_kb, verdict(small)));
    Ok(calm && small)
}
