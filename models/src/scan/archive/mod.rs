//! An archive to its members: zip, and tar as it is or packed by gzip or Zstandard. The only room that knows zip.
//!
//! Members are written under numbers, never under a name out of the archive, and nothing but regular files is. An archive
//! inside is a member like any other: nothing here looks into it.

mod tar;
#[cfg(test)]
mod tests;
mod zip;

use super::{Limits, Reason, ScanError, file};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Members, each a file of its own.
    pub members: usize,
    /// What was left out: folders, links and devices, files without bytes, indexes (DICOMDIR), and the notes that macOS
    /// keeps beside files.
    pub left_out: usize,
}

/// Whether a file is an archive, by its first bytes. A file that cannot be read is none.
pub fn is_archive(path: &Path) -> bool {
    File::open(path).and_then(|file| packing(&file)).is_ok_and(|packing| packing.is_some())
}

/// Writes the members of an archive into an empty folder, named by numbers.
///
/// # Errors
/// The reason for which the archive is refused as a whole; what has been written by then is not to be used.
pub fn unpack(path: &Path, into: &Path, limits: &Limits) -> Result<Unpacked, ScanError> {
    let file = File::open(path).map_err(|error| file::unreadable(&error))?;
    let packed = file.metadata().map_err(|error| file::unreadable(&error))?.len();
    let mut members = Members { into, limits, bytes: room(packed, limits), unpacked: Unpacked::default() };
    let bytes = members.bytes;
    let stream = |file| BufReader::with_capacity(BUFFER_BYTES, file);
    match packing(&file).map_err(|error| file::unreadable(&error))? {
        Some(Packing::Zip) => zip::unpack(file, &mut members)?,
        Some(Packing::Tar) => tar::unpack(Metered { inner: stream(file), bytes }, &mut members)?,
        Some(Packing::TarGzip) => {
            tar::unpack(Metered { inner: MultiGzDecoder::new(stream(file)), bytes }, &mut members)?;
        }
        Some(Packing::TarZstd) => {
            let inner = zstd::Decoder::with_buffer(stream(file)).map_err(|error| broken(&error))?;
            tar::unpack(Metered { inner, bytes }, &mut members)?;
        }
        None => return Err(ScanError::new(Reason::NotAScan, "no archive")),
    }
    if members.unpacked.members == 0 {
        return Err(ScanError::new(Reason::NotAScan, "an archive that holds no file which could be a scan"));
    }
    Ok(members.unpacked)
}

/// What an archive may unpack to, as a multiple of its own bytes. CT packs to a half or a third, air and padding alone to
/// a hundredth; deflate can reach 1032, and what comes near that was made to fill disks.
const RATIO: u64 = 400;

/// Entries of any kind for each file that may come out: macOS adds a note to every file, and other tools add folders.
const ENTRIES: usize = 3;

const BUFFER_BYTES: usize = 1 << 16;

/// Bytes that may come out of an archive of so many.
fn room(packed: u64, limits: &Limits) -> u64 {
    limits.archive_bytes.min(packed.saturating_mul(RATIO))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Zip,
    Tar,
    TarGzip,
    TarZstd,
}

/// Bytes that tell what a file is: a header of tar.
const HEAD_BYTES: u64 = 512;

/// What a file is packed with; it is to be read from its beginning afterwards.
fn packing(mut file: &File) -> io::Result<Option<Packing>> {
    const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let bytes = head(file)?;
    file.rewind()?;
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let is_tar = |unpacked: io::Result<Vec<u8>>| unpacked.is_ok_and(|head| tar::is_header(&head));
    let packing = if ZIP.into_iter().any(starts) {
        Some(Packing::Zip)
    } else if tar::is_header(&bytes) {
        Some(Packing::Tar)
    } else if starts(GZIP) {
        is_tar(head(MultiGzDecoder::new(file))).then_some(Packing::TarGzip)
    } else if starts(ZSTD) {
        is_tar(zstd::Decoder::new(file).and_then(head)).then_some(Packing::TarZstd)
    } else {
        None
    };
    file.rewind()?;
    Ok(packing)
}

