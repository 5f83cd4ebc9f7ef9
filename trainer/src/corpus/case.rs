//! What a corpus says of a scan.

use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::phantom::{self, Recipe};
use ctedge_models::scan;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A scan with everything that is said of it, but for its voxels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Names it within its corpus.
    pub id: String,
    /// Whose it is: the unit of splits and of the bootstrap.
    pub patient: String,
    /// Which scan: several reconstructions of one share it, and its report.
    pub group: String,
    /// What the radiologist wrote.
    pub report: Report,
    /// The 18 abnormalities in the official order, where the corpus states them.
    pub labels: Option<[bool; LABEL_COUNT]>,
    /// Clinically equal reports share it, whatever their wording; known of phantoms only.
    pub statement: Option<String>,
    /// Labels of which something can be seen at the input's resolution; known of phantoms only.
    pub visible: Option<[bool; LABEL_COUNT]>,
}

/// The two sections of a report; a corpus with one text has it as findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What is seen.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

impl Report {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.impression.is_empty()
    }
}

impl From<phantom::Report> for Report {
    fn from(report: phantom::Report) -> Self {
        Self { findings: report.findings, impression: report.impression }
    }
}

/// What a patient is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Weights are learned from it.
    Train,
    /// Early stop, thresholds and calibration come from it.
    Validation,
    /// Never seen until the end.
    Test,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Where the voxels come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Drawn.
    Phantom(Recipe),
    /// Read.
    Scan {
        /// A NIfTI file or a folder of one DICOM series, below the corpus's folder.
        path: PathBuf,
        /// What the corpus's table knows better than the file.
        correction: Option<Correction>,
    },
}

/// How the stored numbers of a file become a volume, where its header is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correction {
    /// HU = slope * stored value + intercept.
    pub slope: f64,
    /// See `slope`.
    pub intercept: f64,
    /// Voxel spacing along the stored axes (i, j, k) in mm.
    pub spacing_mm: [f64; 3],
}

/// A case as a corpus lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What is said of it.
    pub case: Case,
    /// The corpus's own split, if it has one.
    pub split: Option<Split>,
    /// Where the voxels come from.
    pub source: Source,
}

/// Something of a corpus that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The case.
    pub id: String,
    /// Its file below the corpus's folder; empty where there is none.
    pub file: String,
    /// Why.
    pub why: Why,
    /// What exactly, without patient data; may be empty.
    pub detail: String,
}

/// Why a case is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The corpus lists it as no chest.
    NoChest,
    /// The file is of another patient or session than the report.
    OtherPatient,
    /// The table names a file that is not there.
    NoFile,
    /// There is no report, or an empty one.
    NoReport,
    /// What must be known to read the file is missing or wrong in the corpus's table.
    NoMetadata,
    /// The name does not follow the corpus's rule.
    Name,
    /// Evaluation takes one reconstruction of a scan, and this is another.
    Reconstruction,
    /// The table names the file once more.
    Repeated,
    /// The voxels' place in the patient cannot be true.
    Implausible,
    /// The file is no readable scan.
    Unreadable(scan::Reason),
}

impl Why {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoChest => "no_chest",
            Self::OtherPatient => "other_patient",
            Self::NoFile => "no_file",
            Self::NoReport => "no_report",
            Self::NoMetadata => "no_metadata",
            Self::Name => "name",
            Self::Reconstruction => "reconstruction",
            Self::Repeated => "repeated",
            Self::Implausible => "implausible",
            Self::Unreadable(reason) => reason.name(),
        }
    }
}

/// What a corpus holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The corpus's folder; empty for phantoms.
    pub root: PathBuf,
    /// What can be used, in a fixed order; reconstructions of one scan follow each other, the preferred one first.
    pub cases: Vec<Listed>,
    /// What cannot.
    pub left_out: Vec<LeftOut>,
}

impl Listing {
    pub(super) fn leave_out(&mut self, id: &str, file: &str, why: Why, detail: impl Into<String>) {
        self.left_out.push(LeftOut { id: id.to_owned(), file: file.to_owned(), why, detail: detail.into() });
    }
}

impl Source {
    /// Its place below the corpus's folder; empty for what is drawn.
    pub(super) fn file(&self) -> String {
        match self {
            Self::Phantom(_) => String::new(),
            Self::Scan { path, .. } => path.display().to_string(),
        }
    }
}
