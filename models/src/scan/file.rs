//! What a file is, by its first bytes, and its digest.

use super::{Format, Limits, Reason, ScanError, dicom};
use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Bytes that tell the format: DICOM's magic lies at 128, NIfTI's at 344.
const HEAD_BYTES: u64 = 348;

/// Opens a file within the limits and says what it is.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<(File, Format), ScanError> {
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(ScanError::new(Reason::NotAScan, "not a regular file"));
    }
    if metadata.len() == 0 {
        return Err(ScanError::new(Reason::EmptyFile, "the file has no bytes"));
    }
    if metadata.len() > limits.file_bytes {
        let detail = format!("a file of {} bytes, the limit is {}", metadata.len(), limits.file_bytes);
        return Err(ScanError::new(Reason::LimitExceeded, detail));
    }
    let format = format_of(&head(&mut file)?)?;
    io::Seek::rewind(&mut file).map_err(|error| unreadable(&error))?;
    Ok((file, format))
}

/// SHA-256 of a file's bytes, lower-case hex.
pub(super) fn digest(mut file: &File) -> Result<String, ScanError> {
    io::Seek::rewind(&mut file).map_err(|error| unreadable(&error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(|error| unreadable(&error))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(HEXLOWER.encode(&hasher.finalize()))
}

/// The bytes of a file, unpacked if it is gzipped, whatever its name ends with.
pub(super) fn unpacked(mut file: File) -> Result<Box<dyn Read>, ScanError> {
    let is_gzip = head(&mut file)?.starts_with(GZIP);
    io::Seek::rewind(&mut file).map_err(|error| unreadable(&error))?;
    let file = BufReader::with_capacity(1 << 18, file);
    Ok(if is_gzip { Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))) } else { Box::new(file) })
}

const GZIP: &[u8] = &[0x1f, 0x8b];

fn head(file: &mut File) -> Result<Vec<u8>, ScanError> {
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
    Ok(head)
}

fn format_of(head: &[u8]) -> Result<Format, ScanError> {
    if dicom::is_dicom(head) {
        return Ok(Format::Dicom);
    }
    if head.starts_with(GZIP) {
        // 348 packed bytes do not unpack to a whole header; its first field is enough to tell.
        let mut size = [0u8; 4];
        let unpacked = MultiGzDecoder::new(head).read_exact(&mut size);
        let is_nifti = unpacked.is_ok() && (is_first_nifti(&size) || is_second_nifti(&size));
        return if is_nifti { Ok(Format::Nifti) } else { Err(no_scan()) };
    }
    let Some(size) = head.get(..4) else { return Err(no_scan()) };
    let is_first = is_first_nifti(size) && head.get(344..347) == Some(b"n+1");
    let is_second = is_second_nifti(size) && head.get(4..7) == Some(b"n+2");
    if is_first || is_second { Ok(Format::Nifti) } else { Err(no_scan()) }
}

/// NIfTI-1 headers begin with their size, 348, in the file's byte order.
fn is_first_nifti(size: &[u8]) -> bool {
    size == 348i32.to_le_bytes() || size == 348i32.to_be_bytes()
}

/// NIfTI-2 headers do so with theirs, 540.
pub(super) fn is_second_nifti(size: &[u8]) -> bool {
    size == 540i32.to_le_bytes() || size == 540i32.to_be_bytes()
}

fn no_scan() -> ScanError {
    ScanError::new(Reason::NotAScan, "neither DICOM nor NIfTI in one file")
}

/// Reading stopped: at the end of the file, at bytes that `corrupt` describes, or at the operating system's word.
pub(super) fn broken(error: &io::Error, corrupt: &str) -> ScanError {
    let kind = error.kind();
    if kind == io::ErrorKind::UnexpectedEof {
        truncated()
    } else if matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other) {
        ScanError::new(Reason::Corrupt, corrupt)
    } else {
        unreadable(error)
    }
}

/// The file is shorter than it says.
pub(super) fn truncated() -> ScanError {
    ScanError::new(Reason::Truncated, "the file ends before its data does")
}

/// The operating system would not let us read. Only the kind of error is told: its text may name the path.
pub(super) fn unreadable(error: &io::Error) -> ScanError {
    ScanError::new(Reason::Unreadable, error.kind().to_string())
}
