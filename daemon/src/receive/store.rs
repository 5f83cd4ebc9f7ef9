//! A data set on its way into the drop folder: written as it comes, seen by nobody before it is whole and durable.

use super::keep::NO_ROOM;
use crate::floor::durable;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Names of files that are still being written: `intake` leaves alone what begins with a dot.
const UNFINISHED: &str = ".receive-";

/// What stands before a data set (PS3.10, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta<'a> {
    /// SOP Class UID.
    pub(super) class: &'a str,
    /// SOP Instance UID.
    pub(super) instance: &'a str,
    /// Transfer Syntax UID, as agreed with the sender.
    pub(super) syntax: &'a str,
}

/// Why a data set is not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// It is larger than any file may be.
    #[error("a data set beyond volume.limits.file_bytes")]
    TooLarge,
    /// The supervisor says that the disk is too full.
    #[error("{NO_ROOM}")]
    NoRoom,
    /// The folder does not take it.
    #[error("the drop folder: {}", .0.kind())]
    Folder(#[from] io::Error),
}

/// A file that is being written. Unless it is kept it goes with its owner.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    /// Bytes that may still come.
    left: u64,
}

impl Draft {
    /// Begins a file of at most `most` bytes under a random name.
    pub(super) fn begin(folder: &Path, most: u64, meta: &Meta<'_>) -> Result<Self, StoreError> {
        let path = folder.join(format!("{UNFINISHED}{}", durable::random_name()?));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path)?;
        let mut draft = Self { file, path, left: most };
        draft.write(&header(meta))?;
        Ok(draft)
    }

    /// Adds the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(StoreError::TooLarge)?;
        Ok(self.file.write_all(bytes)?)
    }

    /// Gives it its name. When this returns, no power cut can take it away.
    pub(super) fn keep(mut self) -> Result<(), StoreError> {
        self.file.sync_all()?;
        let name = self.path.file_name().map(|name| name.to_string_lossy().replacen(UNFINISHED, "", 1) + ".dcm");
        let target = self.path.with_file_name(name.unwrap_or_default());
        durable::move_to(&self.path, &target)?;
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes what an earlier worker was writing when it died: nobody was told that it had arrived.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Preamble and meta information. It depends on nothing but its arguments: the same data set, sent twice, is twice the
/// same file.
fn header(meta: &Meta<'_>) -> Vec<u8> {
    let mut group = Vec::new();
    // Version of the meta information.
    group.extend([2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1]);
    let texts = [
        (0x02, b"UI", meta.class),
        (0x03, b"UI", meta.instance),
        (0x10, b"UI", meta.syntax),
        (0x12, b"UI", IMPLEMENTATION),
    ];
    for (element, representation, text) in texts {
        let padded = text.len() + text.len() % 2;
        group.extend([2, 0, element, 0]);
        group.extend(representation);
        group.extend(u16::try_from(padded).unwrap_or_default().to_le_bytes());
        group.extend(text.bytes().chain([0]).take(padded));
    }
    let mut header = vec![0; 128];
    header.extend(b"DICM");
    header.extend([2, 0, 0, 0, b'U', b'L', 4, 0]);
    header.extend(u32::try_from(group.len()).unwrap_or_default().to_le_bytes());
    header.extend(group);
    header
}

/// This program, to other programs (PS3.7, D.3.3.2).
pub(super) const IMPLEMENTATION: &str = "2.25.147696751246460433297679456728529574548";

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta<'_> = Meta { class: "1.2.840.10008.5.1.4.1.1.2", instance: "1.2.3", syntax: "1.2.840.10008.1.2" };

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_hidden_until_it_is_kept_and_the_same_data_set_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let mut draft = Draft::begin(folder.path(), 1000, &META).unwrap();
            draft.write(b"data").unwrap();
            assert!(names(folder.path()).iter().any(|name| name.starts_with('.')));
            draft.keep().unwrap();
        }
        let names = names(folder.path());
        let bytes = names.iter().map(|name| fs::read(folder.path().join(name)).unwrap()).collect::<Vec<_>>();
        assert!(names.len() == 2 && names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        assert!(bytes[0] == bytes[1] && bytes[0].ends_with(b"data"));
    }

    #[test]
    fn what_is_too_large_or_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let length = u64::try_from(header(&META).len()).unwrap();
        let mut draft = Draft::begin(folder.path(), length + 4, &META).unwrap();
        draft.write(b"four").unwrap();
        assert!(matches!(draft.write(b"!"), Err(StoreError::TooLarge)));
        drop(draft);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn only_unfinished_files_of_ours_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".receive-1", ".other", "a.dcm"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        sweep(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".other", "a.dcm"]);
    }
}
