//! The decoder of a run: it learns after the towers, with the volume tower at rest.
//!
//! ```text
//! RUN/decoder.safetensors                        the best parameters, with the digest of the towers' weights
//! RUN/decoder/checkpoints/step-00000100.safetensors  the newest ones with the optimiser's state, to go on from
//! RUN/decoder/steps.csv, RUN/decoder/looks.csv   what happened
//! RUN/decoder/tokens-0123456789abcdef.f16        what the tower makes of every case
//! ```
//! In: a trained [`Run`] and a [`Dictation`](super::Dictation). Out: a [`Checkpoint`] that names the towers it learned with; with
//! others it is refused, since their tokens mean something else.

mod step;
#[cfg(test)]
mod tests;
mod train;

pub use train::{DecoderLesson, DecoderLook, DecoderRecord, DecoderWatcher, train_decoder};

use super::{Checkpoint, ReportDecoder, Run, RunError, initial_decoder};
use crate::experiment;
use burn::tensor::Device;
use std::fs;
use std::io;
use std::path::Path;

/// Name of the decoder's weights in a run folder.
pub const DECODER_FILE: &str = "decoder.safetensors";
/// Name of the folder in a run folder in which a decoder learns.
pub const DECODER_FOLDER: &str = "decoder";

impl Run {
    /// What the experiment says of a decoder.
    ///
    /// # Errors
    /// It asks for none.
    pub fn decoder_settings(&self) -> Result<&experiment::Decoder, RunError> {
        self.experiment.decoder.as_ref().ok_or(RunError::NoDecoder)
    }

    /// The decoder that the experiment's seed gives, for this run's towers.
    ///
    /// # Errors
    /// The experiment asks for none.
    pub fn untrained_decoder(&self) -> Result<Checkpoint, RunError> {
        let settings = self.decoder_settings()?;
        let weights = initial_decoder(&self.experiment, settings, self.checkpoint.weights.vocabulary());
        let weights = weights.map_err(|source| RunError::Weights { source })?;
        Ok(Checkpoint { weights, steps: 0, data: "none".into(), ..self.decoder_card() })
    }

    /// The trained decoder in the run's folder; `None` if there is none.
    ///
    /// # Errors
    /// It is damaged, or belongs to another experiment or other towers.
    pub fn trained_decoder(&self, folder: &Path) -> Result<Option<Checkpoint>, RunError> {
        let path = folder.join(DECODER_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RunError::Open { path, source }),
        };
        let read = Checkpoint::from_bytes(&bytes);
        let read = read.map_err(|source| RunError::Checkpoint { path: path.clone(), source })?;
        self.decoder_card().joins(&read, &path)?;
        Ok(Some(read))
    }

    /// A decoder on a device.
    ///
    /// # Errors
    /// The weights do not fit the experiment.
    pub fn decoder(&self, checkpoint: &Checkpoint, device: &Device) -> Result<ReportDecoder, RunError> {
        let shape = (&self.experiment, self.decoder_settings()?);
        let decoder = ReportDecoder::new(shape, self.checkpoint.weights.vocabulary(), &checkpoint.weights, device);
        decoder.map_err(|source| RunError::Weights { source })
    }

    /// What stands beside a decoder's weights.
    fn decoder_card(&self) -> Checkpoint {
        let Checkpoint { experiment_sha256, data, weights, .. } = &self.checkpoint;
        Checkpoint {
            weights: super::Weights::default(),
            experiment_sha256: experiment_sha256.clone(),
            steps: 0,
            data: data.clone(),
            pair_sha256: Some(weights.sha256()),
        }
    }
}
