//! Files to a volume in Hounsfield units. The only room that knows dicom-rs, nifti and archives.
//!
//! Three steps, so that a jailed worker can decode straight into shared memory: [`header`] says which series a file
//! belongs to; [`plan()`] reads the headers of one series and settles its geometry; [`Plan::fill_i16`] and
//! [`Plan::fill_f32`] decode the voxels into a buffer of the planned size. [`read`] does plan and fill for callers that
//! want a volume in their own memory. [`unpack`] makes files of an archive. Nothing else here writes, and nothing logs or
//! keeps state.

mod archive;
mod dicom;
mod file;
mod geometry;
mod labels;
mod nifti;
mod plan;
mod reason;
#[cfg(test)]
mod tests;
mod voxels;
pub mod write;

pub use archive::{Unpacked, is_archive, unpack};
pub use labels::{Patterns, Traits, Urgent};
pub use plan::{Plan, plan, read};
pub use reason::{Reason, ScanError};

use crate::volume::Volume;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Says which series a file belongs to.
///
/// # Errors
/// The reason for which the file belongs to none.
pub fn header(path: &Path, limits: &Limits, urgent: &Urgent) -> Result<Header, ScanError> {
    let (file, format) = file::open(path, limits)?;
    let digest = file::digest(&file)?;
    match format {
        Format::Dicom => {
            let dicom::Identity { study_uid, series_uid, expected, modality, urgent } = dicom::identity(file, urgent)?;
            Ok(Header { study_uid, series_uid, digest, expected, modality, format, urgent })
        }
        Format::Nifti => {
            let uid = format!("nifti:{digest}");
            let (study_uid, series_uid) = (uid.clone(), uid);
            Ok(Header { study_uid, series_uid, digest, expected: Some(1), modality: None, format, urgent: false })
        }
    }
}

/// Reads what identifies the patient of a file; nothing of it where the file says nothing, or is NIfTI.
///
/// # Errors
/// The reason for which the file cannot be read.
pub fn identifiers(path: &Path, limits: &Limits, which: Which) -> Result<Identifiers, ScanError> {
    match file::open(path, limits)? {
        (file, Format::Dicom) => dicom::identifiers(file, which),
        (_, Format::Nifti) => Ok(Identifiers::default()),
    }
}

/// UIDs of the DICOM transfer syntaxes that this build decodes: what may be agreed on with a sender.
pub fn transfer_syntaxes() -> impl Iterator<Item = &'static str> {
    dicom::decoded()
}

/// A series as found on disk by [`series_in`].
#[derive(Debug)]
pub struct Found {
    /// Its files; one file for what belongs to no series.
    pub files: Vec<PathBuf>,
    /// What its first file says of itself, or why it belongs to no series.
    pub header: Result<Header, ScanError>,
}

/// Sorts a file, or all files of a folder and the folders below it, into series. Series come in the order of their UIDs,
/// files that belong to none after them.
///
/// # Errors
/// A folder that cannot be listed.
pub fn series_in(path: &Path, limits: &Limits) -> std::io::Result<Vec<Found>> {
    let mut files = Vec::new();
    list(path, &mut files)?;
    files.sort();
    let mut series: BTreeMap<String, Found> = BTreeMap::new();
    let mut strays = Vec::new();
    for path in files {
        match header(&path, limits, &Urgent::default()) {
            Ok(header) => {
                let found = Found { files: Vec::new(), header: Ok(header.clone()) };
                series.entry(header.series_uid).or_insert(found).files.push(path);
            }
            Err(error) => strays.push(Found { files: vec![path], header: Err(error) }),
        }
    }
    Ok(series.into_values().chain(strays).collect())
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    // A link below the folder is left alone: it could lead round in a circle.
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Voxel type of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoxelKind {
    /// Whole HU in 16 bits.
    I16,
    /// 32-bit floating point.
    F32,
}

/// The voxels could not be decoded into the buffer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// Values beyond 16 bits: decode as f32 instead.
    #[error("values beyond 16 bits")]
    TooWide,
    /// The series cannot become a volume.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// What one file says of itself: where it belongs, not what is in it.
///
/// The UIDs identify a patient's study. They travel between the processes of one device and must never be logged,
/// published or used in a file name: pseudonymise them first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Study Instance UID (0020,000D); for NIfTI a name made of the content digest.
    pub study_uid: String,
    /// Series Instance UID (0020,000E); for NIfTI a name made of the content digest.
    pub series_uid: String,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub digest: String,
    /// Number of files the header says the series has, when it says so: Images in Acquisition (0020,1002) or Number of
    /// Series Related Instances (0020,1209). A NIfTI file is its whole series: 1.
    pub expected: Option<u32>,
    /// Modality (0008,0060), e.g. `CT`; `None` for NIfTI and where it is absent or no code.
    pub modality: Option<String>,
    /// File format.
    pub format: Format,
    /// Whether its words are among those that were asked for.
    pub urgent: bool,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header").field("digest", &self.digest).field("format", &self.format).finish_non_exhaustive()
    }
}

