//! Weights on disk: a safetensors file that any tool reads, with our metadata.

use super::{Array, RunError, Weights, little_endian};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Value of `format` in the files that this version reads.
const FORMAT: &str = "ctedge-weights/2";
/// The one metadata key. All of ours stand in it as JSON, since safetensors writes several keys in no fixed order.
const KEY: &str = "ctedge";
/// Begins the names of the optimiser's arrays in a snapshot.
const OPTIMISER: &str = "optimiser.";

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
    /// A decoder's: SHA-256 of the towers' weights that it was trained with.
    pub pair_sha256: Option<String>,
}

/// A checkpoint with everything that a training needs to go on as if it had never stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The weights.
    pub checkpoint: Checkpoint,
    /// The optimiser's arrays.
    pub optimiser: Weights,
    /// The best look so far: after how many steps, and its score.
    pub best: Option<(usize, f64)>,
    /// Looks since then.
    pub stale: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    format: String,
    experiment_sha256: String,
    steps: u64,
    data: String,
    /// Of a decoder only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pair_sha256: Option<String>,
    /// Of a snapshot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    best: Option<(usize, f64)>,
    stale: usize,
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
    /// Weights without the optimiser's state.
    #[error("the file holds weights alone: a training cannot go on from it")]
    NoProgress,
}

impl Checkpoint {
    /// The file's bytes; the same checkpoint gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        pack(self.weights.0.iter(), &self.card(None))
    }

    /// Reads and checks a file's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (weights, card) = unpack(bytes)?;
        Ok(Self::of(weights, card))
    }

    /// Whether another checkpoint, read from `path`, is of the same experiment and, a decoder's, of the same towers.
    pub(super) fn joins(&self, other: &Self, path: &Path) -> Result<(), RunError> {
        let (experiment, weights) = (self.experiment_sha256.clone(), other.experiment_sha256.clone());
        if experiment != weights {
            return Err(RunError::Mismatch { experiment, weights });
        }
        let [expected, found] = [self, other].map(|of| of.pair_sha256.clone().unwrap_or_default());
        if expected == found { Ok(()) } else { Err(RunError::OtherPair { path: path.into(), found, expected }) }
    }

    fn card(&self, progress: Option<Progress>) -> Card {
        let (experiment_sha256, pair_sha256) = (self.experiment_sha256.clone(), self.pair_sha256.clone());
        let (steps, data) = (self.steps, self.data.clone());
        Card { format: FORMAT.into(), experiment_sha256, steps, data, pair_sha256, progress }
    }

    fn of(weights: Weights, card: Card) -> Self {
        let Card { experiment_sha256, steps, data, pair_sha256, .. } = card;
        Self { weights, experiment_sha256, steps, data, pair_sha256 }
    }
}

impl Snapshot {
    /// The file's bytes; the same snapshot gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let Self { checkpoint, optimiser, best, stale } = self;
        let state: BTreeMap<String, &Array> =
            optimiser.0.iter().map(|(name, array)| (format!("{OPTIMISER}{name}"), array)).collect();
        let arrays = checkpoint.weights.0.iter().chain(state.iter().map(|(name, array)| (name, *array)));
        pack(arrays, &checkpoint.card(Some(Progress { best: *best, stale: *stale })))
    }

    /// Reads and checks a file's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (arrays, mut card) = unpack(bytes)?;
        let Progress { best, stale } = card.progress.take().ok_or(CheckpointError::NoProgress)?;
        let (mut weights, mut optimiser) = (Weights::default(), Weights::default());
        for (name, array) in arrays.0 {
            match name.strip_prefix(OPTIMISER) {
                Some(own) => optimiser.0.insert(own.to_owned(), array),
                None => weights.0.insert(name, array),
            };
        }
        Ok(Self { checkpoint: Checkpoint::of(weights, card), optimiser, best, stale })
    }
}

fn pack<'a>(arrays: impl Iterator<Item = (&'a String, &'a Array)>, card: &Card) -> Result<Vec<u8>, CheckpointError> {
    let container = |source| CheckpointError::Container { source };
    let raw: Vec<(&String, &Array, Vec<u8>)> =
        arrays.map(|(name, array)| (name, array, little_endian(&array.values))).collect();
    let mut views = Vec::with_capacity(raw.len());
    for (name, array, bytes) in &raw {
        views.push((*name, TensorView::new(Dtype::F32, array.shape.clone(), bytes).map_err(container)?));
    }
    let card = serde_json::to_string(card).map_err(|source| CheckpointError::Metadata { source })?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), card)]))).map_err(container)
}

fn unpack(bytes: &[u8]) -> Result<(Weights, Card), CheckpointError> {
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
    Ok((weights, card))
}
