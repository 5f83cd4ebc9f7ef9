//! What an appliance must know of a model that was made elsewhere, as a TOML file.

use crate::export::ExportError;
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use ctedge_models::phantom;
use ctedge_models::spec::PreprocessSpec;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The file. Every key is explained in `tests/data/byo/byo.toml` and in `BUNDLE.md`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model, `[a-z0-9-]{1,64}`.
    pub name: String,
    /// `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// Rises with every release.
    pub serial: u64,
    /// Repeated in every result.
    pub intended_use: String,
    /// Memory that the inference worker needs, in MiB.
    pub memory_mib: u64,
    /// Number format of the weights: `f32`, `f16` or `int8`.
    #[serde(default = "f32_weights")]
    pub precision: String,
    /// Which of `If`, `Loop`, `Scan` and `SequenceMap` the graph uses.
    #[serde(default)]
    pub control_flow: Vec<String>,
    /// Largest difference of a golden logit on a device.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f32,
    /// How a volume becomes the tensor.
    pub input: PreprocessSpec,
    /// The flags in the order of the outputs.
    pub labels: Vec<ByoLabel>,
    /// Where the weights come from.
    pub training: ByoTraining,
    /// The synthetic volume of the self-test.
    pub golden: phantom::Recipe,
    #[serde(skip)]
    source: String,
}

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByoLabel {
    /// Which abnormality.
    pub label: Label,
    /// Positive at or above this probability.
    pub threshold: f32,
    /// Probability = sigmoid(logit / temperature).
    #[serde(default = "no_temperature")]
    pub temperature: f32,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByoTraining {
    /// False for random weights.
    pub trained: bool,
    /// The method, in words.
    pub method: String,
    /// The data, in words.
    pub data: String,
    /// Metrics by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

fn f32_weights() -> String {
    "f32".to_owned()
}

/// As for a run's export in 32 bits.
fn usual_tolerance() -> f32 {
    0.01
}

fn no_temperature() -> f32 {
    1.0
}

impl From<&ByoLabel> for LabelSpec {
    fn from(&ByoLabel { label, threshold, temperature }: &ByoLabel) -> Self {
        Self { label, threshold, temperature }
    }
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// It cannot be read, or a key is unknown, missing or wrong.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let source = fs::read_to_string(path).map_err(|source| ExportError::Open { path: path.into(), source })?;
        let wrong = |reason: String| ExportError::Recipe { path: path.into(), reason };
        let recipe: Self = toml::from_str(&source).map_err(|error| wrong(error.to_string()))?;
        recipe.input.check().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { source, ..recipe })
    }

    /// The text of the file.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Its digest.
    pub(super) fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.source))
    }
}

/// Reads logits: a JSON list of numbers.
///
/// # Errors
/// It cannot be read, or is none.
pub fn logits(path: &Path) -> Result<Vec<f32>, ExportError> {
    let text = fs::read(path).map_err(|source| ExportError::Open { path: path.into(), source })?;
    serde_json::from_slice(&text).map_err(|source| ExportError::Logits { path: path.into(), source })
}
