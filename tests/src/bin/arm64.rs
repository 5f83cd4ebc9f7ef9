//! The package for arm64 on a machine that is none: the whole corridor under qemu-user, beside the same on this processor.
//!
//! `cross/build.sh` makes the package; its program runs by `cross/emulate.sh` against ONNX Runtime for arm64. The same phantom goes
//! through both daemons, and both read the same voxels out of every syntax.

use anyhow::Context;
use clap::Parser;
use ctedge_tests::appliance::{self, Setup};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::stage::{PATIENCE, Stage};
use ctedge_tests::subscriber::Message;
use ctedge_tests::variant::{Strange, Workshop};
use ctedge_tests::{package, phantom, place, process, runtime, stage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// By how much a probability may differ: kernels and fused operations are others.
const WITHIN: f64 = 1e-4;
/// The same for weights of 16 bits, where one processor computes in 16 bits what the other computes in 32: as much as an export in
/// 16 bits may differ from one in 32. Between two nearly equal words a draft may then choose the other.
const HALF_WITHIN: f64 = 1e-2;
/// How the phantom is written anew.
const SYNTAXES: [&str; 4] = ["--raw", "--jpegls", "--j2k", "--rle"];

/// Runs the arm64 package under emulation, and compares.
#[derive(Debug, Parser)]
struct Arguments {
    /// The package, in place of one that `cross/build.sh` makes
    #[arg(long)]
    package: Option<PathBuf>,
}

fn main() -> ExitCode {
    stage::ended("arm64", arm64(&Arguments::parse()))
}

fn arm64(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    let package = match &arguments.package {
        Some(package) => package.clone(),
        None => package::debian("arm64", None)?,
    };
    clock.say(&format!("unpacking {}", package.display()));
    let folder = place::target().join("arm64");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let both = Both { here: appliance::binary()?, there: emulated(&package, &folder)?, folder };
    let scans = scans(&both.folder)?;
    let mut held = true;
    for (syntax, scan) in &scans {
        held &= equal(&format!("voxels of {syntax}"), &voxels(&both.here, scan)?, &voxels(&both.there, scan)?);
    }
    let scan = scans.get("--raw").context("a scan")?;
    let workshop = Workshop::open()?;
    for (name, bundle, within) in [
        ("in 32 bits", workshop.widened()?, WITHIN),
        ("as published", workshop.release(1, Strange::No, |_| {})?, HALF_WITHIN),
    ] {
        clock.say(&format!("the corridor with the model {name}"));
        let model = Model { bundle: &bundle, trust: &workshop.public() };
        let ours = corridor(&both.folder.join("box"), &both.program(Side::Here, &model)?, scan)?;
        let theirs = corridor(&both.folder.join("box"), &both.program(Side::There, &model)?, scan)?;
        held &= same(&ours, &theirs, within)?;
        let [ours, theirs] = [&ours, &theirs].map(|[_, report]| report.get("draft").cloned().unwrap_or_default());
        held &= equal("draft", &ours, &theirs) || within > WITHIN;
    }
    clock.say("compared");
    Ok(held)
}

/// The daemon's program for this processor and for the other one, and where they work.
struct Both {
    folder: PathBuf,
    here: PathBuf,
    there: PathBuf,
}

/// Which of the two.
#[derive(Debug, Clone, Copy)]
enum Side {
    Here,
    There,
}

/// A model, and the key that a device has to trust.
struct Model<'a> {
    bundle: &'a Path,
    trust: &'a Path,
}

impl Both {
    /// A program that runs this model.
    fn program(&self, side: Side, model: &Model<'_>) -> anyhow::Result<PathBuf> {
        let program = match side {
            Side::Here => &self.here,
            Side::There => &self.there,
        };
        let settings = [("CTEDGE__INFER__BUNDLE", model.bundle), ("CTEDGE__INFER__TRUST", model.trust)];
        script(&self.folder.join("with-model"), &settings, &[program])
    }
}

