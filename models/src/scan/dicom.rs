//! One DICOM file: the attributes that decide how it joins a volume, and its pixels.

use super::{Reason, ScanError, file};
use dicom::core::Tag;
use dicom::dictionary_std::{tags, uids};
use dicom::encoding::TransferSyntax;
use dicom::encoding::transfer_syntax::TransferSyntaxIndex;
use dicom::object::{DefaultDicomObject, OpenFileOptions};
use dicom::transfer_syntax::TransferSyntaxRegistry;
use dicom_pixeldata::PixelDecoder;
use std::error::Error;
use std::io;
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
        let object = open(path, Until::Pixels)?;
        if sop_class(&object) == uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
            return Err(ScanError::new(Reason::Dicomdir, "an index of files (Media Storage Directory)"));
        }
        Ok(Identity {
            study_uid: required(&object, tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            series_uid: required(&object, tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?,
            expected: expected(&object),
            modality: text(&object, tags::MODALITY).filter(|code| is_code(code)),
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
        let object = open(path, Until::Pixels)?;
        Ok(Instance {
            path: path.to_owned(),
            file_bytes: path.metadata().map_err(|error| file::unreadable(&error))?.len(),
            uid: text(&object, tags::SOP_INSTANCE_UID).unwrap_or_default(),
            acquisition: integer(&object, tags::ACQUISITION_NUMBER).unwrap_or_default(),
            expected: expected(&object),
            transfer_syntax: known_syntax(&object).unwrap_or("unknown"),
            content: content(&object)?,
        })
    })
}

/// Reads and unpacks a slice's pixels: one 16-bit value after the other, in this machine's byte order.
pub(super) fn pixels(path: &Path) -> Result<Vec<u8>, ScanError> {
    guarded(|| {
        let object = open(path, Until::End)?;
        let decoded = object.decode_pixel_data().map_err(|error| broken(&error))?;
        Ok(decoded.into_data())
    })
}

/// How far a file is read.
#[derive(Clone, Copy)]
enum Until {
    Pixels,
    End,
}

fn open(path: &Path, until: Until) -> Result<DefaultDicomObject, ScanError> {
    let options = OpenFileOptions::new();
    let options = match until {
        Until::Pixels => options.read_until(tags::PIXEL_DATA),
        Until::End => options,
    };
    options.open_file(path).map_err(|error| broken(&error))
}

/// dicom-rs is tried on hostile files by tests; should it panic on one all the same, that file is refused.
fn guarded<T>(read: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
    let refused = |_panic| Err(ScanError::new(Reason::Corrupt, "the DICOM reader failed on it"));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(refused)
}

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

const NOT_DICOM: &str = "not valid DICOM";

fn content(object: &DefaultDicomObject) -> Result<Content, ScanError> {
    let class = sop_class(object);
    let has_rows = integer(object, tags::ROWS).is_some() && integer(object, tags::COLUMNS).is_some();
    if !has_rows {
        return Ok(Content::NotImage);
    }
    match text(object, tags::MODALITY).as_deref() {
        Some("CT") => {}
        Some(_) => return Err(ScanError::new(Reason::NotCt, "Modality (0008,0060) is not CT")),
        None => return Err(missing("Modality")),
    }
    let image_type = text(object, tags::IMAGE_TYPE).unwrap_or_default();
    if image_type.split('\\').any(|value| value.trim() == "LOCALIZER") {
        return Ok(Content::Localizer);
    }
    if class != uids::CT_IMAGE_STORAGE {
        let detail =
            if class == uids::ENHANCED_CT_IMAGE_STORAGE { "Enhanced CT Image Storage" } else { "not CT Image Storage" };
        return Err(ScanError::new(Reason::UnsupportedSopClass, detail));
    }
    decodable(object)?;
    slice(object).map(Content::Slice)
}

fn decodable(object: &DefaultDicomObject) -> Result<(), ScanError> {
    let syntax = TransferSyntaxRegistry.get(object.meta().transfer_syntax());
    if syntax.is_some_and(TransferSyntax::can_decode_all) {
        return Ok(());
    }
    let detail = known_syntax(object).unwrap_or("a transfer syntax that this build does not know");
    Err(ScanError::new(Reason::UnsupportedTransferSyntax, detail))
}

/// The standard's UID of the file's transfer syntax.
fn known_syntax(object: &DefaultDicomObject) -> Option<&'static str> {
    TransferSyntaxRegistry.get(object.meta().transfer_syntax()).map(TransferSyntax::uid)
}

