//! The manifest: what a bundle holds and what it asks for. Its bytes are covered by the bundle's signature.

mod check;
mod decoder;
mod evidence;

pub(super) use check::version_of;
pub use decoder::{Decoder, StepGraph};
pub use evidence::{Evidence, Novelty};

use crate::labels::Label;
use crate::phantom::Recipe;
use crate::spec::PreprocessSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of manifest that this version reads and writes.
pub const SCHEMA: &str = "ctedge-bundle/1";

/// `manifest.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file: `ctedge-bundle/1`.
    pub schema: String,
    /// Model name, `[a-z0-9-]{1,64}`.
    pub name: String,
    /// Model version for people, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// Rises with every release of this name; a device never goes down without an explicit rollback.
    pub serial: u64,
    /// When it was packed, RFC 3339 UTC.
    pub created: String,
    /// From this moment on it is not installed any more; what is installed goes on running. RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_before: Option<String>,
    /// What the device must offer.
    pub requires: Requires,
    /// Every other file in the bundle by its path.
    pub files: BTreeMap<String, FileEntry>,
    /// How a volume becomes the input tensor.
    pub input: PreprocessSpec,
    /// The flags in the order of the `logits` output.
    pub labels: Vec<LabelSpec>,
    /// What thresholds and temperatures were learned from; absent where they were not learned: 0.5 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The volume graph.
    pub vision: Graph,
    /// The report graph, with which volumes are compared with sentences; a bundle without it has flags alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextGraph>,
    /// How the volume graph's tokens divide the tensor: how many there are along (z, y, x). Without it nothing that a token says
    /// has a place in the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_grid: Option<[usize; 3]>,
    /// The graphs that draft a report; a bundle without them drafts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Decoder>,
    /// Reference cases that a series is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What the weights were trained on and what is known of their quality.
    pub training: Training,
    /// The device's self-test: a synthetic volume and the outputs that the trainer computed for it.
    pub golden: Golden,
    /// Said in every result.
    pub intended_use: String,
}

/// What a bundle asks of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Lowest ctedge version, `MAJOR.MINOR.PATCH`.
    pub ctedge_min: String,
    /// First ctedge version that no longer runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctedge_below: Option<String>,
    /// Lowest version of ONNX Runtime, `MAJOR.MINOR.PATCH`; absent: any that ctedge takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime_min: Option<String>,
    /// Estimated memory of the inference worker in MiB.
    pub memory_mib: u64,
    /// Kinds of devices that it is for, in the sites' words (`infer.device_class`); absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_class: Vec<String>,
}

/// Size and digest of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSpec {
    /// Which abnormality.
    pub label: Label,
    /// Positive at or above this probability.
    pub threshold: f32,
    /// Calibration: probability = sigmoid(logit / temperature).
    pub temperature: f32,
}

impl LabelSpec {
    /// The calibrated probability of a logit (Guo et al. 2017): the same for training and at the bedside.
    pub fn probability(&self, logit: f32) -> f32 {
        (1.0 + (-logit / self.temperature).exp()).recip()
    }
}

/// Where thresholds and temperatures come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Name of the split whose patients they were learned from, e.g. `validation`.
    pub split: String,
    /// Digest of the corpus.
    pub corpus_sha256: String,
    /// Labels that the patients taught nothing of: their threshold is 0.5 and their temperature 1.
    pub unfitted: Vec<Label>,
}

/// The report graph and what is needed to use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextGraph {
    /// The graph: inputs `ids` `[1, L]` (int64) and `mask` `[1, L]`, output `embedding` `[1, E]`.
    pub graph: Graph,
    /// Path of the tokenizer in the bundle, as Python's `tokenizers` reads it.
    pub tokenizer: String,
    /// What a cosine of two embeddings means.
    pub contrastive: Contrastive,
}

/// Probability that a volume and a sentence belong together: sigmoid(`scale` * cosine + `bias`), SigLIP's form.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// Factor on the cosine.
    pub scale: f32,
    /// Added to it.
    pub bias: f32,
}

/// An ONNX graph and its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Path in the bundle.
    pub file: String,
    /// Weight precision: `f32`, `f16` or `int8`.
    pub precision: String,
    /// ONNX operator set.
    pub opset: i64,
    /// Inputs by name; for the volume graph one, `volume`, `[1, 1, z, y, x]`.
    pub inputs: Vec<TensorIo>,
    /// Outputs by name; for the volume graph `logits` `[1, labels]`, and where it has them `embedding` `[1, E]`, `tokens`
    /// `[1, T, C]`, `saliency` `[1, T]` and `flag_saliency` `[1, labels, T]`.
    pub outputs: Vec<TensorIo>,
    /// Which of `If`, `Loop`, `Scan` and `SequenceMap` the graph may use; absent where it uses none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_flow: Vec<String>,
}

/// Name and fixed shape of a graph's input or output; f32, but for `ids`, which are int64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorIo {
    /// Name in the graph.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// False for a network with random weights: its flags mean nothing, and every result says so.
    pub trained: bool,
    /// The method, e.g. `SCALE-VLP (reconstruction)`.
    pub method: String,
    /// The data, in words.
    pub data: String,
    /// SHA-256 of the experiment file.
    pub experiment_sha256: String,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// The golden test of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The synthetic volume.
    pub phantom: Recipe,
    /// SHA-256 over the input tensor's f32 values, little endian, C order.
    pub tensor_sha256: String,
    /// Logits that the training framework computed for it.
    pub logits: Vec<f32>,
    /// Largest allowed absolute difference of a logit on the device.
    pub tolerance: f32,
}
