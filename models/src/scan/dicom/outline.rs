//! Walks through a data set before the library sees it (PS3.5, 7.5): every length is held against the bytes that are
//! there, and nothing is allocated because a file says so.
//!
//! What comes out is small and well-formed: the few elements that say where a file belongs and what its pixels are,
//! written anew, and the place of the pixels in the file. Nothing else of a file, a patient's name above all, is ever
//! looked at.

use super::bytes::{Bytes, Window};
use super::element::{self, Element, Encoding, HEAD_BYTES, ITEM, ITEM_END, SEQUENCE_END};
use crate::scan::{Reason, ScanError, file};
use dicom::core::{Tag, VR};
use dicom::dictionary_std::tags;
use std::ops::Range;

/// What is needed of a data set.
pub(super) struct Outline {
    /// A data set of the kept elements alone, in the file's encoding.
    pub(super) head: Vec<u8>,
    /// Where the pixels lie, if there are any; or what is wrong between the head and them.
    pub(super) pixels: Result<Option<Place>, ScanError>,
}

/// Where pixels lie in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// All frames, one after the other.
    Native(Range<u64>),
    /// Pieces of frames, and where each frame begins behind the begin of the first piece, if that is told (PS3.5, A.4).
    Encapsulated { pieces: Vec<Range<u64>>, starts: Vec<u64> },
}

/// Elements of a data set, its items included; a multi-frame object has a hundred a frame.
const ELEMENTS: usize = 1 << 19;
/// Sequences within sequences.
const DEPTH: usize = 64;
/// Bytes of what is kept.
const KEPT_BYTES: usize = 64 << 20;
/// Bytes of a value that is kept: the longest are lists of a few numbers.
const VALUE_BYTES: u64 = 1 << 12;

/// The last group that tells where a file belongs; what is broken behind it concerns the pixels alone.
const LAST_GROUP: u16 = 0x0028;

/// Functional groups that say where a frame lies, what its values mean and how they were made (PS3.3, C.7.6.16). No two have
/// an attribute in common.
pub(super) const GROUPS: [Tag; 8] = [
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    tags::CT_IMAGE_FRAME_TYPE_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::CT_RECONSTRUCTION_SEQUENCE,
    tags::UNASSIGNED_SHARED_CONVERTED_ATTRIBUTES_SEQUENCE,
];

/// Where an element stands, which decides what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    DataSet,
    Frame,
    Group,
    /// In a sequence that is passed over.
    Beside,
}

impl Level {
    /// The level within a sequence, if that is kept.
    fn within(self, sequence: Tag) -> Option<Self> {
        match self {
            Self::DataSet => {
                let all = [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE];
                all.contains(&sequence).then_some(Self::Frame)
            }
            Self::Frame => GROUPS.contains(&sequence).then_some(Self::Group),
            Self::Group | Self::Beside => None,
        }
    }

    /// Whether a value is kept here.
    fn keeps(self, tag: Tag) -> bool {
        let is_told_where = matches!(tag.group(), 0x0008 | 0x0018 | 0x0020 | LAST_GROUP);
        matches!(self, Self::DataSet | Self::Group) && (is_told_where || tag == tags::REQUESTED_PROCEDURE_PRIORITY)
    }
}

/// A part of the file that is walked through.
#[derive(Clone, Copy)]
struct Part {
    end: u64,
    encoding: Encoding,
    level: Level,
    depth: usize,
}

struct Walk<'a> {
    bytes: &'a Bytes,
    /// Shared with what was read before the data set: most heads are read at once.
    window: Window,
    encoding: Encoding,
    /// An element of the data set that is kept besides.
    also: Option<Tag>,
    elements: usize,
    /// Of the element of the data set itself that was last met.
    group: u16,
    head: Vec<u8>,
}