fn slice(object: &DefaultDicomObject) -> Result<Slice, ScanError> {
    let [row_spacing, column_spacing] = numbers(object, tags::PIXEL_SPACING, "PixelSpacing")?;
    let [ix, iy, iz, jx, jy, jz] = numbers(object, tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient")?;
    if let Some(kind) = text(object, tags::RESCALE_TYPE).filter(|kind| kind != "HU" && kind != "US") {
        let kind = if kind.len() <= 8 && kind.chars().all(|letter| letter.is_ascii_uppercase()) {
            kind.as_str()
        } else {
            "unknown"
        };
        return Err(ScanError::new(Reason::NotHounsfield, format!("RescaleType (0028,1054) is {kind}")));
    }
    let [slope] = numbers(object, tags::RESCALE_SLOPE, "RescaleSlope")?;
    let [intercept] = numbers(object, tags::RESCALE_INTERCEPT, "RescaleIntercept")?;
    Ok(Slice {
        size: [count(object, tags::COLUMNS, "Columns")?, count(object, tags::ROWS, "Rows")?],
        spacing_mm: [column_spacing, row_spacing],
        position_mm: numbers(object, tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient")?,
        axes: [[ix, iy, iz], [jx, jy, jz]],
        stored: stored(object)?,
        slope,
        intercept,
    })
}

fn stored(object: &DefaultDicomObject) -> Result<Stored, ScanError> {
    let unsupported = |detail: &str| Err(ScanError::new(Reason::UnsupportedPixels, detail));
    if integer(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 {
        return unsupported("more than one sample a pixel");
    }
    if integer(object, tags::NUMBER_OF_FRAMES).unwrap_or(1) != 1 {
        return unsupported("more than one frame in a single-frame class");
    }
    if count(object, tags::BITS_ALLOCATED, "BitsAllocated")? != 16 {
        return unsupported("BitsAllocated (0028,0100) is not 16");
    }
    let bits = integer(object, tags::BITS_STORED).unwrap_or(16);
    let high_bit = integer(object, tags::HIGH_BIT).unwrap_or(bits - 1);
    if !(1..=16).contains(&bits) || !(bits - 1..16).contains(&high_bit) {
        return unsupported("BitsStored and HighBit do not fit 16 bits");
    }
    let signed = match integer(object, tags::PIXEL_REPRESENTATION) {
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
fn expected(object: &DefaultDicomObject) -> Option<u32> {
    let counts = [tags::NUMBER_OF_SERIES_RELATED_INSTANCES, tags::IMAGES_IN_ACQUISITION];
    let said = counts.into_iter().find_map(|tag| integer(object, tag))?;
    u32::try_from(said).ok().filter(|&count| count > 0)
}

fn sop_class(object: &DefaultDicomObject) -> String {
    object.meta().media_storage_sop_class_uid().trim_end_matches(['\0', ' ']).to_owned()
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let element = object.element_opt(tag).ok().flatten()?;
    let value = element.to_str().ok()?;
    let value = value.trim_matches(['\0', ' ']);
    (!value.is_empty()).then(|| value.to_owned())
}

fn integer(object: &DefaultDicomObject, tag: Tag) -> Option<i64> {
    object.element_opt(tag).ok().flatten()?.to_int().ok()
}

fn required(object: &DefaultDicomObject, tag: Tag, name: &str) -> Result<String, ScanError> {
    text(object, tag).ok_or_else(|| missing(name))
}

fn count(object: &DefaultDicomObject, tag: Tag, name: &str) -> Result<usize, ScanError> {
    integer(object, tag).and_then(|value| usize::try_from(value).ok()).ok_or_else(|| missing(name))
}

fn numbers<const N: usize>(object: &DefaultDicomObject, tag: Tag, name: &str) -> Result<[f64; N], ScanError> {
    let element = object.element_opt(tag).ok().flatten().ok_or_else(|| missing(name))?;
    let values = element.to_multi_float64().map_err(|_unreadable| missing(name))?;
    let values: [f64; N] = values.try_into().map_err(|_other_count| missing(name))?;
    if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(missing(name)) }
}

fn missing(name: &str) -> ScanError {
    ScanError::new(Reason::MissingAttribute, format!("{name} is absent, empty or malformed"))
}
