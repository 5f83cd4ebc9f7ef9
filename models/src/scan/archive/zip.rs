//! Zip (PKWARE's APPNOTE.TXT): members in the order of the central directory, which is what counts.
//!
//! The library keeps no table of names, so two members of one name are two members.

use super::{Members, corrupt, unsupported};
use crate::scan::{ScanError, file};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ErrorKind, ReaderAt, ZipArchive, ZipFileHeaderRecord};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

pub(super) fn unpack(file: File, members: &mut Members<'_>) -> Result<(), ScanError> {
    let mut buffer = vec![0u8; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let mut places = Places::default();
    let mut count = 0u64;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        count += 1;
        if is_regular(&entry) {
            take(&archive, &entry, &mut places, members)?;
        } else {
            members.leave_out()?;
        }
    }
    if count != archive.entries_hint() {
        return Err(corrupt("an archive whose directory has another number of entries than it says"));
    }
    Ok(())
}

fn take<R: ReaderAt>(
    archive: &ZipArchive<R>,
    entry: &ZipFileHeaderRecord<'_>,
    places: &mut Places,
    members: &mut Members<'_>,
) -> Result<(), ScanError> {
    if entry.flags().is_encrypted() {
        return Err(unsupported("an archive that is encrypted"));
    }
    let member = archive.get_entry(entry.wayfinder()).map_err(broken)?;
    let (_, end) = member.compressed_data_range();
    places.occupy(entry.local_header_offset(), end)?;
    let packed = BufReader::with_capacity(super::BUFFER_BYTES, member.reader());
    match entry.compression_method() {
        CompressionMethod::STORE => members.take(member.verifying_reader(packed)),
        CompressionMethod::DEFLATE => members.take(member.verifying_reader(DeflateDecoder::new(packed))),
        other => Err(unsupported(&format!("an archive packed by method {} of zip", other.as_u16()))),
    }
}

/// The type in the upper bits of a Unix mode (stat(2)); many tools leave it empty.
fn is_regular(entry: &ZipFileHeaderRecord<'_>) -> bool {
    const TYPE: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    !entry.is_dir() && matches!(entry.mode().value() & TYPE, 0 | REGULAR)
}

/// Where the members lie in the file. No two share bytes: bombs without nesting are made of members that do.
#[derive(Default)]
struct Places(BTreeMap<u64, u64>);

impl Places {
    fn occupy(&mut self, start: u64, end: u64) -> Result<(), ScanError> {
        if self.0.range(..end).next_back().is_some_and(|(_, &before)| before > start) {
            return Err(corrupt("an archive whose members lie over each other"));
        }
        self.0.insert(start, end);
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn broken(error: rawzip::Error) -> ScanError {
    let kind = error.kind();
    if let ErrorKind::IO(error) = kind {
        super::broken(error)
    } else if matches!(kind, ErrorKind::Eof | ErrorKind::MissingEndOfCentralDirectory) {
        file::truncated()
    } else {
        corrupt("an archive that breaks the rules of zip")
    }
}
