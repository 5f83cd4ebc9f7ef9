//! Thresholds and temperatures that the evaluation learned.

use super::optional;
use crate::export::ExportError;
use ctedge_models::bundle;
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use serde::Deserialize;
use std::path::Path;

/// Name of the calibration in a run folder.
pub(super) const CALIBRATION_FILE: &str = "calibration.json";
/// Probability at which an uncalibrated flag is raised.
const UNCALIBRATED_THRESHOLD: f32 = 0.5;

/// `calibration.json` of a run folder, as the evaluation writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Calibration {
    weights_sha256: String,
    corpus_sha256: String,
    split: String,
    labels: Vec<LabelCalibration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct LabelCalibration {
    label: Label,
    temperature: f32,
    threshold: f32,
    fitted: bool,
}

impl Calibration {
    /// The calibration of a run with these weights; `None` where there is none.
    pub(super) fn read(folder: &Path, weights_sha256: &str) -> Result<Option<Self>, ExportError> {
        let path = folder.join(CALIBRATION_FILE);
        let Some(read) = optional::<Self>(&path)? else { return Ok(None) };
        if read.weights_sha256 != weights_sha256 {
            let (found, expected) = (read.weights_sha256, weights_sha256.to_owned());
            return Err(ExportError::OtherWeights { path, found, expected });
        }
        if !read.labels.iter().map(|of| of.label).eq(Label::all()) {
            return Err(ExportError::Unsound { path, what: "list of the 18 labels" });
        }
        Ok(Some(read))
    }

    /// What the manifest says of it.
    pub(in crate::export) fn stated(&self) -> bundle::Calibration {
        let unfitted = self.labels.iter().filter(|of| !of.fitted).map(|of| of.label).collect();
        bundle::Calibration { split: self.split.clone(), corpus_sha256: self.corpus_sha256.clone(), unfitted }
    }

    /// The flags of a bundle with or without calibration.
    pub(in crate::export) fn specs(calibration: Option<&Self>) -> Vec<LabelSpec> {
        let plain = |label| LabelSpec { label, threshold: UNCALIBRATED_THRESHOLD, temperature: 1.0 };
        let learned =
            |of: &LabelCalibration| LabelSpec { label: of.label, threshold: of.threshold, temperature: of.temperature };
        let specs = calibration.map(|read| read.labels.iter().map(learned).collect());
        specs.unwrap_or_else(|| Label::all().map(plain).collect())
    }
}
