//! `cargo verify`: everything that CI checks, in the order in which a mistake is cheapest to find.
//!
//! Fetches what is missing through the ordinary package clients, says so, and works again without a network.

use anyhow::{Context, bail};
use clap::Parser;
use ctedge_tests::{appliance, contract, fuzzing, place, process, progress::say, runtime, tools};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Runs everything that CI checks.
#[derive(Debug, Parser)]
#[command(name = "cargo verify")]
struct Arguments {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Name the steps and leave
    #[arg(long)]
    list: bool,
}

/// One check.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const STEPS: [Step; 12] = [
    Step { name: "tools", about: "other people's programs and Python packages to compare with", run: tools::provide },
    Step { name: "runtime", about: "ONNX Runtime, one pinned version", run: onnx_runtime },
    Step { name: "format", about: "cargo fmt --check", run: format },
    Step { name: "clippy", about: "cargo clippy, warnings are errors", run: clippy },
    Step { name: "build", about: "every program and every test", run: build },
    Step {
        name: "test",
        about: "every test, those against Mosquitto, dcm2niix, pydicom and others included",
        run: test,
    },
    Step {
        name: "contract",
        about: "every message that the tests heard, against the schemas, by validators that are not ours",
        run: contract::check,
    },
    Step { name: "fuzz", about: "what reads foreign bytes, a minute for each target", run: fuzz },
    Step { name: "doctest", about: "examples in the documentation", run: doctest },
    Step { name: "doc", about: "cargo doc, warnings are errors", run: doc },
    Step {
        name: "arm64",
        about: "the package for arm64, run by qemu-user beside this processor's program",
        run: arm64,
    },
    Step { name: "service", about: "the package under a systemd that has booted", run: service },
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for step in STEPS {
            say(&format!("{:<10} {}", step.name, step.about));
        }
        return ExitCode::SUCCESS;
    }
    match run(&arguments.only) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\n{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(only: &[String]) -> anyhow::Result<()> {
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        bail!("there is no step {unknown}; `cargo verify --list` names them");
    }
    let chosen: Vec<&Step> =
        STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect();
    let start = Instant::now();
    let mut done = Vec::new();
    for (number, step) in chosen.iter().enumerate() {
        say(&format!("\n== {}/{} {}: {}", number + 1, chosen.len(), step.name, step.about));
        let begin = Instant::now();
        let ended = (step.run)();
        done.push((step.name, begin.elapsed(), ended.is_ok()));
        if let Err(error) = ended {
            table(&done);
            return Err(
                error.context(format!("step {} failed; `cargo verify --only {}` repeats it", step.name, step.name))
            );
        }
    }
    table(&done);
    let count = done.len();
    say(&format!("     Summary [{:8.3}s] {count} steps run: {count} passed, 0 failed", start.elapsed().as_secs_f64()));
    Ok(())
}

fn table(done: &[(&str, Duration, bool)]) {
    say("\nstep         seconds");
    for (name, took, passed) in done {
        say(&format!("{name:<10} {:9.1}  {}", took.as_secs_f64(), if *passed { "passed" } else { "FAILED" }));
    }
}

fn onnx_runtime() -> anyhow::Result<()> {
    say(&format!("  {}", runtime::library()?.display()));
    Ok(())
}

/// Runs Cargo in the workspace, with its output on ours.
fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    say(&format!("$ cargo {}", arguments.join(" ")));
    let mut command = Command::new("cargo");
    command.args(arguments).envs(environment.iter().copied()).current_dir(place::root());
    // Set by the cargo that started us, for our package only: the next one must not take it over.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        command.env_remove(name);
    }
    let status = command.status().context("cargo")?;
    if status.success() { Ok(()) } else { bail!("cargo {}: {status}", arguments.join(" ")) }
}

fn format() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])
}

fn clippy() -> anyhow::Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
}

fn build() -> anyhow::Result<()> {
    cargo(&appliance::BUILD, &[])
}

fn test() -> anyhow::Result<()> {
    contract::forget()?;
    let library = runtime::library()?;
    let binary = place::target().join("debug/ctedge");
    let python = tools::python()?;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let (library, binary, python) = (text(&library), text(&binary), text(&python));
    let environment = [(runtime::VARIABLE, library.as_str()), ("CTEDGE_BIN", &binary), ("CTEDGE_PYTHON", &python)];
    if process::on_path("cargo-nextest") {
        return cargo(&["nextest", "run", "--workspace"], &environment);
    }
    say("cargo-nextest is not installed; the same tests by cargo test");
    cargo(&["test", "--workspace", "--lib", "--bins", "--examples", "--tests"], &environment)
}

/// Runs a program of the tests that the step `build` has made.
fn program(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let binary = place::target().join("debug/ctedge");
    let mut command = Command::new(place::target().join("debug").join(name));
    command.args(arguments).env("CTEDGE_BIN", &binary).current_dir(place::root());
    let status = command.status().with_context(|| format!("{name}; `cargo verify --only build` makes it"))?;
    if status.success() { Ok(()) } else { bail!("{name}: {status}") }
}

fn arm64() -> anyhow::Result<()> {
    program("arm64", &[])
}

fn service() -> anyhow::Result<()> {
    program("service", &[])
}

fn fuzz() -> anyhow::Result<()> {
    fuzzing::run(Duration::from_mins(1))
}

fn doctest() -> anyhow::Result<()> {
    cargo(&["test", "--workspace", "--doc"], &[])
}

fn doc() -> anyhow::Result<()> {
    let flags = [("RUSTDOCFLAGS", "-D warnings --document-private-items")];
    cargo(&["doc", "--workspace", "--no-deps"], &flags)
}