/// Writes a program that runs another one with such settings.
fn script(path: &Path, settings: &[(&str, &Path)], words: &[&Path]) -> anyhow::Result<PathBuf> {
    let exports = settings.iter().map(|(name, value)| format!("export {name}='{}'\n", value.display()));
    let words = words.iter().map(|word| format!("'{}' ", word.display()));
    fs::write(path, format!("#!/bin/sh\n{}exec {}\"$@\"\n", exports.collect::<String>(), words.collect::<String>()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_owned())
}

/// Whether both are the same, and there.
fn equal<T: PartialEq + Display>(what: &str, ours: &T, theirs: &T) -> bool {
    let held = ours == theirs && !["", "null"].contains(&ours.to_string().as_str());
    say(&format!("{} {what}: {theirs}", if held { "ok  " } else { "FAIL" }));
    held
}

/// A program that is the package's, under emulation, with the library of its processor.
fn emulated(package: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let unpacked = folder.join("package");
    process::output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    let library = runtime::library_for("aarch64")?;
    let words = [&place::root().join("cross/emulate.sh"), &unpacked.join("usr/bin/ctedge")];
    let program =
        script(&folder.join("emulated"), &[("CTEDGE__INFER__LIBRARY", &library)], &words.map(PathBuf::as_path))?;
    let told = process::output(Command::new(&program).arg("--version"))?;
    say(told.trim_end());
    Ok(program)
}

/// A phantom in every syntax, by a stranger's encoder.
fn scans(folder: &Path) -> anyhow::Result<BTreeMap<&'static str, PathBuf>> {
    let plain = phantom::write(&folder.join("phantom"))?;
    let mut scans = BTreeMap::new();
    for syntax in SYNTAXES {
        let scan = folder.join(syntax.trim_start_matches('-'));
        fs::create_dir_all(&scan)?;
        for file in &plain {
            let anew = scan.join(file.file_name().context("a file name")?);
            process::output(Command::new("gdcmconv").arg(syntax).arg(file).arg(&anew))?;
        }
        scans.insert(syntax, scan);
    }
    Ok(scans)
}

/// Digest of the voxels that a program reads.
fn voxels(program: &Path, scan: &Path) -> anyhow::Result<String> {
    let told = process::output(Command::new(program).args(["inspect", "--json"]).arg(scan))?;
    let told: Value = serde_json::from_str(&told)?;
    Ok(text(&told, "voxels_sha256").with_context(|| told.to_string())?.to_owned())
}

/// The result of a scan and the draft of its report, as a subscriber hears them.
fn corridor(folder: &Path, program: &Path, scan: &Path) -> anyhow::Result<[Value; 2]> {
    let stage = Stage::new(folder, program, &Setup::quick)?;
    arrival::drop_files(&arrival::files(scan)?, &stage.appliance.incoming(), "scan", Manner::Rename)?;
    let is_report = |message: &Message| message.topic.ends_with("/report");
    let whole = |heard: &[Message]| heard.iter().any(Message::is_result) && heard.iter().any(is_report);
    let heard = stage.subscriber.wait(PATIENCE, whole).with_context(|| stage.appliance.log_end())?;
    let payload = |wanted: &dyn Fn(&Message) -> bool| {
        heard.iter().find(|message| wanted(message)).map(|message| message.payload.clone()).context("a message")
    };
    Ok([payload(&Message::is_result)?, payload(&is_report)?])
}

/// Whether both came to the same, within rounding.
fn same([ours, _]: &[Value; 2], [theirs, _]: &[Value; 2], within: f64) -> anyhow::Result<bool> {
    let part = |message: &Value, name: &str| message.get(name).cloned().unwrap_or_default();
    let mut held = true;
    for name in ["outcome", "input"] {
        held &= equal(name, &part(ours, name), &part(theirs, name));
    }
    let (ours, theirs) = (flags(ours)?, flags(theirs)?);
    let mut farthest = 0.0_f64;
    let mut agree = ours.len() == theirs.len() && !ours.is_empty();
    for ((code, positive, p), other) in ours.iter().zip(&theirs) {
        agree &= (code, positive) == (&other.0, &other.1);
        farthest = farthest.max((p - other.2).abs());
    }
    let good = agree && farthest <= within;
    let count = ours.len();
    let mark = if good { "ok  " } else { "FAIL" };
    say(&format!("{mark} {count} flags: probabilities within {farthest:.1e}; {within:.0e} is allowed"));
    Ok(held & good)
}

/// Code, whether it stands, and probability of each flag.
fn flags(result: &Value) -> anyhow::Result<Vec<(String, bool, f64)>> {
    let flags = result.get("flags").and_then(Value::as_array).with_context(|| result.to_string())?;
    let flag = |flag: &Value| {
        Some((text(flag, "code")?.to_owned(), flag.get("positive")?.as_bool()?, flag.get("p")?.as_f64()?))
    };
    flags.iter().map(|value| flag(value).with_context(|| value.to_string())).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
