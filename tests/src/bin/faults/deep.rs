//! The deep tier: every kind with its whole figure, one after the other, each a process of its own, and a table in the end.
//!
//! What has passed for a seed and a daemon is not played again for them: a run that was interrupted goes on where it was.

use crate::Kind;
use anyhow::Context;
use clap::ValueEnum;
use ctedge_tests::appliance;
use ctedge_tests::place;
use ctedge_tests::progress::{Elapsed, say};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Every kind with its figure.
const STEPS: [(Kind, &[&str]); 18] = [
    (Kind::Fsync, &[]),
    (Kind::Kill, &["--points", "500"]),
    (Kind::Recover, &["--points", "100"]),
    (Kind::Io, &["--points", "400"]),
    (Kind::Power, &["--points", "300"]),
    (Kind::Broker, &["--points", "100"]),
    (Kind::Wire, &["--all"]),
    (Kind::Offline, &["--points", "3000"]),
    (Kind::Carry, &["--mib", "200", "--drops", "20"]),
    (Kind::Update, &["--points", "200"]),
    (Kind::UpdatePower, &["--points", "100"]),
    (Kind::Busy, &[]),
    (Kind::Burst, &["--points", "20000"]),
    (Kind::Disk, &[]),
    (Kind::Poison, &["--points", "20"]),
    (Kind::Wedge, &["--points", "20"]),
    (Kind::Memory, &[]),
    (Kind::Soak, &["--hours", "10"]),
];

/// What became of a step.
struct Verdict {
    kind: String,
    passed: bool,
    took: Duration,
    /// What it said of its figure and of its control.
    figures: Vec<String>,
}

/// Plays all kinds, or those that are named.
pub(crate) fn run(only: &[Kind], seed: u64, jobs: usize, clock: &Elapsed) -> anyhow::Result<bool> {
    let folder = place::target().join("faults/deep");
    fs::create_dir_all(&folder)?;
    let daemon = HEXLOWER.encode(&Sha256::digest(fs::read(appliance::binary()?)?));
    clock.say(&format!("deep: seed {seed}; `--seed {seed}` goes on where this run ends; logs in {}", folder.display()));
    let mut verdicts = Vec::new();
    for (kind, figure) in STEPS.iter().filter(|(kind, _)| only.is_empty() || only.contains(kind)) {
        let name = kind.to_possible_value().context("a name")?.get_name().to_owned();
        let (log, key) = (folder.join(format!("{name}.log")), format!("{seed} {daemon} {}", figure.join(" ")));
        let passed = folder.join(format!("{name}.passed"));
        let verdict = if fs::read_to_string(&passed).is_ok_and(|before| before == key) {
            clock.say(&format!("{name} {}: passed before", figure.join(" ")));
            Verdict { kind: name, passed: true, took: Duration::ZERO, figures: figures(&log)? }
        } else {
            clock.say(&format!("{name} {}", figure.join(" ")));
            let verdict = play(name, figure, &[format!("--seed={seed}"), format!("--jobs={jobs}")], &log)?;
            if verdict.passed {
                fs::write(&passed, key)?;
            }
            verdict
        };
        verdicts.push(verdict);
    }
    say("\nkind         verdict  seconds   figures, and what the control found");
    for Verdict { kind, passed, took, figures } in &verdicts {
        let word = if *passed { "passed" } else { "FAILED" };
        say(&format!(
            "{kind:<12} {word:<8} {:>7.0}   {}",
            took.as_secs_f64(),
            figures.join("\n                             ")
        ));
    }
    let held = verdicts.iter().all(|verdict| verdict.passed);
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

fn play(kind: String, figure: &[&str], more: &[String], log: &Path) -> anyhow::Result<Verdict> {
    let start = Instant::now();
    let out = File::create(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(&kind).args(figure).args(more).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let passed = command.status()?.success();
    Ok(Verdict { kind, passed, took: start.elapsed(), figures: figures(log)? })
}

/// The lines in which a kind says how it ended: those of its clock that speak of a seed, breaches or a control.
fn figures(log: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(log)?;
    let lines = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("s] ").map(|(_, said)| said));
    let ends = |said: &&str| ["breaches", "control", "ended"].iter().any(|word| said.contains(word));
    Ok(lines.filter(ends).map(str::to_owned).collect())
}
