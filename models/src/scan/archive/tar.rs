//! Tar (POSIX.1 `pax`, ustar, and GNU's): members in the order of the stream.
//!
//! Read header by header rather than by the library's own walk, which keeps long names in memory, and takes a stream that
//! is cut off between two members for a whole one. The fields of a header are the library's.

use super::{Members, broken, corrupt, unsupported};
use crate::scan::{ScanError, file};
use std::io::{self, Read};
use tar::{EntryType, Header};

/// Headers and contents fill blocks.
const BLOCK_BYTES: usize = 512;
const BLOCK: u64 = 512;

/// Whether these bytes begin with a header. The oldest tar has no magic, and is not known.
pub(super) fn is_header(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

pub(super) fn unpack(mut stream: impl Read, members: &mut Members<'_>) -> Result<(), ScanError> {
    while let Some(header) = next(&mut stream)? {
        let kind = header.entry_type();
        if kind.is_gnu_sparse() {
            return Err(unsupported("an archive with a sparse file"));
        }
        if is_empty(kind) {
            members.leave_out()?;
            continue;
        }
        let bytes = header.entry_size().map_err(|error| broken(&error))?;
        let mut content = stream.by_ref().take(bytes);
        // What is of no type that we know is a regular file, says POSIX.
        if !is_note(kind) {
            members.take(&mut content)?;
            if content.limit() > 0 {
                return Err(file::truncated());
            }
        }
        let padding = bytes.checked_next_multiple_of(BLOCK).unwrap_or(bytes) - bytes;
        let rest = content.limit().saturating_add(padding);
        skip(&mut stream, rest)?;
    }
    end(&mut stream)
}

/// Links, devices, folders and pipes: without content, whatever size they state.
fn is_empty(kind: EntryType) -> bool {
    let is_link = kind.is_hard_link() || kind.is_symlink();
    is_link || kind.is_character_special() || kind.is_block_special() || kind.is_dir() || kind.is_fifo()
}

/// Names and times of the member that follows: nothing here needs them.
fn is_note(kind: EntryType) -> bool {
    let is_pax = kind.is_pax_local_extensions() || kind.is_pax_global_extensions();
    is_pax || kind.is_gnu_longname() || kind.is_gnu_longlink()
}

/// The next header; `None` at the block of zeros that ends an archive.
fn next(stream: &mut impl Read) -> Result<Option<Header>, ScanError> {
    let mut header = Header::new_old();
    stream.read_exact(header.as_mut_bytes()).map_err(|error| broken(&error))?;
    let bytes = header.as_bytes();
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    // The sum takes its own field for spaces.
    let byte = |(at, &byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { byte });
    let sum: u32 = bytes.iter().enumerate().map(byte).sum();
    if header.cksum().is_ok_and(|stated| stated == sum) {
        Ok(Some(header))
    } else {
        Err(corrupt("an archive with a header that does not fit its sum"))
    }
}

fn skip(stream: &mut impl Read, bytes: u64) -> Result<(), ScanError> {
    let skipped = io::copy(&mut stream.by_ref().take(bytes), &mut io::sink()).map_err(|error| broken(&error))?;
    if skipped < bytes { Err(file::truncated()) } else { Ok(()) }
}

/// Reads to the end, so that sums behind the last block are checked. Another archive behind the first is not lost.
fn end(stream: &mut impl Read) -> Result<(), ScanError> {
    let mut block = [0u8; BLOCK_BYTES];
    loop {
        let read = stream.read(&mut block).map_err(|error| broken(&error))?;
        match block.get(..read) {
            None | Some([]) => return Ok(()),
            Some(bytes) if bytes.iter().any(|&byte| byte != 0) => {
                return Err(corrupt("an archive with something behind its end"));
            }
            Some(_zeros) => {}
        }
    }
}
