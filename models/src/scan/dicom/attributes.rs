//! One DICOM file's attributes, and why they could not be had.

use super::meta;
use crate::scan::{Reason, ScanError, file};
use dicom::core::Tag;
use dicom::dictionary_std::tags;
use dicom::object::mem::InMemElement;
use dicom::object::{DefaultDicomObject, InMemDicomObject, OpenFileOptions};
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

/// What a file says.
pub(super) struct Attributes {
    object: DefaultDicomObject,
    /// Transfer Syntax UID (0002,0010).
    pub(super) syntax: String,
    /// Media Storage SOP Class UID (0002,0002), or SOP Class UID (0008,0016) where that is missing.
    pub(super) class: String,
}

/// How far a file is read.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Pixels,
    End,
}

impl Attributes {
    pub(super) fn read(path: &Path, until: Until) -> Result<Self, ScanError> {
        let options = OpenFileOptions::new();
        let options = match until {
            Until::Pixels => options.read_until(tags::PIXEL_DATA),
            Until::End => options,
        };
        let file = File::open(path).map_err(|error| file::unreadable(&error))?;
        let (file, meta::Meta { syntax, class }) = meta::mended(file)?;
        let object = options.from_reader(file).map_err(|error| broken(&error))?;
        let mut read = Self { object, syntax, class };
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
            Scope(items.chain([&*self.object]).collect())
        };
        Ok(frames.iter().map(scope).collect())
    }

    fn items(&self, sequence: Tag) -> &[InMemDicomObject] {
        items(&self.object, sequence)
    }

    /// Takes the pixels out.
    pub(super) fn into_pixels(mut self) -> Result<InMemElement, ScanError> {
        self.object.take_element(tags::PIXEL_DATA).map_err(|_absent| missing("PixelData"))
    }
}

fn items(object: &InMemDicomObject, sequence: Tag) -> &[InMemDicomObject] {
    object.element_opt(sequence).ok().flatten().and_then(|element| element.items()).unwrap_or_default()
}

/// Functional groups that say where a frame lies and what its values mean. No two have an attribute in common.
const GROUPS: [Tag; 6] = [
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    tags::CT_IMAGE_FRAME_TYPE_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
];

/// Where an attribute may stand, the nearest place first.
pub(super) struct Scope<'a>(Vec<&'a InMemDicomObject>);

impl Scope<'_> {
    fn find(&self, tag: Tag) -> Option<&InMemElement> {
        self.0.iter().find_map(|object| object.element_opt(tag).ok().flatten())
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
        self.integer(tag).and_then(|value| usize::try_from(value).ok()).ok_or_else(|| missing(name))
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

pub(super) const NOT_DICOM: &str = "not valid DICOM";

/// Why a file could not be read. dicom-rs's own words are not repeated: they may quote the file.
fn broken(error: &(dyn Error + 'static)) -> ScanError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return file::broken(io, NOT_DICOM);
        }
        cause = error.source();
    }
    let words = error.to_string();
    if words.contains("Premature data set end") {
        file::truncated()
    } else if words.contains("transfer syntax") {
        ScanError::new(Reason::UnsupportedTransferSyntax, "a transfer syntax that this build does not know")
    } else {
        ScanError::new(Reason::Corrupt, NOT_DICOM)
    }
}
