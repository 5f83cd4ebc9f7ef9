//! What stands before a DICOM data set (PS3.10, chapter 7): preamble, prefix and file meta information, as they should be
//! and as they are found.
//!
//! Archives hold files without preamble, without meta information, and with a group length that is wrong. What counts is
//! read element by element.

use super::bytes::{Bytes, Window};
use super::element::{Element, Encoding, HEAD_BYTES};
use crate::scan::{Reason, ScanError, file};
use dicom::core::Tag;
use dicom::dictionary_std::{tags, uids};

/// Where the prefix lies behind the preamble.
const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8] = b"DICM";
/// Bytes of both.
const BEGIN_BYTES: usize = PREAMBLE_BYTES + PREFIX.len();
/// Bytes of meta information that are looked at: it holds a few UIDs and names.
const META_BYTES: u64 = 1 << 16;
/// Elements with which a data set begins that has no meta information before it.
const FIRST_ELEMENTS: [u16; 9] = [0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018];
/// Bytes of the longest value that such an element has.
const FIRST_BYTES: u64 = 256;

/// Whether a file that begins with these bytes is DICOM.
pub(in crate::scan) fn is_dicom(head: &[u8]) -> bool {
    begin(head) > 0 || is_element(head)
}

/// Where meta information or data set begin.
fn begin(head: &[u8]) -> usize {
    if head.get(PREAMBLE_BYTES..).is_some_and(|rest| rest.starts_with(PREFIX)) {
        BEGIN_BYTES
    } else if head.starts_with(PREFIX) {
        PREFIX.len()
    } else {
        0
    }
}

/// Whether these bytes begin with an element that files without a prefix begin with.
fn is_element(bytes: &[u8]) -> bool {
    let Some(element) = Element::read(bytes, Encoding::Explicit) else { return false };
    let is_first = match element.tag {
        Tag(0x0002, number) => number <= 0x0010,
        Tag(0x0008, number) => FIRST_ELEMENTS.contains(&number),
        _ => false,
    };
    is_first && element.length.is_some_and(|length| length <= FIRST_BYTES)
}

/// The parts of the meta information that are needed.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// Transfer Syntax UID (0002,0010); a guess where it is missing.
    pub(super) syntax: String,
    /// Media Storage SOP Class UID (0002,0002); empty where it is missing.
    pub(super) class: String,
    /// Where the data set begins.
    pub(super) end: u64,
}

impl Meta {
    /// Takes the elements of group 2, however many there are.
    ///
    /// # Errors
    /// The file ends within them, or they have no end.
    pub(super) fn read(bytes: &Bytes, window: &mut Window) -> Result<Self, ScanError> {
        let begin = begin(window.peek::<BEGIN_BYTES>(bytes, 0)?);
        let mut meta = Self { end: u64::try_from(begin).unwrap_or(u64::MAX), ..Self::default() };
        let next = loop {
            let next = Element::read(window.peek::<HEAD_BYTES>(bytes, meta.end)?, Encoding::Explicit);
            let Some(found) = next.filter(|element| element.tag.group() == 2) else { break next };
            let value = meta.end + found.head;
            let end = found.length.map_or(u64::MAX, |length| value + length);
            if end > bytes.length().min(META_BYTES) {
                return Err(too_long(bytes));
            }
            let text = || {
                let text = bytes.read(value..end)?;
                Ok(String::from_utf8_lossy(&text).trim_end_matches(['\0', ' ']).to_owned())
            };
            match found.tag {
                tags::TRANSFER_SYNTAX_UID => meta.syntax = text()?,
                tags::MEDIA_STORAGE_SOP_CLASS_UID => meta.class = text()?,
                _ => {}
            }
            meta.end = end;
        };
        if meta.syntax.is_empty() {
            // A data set whose first element names its representation is explicit.
            let is_explicit = next.is_some_and(|element| element.names_vr);
            let guess = if is_explicit { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN };
            guess.clone_into(&mut meta.syntax);
        }
        Ok(meta)
    }
}

fn too_long(bytes: &Bytes) -> ScanError {
    if bytes.length() <= META_BYTES {
        file::truncated()
    } else {
        ScanError::new(Reason::Corrupt, format!("file meta information of more than {META_BYTES} bytes"))
    }
}
