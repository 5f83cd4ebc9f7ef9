//! The Debian package, as `cross/build.sh` makes it.

use crate::place;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes the package for an architecture of Debian's: of a program that there is, else of one that is built with optimisation.
/// What the script says is seen.
pub fn debian(architecture: &str, binary: Option<&Path>) -> anyhow::Result<PathBuf> {
    let mut build = Command::new(place::root().join("cross/build.sh"));
    build.arg(architecture).stdin(Stdio::null()).stderr(Stdio::inherit());
    if let Some(binary) = binary {
        build.arg("--binary").arg(binary);
    }
    let done = build.output()?;
    ensure!(done.status.success(), "cross/build.sh: {}", done.status);
    Ok(String::from_utf8(done.stdout)?.lines().last().context("the package's path")?.into())
}
