//! Volumes back to files: DICOM series and NIfTI, for phantoms and tests.
//!
//! Written files are complete in the sense of PS3.3 A.3 (CT Image IOD), so that other people's readers take them.

mod nifti;

pub use nifti::nifti;

use crate::volume::{Geometry, Volume, Voxels};
use dicom::core::{DataElement, PrimitiveValue, Tag, VR};
use dicom::dictionary_std::{tags, uids};
use dicom::object::{FileMetaTableBuilder, InMemDicomObject};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// What the files say beside the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesTags {
    /// Patient's Name (0010,0010).
    pub patient_name: String,
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Study Instance UID (0020,000D).
    pub study_uid: String,
    /// Series Instance UID (0020,000E); instance and frame of reference UIDs follow from it.
    pub series_uid: String,
    /// Study Description (0008,1030).
    pub study_description: String,
    /// Series Description (0008,103E).
    pub series_description: String,
    /// Series Number (0020,0011).
    pub series_number: u32,
}

impl SeriesTags {
    /// Tags that say that this is no patient. UIDs follow from the seed.
    pub fn synthetic(seed: u64) -> Self {
        Self {
            patient_name: "PHANTOM^SYNTHETIC".to_owned(),
            patient_id: format!("PHANTOM-{seed}"),
            study_uid: uid(&format!("phantom study {seed}")),
            series_uid: uid(&format!("phantom series {seed}")),
            study_description: "Synthetic phantom, not a patient".to_owned(),
            series_description: "Synthetic chest".to_owned(),
            series_number: 1,
        }
    }
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system would not let us.
    #[error("{path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The values do not fit the format.
    #[error("{reason}")]
    Unfit {
        /// Why.
        reason: String,
    },
}

/// A UID below 2.25 (PS3.5 B.2) made of a text: always the same one for the same text.
pub fn uid(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let number = digest.iter().take(16).fold(0u128, |number, &byte| (number << 8) | u128::from(byte));
    format!("2.25.{number}")
}

/// Lowest HU that the stored values reach: they are unsigned, 16 bit.
const INTERCEPT: i32 = -1024;

/// Writes one CT Image Storage file a slice, explicit VR little endian, into an existing folder. Returns the files in the
/// order of the slices.
///
/// # Errors
/// A file cannot be written, or HU that do not fit unsigned 16 bits above -1024.
pub fn dicom_series(volume: &Volume<'_>, tags: &SeriesTags, folder: &Path) -> Result<Vec<PathBuf>, WriteError> {
    let [columns, rows, slices] = volume.geometry().size();
    let fits = |side: usize| u16::try_from(side).map_err(|_too_large| unfit("more than 65535 rows or columns"));
    let (columns, rows) = (fits(columns)?, fits(rows)?);
    let mut files = Vec::new();
    for k in 0..slices {
        let pixels = stored(volume, k)?;
        let mut object = common(tags, k);
        image(&mut object, volume.geometry(), k, [columns, rows]);
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        let path = folder.join(format!("slice-{:04}.dcm", k + 1));
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
            .media_storage_sop_instance_uid(instance_uid(tags, k));
        let file = object.with_meta(meta).map_err(|error| unfit(&error.to_string()))?;
        file.write_to_file(&path).map_err(|error| unfit(&error.to_string()))?;
        files.push(path);
    }
    Ok(files)
}

fn unfit(reason: &str) -> WriteError {
    WriteError::Unfit { reason: reason.to_owned() }
}

fn instance_uid(tags: &SeriesTags, k: usize) -> String {
    uid(&format!("{} instance {k}", tags.series_uid))
}

fn stored(volume: &Volume<'_>, k: usize) -> Result<Vec<u16>, WriteError> {
    let [columns, rows, _] = volume.geometry().size();
    let plane = k * columns * rows..(k + 1) * columns * rows;
    let too_far = || unfit("HU that do not fit unsigned 16 bits above -1024");
    match volume.voxels() {
        Voxels::I16(values) => {
            let values = values.get(plane).unwrap_or_default().iter();
            values.map(|&hu| u16::try_from(i32::from(hu) - INTERCEPT).map_err(|_too_far| too_far())).collect()
        }
        Voxels::F32(_) => Err(unfit("HU that are not whole; write NIfTI instead")),
    }
}