/// What identifies a patient in the systems of a hospital. Never printed: its `Debug` says nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifiers {
    /// Accession Number (0008,0050).
    pub accession_number: Option<String>,
    /// Patient ID (0010,0020); only where it was asked for.
    pub patient_id: Option<String>,
}

impl std::fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identifiers(redacted)")
    }
}

/// Which identifiers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The accession number.
    Accession,
    /// The accession number and the patient's id.
    AccessionAndPatient,
}

/// File format of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// DICOM part 10 files, one or many slices each.
    Dicom,
    /// One NIfTI file, plain or gzipped.
    Nifti,
}

/// How large the input may be. Beyond a limit a file or series is refused with [`Reason::LimitExceeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files of one series, or of one archive.
    pub files: usize,
    /// Bytes that one archive unpacks to.
    pub archive_bytes: u64,
    /// Voxels of one volume.
    pub voxels: usize,
    /// Widest gap between slices that is interpolated across, in mm.
    pub gap_mm: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // 2 GiB holds a gzipped whole-body NIfTI; 1024^2 x 2000 voxels is the largest CT seen in CT-RATE, with a margin; a
        // study of several such series fits into 8 GiB.
        Self { file_bytes: 2 << 30, files: 10_000, archive_bytes: 8 << 30, voxels: 2_500_000_000, gap_mm: 10 }
    }
}

/// A volume with the account of how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The voxels in HU.
    pub volume: Volume<'static>,
    /// What was read, dropped and noticed.
    pub facts: Facts,
}

/// What a result says of its input, free of patient data: published with every result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// File format.
    pub format: Format,
    /// Files handed in.
    pub instances: u32,
    /// Slices of the volume.
    pub slices: u32,
    /// Files left out, by reason.
    pub dropped: BTreeMap<Dropped, u32>,
    /// Transfer Syntax UID of the files; `None` for NIfTI.
    pub transfer_syntax: Option<String>,
    /// Voxel counts along (i, j, k).
    pub size: [usize; 3],
    /// Voxel spacing along (i, j, k) in mm.
    pub spacing_mm: [f64; 3],
    /// Nearest patient directions of the index axes, e.g. `LPS`.
    pub orientation: String,
    /// Missing slices: places on the slice grid with no file.
    pub gaps: u32,
    /// Gantry tilt in degrees, computed from positions (the nominal tag is not for computation).
    pub tilt_deg: f64,
    /// Lowest and highest HU in the volume.
    pub hu_range: [f32; 2],
    /// What a careful reader should know.
    pub warnings: Vec<Warning>,
}

/// Why a file of a series was left out of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// Same SOP Instance UID as another file; the larger file was kept.
    DuplicateInstance,
    /// Same place as another slice; the one of the higher acquisition number, or of the later time, was kept.
    DuplicatePosition,
    /// Of another acquisition that covers the same part of the body; the longest was kept, of equal ones the last.
    OtherPhase,
    /// A localizer inside the series.
    Localizer,
    /// Not a slice (a report, a presentation state, a captured screen) inside the series.
    NotImage,
}

impl Dropped {
    /// The published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicateInstance => "duplicate_instance",
            Self::DuplicatePosition => "duplicate_position",
            Self::OtherPhase => "other_phase",
            Self::Localizer => "localizer",
            Self::NotImage => "not_image",
        }
    }
}

/// Something about the input that a reader of the result should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The step between slices varies; where it varies by more than a tenth, the volume is interpolated between them.
    UnevenSpacing,
    /// The gantry was tilted; the slices were sheared back.
    TiltCorrected,
    /// Fewer files than the header announced.
    FewerThanExpected,
    /// The series holds several acquisitions of the same part of the body; one of them was read.
    SeveralPhases,
    /// Slices are missing inside the volume.
    MissingSlices,
    /// No voxel is near air or none is near soft tissue: these may not be Hounsfield units.
    ImplausibleHu,
    /// The volume covers less than 150 mm along the patient: not a whole chest.
    ShortCoverage,
}

impl Warning {
    /// The published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnevenSpacing => "uneven_spacing",
            Self::TiltCorrected => "tilt_corrected",
            Self::FewerThanExpected => "fewer_than_expected",
            Self::SeveralPhases => "several_phases",
            Self::MissingSlices => "missing_slices",
            Self::ImplausibleHu => "implausible_hu",
            Self::ShortCoverage => "short_coverage",
        }
    }
}
