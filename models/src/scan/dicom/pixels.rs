//! The pixels of one file, frame by frame.

use super::attributes::{Attributes, NOT_DICOM, Until};
use super::codec::{self, Coding};
use super::{Slice, guarded};
use crate::scan::{Reason, ScanError, file};
use dicom::core::value::Value;
use std::borrow::Cow;
use std::path::Path;

/// The pixels of a file as they are stored.
pub(in crate::scan) struct Pixels {
    coding: Coding,
    data: Data,
}

enum Data {
    /// All frames, one after the other.
    Native(Vec<u8>),
    /// Pieces of frames, and where each begins behind the first (PS3.5, A.4).
    Encapsulated { fragments: Vec<Vec<u8>>, offsets: Vec<u32> },
}

impl Pixels {
    /// Reads a file's pixels, and decodes none of them.
    pub(in crate::scan) fn read(path: &Path) -> Result<Self, ScanError> {
        guarded(|| {
            let file = Attributes::read(path, Until::End)?;
            let coding = codec::coding(&file.syntax)?;
            let data = match file.into_pixels()?.into_value() {
                Value::Primitive(values) => Data::Native(values.to_bytes().into_owned()),
                Value::PixelSequence(sequence) => {
                    let (offsets, fragments) = sequence.into_parts();
                    Data::Encapsulated { fragments: fragments.into_vec(), offsets: offsets.into_vec() }
                }
                Value::Sequence(_) => return Err(ScanError::new(Reason::Corrupt, NOT_DICOM)),
            };
            Ok(Self { coding, data })
        })
    }

    /// Decodes one of the file's slices: 16-bit values, one after the other, in this machine's byte order.
    pub(in crate::scan) fn frame(&self, slice: &Slice) -> Result<Cow<'_, [u8]>, ScanError> {
        match &self.data {
            Data::Native(bytes) => {
                let length = codec::bytes(slice.size);
                let first = slice.frame.saturating_mul(length);
                let frame = bytes.get(first..first.saturating_add(length)).ok_or_else(file::truncated)?;
                Ok(Cow::Borrowed(frame))
            }
            Data::Encapsulated { fragments, offsets } => {
                let coded = pieces(fragments, offsets, slice)?.concat();
                guarded(|| codec::decode(self.coding, &coded, slice.size)).map(Cow::Owned)
            }
        }
    }
}

/// The fragments of a frame.
fn pieces<'a>(fragments: &'a [Vec<u8>], offsets: &[u32], slice: &Slice) -> Result<&'a [Vec<u8>], ScanError> {
    /// Tag and length before each fragment.
    const ITEM_HEAD: usize = 8;
    let Slice { frame, frames, .. } = *slice;
    if frames == 1 {
        return Ok(fragments);
    }
    if fragments.len() == frames {
        return fragments.get(frame..=frame).ok_or_else(file::truncated);
    }
    // Where each fragment begins, as the table counts.
    let starts: Vec<usize> = fragments
        .iter()
        .scan(0, |next: &mut usize, fragment| {
            let start = *next;
            *next += fragment.len() + ITEM_HEAD;
            Some(start)
        })
        .collect();
    let first_of = |frame: usize| {
        let offset = usize::try_from(*offsets.get(frame)?).ok()?;
        starts.binary_search(&offset).ok()
    };
    let last = if frame + 1 == frames { Some(fragments.len()) } else { first_of(frame + 1) };
    let found = first_of(frame).zip(last).and_then(|(first, last)| fragments.get(first..last));
    found.ok_or_else(|| ScanError::new(Reason::Corrupt, "fragments that no offset table gives to frames"))
}
