//! One DICOM file: the attributes that decide how it joins a volume, and its pixels.

mod attributes;
mod codec;
mod meta;

pub(super) use meta::is_dicom;

use super::file::unreadable;
use super::{Reason, ScanError};
use attributes::{Attributes, NOT_DICOM, Until, missing};
use dicom::core::value::Value;
use dicom::dictionary_std::{tags, uids};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Where a file belongs.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) study_uid: String,
    pub(super) series_uid: String,
    pub(super) expected: Option<u32>,
    pub(super) modality: Option<String>,
}

/// One file of a series, without its pixels.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) path: PathBuf,
    pub(super) file_bytes: u64,
    pub(super) uid: String,
    pub(super) acquisition: i64,
    pub(super) expected: Option<u32>,
    /// UID of the standard; never the file's own words.
    pub(super) transfer_syntax: &'static str,
    pub(super) content: Content,
}

/// What a file of a series holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A slice.
    Slice(Slice),
    /// A localizer.
    Localizer,
    /// Something without pixels.
    NotImage,
}

/// One CT image: where it lies (PS3.3 C.7.6.2) and how its numbers are stored (PS3.3 C.7.6.3, C.11.1).
#[derive(Debug, Clone)]
pub(super) struct Slice {
    /// Columns and rows: voxels along i and j.
    pub(super) size: [usize; 2],
    /// Spacing along i and j in mm.
    pub(super) spacing_mm: [f64; 2],
    /// LPS position of the first voxel's centre in mm.
    pub(super) position_mm: [f64; 3],
    /// LPS unit vectors along which i and j grow.
    pub(super) axes: [[f64; 3]; 2],
    /// Layout of a stored value.
    pub(super) stored: Stored,
    /// HU = slope * stored value + intercept.
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

/// Layout of a stored value in its 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) bits: u32,
    pub(super) high_bit: u32,
    pub(super) signed: bool,
}

