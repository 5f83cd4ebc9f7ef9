//! What an export is made of: a run with everything that was found out about it.
//!
//! In: a run folder. Out: [`Trained`]. A calibration or evaluation of other weights is refused; a run without them is
//! exported as what it is, uncalibrated and unmeasured.

mod measures;

pub use measures::{Evaluated, Measure, Patients};

use super::ExportError;
use crate::eval::{
    CALIBRATION_FILE, Calibration, Checkpoint, EVIDENCE_FOLDER, ReferenceCases, ReportDecoder, Run, RunError,
    TOKENIZER_FILE,
};
use burn::tensor::Device;
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// Probability at which an uncalibrated flag is raised.
const UNCALIBRATED_THRESHOLD: f32 = 0.5;

/// A run, its tokenizer, and what its evaluation left in the folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Experiment and weights.
    pub run: Run,
    /// Content of the run's `tokenizer.json`.
    pub tokenizer: String,
    /// The decoder, if one was trained.
    pub decoder: Option<Checkpoint>,
    /// Reference cases, if some were chosen.
    pub evidence: Option<ReferenceCases>,
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
        let decoder = run.trained_decoder(folder).map_err(|source| ExportError::Run { source })?;
        let calibration = calibration(&folder.join(CALIBRATION_FILE), &weights)?;
        let evaluated = Evaluated::read(folder, &weights)?;
        let evidence = ReferenceCases::read(folder).map_err(|source| ExportError::Run { source })?;
        if let Some(ReferenceCases { weights_sha256: found, .. }) =
            evidence.as_ref().filter(|of| of.weights_sha256 != weights)
        {
            let path = folder.join(EVIDENCE_FOLDER);
            return Err(ExportError::OtherWeights { path, found: found.clone(), expected: weights });
        }
        Ok(Self { run, tokenizer, decoder, evidence, calibration, evaluated })
    }
}

impl Trained {
    /// The decoder's network on a device; `None` if none was trained.
    ///
    /// # Errors
    /// Its weights do not fit the experiment.
    pub fn decoder(&self, device: &Device) -> Result<Option<ReportDecoder>, ExportError> {
        let network = |checkpoint| self.run.decoder(checkpoint, device);
        self.decoder.as_ref().map(network).transpose().map_err(|source| ExportError::Run { source })
    }

    /// How flags are read of the volume tower's logits.
    pub fn flags(&self) -> Vec<LabelSpec> {
        let plain = |label| LabelSpec { label, threshold: UNCALIBRATED_THRESHOLD, temperature: 1.0 };
        self.calibration.as_ref().map_or_else(|| Label::all().map(plain).collect(), Calibration::specs)
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
