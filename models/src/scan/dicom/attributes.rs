//! One DICOM file's attributes, and why they could not be had.

use super::bytes::{Bytes, Window};
use super::codec::{self, Coding};
use super::element::Encoding;
use super::meta::Meta;
use super::outline::{self, GROUPS, Outline, Place};
use super::pixels::{Packing, Pixels};
use crate::scan::{Reason, ScanError};
use dicom::core::Tag;
use dicom::dictionary_std::{tags, uids};
use dicom::object::InMemDicomObject;
use dicom::object::mem::InMemElement;
use dicom::transfer_syntax::entries;
use std::fs::File;

/// What a file says of itself and of its pixels.
pub(super) struct Attributes {
    object: InMemDicomObject,
    /// Transfer Syntax UID (0002,0010).
    pub(super) syntax: String,
    /// Media Storage SOP Class UID (0002,0002), or SOP Class UID (0008,0016) where that is missing.
    pub(super) class: String,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    pixels: Result<Option<Place>, ScanError>,
    packing: Packing,
}

impl Attributes {
    pub(super) fn read(file: File) -> Result<Self, ScanError> {
        Self::read_with(file, None)
    }

    /// The same with one more element, which is passed by otherwise.
    pub(super) fn read_with(file: File, also: Option<Tag>) -> Result<Self, ScanError> {
        let bytes = Bytes::of(file)?;
        let mut window = Window::default();
        let Meta { syntax, class, end } = Meta::read(&bytes, &mut window)?;
        let (encoding, packing) = written(&syntax, end)?;
        let Outline { head, pixels } = match packing {
            Packing::Deflated(start) => {
                outline::outline(&bytes.inflated(start)?, Window::default(), 0, encoding, also)?
            }
            Packing::Plain | Packing::BigEndian => outline::outline(&bytes, window, end, encoding, also)?,
        };
        let syntax_of_head = match encoding {
            Encoding::Implicit => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
            Encoding::Explicit => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
            Encoding::Big => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
        };
        // The library's own words are not repeated: they may quote the file.
        let object = InMemDicomObject::read_dataset_with_ts(head.as_slice(), &syntax_of_head)
            .map_err(|_unreadable| ScanError::new(Reason::Corrupt, "not valid DICOM"))?;
        let mut read = Self { object, syntax, class, file_bytes: bytes.length(), pixels, packing };
        if read.class.is_empty() {
            read.class = read.whole().text(tags::SOP_CLASS_UID).unwrap_or_default();
        }
        Ok(read)
    }

    /// The attributes of the file as a whole.
    pub(super) fn whole(&self) -> Scope<'_> {
        Scope(vec![&self.object])
    }

    /// The attributes of each frame of a multi-frame object: its functional groups come first, then those that all frames
    /// share, then the file's own (PS3.3, C.7.6.16).
    pub(super) fn frames(&self) -> Result<Vec<Scope<'_>>, ScanError> {
        let shared = self.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let frames = self.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        if Some(frames.len())
            != self.whole().integer(tags::NUMBER_OF_FRAMES).and_then(|count| usize::try_from(count).ok())
        {
            return Err(ScanError::new(Reason::Corrupt, "NumberOfFrames and PerFrameFunctionalGroupsSequence differ"));
        }
        let scope = |frame| {
            let groups = [Some(frame), shared].into_iter().flatten();
            let items = groups.flat_map(|group| GROUPS.iter().filter_map(|&tag| items(group, tag).first()));
            Scope(items.chain([&self.object]).collect())
        };
        Ok(frames.iter().map(scope).collect())
    }

    fn items(&self, sequence: Tag) -> &[InMemDicomObject] {
        items(&self.object, sequence)
    }

    /// Where the pixels lie.
    pub(super) fn pixels(&self) -> Result<Pixels, ScanError> {
        let coding = codec::coding(&self.syntax)?;
        let place = self.pixels.clone()?.ok_or_else(|| missing("PixelData"))?;
        if coding != Coding::Native && matches!(place, Place::Native(_)) {
            return Err(ScanError::new(Reason::Corrupt, "pixels that should be encapsulated and are not"));
        }
        Ok(Pixels { coding, place, packing: self.packing })
    }
}

/// How the data set of a transfer syntax is written that begins at `start`.
fn written(syntax: &str, start: u64) -> Result<(Encoding, Packing), ScanError> {
    #[expect(deprecated, reason = "retired syntaxes lie in archives all the same")]
    match syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => Ok((Encoding::Implicit, Packing::Plain)),
        uids::EXPLICIT_VR_BIG_ENDIAN => Ok((Encoding::Big, Packing::BigEndian)),
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Ok((Encoding::Explicit, Packing::Deflated(start))),
        // All data sets with encapsulated pixels are explicit (PS3.5, A.4).
        _ if codec::is_known(syntax) => Ok((Encoding::Explicit, Packing::Plain)),
        _ => codec::coding(syntax).map(|_coding| (Encoding::Explicit, Packing::Plain)),
    }
}

fn items(object: &InMemDicomObject, sequence: Tag) -> &[InMemDicomObject] {
    object.get(sequence).and_then(|element| element.items()).unwrap_or_default()
}

/// Where an attribute may stand, the nearest place first.
pub(super) struct Scope<'a>(Vec<&'a InMemDicomObject>);

impl Scope<'_> {
    fn find(&self, tag: Tag) -> Option<&InMemElement> {
        self.0.iter().find_map(|object| object.get(tag))
    }

    /// A text without padding; `None` where there is none.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let element = self.find(tag)?;
        let value = element.to_str().ok()?;
        let value = value.trim_matches(['\0', ' ']);
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.find(tag)?.to_int().ok()
    }

    pub(super) fn required(&self, tag: Tag, name: &str) -> Result<String, ScanError> {
        self.text(tag).ok_or_else(|| missing(name))
    }

    pub(super) fn count(&self, tag: Tag, name: &str) -> Result<usize, ScanError> {
        let count = self.integer(tag).and_then(|value| usize::try_from(value).ok());
        count.filter(|count| *count > 0).ok_or_else(|| missing(name))
    }

    /// `N` finite numbers.
    pub(super) fn numbers<const N: usize>(&self, tag: Tag, name: &str) -> Result<[f64; N], ScanError> {
        let values =
            self.find(tag).ok_or_else(|| missing(name))?.to_multi_float64().map_err(|_unreadable| missing(name))?;
        let values: [f64; N] = values.try_into().map_err(|_other_count| missing(name))?;
        if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(missing(name)) }
    }
}

pub(super) fn missing(name: &str) -> ScanError {
    ScanError::new(Reason::MissingAttribute, format!("{name} is absent, empty or malformed"))
}
