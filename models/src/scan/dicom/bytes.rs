//! The bytes of a file, read where they are asked for.

use crate::scan::{Reason, ScanError, file};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A file, or what a deflated one unpacks to.
///
/// A file is never mapped: one that is cut short by its sender would kill the process.
#[derive(Debug)]
pub(super) struct Bytes {
    store: Store,
    length: u64,
}

#[derive(Debug)]
enum Store {
    File(File),
    Memory(Vec<u8>),
}

/// The part of a file that was read last: headers are walked through in small steps.
#[derive(Debug, Default)]
pub(super) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

/// What is read at once: the header of most slices is shorter.
const WINDOW_BYTES: u64 = 1 << 14;
/// Most bytes that a deflated data set may unpack to: 250 slices of 512 x 512.
const UNPACKED_BYTES: u64 = 128 << 20;
/// Most bytes that one deflated byte may become. Pixels of air deflate to a hundredth.
const UNPACKED_RATIO: u64 = 400;

impl Bytes {
    pub(super) fn of(file: File) -> Result<Self, ScanError> {
        let length = file.metadata().map_err(|error| file::unreadable(&error))?.len();
        Ok(Self { store: Store::File(file), length })
    }

    /// What the deflated bytes from `start` on unpack to (PS3.5, A.5).
    ///
    /// # Errors
    /// More than a data set of this length can be.
    pub(super) fn inflated(&self, start: u64) -> Result<Self, ScanError> {
        let packed = self.read(start..self.length)?;
        let most = u64::try_from(packed.len()).unwrap_or(u64::MAX).saturating_mul(UNPACKED_RATIO).min(UNPACKED_BYTES);
        let mut bytes = Vec::new();
        let mut unpacked = flate2::read::DeflateDecoder::new(packed.as_slice()).take(most + 1);
        unpacked.read_to_end(&mut bytes).map_err(|error| file::broken(&error, "damaged deflated data"))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > most {
            let detail =
                format!("deflated data of more than {UNPACKED_BYTES} bytes, or {UNPACKED_RATIO} times its own");
            return Err(ScanError::new(Reason::LimitExceeded, detail));
        }
        Ok(Self { store: Store::Memory(bytes), length })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// A range of bytes.
    ///
    /// # Errors
    /// The file ends before it does; nothing is allocated then.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ScanError> {
        let mut bytes = Vec::new();
        self.read_into(range, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Bytes::read`], at the end of `bytes`.
    pub(super) fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), ScanError> {
        let count = range.end.checked_sub(range.start).filter(|_| range.end <= self.length);
        let count = count.and_then(|count| usize::try_from(count).ok()).ok_or_else(file::truncated)?;
        let before = bytes.len();
        match &self.store {
            Store::Memory(all) => {
                let start = usize::try_from(range.start).map_err(|_beyond| file::truncated())?;
                bytes.extend_from_slice(all.get(start..start + count).ok_or_else(file::truncated)?);
                Ok(())
            }
            Store::File(file) => {
                bytes.resize(before + count, 0);
                let into = bytes.get_mut(before..).unwrap_or_default();
                let cut_off = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
                file.read_exact_at(into, range.start)
                    .map_err(|error| if cut_off(&error) { file::truncated() } else { file::unreadable(&error) })
            }
        }
    }
}

impl Window {
    /// Up to `N` bytes from `at` on: fewer where the file ends.
    pub(super) fn peek<const N: usize>(&mut self, bytes: &Bytes, at: u64) -> Result<&[u8], ScanError> {
        let wanted = usize::try_from(bytes.length.saturating_sub(at)).unwrap_or(N).min(N);
        if self.get(at, wanted).is_none() {
            self.at = at;
            self.bytes.clear();
            bytes.read_into(at..at.saturating_add(WINDOW_BYTES).min(bytes.length).max(at), &mut self.bytes)?;
        }
        Ok(self.get(at, wanted).unwrap_or_default())
    }

    fn get(&self, at: u64, count: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.bytes.get(start..start.checked_add(count)?)
    }
}
