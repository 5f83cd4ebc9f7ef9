//! The checkpoints of a run folder.

use super::checkpoint::{Checkpoint, Snapshot};
use super::{RunError, make_folder};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of the checkpoints in a run folder.
pub const CHECKPOINTS: &str = "checkpoints";
const ENDING: &str = ".safetensors";

/// Writes the weights alone.
pub(super) fn write(path: &Path, checkpoint: &Checkpoint) -> Result<(), RunError> {
    let bytes = checkpoint.to_bytes().map_err(|source| RunError::Checkpoint { path: path.into(), source })?;
    super::write(path, &bytes)
}

/// Writes a snapshot, and then removes all but the newest `count`.
pub(super) fn keep(place: &Path, snapshot: &Snapshot, count: usize) -> Result<(), RunError> {
    let folder = place.join(CHECKPOINTS);
    make_folder(&folder)?;
    let path = folder.join(format!("step-{:08}{ENDING}", snapshot.checkpoint.steps));
    let bytes = snapshot.to_bytes().map_err(|source| RunError::Checkpoint { path: path.clone(), source })?;
    super::write(&path, &bytes)?;
    for old in listed(place)?.into_iter().rev().skip(count.max(1)) {
        fs::remove_file(&old).map_err(|source| RunError::Write { path: old, source })?;
    }
    Ok(())
}

/// The newest snapshot in a folder, if there is one. It must belong where `card` does.
pub(super) fn newest(place: &Path, card: &Checkpoint) -> Result<Option<Snapshot>, RunError> {
    let Some(path) = listed(place)?.pop() else { return Ok(None) };
    let bytes = fs::read(&path).map_err(|source| RunError::Open { path: path.clone(), source })?;
    let snapshot =
        Snapshot::from_bytes(&bytes).map_err(|source| RunError::Checkpoint { path: path.clone(), source })?;
    card.joins(&snapshot.checkpoint, &path)?;
    Ok(Some(snapshot))
}

/// Every whole snapshot, oldest first.
fn listed(place: &Path) -> Result<Vec<PathBuf>, RunError> {
    let folder = place.join(CHECKPOINTS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RunError::Open { path: folder, source }),
    };
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|source| RunError::Open { path: folder, source })?;
    paths.retain(|path| path.to_string_lossy().ends_with(ENDING));
    paths.sort();
    Ok(paths)
}