/// Walks through the data set that begins at `start`. What says who the patient is passes by, but for `also`.
///
/// # Errors
/// Lengths beyond the file, structures that are none, or more of them than any CT has.
pub(super) fn outline(
    bytes: &Bytes,
    window: Window,
    start: u64,
    encoding: Encoding,
    also: Option<Tag>,
) -> Result<Outline, ScanError> {
    let mut walk = Walk { bytes, window, encoding, also, elements: 0, group: 0, head: Vec::new() };
    let whole = Part { end: bytes.length(), encoding, level: Level::DataSet, depth: 0 };
    let mut at = start;
    let pixels = loop {
        if at >= whole.end {
            break Ok(None);
        }
        let step = walk.element(at, whole).and_then(|element| {
            if element.tag == tags::PIXEL_DATA {
                return walk.pixels(at + element.head, element.length, whole).map(Step::Pixels);
            }
            walk.pass(at, element, whole).map(Step::To)
        });
        match step {
            Ok(Step::To(next)) => at = next,
            Ok(Step::Pixels(place)) => break Ok(Some(place)),
            Err(error) if walk.group > LAST_GROUP => break Err(error),
            Err(error) => return Err(error),
        }
    };
    Ok(Outline { head: walk.head, pixels })
}

enum Step {
    To(u64),
    Pixels(Place),
}

