//! Room that is set aside for the ledger: a file that holds nothing, and is deleted when a commit finds no other room.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tracing::warn;

/// The file, which may be there or not.
#[derive(Debug, Clone)]
pub(crate) struct Ballast {
    path: PathBuf,
    /// Its length; 0 for none.
    bytes: u64,
}

impl Ballast {
    /// Of this many bytes in a folder. Makes no file yet.
    pub(crate) fn new(folder: &Path, bytes: u64) -> Self {
        Self { path: folder.join("ballast"), bytes }
    }

    /// Its length in bytes; 0 for none.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is there, in its whole length.
    pub(crate) fn is_held(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes)
    }

    /// Sets the room aside, unless it is; one of another length is made anew, or removed.
    ///
    /// # Errors
    /// There is not as much room, or the filesystem cannot set any aside.
    pub(crate) fn hold(&self) -> io::Result<()> {
        if self.is_held() {
            return Ok(());
        }
        self.remove()?;
        if self.bytes == 0 {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        let set_aside = fallocate(&file, FallocateFlags::empty(), 0, self.bytes);
        if set_aside.is_err() {
            self.remove()?;
        }
        Ok(set_aside?)
    }

    /// Gives the room back. Returns whether there was any.
    pub(crate) fn release(&self) -> bool {
        let freed = fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > 0) && self.remove().is_ok();
        if freed {
            warn!(bytes = self.bytes, "the ledger had no room; what was set aside for it has been released");
        }
        freed
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn room_is_set_aside_released_and_set_aside_again() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path(), 1 << 20);
        assert!(!ballast.is_held() && !ballast.release());
        for _ in 0..2 {
            ballast.hold().unwrap();
            ballast.hold().unwrap();
            let metadata = fs::metadata(folder.path().join("ballast")).unwrap();
            assert!(metadata.blocks() * 512 >= 1 << 20, "room that is really taken, not a hole");
            assert!(ballast.is_held() && ballast.release() && !ballast.is_held());
        }
        ballast.hold().unwrap();
        let none = Ballast::new(folder.path(), 0);
        none.hold().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a site that wants none has none");
        Ballast::new(folder.path(), 1 << 60).hold().unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no room taken in vain");
    }
}
