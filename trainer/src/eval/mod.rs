//! The evaluation of a model.
//!
//! In: a trained run, and patients that it has not learned from. Out: an [`Evaluation`], numbers each with its
//! definition, its interval and what is reached without looking at the image; the [`page()`] that shows it; and the
//! [`Calibration`] that its bundle carries.
//!
//! ```text
//! RUN/calibration.json            how the flags are to be read, for export
//! RUN/evaluation/evaluation.json  every number
//! RUN/evaluation/evaluation.html  the same for people; no script, no network
//! ```
//! It owns these files. No patient's name, id or report is in them, but for a few reports of phantoms.

mod calibration;
mod definitions;
mod diary;
mod evaluation;
mod look;
pub mod metrics;
mod page;
mod reference;
mod said;

pub use calibration::{CALIBRATION_FILE, Calibration, LabelCalibration};
pub use diary::Diary;
pub use evaluation::{
    Calls, Cost, Direction, DraftRow, Drafts, Drawing, EVALUATION_SCHEMA, Evaluation, Example, Flags, LabelRow,
    Measure, Measures, Model, Patients, PoolRow, PromptRow, Stage, Subject, Time, Truth, ZeroShot,
};
pub use look::look;
pub use page::page;
pub use reference::{EVIDENCE_FOLDER, Embedding, ReferenceCases};
pub use said::{Reader, Said};

/// What the room on the right needs of those on the left; it names this room only.
pub use crate::run::{
    Array, BertTower, Checkpoint, LAYER_NORM_EPSILON, Outputs, PATCH_EPSILON, Pair, Run, RunError, Stem,
    TEXT_NORM_EPSILON, TOKENIZER_FILE, TokenGrid, Tower, Weights, WeightsError, initial,
};
pub use crate::run::{Cache, DECODER_NORM_EPSILON, Limits, ReportDecoder, Written, raised, told_flags};
pub(crate) use crate::run::{DENSITIES, SHORTEST_EMBEDDING, little_endian, make_folder, write as write_file};

use crate::run::{self, BatchError, TokenizerError};
use burn::tensor::TensorReadError;
use metrics::MetricsError;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the numbers in an evaluation's folder.
pub const EVALUATION_FILE: &str = "evaluation.json";
/// Name of the page in an evaluation's folder.
pub const PAGE_FILE: &str = "evaluation.html";

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A case could not be read.
    #[error("the cases could not be read")]
    Batch {
        /// Which.
        #[source]
        source: BatchError,
    },
    /// A tensor could not be read back from the device.
    #[error("a tensor could not be read from the device")]
    Device {
        /// What the framework says.
        #[source]
        source: TensorReadError,
    },
    /// The network said more or less than one row a case.
    #[error("the network did not say one thing of each case")]
    Shape {
        /// Which lengths.
        #[source]
        source: ndarray::ShapeError,
    },
    /// A number cannot be computed.
    #[error("the evaluation cannot be computed")]
    Metrics {
        /// Why.
        #[from]
        source: MetricsError,
    },
    /// Embeddings that cannot be compared.
    #[error("the reference cases cannot be compared")]
    Evidence {
        /// Why.
        #[source]
        source: ctedge_models::evidence::EvidenceError,
    },
    /// The run cannot be computed with.
    #[error("the run cannot be evaluated")]
    Run {
        /// Why.
        #[source]
        source: RunError,
    },
    /// There is nobody to evaluate on.
    #[error("the split has no case; raise data.validation_share or data.test_share and prepare the corpus again")]
    NoCases,
    /// A prompt has no tokens.
    #[error("a prompt of the zero-shot flags cannot become tokens")]
    Prompt {
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// A file could not be read.
    #[error("{} cannot be read; `ctedge-trainer evaluate` writes the calibration, `train` the tables", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no calibration.
    #[error("{} is no calibration; `ctedge-trainer evaluate` writes it anew", path.display())]
    Calibration {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// A calibration says something that cannot be meant.
    #[error("{}: {what} is not right; `ctedge-trainer evaluate` writes it anew", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A calibration of other weights.
    #[error("the calibration belongs to other weights ({found}) than the run has ({expected}); evaluate the run again")]
    OtherWeights {
        /// Digest that the calibration names.
        found: String,
        /// Digest of the run's weights.
        expected: String,
    },
    /// A table of the run is damaged.
    #[error("{} holds something that is no number in line {line}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// What was measured cannot become JSON.
    #[error("the evaluation cannot be written as JSON")]
    Json {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file could not be written.
    #[error("the evaluation cannot be written")]
    Write {
        /// Which, and why.
        #[source]
        source: RunError,
    },
}

impl Evaluation {
    /// Writes the numbers and the page into a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, diary: &Diary) -> Result<(), EvalError> {
        let write = |name, text: &str| {
            run::write(&folder.join(name), text.as_bytes()).map_err(|source| EvalError::Write { source })
        };
        run::make_folder(folder).map_err(|source| EvalError::Write { source })?;
        let json = serde_json::to_string_pretty(self).map_err(|source| EvalError::Json { source })?;
        write(EVALUATION_FILE, &(json + "\n"))?;
        write(PAGE_FILE, &page(self, diary))
    }
}

#[cfg(test)]
mod tests;
