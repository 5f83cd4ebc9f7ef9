//! `cargo demo`: the main job from end to end, with real ONNX Runtime and a real MQTT connection.

use anyhow::{Context, bail, ensure};
use clap::Parser;
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process::Running;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{broker, place, runtime};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Longest wait for a result after the last file; a large series on a slow machine takes a fraction of it.
const PATIENCE: Duration = Duration::from_mins(5);
/// Seconds without a new file after which a series is complete. Short: the demo knows that nothing follows.
const QUIET_S: f64 = 2.0;
/// How many flags are shown.
const SHOWN: usize = 5;

/// Drops a chest CT into the folder of a ctedge daemon and shows the result that arrives over MQTT.
#[derive(Debug, Parser)]
#[command(name = "cargo demo")]
struct Arguments {
    /// A DICOM folder or file, or a NIfTI file; without it, a synthetic chest CT
    path: Option<PathBuf>,
    /// A broker of your own instead of the one inside the demo
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let clock = Elapsed::new();
    clock.say("1/6 ONNX Runtime");
    runtime::library()?;
    clock.say("2/6 building the daemon (minutes the first time)");
    let binary = build()?;
    let folder = fresh_folder()?;
    clock.say("3/6 the scan");
    let files = scan(arguments.path.as_deref(), &folder.join("phantom"))?;
    let (host, port) = match &arguments.broker {
        Some(named) => parse_broker(named)?,
        None => ("127.0.0.1".to_owned(), broker::start()?),
    };
    clock.say(&format!(
        "4/6 broker at {host}:{port}{}",
        if arguments.broker.is_none() { ", inside this program" } else { "" }
    ));
    let setup =
        Setup { host, port, device: "demo".to_owned(), quiet_s: QUIET_S, settle_s: 0.5, web: None, more: Vec::new() };
    let mut appliance = Appliance::in_folder(&folder.join("box"), binary, &setup)?;
    clock.say(&format!("5/6 starting `ctedge run`; its folders and log are in {}", folder.join("box").display()));
    let (_watch, messages) = watch(&appliance)?;
    appliance.start()?;
    wait_online(&mut appliance, &messages, &clock)?;
    clock.say(&format!("6/6 dropping {} files into {}", files.len(), appliance.incoming().display()));
    arrival::drop_files(&files, &appliance.incoming(), "demo", Manner::Rename)?;
    let results = wait_results(&mut appliance, &messages, &clock)?;
    appliance.stop()?;
    clock.say("done");
    let refused =
        results.iter().filter(|result| ["rejected", "failed"].contains(&text(result, "outcome").as_str())).count();
    ensure!(refused == 0, "{refused} of {} series gave no flags; the reasons stand above", results.len());
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let built =
        Command::new("cargo").args(["build", "-p", "ctedge", "--bin", "ctedge"]).current_dir(place::root()).status()?;
    ensure!(built.success(), "building the daemon failed");
    Ok(place::target().join("debug/ctedge"))
}

/// `target/demo`, empty. Its contents of the last run are ours to remove.
fn fresh_folder() -> anyhow::Result<PathBuf> {
    let folder = place::target().join("demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn scan(path: Option<&Path>, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(path) = path {
        let files = arrival::all_files(path).with_context(|| path.display().to_string())?;
        ensure!(!files.is_empty(), "{} holds no files", path.display());
        say(&format!("           {} files of {}", files.len(), path.display()));
        return Ok(files);
    }
    ctedge_tests::phantom::write(folder)?;
    let files = arrival::files(folder)?;
    say(&format!("           a synthetic patient, {} DICOM files; nobody's data", files.len()));
    Ok(files)
}

fn parse_broker(named: &str) -> anyhow::Result<(String, u16)> {
    let (host, port) = named.rsplit_once(':').context("--broker wants HOST:PORT")?;
    Ok((host.to_owned(), port.parse().with_context(|| format!("the port in --broker {named}"))?))
}

/// Starts `ctedge watch`, and gives its messages as they come.
fn watch(appliance: &Appliance) -> anyhow::Result<(Running, Receiver<Value>)> {
    let mut command = appliance.command(&["watch", "--json"]);
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = running.child().stdout.take().context("its output")?;
    let (sender, receiver) = sync_channel(64);
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let message = serde_json::from_str(&line).unwrap_or(Value::Null);
            if sender.send(message).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(read)?;
    Ok((running, receiver))
}

