//! A frozen tower says the same of a case in every epoch: its tokens are computed once and remembered.

use super::step::{Input, Workers};
use super::{Cohort, Pair, Run, TrainError};
use crate::device::Precision;
use crate::experiment::Tune;
use crate::loss::{Features, Recorder};
use burn::tensor::{Device, Tensor};
use std::path::Path;

/// How the name of a file of tokens begins; it ends in `.f32`.
const TOKENS: &str = "tokens-";

/// The tokens that the frozen tower of a run makes of a cohort, in the run's folder; `None` if the tower learns, or sees
/// every case another way each time. `done` is told how many cases are through.
///
/// They take 4 bytes a value: 100 kB a case of the smallest preset, 1.6 MB of one in the paper's shape.
///
/// # Errors
/// A volume cannot be read, or the tokens not written.
pub fn remembered(
    (place, run): (&Path, &Run),
    cohort: &Cohort<'_>,
    (device, workers): (&Device, &Workers),
    done: &dyn Fn(usize),
) -> Result<Option<Features>, TrainError> {
    if run.experiment.vision.tune != Tune::Frozen || !cohort.is_plain() {
        return Ok(None);
    }
    // With a graph that is dropped at once, as a step computes: without one the framework takes another attention.
    let device = device.clone().autodiff();
    let network = run.pair(&device)?.trainable(&run.experiment);
    let values = network.vision.encoded();
    let key = format!("{}{}", run.checkpoint.weights.resting().sha256(), cohort.corpus_sha256());
    let path = place.join(format!("{TOKENS}{}.f32", super::short_digest(&key)));
    if let Some(there) = Features::open(&path, cohort.len(), values)? {
        return Ok(Some(there));
    }
    write(&path, cohort, &network, (&device, workers, run.experiment.training.micro_batch), done)?;
    Ok(Features::open(&path, cohort.len(), values)?)
}

fn write(
    path: &Path,
    cohort: &Cohort<'_>,
    network: &Pair,
    (device, workers, micro_batch): (&Device, &Workers, usize),
    done: &dyn Fn(usize),
) -> Result<(), TrainError> {
    let mut recorder = Recorder::new(path)?;
    let places: Vec<usize> = (0..cohort.len()).collect();
    let mut through = 0;
    for round in places.chunks(micro_batch * workers.count()) {
        let batch = cohort.plain(round.to_vec()).map_err(|source| TrainError::Batch { source })?;
        let inputs = Input::cut(&batch, micro_batch, (device, Precision::F32));
        let encode = |input: &Input| network.vision.encode(input.volumes(network)).inner();
        for tokens in workers.each(&inputs, encode) {
            let tokens: Tensor<3> = tokens;
            recorder.add(&tokens.try_into_vec_as::<f32>()?)?;
        }
        through += round.len();
        done(through);
    }
    Ok(recorder.finish()?)
}

impl From<crate::loss::FeaturesError> for TrainError {
    fn from(source: crate::loss::FeaturesError) -> Self {
        Self::Features { source }
    }
}
