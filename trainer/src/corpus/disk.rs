//! Files that are there whole or not at all.

use super::error::CorpusError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// End of the name of a file that is being written.
pub(super) const PARTIAL: &str = ".partial";

/// Writes a file under another name, syncs it, renames it and syncs the folder: after a crash it is whole or not there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CorpusError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = Path::new(&partial);
    let written = File::create(partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(partial, path))
        .and_then(|()| sync_folder(path));
    written.map_err(|source| {
        // Half a file only takes the room that is missing.
        drop(fs::remove_file(partial));
        CorpusError::Write { path: path.into(), source }
    })
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> Result<(), CorpusError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CorpusError::Write { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

/// Reads a whole text file.
pub(super) fn read(path: &Path) -> Result<String, CorpusError> {
    fs::read_to_string(path).map_err(|source| CorpusError::Read { path: path.into(), source })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // A bare file name lies in the working folder, and its parent is the empty path.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
