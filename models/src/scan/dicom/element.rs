//! The begin of a data element (PS3.5, 7.1), in each of the ways it is written.

use dicom::core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom::core::{Tag, VR};
use dicom::dictionary_std::StandardDataDictionary;

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Implicit VR, little endian.
    Implicit,
    /// Explicit VR, little endian.
    Explicit,
    /// Explicit VR, big endian.
    Big,
}

/// The begin of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    /// Whether the file itself names a value representation.
    pub(super) names_vr: bool,
    /// Bytes before the value.
    pub(super) head: u64,
    /// Bytes of the value; `None` where a delimiter ends it.
    pub(super) length: Option<u64>,
}

pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Bytes of the longest begin.
pub(super) const HEAD_BYTES: usize = 12;

impl Element {
    /// The element that begins with these bytes; `None` where they are too few.
    ///
    /// Where letters should stand and others do, the element is read as one without: some writers mix both.
    pub(super) fn read(bytes: &[u8], encoding: Encoding) -> Option<Self> {
        let [a, b, c, d, rest @ ..] = bytes.first_chunk::<8>()?;
        let half =
            |pair: [u8; 2]| if encoding == Encoding::Big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
        let word =
            |four: [u8; 4]| if encoding == Encoding::Big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
        let tag = Tag(half([*a, *b]), half([*c, *d]));
        let [v, r, short @ ..] = *rest;
        let is_letters = v.is_ascii_uppercase() && r.is_ascii_uppercase();
        if tag.group() == ITEM.group() || encoding == Encoding::Implicit || !is_letters {
            return Some(Self { tag, vr: usual(tag), names_vr: false, head: 8, length: defined(word(*rest)) });
        }
        let named = VR::from_binary([v, r]);
        let vr = named.unwrap_or(VR::UN);
        // What the standard has no name for yet will be of the long kind (PS3.5, 7.1.2).
        let (head, length) = if named.is_none_or(is_long) {
            (12, defined(word(*bytes.get(8..)?.first_chunk::<4>()?)))
        } else {
            (8, Some(u64::from(half(short))))
        };
        Some(Self { tag, vr, names_vr: true, head, length })
    }
}

fn defined(length: u32) -> Option<u64> {
    (length != u32::MAX).then_some(u64::from(length))
}

/// Whether a representation's length takes four bytes, behind two that are reserved (PS3.5, 7.1.2).
pub(super) fn is_long(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// Bytes of one number of a representation; 1 for texts.
pub(super) fn unit(vr: VR) -> u16 {
    if matches!(vr, VR::FD) {
        8
    } else if matches!(vr, VR::UL | VR::SL | VR::FL | VR::AT) {
        4
    } else if matches!(vr, VR::US | VR::SS) {
        2
    } else {
        1
    }
}

/// What the standard's dictionary says of a tag.
pub(super) fn usual(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}
