//! Volumes back to files: DICOM series and NIfTI, for phantoms and tests.
//!
//! Written files are complete in the sense of PS3.3 A.3 (CT Image IOD), so that other people's readers take them.

use crate::volume::{Geometry, Volume, Voxels};
use dicom::core::{DataElement, PrimitiveValue, Tag, VR};
use dicom::dictionary_std::{tags, uids};
use dicom::object::{FileMetaTableBuilder, InMemDicomObject};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
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

/// Writes a NIfTI-1 file, gzipped if its name ends with `.gz`: i16 or f32 as the voxels are, with an sform.
///
/// # Errors
/// The file cannot be written, a side has more than 32767 voxels.
pub fn nifti(volume: &Volume<'_>, path: &Path) -> Result<(), WriteError> {
    let header = nifti_header(volume)?;
    let io = |source| WriteError::Io { path: path.to_owned(), source };
    let file = BufWriter::new(File::create(path).map_err(io)?);
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = GzEncoder::new(file, Compression::fast());
        write_nifti(&mut packed, &header, volume).map_err(io)?;
        packed.finish().and_then(|mut file| file.flush()).map_err(io)
    } else {
        let mut file = file;
        write_nifti(&mut file, &header, volume).and_then(|()| file.flush()).map_err(io)
    }
}

fn write_nifti(to: &mut impl Write, header: &[u8], volume: &Volume<'_>) -> io::Result<()> {
    to.write_all(header)?;
    match volume.voxels() {
        Voxels::I16(values) => values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes())),
        Voxels::F32(values) => values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes())),
    }
}

/// The 348 bytes of nifti1.h and four of "no extensions", little endian. The nifti crate writes whole ndarray volumes only.
fn nifti_header(volume: &Volume<'_>) -> Result<Vec<u8>, WriteError> {
    let geometry = volume.geometry();
    let mut header = Vec::with_capacity(352);
    let mut put = |bytes: &[u8]| header.extend_from_slice(bytes);
    put(&348i32.to_le_bytes());
    put(&[0; 36]);
    put(&3i16.to_le_bytes());
    for side in geometry.size() {
        let side = i16::try_from(side).map_err(|_too_large| unfit("more than 32767 voxels on a side"))?;
        put(&side.to_le_bytes());
    }
    put(&[1i16; 4].map(i16::to_le_bytes).concat());
    put(&[0; 14]);
    let (datatype, bits) = if matches!(volume.voxels(), Voxels::I16(_)) { (4i16, 16i16) } else { (16, 32) };
    put(&[datatype.to_le_bytes(), bits.to_le_bytes(), [0; 2]].concat());
    // pixdim: a sign that only a qform would need, then the spacing.
    put(&1f32.to_le_bytes());
    for spacing in geometry.spacing_mm() {
        put(&narrow(spacing).to_le_bytes());
    }
    put(&[0f32; 4].map(f32::to_le_bytes).concat());
    put(&[352f32, 1.0, 0.0].map(f32::to_le_bytes).concat());
    // slice_end, slice_code, xyzt_units: millimetres.
    put(&[0, 0, 0, 2]);
    put(&[0; 24]);
    let mut description = b"ctedge".to_vec();
    description.resize(80 + 24, 0);
    put(&description);
    // No qform; the sform says it all (code 1: scanner coordinates).
    put(&[0i16, 1].map(i16::to_le_bytes).concat());
    put(&[0; 24]);
    for row in sform(geometry) {
        put(&row.map(|value| narrow(value).to_le_bytes()).concat());
    }
    put(&[0; 16]);
    put(b"n+1\0");
    put(&[0; 4]);
    Ok(header)
}

/// Rows of the affine in RAS: the first two of LPS the other way round.
fn sform(geometry: &Geometry) -> [[f64; 4]; 3] {
    let ([di, dj, dk], [u, v, w]) = (geometry.spacing_mm(), geometry.direction());
    let origin = geometry.origin_mm();
    let row = |axis: usize, sign: f64| {
        let of = |vector: [f64; 3]| sign * vector.get(axis).copied().unwrap_or_default();
        [of(u) * di, of(v) * dj, of(w) * dk, of(origin)]
    };
    [row(0, -1.0), row(1, -1.0), row(2, 1.0)]
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the header's numbers are 32 bit")]
fn narrow(value: f64) -> f32 {
    value as f32
}
