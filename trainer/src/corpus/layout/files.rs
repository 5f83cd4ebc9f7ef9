//! Volumes in nested folders.

use crate::corpus::error::CorpusError;
use std::fs;
use std::path::{Path, PathBuf};

/// Most folders inside each other: links between folders are followed, and could lead round in a circle.
const DEEPEST: usize = 8;

/// Every `.nii.gz` and `.nii` below `root/folder`, by its path below `root`, in order. A folder that is not there holds
/// nothing.
pub(super) fn volumes_below(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let mut found = Vec::new();
    if root.join(folder).is_dir() {
        walk(root, folder, DEEPEST, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    let place = root.join(folder);
    let unreadable = |source| CorpusError::Read { path: place.clone(), source };
    for entry in fs::read_dir(&place).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let path = folder.join(&name);
        let text = name.to_string_lossy();
        // Downloads often are links to a cache; `is_dir` and the name see through them.
        if text.ends_with(".nii.gz") || text.ends_with(".nii") {
            found.push(path);
        } else if deeper > 0 && root.join(&path).is_dir() {
            walk(root, &path, deeper - 1, found)?;
        }
    }
    Ok(())
}
