//! ONNX Runtime for tests and demo: one pinned version, which `cross/onnxruntime.sh` fetches once and checks by its digest.

use crate::{place, progress::say};
use anyhow::{Context, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Overrides the search, as it does for the daemon.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library: named by `ORT_DYLIB_PATH`, fetched before, or fetched now. Says what it does.
pub fn library() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(named);
        ensure!(path.is_file(), "{VARIABLE} names {}, which is no file", path.display());
        return Ok(path);
    }
    library_for(std::env::consts::ARCH)
}

/// The library for a processor, as `uname -m` names it: fetched before, or fetched now.
pub fn library_for(processor: &str) -> anyhow::Result<PathBuf> {
    fetched(&["--processor", processor], processor)
}

/// The library with the providers of NVIDIA's GPUs, for x86-64 (250 MB): fetched before, or fetched now.
pub fn gpu_library() -> anyhow::Result<PathBuf> {
    fetched(&["--gpu"], "gpu")
}

fn fetched(arguments: &[&str], name: &str) -> anyhow::Result<PathBuf> {
    let mut script = Command::new(place::root().join("cross/onnxruntime.sh"));
    script.args(arguments).arg(place::target().join("onnxruntime").join(name));
    let mut running = script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut told = String::new();
    for line in BufReader::new(running.stderr.take().context("its words")?).lines() {
        let line = line?;
        say(&format!("  {line}"));
        told.push_str(&line);
    }
    let ended = running.wait_with_output()?;
    ensure!(ended.status.success(), "{told}; or set {VARIABLE} to a libonnxruntime.so of version 1.24 or newer");
    Ok(String::from_utf8(ended.stdout)?.trim_end().into())
}

/// The version that is pinned.
pub fn version() -> anyhow::Result<String> {
    let path = place::root().join("cross/onnxruntime.lock");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    #[test]
    fn what_is_not_the_pinned_wheel_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("wheel");
        fs::write(&wheel, "no library").unwrap();
        let mut script = Command::new(place::root().join("cross/onnxruntime.sh"));
        let refused = process::output(script.arg("--wheel").arg(&wheel).arg(folder.path().join("there"))).unwrap_err();
        assert!(refused.to_string().contains("is pinned: not used"), "{refused:#}");
        let mut script = Command::new(place::root().join("cross/onnxruntime.sh"));
        let refused = process::output(script.arg("--wheel").arg(&wheel).arg(folder.path())).unwrap_err();
        assert!(refused.to_string().contains("holds other things"), "{refused:#}");
        assert!(wheel.is_file(), "and nothing is replaced");
    }

    #[test]
    fn both_processors_have_their_library() {
        assert_eq!(version().unwrap().split('.').count(), 3);
        let text = fs::read_to_string(place::root().join("cross/onnxruntime.lock")).unwrap();
        for processor in ["x86_64", "aarch64"] {
            assert!(text.contains(&format!("{} {processor}", version().unwrap())));
        }
    }
}