fn head(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(HEAD_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The members as they come out.
struct Members<'a> {
    into: &'a Path,
    limits: &'a Limits,
    /// Bytes that may still come out.
    bytes: u64,
    unpacked: Unpacked,
}

impl Members<'_> {
    /// Counts an entry that is no regular file.
    fn leave_out(&mut self) -> Result<(), ScanError> {
        self.unpacked.left_out += 1;
        self.count()
    }

    /// Writes a regular file, unless its first bytes show that it is certainly no scan.
    fn take(&mut self, mut content: impl Read) -> Result<(), ScanError> {
        let mut first = Vec::new();
        content.by_ref().take(HEAD_BYTES).read_to_end(&mut first).map_err(|error| broken(&error))?;
        if is_no_scan(&first) {
            let rest = self.copy(&mut first.as_slice().chain(content), &mut io::sink());
            return rest.and_then(|()| self.leave_out());
        }
        self.unpacked.members += 1;
        self.count()?;
        let path = self.into.join(format!("{:08}", self.unpacked.members));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path).map_err(unwritten)?;
        self.copy(&mut first.as_slice().chain(content), &mut file)
    }

    fn count(&self) -> Result<(), ScanError> {
        let files = self.limits.files;
        if self.unpacked.members > files || self.unpacked.members + self.unpacked.left_out > files * ENTRIES {
            return Err(ScanError::new(Reason::LimitExceeded, format!("an archive of more than {files} files")));
        }
        Ok(())
    }

    fn copy(&mut self, from: &mut impl Read, to: &mut impl Write) -> Result<(), ScanError> {
        let mut buffer = vec![0u8; BUFFER_BYTES];
        let mut left = self.limits.file_bytes;
        loop {
            let read = from.read(&mut buffer).map_err(|error| broken(&error))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            let count = u64::try_from(read).unwrap_or(u64::MAX);
            left = left.checked_sub(count).ok_or_else(|| {
                let detail = format!("an archive with a file of more than {} bytes", self.limits.file_bytes);
                ScanError::new(Reason::LimitExceeded, detail)
            })?;
            self.bytes = self.bytes.checked_sub(count).ok_or_else(too_much)?;
            to.write_all(bytes).map_err(unwritten)?;
        }
    }
}

/// Whether a member that begins like this is certainly no scan: no bytes, a note of macOS, an index of files.
fn is_no_scan(first: &[u8]) -> bool {
    const APPLE_DOUBLE: &[u8] = &[0x00, 0x05, 0x16, 0x07];
    const DS_STORE: &[u8] = b"\0\0\0\x01Bud1";
    // (0002,0002) Media Storage SOP Class UID, Media Storage Directory Storage.
    const DICOMDIR: &[u8] = b"\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10";
    first.is_empty()
        || first.starts_with(APPLE_DOUBLE)
        || first.starts_with(DS_STORE)
        || first.windows(DICOMDIR.len()).any(|window| window == DICOMDIR)
}

/// A stream that ends with an error before it has given more than so many bytes.
struct Metered<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.bytes.checked_sub(u64::try_from(read).unwrap_or(u64::MAX));
        self.bytes = left.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(read)
    }
}

/// The archive cannot be read on.
fn broken(error: &io::Error) -> ScanError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return too_much();
    }
    file::broken(error, "an archive whose bytes do not fit its sums or its format")
}

fn corrupt(detail: &str) -> ScanError {
    ScanError::new(Reason::Corrupt, detail)
}

fn unsupported(detail: &str) -> ScanError {
    ScanError::new(Reason::UnsupportedArchive, detail)
}

fn too_much() -> ScanError {
    let detail = format!("an archive that unpacks to more than the limit, or to more than {RATIO} times its size");
    ScanError::new(Reason::LimitExceeded, detail)
}

/// The disk is at fault; whoever asked knows whether to wait for room on it.
#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unwritten(error: io::Error) -> ScanError {
    file::unreadable(&error)
}