impl Walk<'_> {
    /// The begin of the element at `at`, whose value lies within `part`.
    fn element(&mut self, at: u64, part: Part) -> Result<Element, ScanError> {
        self.elements += 1;
        if self.elements > ELEMENTS {
            return Err(limit(format!("more than {ELEMENTS} elements")));
        }
        let head = self.window.peek::<HEAD_BYTES>(self.bytes, at)?;
        let element = Element::read(head, part.encoding).ok_or_else(file::truncated)?;
        if part.depth == 0 {
            self.group = element.tag.group();
        }
        let end = at.checked_add(element.head).and_then(|value| value.checked_add(element.length.unwrap_or(0)));
        match end {
            Some(end) if end <= part.end => Ok(element),
            Some(end) if end <= self.bytes.length() => Err(corrupt("an element longer than what it is part of")),
            _ => Err(file::truncated()),
        }
    }

    /// Goes past an element, and keeps what is to be kept of it. Returns where the next one begins.
    fn pass(&mut self, at: u64, element: Element, part: Part) -> Result<u64, ScanError> {
        let value = at + element.head;
        // Values of unknown representation are written without one (PS3.5, 6.2.2, note 2).
        let encoding = if element.vr == VR::UN && element.names_vr { Encoding::Implicit } else { part.encoding };
        let inner = Part { encoding, depth: part.depth + 1, ..part };
        if let Some(level) = part.level.within(element.tag) {
            self.open(element.tag)?;
            let end = self.items(value, element.length, Part { level, ..inner })?;
            self.close(SEQUENCE_END);
            return Ok(end);
        }
        let Some(length) = element.length else {
            return if matches!(element.vr, VR::OB | VR::OW) {
                self.fragments(value, part).map(|(_, end)| end)
            } else {
                self.items(value, None, Part { level: Level::Beside, ..inner })
            };
        };
        let range = value..value + length;
        let is_asked_for = part.level == Level::DataSet && self.also == Some(element.tag);
        if (part.level.keeps(element.tag) || is_asked_for) && length <= VALUE_BYTES {
            self.keep(element, range.clone())?;
        }
        Ok(range.end)
    }

    /// Goes past the items of a sequence.
    fn items(&mut self, mut at: u64, length: Option<u64>, part: Part) -> Result<u64, ScanError> {
        if part.depth > DEPTH {
            return Err(limit(format!("more than {DEPTH} sequences within each other")));
        }
        let end = length.map_or(part.end, |length| at + length);
        let part = Part { end, ..part };
        while length.is_none() || at < end {
            let item = self.element(at, part)?;
            at += item.head;
            match (item.tag, item.length) {
                (ITEM, Some(length)) if part.level == Level::Beside => at += length,
                (ITEM, length) => at = self.item(at, length, part)?,
                (SEQUENCE_END, _) => return Ok(at),
                _ => return Err(corrupt("a sequence with something else than items")),
            }
        }
        Ok(end)
    }

    /// Goes past the elements of an item.
    fn item(&mut self, mut at: u64, length: Option<u64>, part: Part) -> Result<u64, ScanError> {
        let end = length.map_or(part.end, |length| at + length);
        let part = Part { end, ..part };
        if part.level != Level::Beside {
            self.open(ITEM)?;
        }
        while length.is_none() || at < end {
            let element = self.element(at, part)?;
            if element.tag.group() != ITEM.group() {
                at = self.pass(at, element, part)?;
            } else if element.tag == ITEM_END && length.is_none() {
                at += element.head;
                break;
            } else {
                return Err(corrupt("an item that ends in a wrong place"));
            }
        }
        if part.level != Level::Beside {
            self.close(ITEM_END);
        }
        Ok(at)
    }

    /// The fragments of encapsulated pixels, the offset table first, and where they end (PS3.5, A.4).
    fn fragments(&mut self, mut at: u64, part: Part) -> Result<(Vec<Range<u64>>, u64), ScanError> {
        let mut fragments = Vec::new();
        loop {
            let item = self.element(at, part)?;
            at += item.head;
            match (item.tag, item.length) {
                (ITEM, Some(length)) => fragments.push(at..at + length),
                (SEQUENCE_END, _) => return Ok((fragments, at)),
                _ => return Err(corrupt("pixels with something else than fragments")),
            }
            at += item.length.unwrap_or_default();
        }
    }

    fn pixels(&mut self, value: u64, length: Option<u64>, part: Part) -> Result<Place, ScanError> {
        if let Some(length) = length {
            return Ok(Place::Native(value..value + length));
        }
        let (mut pieces, _end) = self.fragments(value, part)?;
        if pieces.is_empty() {
            return Err(corrupt("pixels without an offset table"));
        }
        // An extended table (7FE0,0001) tells nothing more: with one, every frame is a fragment (PS3.5, A.4).
        let table = self.bytes.read(pieces.remove(0))?;
        let starts = table.as_chunks::<4>().0.iter().map(|&four| u64::from(u32::from_le_bytes(four))).collect();
        Ok(Place::Encapsulated { pieces, starts })
    }

    /// Writes an element of a short representation anew. What names none that is of use gets the dictionary's.
    fn keep(&mut self, element: Element, value: Range<u64>) -> Result<(), ScanError> {
        let vr = if element.vr == VR::UN { element::usual(element.tag) } else { element.vr };
        let Ok(length) = u16::try_from(value.end - value.start) else { return Ok(()) };
        // The library loses its way behind numbers that are cut off.
        if element::is_long(vr) || length % element::unit(vr) != 0 {
            return Ok(());
        }
        self.tag(element.tag);
        match self.encoding {
            Encoding::Implicit => self.head.extend(u32::from(length).to_le_bytes()),
            Encoding::Explicit => self.head.extend(vr.to_bytes().into_iter().chain(length.to_le_bytes())),
            Encoding::Big => self.head.extend(vr.to_bytes().into_iter().chain(length.to_be_bytes())),
        }
        self.bytes.read_into(value, &mut self.head)?;
        self.room()
    }

    /// Writes the begin of a sequence or an item that a delimiter will end.
    fn open(&mut self, tag: Tag) -> Result<(), ScanError> {
        self.tag(tag);
        if tag != ITEM && self.encoding != Encoding::Implicit {
            self.head.extend(*b"SQ\0\0");
        }
        self.head.extend(u32::MAX.to_le_bytes());
        self.room()
    }

    fn close(&mut self, delimiter: Tag) {
        self.tag(delimiter);
        self.head.extend([0; 4]);
    }

    fn tag(&mut self, Tag(group, number): Tag) {
        for half in [group, number] {
            self.head.extend(if self.encoding == Encoding::Big { half.to_be_bytes() } else { half.to_le_bytes() });
        }
    }

    fn room(&self) -> Result<(), ScanError> {
        if self.head.len() > KEPT_BYTES {
            Err(limit(format!("a header of more than {KEPT_BYTES} bytes")))
        } else {
            Ok(())
        }
    }
}

fn corrupt(detail: &str) -> ScanError {
    ScanError::new(Reason::Corrupt, detail)
}

fn limit(detail: String) -> ScanError {
    ScanError::new(Reason::LimitExceeded, detail)
}
