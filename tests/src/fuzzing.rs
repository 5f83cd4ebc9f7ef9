//! Coverage-guided fuzzing of what reads foreign bytes, by libFuzzer.
//!
//! The targets are a workspace of their own, `tests/fuzz`, compiled with the counters that libFuzzer reads. A stable
//! compiler makes them; `cargo fuzz` is not needed.

use crate::{place, progress::say, tools};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The targets; each is a program of `tests/fuzz`.
pub const TARGETS: [&str; 4] = ["header", "slice", "series", "graph"];

/// What an input may cost: seconds, MB.
const INPUT_S: u32 = 2;
const MEMORY_MB: u32 = 512;
/// Inputs are headers and a few voxels.
const INPUT_BYTES: u32 = 1 << 14;

/// Where chance begins, so that one machine's finding is the next one's, too.
const SEED: u32 = 1;

/// The counters that libFuzzer wants; every flag is a stable one.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Fuzzes every target for so long, all of them at once, from small files of every kind and all past crashers.
pub fn run(each: Duration) -> anyhow::Result<()> {
    let programs = build()?;
    let folder = place::target().join("fuzz");
    let seeds = folder.join("seeds");
    if !seeds.join("graph/seed.onnx").is_file() {
        tools::peer("seeds.py", &[&seeds])?;
    }
    let started = TARGETS.map(|name| start(name, &programs, &folder, each));
    for (name, running) in TARGETS.into_iter().zip(started) {
        let (mut running, log) = running?;
        let ended = running.wait()?;
        let said = fs::read_to_string(&log)?;
        let last = said.lines().rev().find(|line| line.starts_with("Done")).unwrap_or_default();
        ensure!(
            ended.success(),
            "fuzzing {name}: {}\nputs the input where it belongs; {} says what happened",
            finding(name, &said),
            log.display()
        );
        say(&format!("  {name:<10} {last}"));
    }
    Ok(())
}

/// What went wrong, and the command that keeps the input: where the machine of a run is gone, its words are all there is.
fn finding(name: &str, said: &str) -> String {
    let told = |what: &str| said.lines().rev().find(|line| line.contains(what));
    let panicked = said.lines().skip_while(|line| !line.contains("panicked at")).take(3).collect::<Vec<_>>().join("\n");
    let summary = told("SUMMARY").unwrap_or_default();
    let input =
        told("Base64: ").and_then(|line| line.split_once("Base64: ")).map_or("the artifact", |(_, input)| input);
    format!("{panicked}\n{summary}\necho {input} | base64 -d > tests/fuzz/crashers/{name}/NAME")
}

fn build() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let target = place::target().join("fuzz");
    let mut cargo = Command::new("cargo");
    // With a target named, what runs while building is compiled without counters.
    cargo.args(["build", "--locked", "--release", "--bins", "--target", &host, "--target-dir"]).arg(&target);
    cargo.current_dir(place::root().join("tests/fuzz")).env("RUSTFLAGS", FLAGS);
    ensure!(cargo.status().context("cargo")?.success(), "the fuzz targets do not build");
    Ok(target.join(host).join("release"))
}

/// The machine's own target triple, as the compiler names it.
fn host() -> anyhow::Result<String> {
    let said = crate::process::output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its host")?;
    Ok(host.to_owned())
}

fn start(name: &str, programs: &Path, folder: &Path, each: Duration) -> anyhow::Result<(std::process::Child, PathBuf)> {
    let (corpus, found, log) =
        (folder.join("corpus").join(name), folder.join("found").join(name), folder.join(format!("{name}.log")));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let mut fuzzer = Command::new(programs.join(name));
    fuzzer.args([
        format!("-max_total_time={}", each.as_secs()),
        format!("-seed={SEED}"),
        format!("-timeout={INPUT_S}"),
        format!("-rss_limit_mb={MEMORY_MB}"),
        format!("-max_len={INPUT_BYTES}"),
        format!("-artifact_prefix={}/", found.display()),
    ]);
    // The first folder takes what is new.
    fuzzer.arg(corpus).arg(folder.join("seeds"));
    let crashers = place::root().join("tests/fuzz/crashers").join(name);
    fuzzer.args(crashers.is_dir().then_some(crashers));
    let child = fuzzer.stdout(Stdio::null()).stderr(fs::File::create(&log)?).spawn();
    Ok((child.with_context(|| format!("starting the fuzz target {name}"))?, log))
}
