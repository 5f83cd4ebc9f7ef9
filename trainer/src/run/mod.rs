//! The run folder: one experiment and the weights that came of it.
//!
//! ```text
//! RUN/experiment.toml      the experiment, byte for byte
//! RUN/weights.safetensors  the parameters, with the experiment's digest and the number of training steps
//! RUN/tokenizer.json       the tokenizer, once there is one
//! ```
//! In: a checked [`Experiment`] and [`Weights`]. Out: both again. It owns its folder, and never overwrites another's:
//! weights that belong to another experiment are refused.

mod checkpoint;

pub use checkpoint::{Checkpoint, CheckpointError};

/// What the room on the right needs of the network and its experiment; it names this room only.
pub use crate::net::{Array, BertTower, LAYER_NORM_EPSILON, Pair, Tower, Weights, WeightsError, initial};
pub(crate) use crate::net::{SHORTEST_EMBEDDING, little_endian};

use crate::experiment::{Experiment, ExperimentError};
use burn::tensor::Device;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the experiment's copy in a run folder.
pub const EXPERIMENT_FILE: &str = "experiment.toml";
/// Name of the weights in a run folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

/// Name of the tokenizer in a run folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// An experiment and its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What was asked for.
    pub experiment: Experiment,
    /// What came of it so far.
    pub checkpoint: Checkpoint,
}

/// Why a run could not be made, written or opened.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder for a new run holds something.
    #[error("{} is not empty; name a new folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is not a run.
    #[error("{} is no run folder: it has no {EXPERIMENT_FILE}; `ctedge-trainer init` makes one", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("{} cannot be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The experiment's copy is not valid.
    #[error("the run's experiment is not valid")]
    Experiment {
        /// Why.
        #[source]
        source: ExperimentError,
    },
    /// The weights are not ours or damaged.
    #[error("the run's weights are not valid")]
    Checkpoint {
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// Experiment and weights are not of one run.
    #[error("the weights are of another experiment ({weights}) than {EXPERIMENT_FILE} beside them ({experiment})")]
    Mismatch {
        /// Digest of the experiment file.
        experiment: String,
        /// Digest that the weights carry.
        weights: String,
    },
    /// The weights do not fit the experiment's network.
    #[error("the weights do not fit the experiment's network")]
    Weights {
        /// Which parameter.
        #[source]
        source: WeightsError,
    },
}

impl Run {
    /// An untrained run: the weights that the experiment's seed gives, for a vocabulary of the size that it asks for.
    pub fn init(experiment: Experiment) -> Result<Self, RunError> {
        let weights =
            initial(&experiment, experiment.text.vocabulary).map_err(|source| RunError::Weights { source })?;
        let checkpoint = Checkpoint { weights, experiment_sha256: experiment.sha256(), steps: 0, data: "none".into() };
        Ok(Self { experiment, checkpoint })
    }

    /// Writes a new run folder, which must be empty or not there.
    pub fn create(&self, folder: &Path) -> Result<(), RunError> {
        let occupied = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(RunError::Occupied { folder: folder.into() });
        }
        let bytes = self.checkpoint.to_bytes().map_err(|source| RunError::Checkpoint { source })?;
        make_folder(folder)?;
        write(&folder.join(WEIGHTS_FILE), &bytes)?;
        write(&folder.join(EXPERIMENT_FILE), self.experiment.source().as_bytes())
    }

    /// Puts these weights in the place of those of an existing run folder.
    pub fn replace(&self, folder: &Path) -> Result<(), RunError> {
        let bytes = self.checkpoint.to_bytes().map_err(|source| RunError::Checkpoint { source })?;
        write(&folder.join(WEIGHTS_FILE), &bytes)
    }

    /// Reads a run folder and checks that its files belong together.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(EXPERIMENT_FILE);
        if !path.is_file() {
            return Err(RunError::NoRun { folder: folder.into() });
        }
        let experiment = Experiment::read(&path).map_err(|source| RunError::Experiment { source })?;
        let path = folder.join(WEIGHTS_FILE);
        let bytes = fs::read(&path).map_err(|source| RunError::Open { path, source })?;
        let checkpoint = Checkpoint::from_bytes(&bytes).map_err(|source| RunError::Checkpoint { source })?;
        let digest = experiment.sha256();
        if checkpoint.experiment_sha256 != digest {
            return Err(RunError::Mismatch { experiment: digest, weights: checkpoint.experiment_sha256 });
        }
        Ok(Self { experiment, checkpoint })
    }

    /// The volume tower on a device.
    pub fn tower(&self, device: &Device) -> Result<Tower, RunError> {
        let Experiment { vision, input, .. } = &self.experiment;
        let tower = Tower::new(vision, &input.grid, &self.checkpoint.weights.part("vision"), device);
        tower.map_err(|source| RunError::Weights { source })
    }

    /// Both towers on a device.
    pub fn pair(&self, device: &Device) -> Result<Pair, RunError> {
        let weights = &self.checkpoint.weights;
        let pair = Pair::new(&self.experiment, weights.vocabulary(), weights, device);
        pair.map_err(|source| RunError::Weights { source })
    }
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<(), RunError> {
    fs::create_dir_all(path).map_err(|source| RunError::Write { path: path.into(), source })
}

/// Writes a file whole: under another name first, so that nobody ever reads half of it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| RunError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests;
