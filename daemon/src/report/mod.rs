//! Scores to a report: which flags are positive, and the outcome of the series.
//!
//! In: [`crate::infer::Scores`], or a refusal of any room to the left. Out: [`Report`]. Pure; owns nothing on disk.

use crate::floor::fate::Refusal;
use crate::floor::subject::Subject;
use ctedge_models::labels::Label;
use ctedge_models::scan::Facts;
use serde::{Deserialize, Serialize};

/// Everything a result message says of one series.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Which series.
    pub(crate) subject: Subject,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Why there are no flags, for `rejected` and `failed`.
    pub(crate) refusal: Option<Refusal>,
    /// One entry per label of the model, in its order; empty without a model run.
    pub(crate) flags: Vec<Flag>,
    /// What was read, once it was read.
    pub(crate) facts: Option<Facts>,
    /// Which model ran, once it ran.
    pub(crate) model: Option<ModelRun>,
    /// Where the time went.
    pub(crate) timing: Timing,
}

/// How a series ended. Every series ends in exactly one; no message never means "normal".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// At least one flag is positive.
    Flagged,
    /// No flag is positive.
    Clear,
    /// The model ran, but the input is such that its flags should not be relied on.
    Inconclusive,
    /// The input was refused.
    Rejected,
    /// The device failed on it.
    Failed,
}

impl Outcome {
    /// All outcomes, in the order of urgency.
    pub(crate) const ALL: [Self; 5] = [Self::Flagged, Self::Inconclusive, Self::Failed, Self::Rejected, Self::Clear];

    /// Name in topics, counters and payloads.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flagged => "flagged",
            Self::Clear => "clear",
            Self::Inconclusive => "inconclusive",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// One abnormality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flag {
    /// Which abnormality.
    pub(crate) label: Label,
    /// Calibrated probability.
    pub(crate) probability: f32,
    /// Positive at or above this probability.
    pub(crate) threshold: f32,
}

impl Flag {
    /// Whether the abnormality counts as present.
    pub(crate) fn positive(&self) -> bool {
        self.probability >= self.threshold
    }
}

/// The model that made the flags, and how it really ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelRun {
    /// Model name.
    pub(crate) name: String,
    /// Model version.
    pub(crate) version: String,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Key id of the trusted key that signed the bundle, hex.
    pub(crate) signer: String,
    /// False for random weights: the flags mean nothing.
    pub(crate) trained: bool,
    /// Execution provider that really ran, measured: `tensorrt`, `cuda` or `cpu`.
    pub(crate) provider: String,
    /// Weight precision.
    pub(crate) precision: String,
    /// ONNX Runtime's version.
    pub(crate) runtime: String,
}

/// Milliseconds of each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// From complete series to the start of reading.
    pub(crate) queue_ms: u64,
    /// Reading and decoding.
    pub(crate) decode_ms: u64,
    /// Volume to tensor.
    pub(crate) preprocess_ms: u64,
    /// The model.
    pub(crate) infer_ms: u64,
    /// From complete series to the finished report.
    pub(crate) total_ms: u64,
}