/// Patient, study, series, equipment, frame of reference and SOP common modules.
fn common(tags: &SeriesTags, k: usize) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    let mut put = |tag: Tag, vr, value: &str| drop(object.put(DataElement::new(tag, vr, value)));
    put(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
    put(tags::SOP_INSTANCE_UID, VR::UI, &instance_uid(tags, k));
    put(tags::STUDY_DATE, VR::DA, "20000101");
    put(tags::STUDY_TIME, VR::TM, "000000");
    put(tags::ACCESSION_NUMBER, VR::SH, "");
    put(tags::MODALITY, VR::CS, "CT");
    put(tags::MANUFACTURER, VR::LO, "ctedge phantom");
    put(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "");
    put(tags::STUDY_DESCRIPTION, VR::LO, &tags.study_description);
    put(tags::SERIES_DESCRIPTION, VR::LO, &tags.series_description);
    put(tags::PATIENT_NAME, VR::PN, &tags.patient_name);
    put(tags::PATIENT_ID, VR::LO, &tags.patient_id);
    put(tags::PATIENT_BIRTH_DATE, VR::DA, "");
    put(tags::PATIENT_SEX, VR::CS, "");
    put(tags::STUDY_INSTANCE_UID, VR::UI, &tags.study_uid);
    put(tags::SERIES_INSTANCE_UID, VR::UI, &tags.series_uid);
    put(tags::STUDY_ID, VR::SH, "1");
    put(tags::SERIES_NUMBER, VR::IS, &tags.series_number.to_string());
    put(tags::FRAME_OF_REFERENCE_UID, VR::UI, &uid(&format!("{} frame", tags.study_uid)));
    put(tags::POSITION_REFERENCE_INDICATOR, VR::LO, "");
    object
}

/// General image, image plane, image pixel and CT image modules.
fn image(object: &mut InMemDicomObject, geometry: &Geometry, k: usize, [columns, rows]: [u16; 2]) {
    let [di, dj, dk] = geometry.spacing_mm();
    let [row, column, _] = geometry.direction();
    let slice = u32::try_from(k).unwrap_or(u32::MAX);
    let position = geometry.position_mm([0.0, 0.0, f64::from(slice)]);
    let mut put = |tag: Tag, vr, value: &str| drop(object.put(DataElement::new(tag, vr, value)));
    put(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY\\AXIAL");
    put(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    put(tags::PATIENT_POSITION, VR::CS, "HFS");
    put(tags::ACQUISITION_NUMBER, VR::IS, "1");
    put(tags::INSTANCE_NUMBER, VR::IS, &slice.saturating_add(1).to_string());
    put(tags::PIXEL_SPACING, VR::DS, &decimals(&[dj, di]));
    put(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &decimals(&[row, column].concat()));
    put(tags::IMAGE_POSITION_PATIENT, VR::DS, &decimals(&position));
    put(tags::SLICE_THICKNESS, VR::DS, &decimals(&[dk]));
    put(tags::KVP, VR::DS, "120");
    put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    put(tags::RESCALE_INTERCEPT, VR::DS, &INTERCEPT.to_string());
    put(tags::RESCALE_SLOPE, VR::DS, "1");
    put(tags::RESCALE_TYPE, VR::LO, "HU");
    put(tags::WINDOW_CENTER, VR::DS, "-500");
    put(tags::WINDOW_WIDTH, VR::DS, "1500");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
}

/// Decimal strings: at most 16 characters each (PS3.5 6.2).
fn decimals(values: &[f64]) -> String {
    let shortest = |value: &f64| {
        let plain = value.to_string();
        if plain.len() <= 16 { plain } else { format!("{value:.6}") }
    };
    values.iter().map(shortest).collect::<Vec<_>>().join("\\")
}
