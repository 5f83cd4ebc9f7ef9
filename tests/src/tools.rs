//! Other people's programs that the tests compare with: what they are, whether they are here, how to get them.

use crate::{contract, place, process, progress::say};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Name of the program.
    pub program: &'static str,
    /// Debian package, or two of which one has it.
    pub package: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

const fn tool(program: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool { program, package, purpose }
}

/// Every program the tests need beside Rust and Python.
pub const TOOLS: [Tool; 21] = [
    tool("mosquitto", "mosquitto", "a real MQTT broker"),
    tool("mosquitto_sub", "mosquitto-clients", "a real MQTT subscriber"),
    tool("openssl", "openssl", "certificates of a broker"),
    tool("dcm2niix", "dcm2niix", "geometry of DICOM series"),
    tool("gdcmconv", "libgdcm-tools", "writes DICOM files in many syntaxes"),
    tool("ojph_compress", "openjph-tools", "encodes HTJ2K"),
    tool("cjxl", "libjxl-tools", "encodes JPEG XL"),
    tool("dcmdump", "dcmtk", "reads the DICOM files we write"),
    tool("storescu", "dcmtk", "sends DICOM files"),
    tool("Orthanc", "orthanc", "an archive that sends DICOM files"),
    tool("dcmodify", "dcmtk", "plants patient markers in DICOM files"),
    tool("dciodvfy", "dicom3tools", "validates the DICOM files we write"),
    tool("minisign", "minisign", "verifies bundle signatures"),
    tool("npm", "npm", "gets AsyncAPI's own parser"),
    tool("zip", "zip", "packs series into one file"),
    tool("strace", "strace", "sees system calls"),
    tool("qemu-aarch64-static", "qemu-user-static", "runs programs for arm64"),
    tool("debootstrap", "debootstrap", "a Debian to boot"),
    tool("systemd-nspawn", "systemd-container", "boots it"),
    tool("systemd-analyze", "systemd", "judges the unit"),
    // Debian moved it from the first to the second.
    tool("qemu-storage-daemon", "qemu-system-common qemu-utils", "a disk that keeps a log, for power cuts"),
];

/// Looks for every tool, and gets what is missing: packages through apt when run as root, Python packages through pip.
pub fn provide() -> anyhow::Result<()> {
    packages()?;
    for tool in TOOLS {
        say(&format!("  {:<14} {}", tool.program, tool.purpose));
    }
    let python = provide_python()?;
    say(&format!("  {:<14} peers of requirements.txt, in {}", "python", python.display()));
    let parser = contract::provide_parser()?;
    say(&format!("  {:<14} AsyncAPI's parser, in {}", "node", parser.display()));
    Ok(())
}

fn packages() -> anyhow::Result<()> {
    let mut missing: Vec<&str> =
        TOOLS.iter().filter(|tool| !process::on_path(tool.program)).flat_map(|tool| tool.package.split(' ')).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    ensure!(rustix::process::geteuid().is_root(), "missing: {}. Install them:\n    sudo {command}", missing.join(", "));
    say(&format!("missing: {}; running {command}", missing.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        process::output(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    apt(&["update", "--quiet"])?;
    apt(&[&["install", "--yes", "--quiet", "--no-install-recommends"], missing.as_slice()].concat())?;
    let absent = TOOLS.iter().find(|tool| !process::on_path(tool.program));
    ensure!(absent.is_none(), "{absent:?} is still missing after {command}");
    Ok(())
}

/// The Python that has the peers; an error that names the command if it is not there.
///
/// `CTEDGE_PYTHON` may name one that has them already.
pub fn python() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("CTEDGE_PYTHON") {
        return Ok(named.into());
    }
    let folder = environment();
    let ready =
        fs::read_to_string(folder.join("requirements.txt")).is_ok_and(|have| have == wanted().unwrap_or_default());
    ensure!(ready, "the Python peers are missing or outdated: run `cargo verify --only tools`");
    Ok(folder.join("bin/python"))
}

fn environment() -> PathBuf {
    place::target().join("peers")
}

fn wanted() -> anyhow::Result<String> {
    let path = requirements();
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn requirements() -> PathBuf {
    place::root().join("tests/peers/requirements.txt")
}

fn provide_python() -> anyhow::Result<PathBuf> {
    if let Ok(ready) = python() {
        return Ok(ready);
    }
    let folder = environment();
    say(&format!("making a Python environment with the peers in {} (about 1.3 GB)", folder.display()));
    process::output(Command::new(newest_python()?).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let python = folder.join("bin/python");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement"]).arg(requirements());
    process::output(&mut pip)?;
    // Written last: it says that all of these were installed.
    fs::write(folder.join("requirements.txt"), wanted()?)?;
    Ok(python)
}

/// The pinned peers need Python 3.11 or newer; what `python3` is may be older.
fn newest_python() -> anyhow::Result<&'static str> {
    let good = |python: &&str| {
        let script = "import sys; sys.exit(sys.version_info < (3, 11))";
        Command::new(*python).args(["-c", script]).output().is_ok_and(|done| done.status.success())
    };
    let candidates = ["python3", "python3.13", "python3.12", "python3.11"];
    candidates.into_iter().find(good).context("the peers need Python 3.11 or newer; none of python3, python3.11–13 is")
}

/// Runs a script of `tests/peers` and returns what it printed.
pub fn peer(script: &str, arguments: &[&Path]) -> anyhow::Result<String> {
    let path = place::root().join("tests/peers").join(script);
    process::output(Command::new(python()?).arg(path).args(arguments)).with_context(|| script.to_owned())
}
