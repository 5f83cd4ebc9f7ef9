//! A tower that rests says the same of a case in every epoch: it is computed once and remembered.

use super::step::{Input, Workers};
use super::{Case, Cohort, Outputs, Run, RunError, TrainError};
use crate::device::Precision;
use crate::experiment::Tune;
use crate::loss::{Features, Format, Recorder};
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::LABEL_COUNT;
use std::path::Path;

/// How the name of a file of tokens begins; it ends in how they are written.
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
    let key = format!("{}{}", run.checkpoint.weights.resting().sha256(), cohort.corpus_sha256());
    let path = place.join(format!("{TOKENS}{}.f32", super::short_digest(&key)));
    let encode = |input: &Input| {
        let tokens = network.vision.encode(input.volumes(&network)).inner();
        let [count, inside, width] = tokens.dims();
        tokens.reshape([count, inside * width])
    };
    let rows = Rows { path: &path, format: Format::F32, values: network.vision.encoded(), of: &encode };
    rows.kept(cohort, (&device, workers, run.experiment.training.micro_batch), done).map(Some)
}

/// The rows that a decoder learns of: normalised tokens and then logits of every case of a cohort, as a run's volume tower
/// makes them, in 16 bits as the shards have their voxels. They take 51 kB a case of the smallest preset.
///
/// # Errors
/// A volume cannot be read, or the rows not written.
pub fn looked_at(
    (place, run): (&Path, &Run),
    cohort: &Cohort<'_>,
    (device, workers): (&Device, &Workers),
    done: &dyn Fn(usize),
) -> Result<Features, TrainError> {
    let network = run.pair(device)?;
    let text = |case: &Case| format!("{}\n", case.id);
    let cases: String = cohort.cases().map(text).collect();
    let key = format!("{}{}{cases}", run.checkpoint.weights.sha256(), cohort.corpus_sha256());
    let path = place.join(format!("{TOKENS}{}.f16", super::short_digest(&key)));
    let look = |input: &Input| {
        let Outputs { tokens, logits, .. } = network.vision.forward(input.volumes(&network));
        let [count, inside, width] = tokens.dims();
        Tensor::cat(vec![tokens.reshape([count, inside * width]), logits], 1)
    };
    let values = network.vision.tokens() * network.vision.dim() + LABEL_COUNT;
    let rows = Rows { path: &path, format: Format::F16, values, of: &look };
    rows.kept(cohort, (device, workers, run.experiment.training.micro_batch), done)
}

/// A row of numbers for each case, computed once.
struct Rows<'a> {
    path: &'a Path,
    format: Format,
    /// Numbers of a row.
    values: usize,
    /// What makes rows `[N, values]` of a micro-batch.
    of: &'a (dyn Fn(&Input) -> Tensor<2> + Sync),
}

impl Rows<'_> {
    /// The rows in their file, which is written if it is not there.
    fn kept(
        &self,
        cohort: &Cohort<'_>,
        on: (&Device, &Workers, usize),
        done: &dyn Fn(usize),
    ) -> Result<Features, TrainError> {
        let open = || Features::open(self.path, self.format, [cohort.len(), self.values]);
        if let Some(there) = open()? {
            return Ok(there);
        }
        self.write(cohort, on, done)?;
        let lost = || RunError::Open { path: self.path.into(), source: std::io::ErrorKind::UnexpectedEof.into() };
        Ok(open()?.ok_or_else(lost)?)
    }

    fn write(
        &self,
        cohort: &Cohort<'_>,
        (device, workers, micro_batch): (&Device, &Workers, usize),
        done: &dyn Fn(usize),
    ) -> Result<(), TrainError> {
        let mut recorder = Recorder::new(self.path, self.format)?;
        let places: Vec<usize> = (0..cohort.len()).collect();
        let mut through = 0;
        for round in places.chunks(micro_batch * workers.count()) {
            let batch = cohort.plain(round.to_vec()).map_err(|source| TrainError::Batch { source })?;
            let inputs = Input::cut(&batch, micro_batch, (device, Precision::F32));
            for rows in workers.each(&inputs, self.of) {
                recorder.add(&rows.try_into_vec_as::<f32>()?)?;
            }
            through += round.len();
            done(through);
        }
        Ok(recorder.finish()?)
    }
}

impl From<crate::loss::FeaturesError> for TrainError {
    fn from(source: crate::loss::FeaturesError) -> Self {
        Self::Features { source }
    }
}
