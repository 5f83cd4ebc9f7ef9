//! One DICOM file: the attributes that decide how it joins a volume, and its pixels.

mod attributes;
mod bytes;
mod codec;
mod element;
mod meta;
mod outline;
mod pixels;

pub(super) use codec::decoded;
pub(super) use meta::is_dicom;
pub(super) use pixels::Pixels;

use super::labels::{Labels, Urgent};
use super::{Identifiers, Reason, ScanError, Which};
use attributes::{Attributes, Scope, missing};
use dicom::core::Tag;
use dicom::core::dictionary::UidDictionary;
use dicom::dictionary_std::{StandardSopClassDictionary, tags, uids};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a file belongs.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) study_uid: String,
    pub(super) series_uid: String,
    pub(super) expected: Option<u32>,
    pub(super) modality: Option<String>,
    pub(super) urgent: bool,
}

/// One file of a series, without its pixels.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) path: PathBuf,
    pub(super) file_bytes: u64,
    pub(super) uid: String,
    pub(super) expected: Option<u32>,
    /// UID of the standard; never the file's own words.
    pub(super) transfer_syntax: &'static str,
    pub(super) content: Content,
}

/// What a file of a series holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Slices: one in most files, several in a multi-frame object, whose localizers are counted.
    Slices { slices: Vec<Slice>, localizers: u32, pixels: Arc<Pixels> },
    /// A localizer.
    Localizer,
    /// Something else: why it is no slice.
    Other(ScanError),
}

/// One CT image: where it lies (PS3.3 C.7.6.2) and how its numbers are stored (PS3.3 C.7.6.3, C.11.1).
#[derive(Debug, Clone)]
pub(super) struct Slice {
    /// Which of the file's frames it is, counted from zero.
    pub(super) frame: usize,
    /// How many it has.
    pub(super) frames: usize,
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
    /// When it was acquired.
    pub(super) acquired: Acquired,
    /// Which acquisition it is of, and which of its moments: numbers that the scanner counts by.
    pub(super) phase: [i64; 2],
    /// How it was made.
    pub(super) labels: Labels,
}

/// Which acquisition a slice is of, and when its pixels were made; of two slices at one place the greater stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acquired {
    number: i64,
    /// As DICOM writes times: the order of the digits is that of time.
    time: String,
}

/// Layout of a stored value in its 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) bits: u32,
    pub(super) high_bit: u32,
    pub(super) signed: bool,
}

