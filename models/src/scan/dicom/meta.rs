//! What stands before a DICOM data set (PS3.10, chapter 7): preamble, prefix and file meta information, as they should be
//! and as they are found.
//!
//! Archives hold files without preamble, without meta information, and with a group length that is wrong. What counts is
//! read element by element; dicom-rs is then handed a head that is as the standard wants it, and the file's own data set.

use super::codec;
use crate::scan::{Reason, ScanError, file};
use dicom::core::Tag;
use dicom::dictionary_std::{tags, uids};
use dicom::object::FileMetaTableBuilder;
use std::io::{Cursor, Read};

/// Where the prefix lies behind the preamble.
const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8] = b"DICM";
/// Bytes of meta information that are looked at: it holds a few UIDs and names.
const META_BYTES: u64 = 1 << 16;
/// Elements with which a data set begins that has no meta information before it.
const FIRST_ELEMENTS: [u16; 9] = [0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018];

/// Whether a file that begins with these bytes is DICOM.
pub(in crate::scan) fn is_dicom(head: &[u8]) -> bool {
    begin(head) > 0 || is_element(head)
}

/// The whole file behind a head as it should be, and what its own head says.
///
/// # Errors
/// Meta information that cannot be taken apart.
pub(super) fn mended(mut file: impl Read) -> Result<(impl Read, Meta), ScanError> {
    let mut head = Vec::new();
    file.by_ref().take(META_BYTES).read_to_end(&mut head).map_err(|error| file::unreadable(&error))?;
    let mut meta = Meta::default();
    let start = meta.read(&head, begin(&head))?;
    let data = head.split_off(start.min(head.len()));
    if meta.syntax.is_empty() {
        guessed(&data).clone_into(&mut meta.syntax);
    }
    // dicom-rs knows no retired syntaxes; all data sets with encapsulated pixels are explicit (PS3.5, A.4).
    let told = if codec::is_refused(&meta.syntax) { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { &meta.syntax };
    let head = Cursor::new(written(told, &meta.class)?);
    Ok((head.chain(Cursor::new(data)).chain(file), meta))
}

/// Where meta information or data set begin.
fn begin(head: &[u8]) -> usize {
    if head.get(PREAMBLE_BYTES..).is_some_and(|rest| rest.starts_with(PREFIX)) {
        PREAMBLE_BYTES + PREFIX.len()
    } else if head.starts_with(PREFIX) {
        PREFIX.len()
    } else {
        0
    }
}

/// Whether these bytes begin with an element that files without a prefix begin with.
fn is_element(bytes: &[u8]) -> bool {
    let Some(element) = Element::at(bytes, 0) else { return false };
    let is_first = match element.tag {
        Tag(0x0002, number) => number <= 0x0010,
        Tag(0x0008, number) => FIRST_ELEMENTS.contains(&number),
        _ => false,
    };
    is_first && element.length <= 256
}

/// The syntax of a data set without meta information: one whose first element names its representation is explicit.
fn guessed(data: &[u8]) -> &'static str {
    if Element::at(data, 0).is_some_and(|element| element.is_explicit) {
        uids::EXPLICIT_VR_LITTLE_ENDIAN
    } else {
        uids::IMPLICIT_VR_LITTLE_ENDIAN
    }
}

/// The parts of the meta information that are needed.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// Transfer Syntax UID (0002,0010); a guess where it is missing.
    pub(super) syntax: String,
    /// Media Storage SOP Class UID (0002,0002); empty where it is missing.
    pub(super) class: String,
}

impl Meta {
    /// Takes elements of group 2 from `at` on; returns where they end.
    fn read(&mut self, head: &[u8], mut at: usize) -> Result<usize, ScanError> {
        while let Some(element) = Element::at(head, at).filter(|element| element.tag.group() == 2) {
            let end = element.value.saturating_add(element.length);
            let value = head.get(element.value..end).ok_or_else(file::truncated)?;
            let text = || String::from_utf8_lossy(value).trim_end_matches(['\0', ' ']).to_owned();
            match element.tag {
                tags::TRANSFER_SYNTAX_UID => self.syntax = text(),
                tags::MEDIA_STORAGE_SOP_CLASS_UID => self.class = text(),
                _ => {}
            }
            at = end;
        }
        Ok(at)
    }
}

/// The begin of an element in little endian.
struct Element {
    tag: Tag,
    is_explicit: bool,
    /// Where its value lies, and how long it is.
    value: usize,
    length: usize,
}

impl Element {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let [a, b, c, d, rest @ ..] = bytes.get(at..)?.first_chunk::<8>()?;
        let tag = Tag(u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        let [v, r, short @ ..] = rest;
        if !(v.is_ascii_uppercase() && r.is_ascii_uppercase()) {
            let length = usize::try_from(u32::from_le_bytes(*rest)).ok()?;
            return Some(Self { tag, is_explicit: false, value: at + 8, length });
        }
        let is_long = matches!(
            &[*v, *r],
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
        );
        let (value, length) = if is_long {
            let length = u32::from_le_bytes(*bytes.get(at + 8..)?.first_chunk::<4>()?);
            (at + 12, usize::try_from(length).ok()?)
        } else {
            (at + 8, usize::from(u16::from_le_bytes(*short)))
        };
        Some(Self { tag, is_explicit: true, value, length })
    }
}

fn written(syntax: &str, class: &str) -> Result<Vec<u8>, ScanError> {
    let unknown = || ScanError::new(Reason::Corrupt, "file meta information that cannot be read");
    // The instance's UID is part of the data set, where it is read.
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(syntax)
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid("")
        .build()
        .map_err(|_incomplete| unknown())?;
    let mut bytes = [&[0; PREAMBLE_BYTES], PREFIX].concat();
    meta.write(&mut bytes).map_err(|_unwritable| unknown())?;
    Ok(bytes)
}
