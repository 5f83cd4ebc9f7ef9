//! What an export is made of: a run with everything that was found out about it.
//!
//! In: a run folder. Out: [`Trained`]. A calibration or evaluation of other weights is refused; a run without them is
//! exported as what it is, uncalibrated and unmeasured.

mod measures;

pub use measures::{Evaluated, Measure, Patients};

use super::ExportError;
use crate::eval::{CALIBRATION_FILE, Calibration, Run, RunError, TOKENIZER_FILE};
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// A run, its tokenizer, and what its evaluation left in the folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Experiment and weights.
    pub run: Run,
    /// Content of the run's `tokenizer.json`.
    pub tokenizer: String,
    /// Thresholds and temperatures, if they were learned.
    pub calibration: Option<Calibration>,
    /// What was measured, if it was.
    pub evaluated: Option<Evaluated>,
}

impl Trained {
    /// Reads a run folder.
    pub fn open(folder: &Path) -> Result<Self, ExportError> {
        let run = Run::open(folder).map_err(|source| ExportError::Run { source })?;
        let path = folder.join(TOKENIZER_FILE);
        let tokenizer =
            fs::read_to_string(&path).map_err(|source| ExportError::Run { source: RunError::Open { path, source } })?;
        let weights = run.checkpoint.weights.sha256();
        let calibration = calibration(&folder.join(CALIBRATION_FILE), &weights)?;
        let evaluated = Evaluated::read(folder, &weights)?;
        Ok(Self { run, tokenizer, calibration, evaluated })
    }
}

/// The calibration of these weights, if the run was evaluated.
fn calibration(path: &Path, weights: &str) -> Result<Option<Calibration>, ExportError> {
    if !path.is_file() {
        return Ok(None);
    }
    let read = Calibration::read(path).and_then(|read| read.belongs_to(weights).map(|()| read));
    read.map(Some).map_err(|source| ExportError::Calibration { path: path.into(), source: Box::new(source) })
}

/// A JSON file of the evaluation, if it is there.
fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ExportError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ExportError::Open { path: path.into(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ExportError::Foreign { path: path.into(), source })
}