/// Reads which series a file belongs to.
pub(super) fn identity(file: File, urgent: &Urgent) -> Result<Identity, ScanError> {
    guarded(|| {
        let file = Attributes::read(file)?;
        if file.class == uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
            return Err(ScanError::new(Reason::Dicomdir, "an index of files (Media Storage Directory)"));
        }
        let whole = file.whole();
        let [priority, study, series] =
            [tags::REQUESTED_PROCEDURE_PRIORITY, tags::STUDY_DESCRIPTION, tags::SERIES_DESCRIPTION]
                .map(|tag| whole.text(tag));
        Ok(Identity {
            study_uid: whole.required(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            series_uid: whole.required(tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?,
            expected: expected(&whole),
            modality: whole.text(tags::MODALITY).filter(|code| is_code(code)),
            urgent: urgent.is_met(priority.as_deref(), [study.as_deref(), series.as_deref()]),
        })
    })
}

/// Reads what identifies the patient.
pub(super) fn identifiers(file: File, which: Which) -> Result<Identifiers, ScanError> {
    /// Characters of the longest value that its representations (SH, LO) allow.
    const LONGEST: usize = 64;
    guarded(|| {
        let file = Attributes::read_with(file, (which == Which::AccessionAndPatient).then_some(tags::PATIENT_ID))?;
        let whole = file.whole();
        let is_value = |text: &String| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
        let value = |tag| whole.text(tag).filter(is_value);
        Ok(Identifiers { accession_number: value(tags::ACCESSION_NUMBER), patient_id: value(tags::PATIENT_ID) })
    })
}

/// Whether a text is a short code in capitals, as defined terms are: what is not may be anything.
fn is_code(text: &str) -> bool {
    text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Reads a file of a series, all but its pixels. It lies at `path`.
pub(super) fn instance(path: &Path, file: File) -> Result<Instance, ScanError> {
    guarded(|| {
        let file = Attributes::read(file)?;
        let whole = file.whole();
        Ok(Instance {
            path: path.to_owned(),
            file_bytes: file.file_bytes,
            uid: whole.text(tags::SOP_INSTANCE_UID).unwrap_or_default(),
            expected: expected(&whole),
            transfer_syntax: codec::name(&file.syntax).unwrap_or("unknown"),
            content: content(&file)?,
        })
    })
}

/// dicom-rs is tried on hostile files by tests; should it panic on one all the same, that file is refused.
fn guarded<T>(read: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
    let refused = |_panic| Err(ScanError::new(Reason::Corrupt, "the DICOM reader failed on it"));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(refused)
}

fn content(file: &Attributes) -> Result<Content, ScanError> {
    let whole = file.whole();
    if let Some(other) = other(file) {
        return Ok(Content::Other(other));
    }
    match whole.text(tags::MODALITY).as_deref() {
        Some("CT") => {}
        Some(_) => return Err(ScanError::new(Reason::NotCt, "Modality (0008,0060) is not CT")),
        None => return Err(missing("Modality")),
    }
    if is_localizer(&whole, tags::IMAGE_TYPE) {
        return Ok(Content::Localizer);
    }
    let scopes = match file.class.as_str() {
        uids::CT_IMAGE_STORAGE if whole.integer(tags::NUMBER_OF_FRAMES).unwrap_or(1) != 1 => {
            return Err(ScanError::new(Reason::UnsupportedPixels, "more than one frame in a single-frame class"));
        }
        uids::CT_IMAGE_STORAGE => vec![whole],
        uids::ENHANCED_CT_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE => file.frames()?,
        class => return Err(ScanError::new(Reason::UnsupportedSopClass, named(class))),
    };
    let pixels = file.pixels()?;
    let stored = stored(&file.whole())?;
    let (mut slices, mut localizers) = (Vec::new(), 0);
    for (frame, scope) in scopes.iter().enumerate() {
        if is_localizer(scope, tags::FRAME_TYPE) {
            localizers += 1;
        } else {
            let slice = Slice { frame, frames: scopes.len(), ..slice(scope, stored)? };
            pixels.hold(&slice)?;
            slices.push(slice);
        }
    }
    Ok(if slices.is_empty() {
        Content::Localizer
    } else {
        Content::Slices { slices, localizers, pixels: Arc::new(pixels) }
    })
}

/// What an object is that is no slice, by its class (PS3.6, Annex A).
fn other(file: &Attributes) -> Option<ScanError> {
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    const DOSE_REPORTS: [&str; 4] = ["88.67", "88.68", "88.73", "88.76"];
    let has_side = |tag| file.whole().integer(tag).is_some();
    let kind = file.class.strip_prefix(STORAGE).unwrap_or_default();
    let reason = if DOSE_REPORTS.contains(&kind) {
        Reason::DoseReport
    } else if kind.starts_with("88.") {
        Reason::StructuredReport
    } else if kind == "7" || kind.starts_with("7.") {
        Reason::SecondaryCapture
    } else if kind.starts_with("481.") {
        Reason::Radiotherapy
    } else if !has_side(tags::ROWS) || !has_side(tags::COLUMNS) {
        Reason::NotImage
    } else {
        return None;
    };
    Some(ScanError::new(reason, named(&file.class)))
}

/// The standard's name for a class; a file's own words are not repeated.
fn named(class: &str) -> &'static str {
    StandardSopClassDictionary.by_uid(class).map_or("a class that the standard does not have", |entry| entry.name)
}

fn acquired(scope: &Scope<'_>) -> Acquired {
    let numbers = [tags::FRAME_ACQUISITION_NUMBER, tags::ACQUISITION_NUMBER];
    let times = [tags::FRAME_ACQUISITION_DATE_TIME, tags::CONTENT_TIME, tags::ACQUISITION_TIME];
    Acquired {
        number: numbers.into_iter().find_map(|tag| scope.integer(tag)).unwrap_or_default(),
        time: times.into_iter().find_map(|tag| scope.text(tag)).unwrap_or_default(),
    }
}

/// Which moment of an acquisition it is.
fn moment(scope: &Scope<'_>) -> i64 {
    let moments = [tags::TEMPORAL_POSITION_INDEX, tags::TEMPORAL_POSITION_IDENTIFIER];
    moments.into_iter().find_map(|tag| scope.integer(tag)).unwrap_or_default()
}

fn is_localizer(scope: &Scope<'_>, kind: Tag) -> bool {
    scope.text(kind).is_some_and(|kind| kind.split('\\').any(|value| value.trim() == "LOCALIZER"))
}

fn slice(scope: &Scope<'_>, stored: Stored) -> Result<Slice, ScanError> {
    let [row_spacing, column_spacing] = scope.numbers(tags::PIXEL_SPACING, "PixelSpacing")?;
    let [ix, iy, iz, jx, jy, jz] = scope.numbers(tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient")?;
    if let Some(kind) = scope.text(tags::RESCALE_TYPE).filter(|kind| kind != "HU" && kind != "US") {
        let kind = if is_code(&kind) { kind.as_str() } else { "unknown" };
        return Err(ScanError::new(Reason::NotHounsfield, format!("RescaleType (0028,1054) is {kind}")));
    }
    let [slope] = scope.numbers(tags::RESCALE_SLOPE, "RescaleSlope")?;
    let [intercept] = scope.numbers(tags::RESCALE_INTERCEPT, "RescaleIntercept")?;
    let acquired = acquired(scope);
    Ok(Slice {
        frame: 0,
        frames: 1,
        size: [scope.count(tags::COLUMNS, "Columns")?, scope.count(tags::ROWS, "Rows")?],
        spacing_mm: [column_spacing, row_spacing],
        position_mm: scope.numbers(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient")?,
        axes: [[ix, iy, iz], [jx, jy, jz]],
        stored,
        slope,
        intercept,
        phase: [acquired.number, moment(scope)],
        acquired,
        labels: labels(scope),
    })
}

fn labels(scope: &Scope<'_>) -> Labels {
    let thickness_mm = scope.numbers(tags::SLICE_THICKNESS, "SliceThickness").ok().map(|[mm]: [f64; 1]| mm);
    Labels {
        kernel: scope.text(tags::CONVOLUTION_KERNEL),
        image_type: scope.text(tags::FRAME_TYPE).or_else(|| scope.text(tags::IMAGE_TYPE)),
        thickness_mm: thickness_mm.filter(|&mm| mm > 0.0),
    }
}

fn stored(file: &Scope<'_>) -> Result<Stored, ScanError> {
    let unsupported = |detail: &str| Err(ScanError::new(Reason::UnsupportedPixels, detail));
    if file.integer(tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 {
        return unsupported("more than one sample a pixel");
    }
    // MONOCHROME1 is to be shown white on black: HU are the same.
    let is_grey = |kind: String| matches!(kind.as_str(), "MONOCHROME1" | "MONOCHROME2");
    if !file.text(tags::PHOTOMETRIC_INTERPRETATION).is_none_or(is_grey) {
        return unsupported("PhotometricInterpretation (0028,0004) is no grey scale");
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
fn expected(file: &Scope<'_>) -> Option<u32> {
    let counts = [tags::NUMBER_OF_SERIES_RELATED_INSTANCES, tags::IMAGES_IN_ACQUISITION];
    let said = counts.into_iter().find_map(|tag| file.integer(tag))?;
    u32::try_from(said).ok().filter(|&count| count > 0)
}