/// Reads which series a file belongs to.
pub(super) fn identity(path: &Path) -> Result<Identity, ScanError> {
    guarded(|| {
        let file = Attributes::read(path, Until::Pixels)?;
        if file.class == uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
            return Err(ScanError::new(Reason::Dicomdir, "an index of files (Media Storage Directory)"));
        }
        Ok(Identity {
            study_uid: file.required(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            series_uid: file.required(tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?,
            expected: expected(&file),
            modality: file.text(tags::MODALITY).filter(|code| is_code(code)),
        })
    })
}

/// Whether a text is a short code in capitals, as defined terms are: what is not may be anything.
fn is_code(text: &str) -> bool {
    text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Reads a file of a series, all but its pixels.
pub(super) fn instance(path: &Path) -> Result<Instance, ScanError> {
    guarded(|| {
        let file = Attributes::read(path, Until::Pixels)?;
        Ok(Instance {
            path: path.to_owned(),
            file_bytes: path.metadata().map_err(|error| unreadable(&error))?.len(),
            uid: file.text(tags::SOP_INSTANCE_UID).unwrap_or_default(),
            acquisition: file.integer(tags::ACQUISITION_NUMBER).unwrap_or_default(),
            expected: expected(&file),
            transfer_syntax: codec::name(&file.syntax).unwrap_or("unknown"),
            content: content(&file)?,
        })
    })
}

/// Reads and decodes the pixels of a slice of `[columns, rows]`: one 16-bit value after the other, in this machine's byte
/// order.
pub(super) fn pixels(path: &Path, size: [usize; 2]) -> Result<Vec<u8>, ScanError> {
    guarded(|| {
        let file = Attributes::read(path, Until::End)?;
        let coding = codec::coding(&file.syntax)?;
        match file.element(tags::PIXEL_DATA, "PixelData")?.value() {
            Value::Primitive(values) => Ok(values.to_bytes().into_owned()),
            Value::PixelSequence(sequence) => codec::decode(coding, &sequence.fragments().concat(), size),
            Value::Sequence(_) => Err(ScanError::new(Reason::Corrupt, NOT_DICOM)),
        }
    })
}

/// dicom-rs is tried on hostile files by tests; should it panic on one all the same, that file is refused.
fn guarded<T>(read: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
    let refused = |_panic| Err(ScanError::new(Reason::Corrupt, "the DICOM reader failed on it"));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(refused)
}

fn content(file: &Attributes) -> Result<Content, ScanError> {
    let has_rows = file.integer(tags::ROWS).is_some() && file.integer(tags::COLUMNS).is_some();
    if !has_rows {
        return Ok(Content::NotImage);
    }
    match file.text(tags::MODALITY).as_deref() {
        Some("CT") => {}
        Some(_) => return Err(ScanError::new(Reason::NotCt, "Modality (0008,0060) is not CT")),
        None => return Err(missing("Modality")),
    }
    let image_type = file.text(tags::IMAGE_TYPE).unwrap_or_default();
    if image_type.split('\\').any(|value| value.trim() == "LOCALIZER") {
        return Ok(Content::Localizer);
    }
    if file.class != uids::CT_IMAGE_STORAGE {
        let detail = if file.class == uids::ENHANCED_CT_IMAGE_STORAGE {
            "Enhanced CT Image Storage"
        } else {
            "not CT Image Storage"
        };
        return Err(ScanError::new(Reason::UnsupportedSopClass, detail));
    }
    codec::coding(&file.syntax)?;
    slice(file).map(Content::Slice)
}

fn slice(file: &Attributes) -> Result<Slice, ScanError> {
    let [row_spacing, column_spacing] = file.numbers(tags::PIXEL_SPACING, "PixelSpacing")?;
    let [ix, iy, iz, jx, jy, jz] = file.numbers(tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient")?;
    if let Some(kind) = file.text(tags::RESCALE_TYPE).filter(|kind| kind != "HU" && kind != "US") {
        let kind = if kind.len() <= 8 && kind.chars().all(|letter| letter.is_ascii_uppercase()) {
            kind.as_str()
        } else {
            "unknown"
        };
        return Err(ScanError::new(Reason::NotHounsfield, format!("RescaleType (0028,1054) is {kind}")));
    }
    let [slope] = file.numbers(tags::RESCALE_SLOPE, "RescaleSlope")?;
    let [intercept] = file.numbers(tags::RESCALE_INTERCEPT, "RescaleIntercept")?;
    Ok(Slice {
        size: [file.count(tags::COLUMNS, "Columns")?, file.count(tags::ROWS, "Rows")?],
        spacing_mm: [column_spacing, row_spacing],
        position_mm: file.numbers(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient")?,
        axes: [[ix, iy, iz], [jx, jy, jz]],
        stored: stored(file)?,
        slope,
        intercept,
    })
}

fn stored(file: &Attributes) -> Result<Stored, ScanError> {
    let unsupported = |detail: &str| Err(ScanError::new(Reason::UnsupportedPixels, detail));
    if file.integer(tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 {
        return unsupported("more than one sample a pixel");
    }
    if file.integer(tags::NUMBER_OF_FRAMES).unwrap_or(1) != 1 {
        return unsupported("more than one frame in a single-frame class");
    }
    if file.count(tags::BITS_ALLOCATED, "BitsAllocated")? != 16 {
        return unsupported("BitsAllocated (0028,0100) is not 16");
    }
    let bits = file.integer(tags::BITS_STORED).unwrap_or(16);
    let high_bit = file.integer(tags::HIGH_BIT).unwrap_or(bits - 1);
    if !(1..=16).contains(&bits) || !(bits - 1..16).contains(&high_bit) {
        return unsupported("BitsStored and HighBit do not fit 16 bits");
    }
    let signed = match file.integer(tags::PIXEL_REPRESENTATION) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(missing("PixelRepresentation")),
    };
    Ok(Stored { bits: narrow(bits), high_bit: narrow(high_bit), signed })
}

/// For numbers just checked to be small.
fn narrow(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

/// Files that the header says the series has (0020,1209), or the acquisition (0020,1002).
fn expected(file: &Attributes) -> Option<u32> {
    let counts = [tags::NUMBER_OF_SERIES_RELATED_INSTANCES, tags::IMAGES_IN_ACQUISITION];
    let said = counts.into_iter().find_map(|tag| file.integer(tag))?;
    u32::try_from(said).ok().filter(|&count| count > 0)
}