/// The next message, printed; `None` if none came within the time.
fn next(
    appliance: &mut Appliance,
    messages: &Receiver<Value>,
    wait: Duration,
    clock: &Elapsed,
) -> anyhow::Result<Option<Value>> {
    appliance.check()?;
    match messages.recv_timeout(wait) {
        Ok(message) => {
            describe(&message, clock);
            Ok(Some(message))
        }
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => bail!("the subscriber (`ctedge watch`) ended; {}", appliance.log_end()),
    }
}

fn wait_online(appliance: &mut Appliance, messages: &Receiver<Value>, clock: &Elapsed) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let message = next(appliance, messages, Duration::from_millis(200), clock)?.unwrap_or_default();
        if text(&message, "topic").ends_with("/status") && text(part(&message, "payload"), "state") == "online" {
            return Ok(());
        }
    }
    bail!("the daemon was not online within {PATIENCE:?}; {}", appliance.log_end())
}

/// Waits until every series that was announced has its result.
fn wait_results(appliance: &mut Appliance, messages: &Receiver<Value>, clock: &Elapsed) -> anyhow::Result<Vec<Value>> {
    let start = Instant::now();
    let (mut announced, mut results) = (BTreeSet::new(), Vec::new());
    // A further series may still be on its way when the first result is there: all were dropped together, so that they
    // are announced within the quiet period and some patience.
    let calm = Duration::from_secs_f64(QUIET_S + 2.0);
    let mut last = Instant::now();
    while start.elapsed() < PATIENCE {
        let Some(message) = next(appliance, messages, Duration::from_millis(200), clock)? else {
            if !results.is_empty() && results.len() >= announced.len() && last.elapsed() > calm {
                return Ok(results);
            }
            continue;
        };
        let topic = text(&message, "topic");
        if topic.contains("/event/") || topic.contains("/result/") {
            last = Instant::now();
            announced.insert(text(part(&message, "payload"), "series_key"));
        }
        if topic.contains("/result/") {
            results.push(part(&message, "payload").clone());
        }
    }
    bail!("no result within {PATIENCE:?} after the last file; {}", appliance.log_end())
}

/// One line for a message, and the flags of a result.
fn describe(message: &Value, clock: &Elapsed) {
    let (topic, payload) = (text(message, "topic"), part(message, "payload"));
    let short = topic.splitn(4, '/').nth(3).unwrap_or(&topic);
    if short.starts_with("result/") {
        clock.say(&format!("    {topic}"));
        describe_result(payload);
        return;
    }
    let words = match short {
        "status" => format!("{} (session {})", text(payload, "state"), text(payload, "session")),
        "health" => text(payload, "overall"),
        "counters" => numbers(part(payload, "total")),
        "info" => format!("ctedge {}", text(payload, "version")),
        event if event.starts_with("event/") => {
            format!("{} {}", text(payload, "series_key"), text(payload, "complete_by"))
        }
        _ => String::new(),
    };
    clock.say(&format!("    {topic:<40} {}", words.trim()));
}

fn numbers(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn describe_result(payload: &Value) {
    let input = part(payload, "input");
    say(&format!("\n    Result: {}", text(payload, "outcome").to_uppercase()));
    if part(payload, "reason_code").is_string() {
        say(&format!("    reason: {} ({})", text(payload, "reason_code"), text(payload, "reason_detail")));
    }
    say(&format!(
        "    series {}, {} files, complete by {}",
        text(payload, "series_key"),
        text(input, "files"),
        text(input, "complete_by")
    ));
    let mut flags: Vec<&Value> = part(payload, "flags").as_array().into_iter().flatten().collect();
    flags.sort_by(|a, b| number(b, "p").total_cmp(&number(a, "p")));
    for flag in flags.iter().take(SHOWN) {
        let mark = if *part(flag, "positive") == true { "positive" } else { "" };
        say(&format!(
            "      {:<40} p {:.3}  threshold {:.3}  {mark}",
            text(flag, "code"),
            number(flag, "p"),
            number(flag, "t")
        ));
    }
    if flags.len() > SHOWN {
        say(&format!("      and {} less probable flags", flags.len() - SHOWN));
    }
    let model = part(payload, "model");
    if model.is_object() {
        say(&format!("    model {} {} on {}", text(model, "name"), text(model, "version"), text(model, "ep")));
        if *part(model, "trained") == false {
            say("    This model has RANDOM WEIGHTS: its flags mean nothing.");
        }
    }
    say("    An unverified draft for a physician, no diagnosis.\n");
}

/// A field, `null` where there is none.
fn part<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn number(value: &Value, key: &str) -> f64 {
    part(value, key).as_f64().unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    let part = part(value, key);
    if part.is_null() {
        return String::new();
    }
    part.as_str().map_or_else(|| part.to_string(), str::to_owned)
}
