//! What has come of a bundle so far: a file that is nothing until all of it has the digest.

use super::{FetchError, Terms, Wanted};
use crate::floor::{clock, durable};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct PartFile<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> PartFile<'a> {
    /// The one that is there, or an empty one. What is longer than the bundle is cut off.
    pub(super) fn open(path: &'a Path, wanted: &Wanted<'_>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() > wanted.bytes {
            file.set_len(0)?;
        }
        Ok(Self { path, file })
    }

    /// Its length.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Makes it empty.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Puts bytes in their place.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// So many bytes from a place; fewer at the end.
    pub(super) fn read(&self, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(io::SeekFrom::Start(offset))?;
        let mut read = Vec::new();
        file.take(bytes).read_to_end(&mut read)?;
        Ok(read)
    }

    /// Whether it is the bundle. Then it is durable.
    ///
    /// # Errors
    /// It cannot be read or synced, or the daemon stops.
    pub(super) fn is_whole(&self, wanted: &Wanted<'_>, terms: &Terms<'_>) -> Result<bool, FetchError> {
        if self.len()? != wanted.bytes {
            return Ok(false);
        }
        let (mut file, mut hasher, mut block) = (&self.file, Sha256::new(), vec![0; BLOCK]);
        file.seek(io::SeekFrom::Start(0))?;
        loop {
            if terms.stop.load(Ordering::Relaxed) {
                return Err(FetchError::Stopped);
            }
            clock::next_piece();
            match file.read(&mut block)? {
                0 => break,
                read => hasher.update(block.get(..read).unwrap_or_default()),
            }
        }
        let is_it = HEXLOWER.encode(&hasher.finalize()) == wanted.digest;
        if is_it {
            durable::sync_file(self.path)?;
        }
        Ok(is_it)
    }

    /// Deletes it: it is not what was offered.
    pub(super) fn delete(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}
