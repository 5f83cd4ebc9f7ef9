//! The evaluation of a model.
//!
//! In: a trained network and a cohort that it has not learned from. Out: numbers, each with its definition, its chance
//! level and its interval. Owns nothing on disk.

mod look;
pub mod metrics;
mod said;

pub use look::look;
pub use said::{Reader, Said};

/// What the room on the right needs of those on the left; it names this room only.
pub use crate::run::{
    Array, BertTower, Checkpoint, LAYER_NORM_EPSILON, Outputs, Pair, Run, RunError, TEXT_NORM_EPSILON, TOKENIZER_FILE,
    Tower, Weights, WeightsError, initial,
};
pub(crate) use crate::run::{SHORTEST_EMBEDDING, little_endian, make_folder, write as write_file};

use crate::run::BatchError;
use burn::tensor::TensorReadError;
use metrics::MetricsError;

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
}
