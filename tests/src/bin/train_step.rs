//! A training step of ours beside PyTorch's, by turns on the same machine: same network, batch and shapes.

use anyhow::Context;
use clap::Parser;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{place, process, stage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const EXPERIMENT: &str = "models/catalog/scale-vlp-tiny/experiment.toml";

/// Threads, and the most that our time may be of PyTorch's.
const BARS: [(usize, f64); 2] = [(1, 1.05), (2, 1.5)];

/// Times a training step beside PyTorch's.
#[derive(Debug, Parser)]
#[command(after_help = "PyTorch is large, and no test needs it. It comes by\n  \
    python3 -m venv target/torch && target/torch/bin/pip install torch numpy")]
struct Arguments {
    /// Runs of each; the fastest counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Steps of a run; their median counts
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// A Python that has torch; target/torch/bin/python if not given
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    stage::ended("train_step", bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    let python = arguments.python.clone().unwrap_or_else(|| place::target().join("torch/bin/python"));
    let torch = process::output(Command::new(&python).args(["-c", "import torch; print(torch.__version__)"]));
    let torch = torch.with_context(|| format!("{} has no torch; see --help", python.display()))?;
    clock.say("building ctedge-trainer with optimisation");
    let trainer = stage::build(&["ctedge-trainer"])?.join("ctedge-trainer");
    let mut passed = true;
    for (threads, bar) in BARS {
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for run in 1..=arguments.runs {
            clock.say(&format!("{threads} threads: run {run} of {}", arguments.runs));
            // By turns, so that a change of the machine's mood meets both.
            ours = ours.min(rust(&trainer, threads, arguments.steps)?);
            theirs = theirs.min(pytorch(&python, threads, arguments.steps)?);
        }
        let ratio = ours / theirs;
        let verdict = if ratio <= bar { "PASS" } else { "FAIL" };
        passed &= ratio <= bar;
        say(&format!(
            "{threads} threads, s a step: ctedge {ours:.3}  PyTorch {} {theirs:.3}  ratio {ratio:.3}  {verdict} (bar {bar})",
            torch.trim()
        ));
    }
    Ok(passed)
}

/// Median seconds of our steps.
fn rust(trainer: &Path, threads: usize, steps: usize) -> anyhow::Result<f64> {
    let mut command = Command::new(trainer);
    command.args(["--json", "bench"]).arg(place::root().join(EXPERIMENT));
    command.args(["--threads", &threads.to_string(), "--steps", &steps.to_string()]);
    number(&process::output(&mut command)?, "/step_s/median")
}

/// Median seconds of PyTorch's.
fn pytorch(python: &PathBuf, threads: usize, steps: usize) -> anyhow::Result<f64> {
    let mut command = Command::new(python);
    command.arg(place::root().join("tests/peers/train_step.py")).arg(place::root().join(EXPERIMENT));
    command.args(["--threads", &threads.to_string(), "--steps", &steps.to_string()]);
    number(&process::output(&mut command)?, "/step_s/median")
}

fn number(printed: &str, pointer: &str) -> anyhow::Result<f64> {
    let value: Value = serde_json::from_str(printed)?;
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer} in {printed}"))
}
