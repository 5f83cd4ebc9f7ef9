//! The run: one experiment, and the weights that come of it.
//!
//! ```text
//! RUN/experiment.toml                       the experiment, byte for byte
//! RUN/tokenizer.json                        the vocabulary, as Python's tokenizers read it
//! RUN/weights.safetensors                   the best parameters, with the experiment's digest and the number of steps
//! RUN/checkpoints/step-00000100.safetensors the newest parameters with the optimiser's state, to go on from
//! RUN/steps.csv, RUN/looks.csv              what happened
//! RUN/tokens-0123456789abcdef.f32           what a frozen tower makes of every case, where there is one
//! RUN/decoder.safetensors                   the best decoder, with the digest of the towers that it belongs to
//! RUN/decoder/                              its checkpoints, its tables, and what the tower makes of every case (.f16)
//! ```
//! In: a checked [`Experiment`], a [`Cohort`] of patients. Out: [`Weights`]. It owns its folder, and never overwrites
//! another's: weights that belong to another experiment are refused. Every file is there whole or not at all.

mod checkpoint;
mod decoder;
mod folder;
mod log;
mod memory;
mod optimiser;
mod step;
mod train;

pub use checkpoint::{Checkpoint, CheckpointError, Snapshot};
pub use decoder::{
    DECODER_FILE, DECODER_FOLDER, DecoderLesson, DecoderLook, DecoderRecord, DecoderWatcher, train_decoder,
};
pub use folder::CHECKPOINTS;
use log::Log;
pub use log::{LOOKS_FILE, Look, STEPS_FILE, StepRecord};
pub use memory::{looked_at, remembered};
pub use optimiser::{Optimiser, learning_rate};
pub use step::{Engine, Gradients, Input, Loaded, Workers};
pub use train::{Ended, Lesson, Watcher, objective, train};

/// What the rooms on the right need of those on the left; they name this room only.
pub use crate::loss::{
    ABSENT, Array, Batch, BatchError, BertTower, Case, Cohort, LAYER_NORM_EPSILON, Length, PATCH_EPSILON, PRESENT,
    Padded, Pair, Presence, Split, TokenGrid, Tokenizer, TokenizerError, Tokens, Tower, Weights, WeightsError, initial,
    prompt, seen,
};
pub use crate::loss::{
    Cache, DECODER_NORM_EPSILON, Dictated, Dictation, Format, Limits, ReportDecoder, Written, initial_decoder, raised,
    told_flags,
};
pub(crate) use crate::loss::{DENSITIES, SHORTEST_EMBEDDING, little_endian};
pub use crate::loss::{Outputs, Stem, TEXT_NORM_EPSILON};

use crate::experiment::{Experiment, ExperimentError};
use crate::loss::FeaturesError;
use burn::tensor::{Device, TensorReadError};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the experiment's copy in a run folder.
pub const EXPERIMENT_FILE: &str = "experiment.toml";
/// Name of the vocabulary in a run folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Name of the weights in a run folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

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
    /// Weights are not ours or damaged.
    #[error("{} is no file of weights", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
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
    /// A decoder learned with other towers than the run has.
    #[error(
        "{} belongs to other towers ({found}) than the run has ({expected}); remove it, and train the decoder again",
        path.display()
    )]
    OtherPair {
        /// The decoder's file.
        path: PathBuf,
        /// Digest of the towers that it names.
        found: String,
        /// Digest of the run's.
        expected: String,
    },
    /// The experiment asks for no decoder.
    #[error("the run's experiment has no table [decoder]; models/catalog/scale-vlp-tiny/experiment.toml shows one")]
    NoDecoder,
    /// The weights do not fit the experiment's network.
    #[error("the weights do not fit the experiment's network")]
    Weights {
        /// Which parameter.
        #[source]
        source: WeightsError,
    },
}

