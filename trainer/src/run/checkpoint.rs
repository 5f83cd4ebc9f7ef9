//! Weights on disk: a safetensors file that any tool reads, with our metadata.

use crate::net::{Array, Weights, little_endian};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Value of `format` in the files that this version reads.
const FORMAT: &str = "ctedge-weights/1";
/// The one metadata key. All of ours stand in it as JSON, since safetensors writes several keys in no fixed order.
const KEY: &str = "ctedge";

/// The weights of a run at some moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The parameters.
    pub weights: Weights,
    /// SHA-256 of the experiment file.
    pub experiment_sha256: String,
    /// Training steps that were taken; 0 for random weights.
    pub steps: u64,
    /// What they were trained on, in words; `none` for random weights.
    pub data: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    format: String,
    experiment_sha256: String,
    steps: u64,
    data: String,
}

/// Why bytes are no checkpoint, or a checkpoint cannot become bytes.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not a safetensors file, or damaged.
    #[error("not a whole safetensors file")]
    Container {
        /// Where it breaks.
        #[source]
        source: SafeTensorError,
    },
    /// A safetensors file of something else.
    #[error("the file has no metadata {KEY:?}: ctedge-trainer did not write it")]
    Foreign,
    /// The metadata is not ours.
    #[error("the metadata {KEY:?} cannot be understood")]
    Metadata {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("the file's format is {found:?}, this program reads {FORMAT:?}")]
    Format {
        /// What it says.
        found: String,
    },
    /// Not 32-bit floats.
    #[error("{name} has elements of type {kind}, expected F32")]
    Elements {
        /// The parameter.
        name: String,
        /// Its elements.
        kind: String,
    },
}

impl Checkpoint {
    /// The file's bytes; the same checkpoint gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let container = |source| CheckpointError::Container { source };
        let raw: BTreeMap<&String, Vec<u8>> =
            self.weights.0.iter().map(|(name, array)| (name, little_endian(&array.values))).collect();
        let mut views = Vec::with_capacity(raw.len());
        for ((name, array), bytes) in self.weights.0.iter().zip(raw.values()) {
            views.push((name, TensorView::new(Dtype::F32, array.shape.clone(), bytes).map_err(container)?));
        }
        let (experiment_sha256, steps, data) = (self.experiment_sha256.clone(), self.steps, self.data.clone());
        let card = serde_json::to_string(&Card { format: FORMAT.into(), experiment_sha256, steps, data })
            .map_err(|source| CheckpointError::Metadata { source })?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), card)]))).map_err(container)
    }

    /// Reads and checks a file's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let container = |source| CheckpointError::Container { source };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let card = metadata.metadata().as_ref().and_then(|pairs| pairs.get(KEY)).ok_or(CheckpointError::Foreign)?;
        let card: Card = serde_json::from_str(card).map_err(|source| CheckpointError::Metadata { source })?;
        if card.format != FORMAT {
            return Err(CheckpointError::Format { found: card.format });
        }
        let mut weights = Weights::default();
        for (name, view) in SafeTensors::deserialize(bytes).map_err(container)?.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(CheckpointError::Elements { name: name.into(), kind: format!("{:?}", view.dtype()) });
            }
            let (values, _) = view.data().as_chunks::<4>();
            let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            weights.0.insert(name.into(), Array { shape: view.shape().to_vec(), values });
        }
        Ok(Self { weights, experiment_sha256: card.experiment_sha256, steps: card.steps, data: card.data })
    }
}
