//! Senders that need to know that what they have sent is safe, and send it again until they do.

use anyhow::Context;
use ctedge_tests::process;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How a file reaches the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// By DICOM C-STORE: safe when it is answered with Success.
    Network,
    /// By the drop folder: safe when file and folder are synced.
    Folder,
}

/// A file that has been sent, and when its sender knew that it was safe.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) file: PathBuf,
    pub(super) door: Door,
    pub(super) safe: u64,
}

/// Lines of configuration that open the network's door, and that let a small disk be full only when it is full: beside two
/// copies of a model, kept files would have to go.
pub(super) fn door(port: u16) -> [String; 3] {
    let listen = format!("receive.listen = \"127.0.0.1:{port}\"");
    [listen, "receive.peers = [\"*\"]".to_owned(), "disk.least_mib = 8".to_owned()]
}

/// Sends files to a port with DCMTK; an error unless each was answered with Success.
pub(super) fn store(files: &[&Path], port: u16) -> anyhow::Result<()> {
    process::wait_for_port(port, Duration::from_secs(20))?;
    let mut command = Command::new("storescu");
    command.args(["-aec", "CTEDGE", "127.0.0.1", &port.to_string()]).args(files);
    process::output(&mut command).map(drop)
}

/// Puts a file into a drop folder.
pub(super) fn put(file: &Path, incoming: &Path) -> anyhow::Result<()> {
    let target = incoming.join(file.file_name().context("a file name")?);
    let part = target.with_extension("part");
    fs::copy(file, &part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, &target)?;
    Ok(File::open(incoming)?.sync_all()?)
}