/// Why a training ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The run folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A step could not be computed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A batch could not be read.
    #[error("a batch could not be read")]
    Batch {
        /// Which file and row.
        #[source]
        source: BatchError,
    },
    /// What a frozen tower made of the cases could not be kept.
    #[error(transparent)]
    Features {
        /// Which file, and why.
        source: FeaturesError,
    },
    /// The loss or its gradient is no number.
    #[error(
        "the loss of step {step} is {loss} and its gradient {gradient_norm} long: nothing was written of it. Lower \
         learning_rate in the experiment, or look at steps.csv for what led there; the last checkpoint is sound"
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Length of its gradient.
        gradient_norm: f64,
    },
    /// The validation patients could not be looked at.
    #[error("the look at the validation patients after step {step} failed")]
    Look {
        /// The step, from 1.
        step: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<TensorReadError> for TrainError {
    fn from(source: TensorReadError) -> Self {
        Self::Step(StepError::Device { source })
    }
}

/// Why a step could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Threads could not be made.
    #[error("the threads of the training could not be started")]
    Threads {
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The thread that reads batches could not be made.
    #[error("the thread that reads batches could not be started")]
    Reader {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tensor could not be read back from the device.
    #[error("a tensor could not be read from the device")]
    Device {
        /// What the framework says.
        #[from]
        source: TensorReadError,
    },
}

impl Run {
    /// An untrained run: the weights that the experiment's seed gives, for a vocabulary of so many pieces.
    pub fn init(experiment: Experiment, vocabulary: usize) -> Result<Self, RunError> {
        let weights = initial(&experiment, vocabulary).map_err(|source| RunError::Weights { source })?;
        let experiment_sha256 = experiment.sha256();
        let checkpoint = Checkpoint { weights, experiment_sha256, steps: 0, data: "none".into(), pair_sha256: None };
        Ok(Self { experiment, checkpoint })
    }

    /// Writes a new run folder, which must be empty or not there, with the vocabulary that its report tower reads by.
    pub fn create(&self, folder: &Path, tokenizer: &str) -> Result<(), RunError> {
        let occupied = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(RunError::Occupied { folder: folder.into() });
        }
        // Beside it first: a program that is killed here leaves no folder that is half a run.
        let partial = partial(folder);
        let failed = |source| RunError::Write { path: folder.into(), source };
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(failed)?;
        }
        make_folder(&partial)?;
        folder::write(&partial.join(WEIGHTS_FILE), &self.checkpoint)?;
        write(&partial.join(TOKENIZER_FILE), tokenizer.as_bytes())?;
        write(&partial.join(EXPERIMENT_FILE), self.experiment.source().as_bytes())?;
        fs::rename(&partial, folder).map_err(failed)
    }

    /// Puts these weights in the place of those of an existing run folder.
    pub fn replace(&self, folder: &Path) -> Result<(), RunError> {
        folder::write(&folder.join(WEIGHTS_FILE), &self.checkpoint)
    }

    /// Reads a run folder and checks that its files belong together.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(EXPERIMENT_FILE);
        if !path.is_file() {
            return Err(RunError::NoRun { folder: folder.into() });
        }
        let experiment = Experiment::read(&path).map_err(|source| RunError::Experiment { source })?;
        let path = folder.join(WEIGHTS_FILE);
        let bytes = fs::read(&path).map_err(|source| RunError::Open { path: path.clone(), source })?;
        let checkpoint = Checkpoint::from_bytes(&bytes).map_err(|source| RunError::Checkpoint { path, source })?;
        let (asked, weights) = (experiment.sha256(), checkpoint.experiment_sha256.clone());
        if asked == weights {
            Ok(Self { experiment, checkpoint })
        } else {
            Err(RunError::Mismatch { experiment: asked, weights })
        }
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

/// The first half of a digest of a text, for names.
fn short_digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)).chars().take(16).collect()
}

/// Where something is made before it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Writes a file whole: under another name first, so that nobody ever reads half of it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let partial = partial(path);
    fs::File::create(&partial)
        .and_then(|mut file| io::Write::write_all(&mut file, bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| RunError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests;
