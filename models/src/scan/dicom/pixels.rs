//! The pixels of one file, frame by frame.

use super::bytes::Bytes;
use super::codec::{self, Coding};
use super::outline::Place;
use super::{Slice, guarded};
use crate::scan::{Reason, ScanError, file};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// Where the pixels of a file lie, and how they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Pixels {
    pub(super) coding: Coding,
    pub(super) place: Place,
    pub(super) packing: Packing,
}

/// What has been done to the data set that the pixels are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Nothing: it lies in the file as it is.
    Plain,
    /// Nothing, but that its numbers begin with their high byte.
    BigEndian,
    /// It is deflated from here on.
    Deflated(u64),
}

/// A file with the place of its pixels, ready to be decoded.
pub(in crate::scan) struct Opened<'a> {
    pixels: &'a Pixels,
    bytes: Bytes,
}

impl Pixels {
    /// Opens the file and decodes nothing yet, unless the whole of it is deflated.
    pub(in crate::scan) fn open(&self, path: &Path) -> Result<Opened<'_>, ScanError> {
        let bytes = Bytes::of(File::open(path).map_err(|error| file::unreadable(&error))?)?;
        let bytes = if let Packing::Deflated(start) = self.packing { bytes.inflated(start)? } else { bytes };
        Ok(Opened { pixels: self, bytes })
    }

    /// Whether a slice's pixels are all there, as far as can be told without decoding them.
    pub(super) fn hold(&self, slice: &Slice) -> Result<(), ScanError> {
        match &self.place {
            Place::Native(all) => native(all, slice).map(drop),
            Place::Encapsulated { pieces, starts } => pieces_of(pieces, starts, slice).map(drop),
        }
    }
}

impl Opened<'_> {
    /// Decodes one of the file's slices into `values`: 16 bits each, one after the other, in this machine's byte order.
    pub(in crate::scan) fn frame(&self, slice: &Slice, values: &mut Vec<u8>) -> Result<(), ScanError> {
        values.clear();
        match &self.pixels.place {
            Place::Native(all) => {
                self.bytes.read_into(native(all, slice)?, values)?;
                let file_is_big = self.pixels.packing == Packing::BigEndian;
                if file_is_big != cfg!(target_endian = "big") {
                    values.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
                }
            }
            Place::Encapsulated { pieces, starts } => {
                let mut coded = Vec::new();
                for piece in pieces_of(pieces, starts, slice)? {
                    self.bytes.read_into(piece.clone(), &mut coded)?;
                }
                *values = guarded(|| codec::decode(self.pixels.coding, &coded, slice.size))?;
            }
        }
        Ok(())
    }
}

/// Where a frame of uncompressed pixels lies.
fn native(all: &Range<u64>, slice: &Slice) -> Result<Range<u64>, ScanError> {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let length = number(codec::bytes(slice.size));
    let first = all.start.saturating_add(number(slice.frame).saturating_mul(length));
    let frame = first..first.saturating_add(length);
    if frame.end > all.end { Err(file::truncated()) } else { Ok(frame) }
}

/// The fragments of a frame.
fn pieces_of<'a>(pieces: &'a [Range<u64>], starts: &[u64], slice: &Slice) -> Result<&'a [Range<u64>], ScanError> {
    /// Tag and length before each fragment.
    const ITEM_HEAD: u64 = 8;
    let Slice { frame, frames, .. } = *slice;
    if frames == 1 {
        return Ok(pieces);
    }
    if pieces.len() == frames {
        return pieces.get(frame..=frame).ok_or_else(file::truncated);
    }
    // The table counts from the begin of the first fragment's own head.
    let begin = pieces.first().map_or(0, |first| first.start - ITEM_HEAD);
    let first_of = |frame: usize| {
        let start = begin.checked_add(*starts.get(frame)?)?.checked_add(ITEM_HEAD)?;
        pieces.binary_search_by_key(&start, |piece| piece.start).ok()
    };
    let last = if frame + 1 == frames { Some(pieces.len()) } else { first_of(frame + 1) };
    let found = first_of(frame).zip(last).and_then(|(first, last)| pieces.get(first..last));
    found.ok_or_else(|| ScanError::new(Reason::Corrupt, "fragments that no offset table gives to frames"))
}
