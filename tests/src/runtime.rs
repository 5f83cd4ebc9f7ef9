//! ONNX Runtime for tests and demo: one pinned version, fetched once through pip and checked by its digest.

use crate::{place, process, progress::say};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Overrides the search, as it does for the daemon.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The committed pin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of ONNX Runtime.
    pub version: String,
    /// One wheel for each processor architecture.
    pub wheel: Vec<Wheel>,
}

/// One file of the package index.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Processor architecture, as `uname -m` says it.
    pub arch: String,
    /// File name.
    pub file: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

impl Lock {
    /// Reads `tests/onnxruntime.lock`.
    pub fn read() -> anyhow::Result<Self> {
        let path = place::root().join("tests/onnxruntime.lock");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The wheel for this machine.
    pub fn wheel(&self) -> anyhow::Result<&Wheel> {
        let arch = std::env::consts::ARCH;
        self.wheel.iter().find(|wheel| wheel.arch == arch).with_context(|| {
            format!(
                "no ONNX Runtime is pinned for {arch}; set {VARIABLE} to a libonnxruntime.so of version 1.24 or newer"
            )
        })
    }
}

/// The library: named by `ORT_DYLIB_PATH`, fetched before, or fetched now. Says what it does.
pub fn library() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(named);
        ensure!(path.is_file(), "{VARIABLE} names {}, which is no file", path.display());
        return Ok(path);
    }
    let lock = Lock::read()?;
    let wheel = lock.wheel()?;
    let folder = place::target().join("onnxruntime").join(format!("{}-{}", lock.version, wheel.arch));
    let library = folder.join("libonnxruntime.so");
    if !library.is_file() {
        fetch(&lock.version, wheel, &folder).with_context(|| {
            format!("getting ONNX Runtime (or set {VARIABLE} to a libonnxruntime.so of version 1.24 or newer)")
        })?;
    }
    Ok(library)
}

fn fetch(version: &str, wheel: &Wheel, folder: &Path) -> anyhow::Result<()> {
    let above = folder.parent().context("a folder above")?;
    fs::create_dir_all(above)?;
    // Prepared beside its place and renamed into it, so that a killed or parallel run never leaves half a library.
    let workshop = tempfile::tempdir_in(above)?;
    say(&format!("getting ONNX Runtime {version} for {} from the Python Package Index (about 20 MB)", wheel.arch));
    let platform = |glibc: &str| format!("--platform=manylinux_{glibc}_{}", wheel.arch);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"])
        .args(["--only-binary=:all:", "--implementation=cp", "--python-version=3.11"])
        .args([platform("2_27"), platform("2_28"), format!("onnxruntime=={version}"), "--dest".to_owned()])
        .arg(workshop.path());
    say(&format!("  {}", words(&pip)));
    process::output(&mut pip)?;
    let file = workshop.path().join(&wheel.file);
    let bytes = fs::read(&file).with_context(|| format!("pip did not download {}", wheel.file))?;
    let found = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    if found != wheel.sha256 {
        bail!("{} has SHA-256 {found}, but {} is pinned: not used", wheel.file, wheel.sha256);
    }
    say("  SHA-256 is the pinned one; unpacking");
    let unpacked = workshop.path().join("unpacked");
    process::output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&unpacked))?;
    let ready = workshop.path().join("ready");
    fs::create_dir(&ready)?;
    let parts = unpacked.join("onnxruntime");
    fs::copy(parts.join(format!("capi/libonnxruntime.so.{version}")), ready.join("libonnxruntime.so"))?;
    for keep in ["capi/libonnxruntime_providers_shared.so", "LICENSE", "ThirdPartyNotices.txt"] {
        let name = Path::new(keep).file_name().context("a file name")?;
        fs::copy(parts.join(keep), ready.join(name)).with_context(|| format!("{keep} of {}", wheel.file))?;
    }
    // Another process may have been faster; its library is as good as ours.
    match fs::rename(&ready, folder) {
        Err(error) if !folder.join("libonnxruntime.so").is_file() => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_pins_both_architectures() {
        let lock = Lock::read().unwrap();
        for arch in ["x86_64", "aarch64"] {
            let wheel = lock.wheel.iter().find(|wheel| wheel.arch == arch).unwrap();
            assert!(wheel.file.contains(&lock.version) && wheel.file.contains(arch));
            assert_eq!(wheel.sha256.len(), 64);
        }
    }
}
