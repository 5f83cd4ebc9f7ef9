//! The loop: batch after batch, with looks at the validation patients and checkpoints in between.

use super::checkpoint::{Checkpoint, Snapshot};
use super::optimiser::{Optimiser, learning_rate};
use super::step::{Engine, Gradients, Loaded, Workers};
use super::{Batch, BatchError, Cohort};
use super::{Log, Look, StepRecord};
use super::{Pair, Weights};
use super::{Run, RunError, StepError, TrainError, WEIGHTS_FILE, folder};
use crate::device::Place;
use crate::experiment::Experiment;
use crate::loss::{Knowledge, Objective, TokenGrid};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::Instant;

/// Batches that wait behind each thread that works ahead.
const READ_AHEAD: usize = 1;

/// Who watches a training.
pub trait Watcher {
    /// A step was taken.
    fn step(&mut self, record: &StepRecord);

    /// Looks at the validation patients with the network as it is after `step` steps. The network records no graph.
    ///
    /// # Errors
    /// Whatever keeps it from looking ends the training.
    fn look(&mut self, step: usize, network: &Pair) -> Result<Look, Box<dyn Error + Send + Sync>>;
}

/// What a training needs besides its run folder.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// The patients that it learns from.
    pub cohort: &'a Cohort<'a>,
    /// What is known of their reports, if the objective asks for it.
    pub knowledge: Option<&'a Knowledge>,
    /// Where it computes, and in what precision.
    pub place: Place,
    /// On how many threads.
    pub threads: usize,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Steps that were taken in all.
    pub steps: usize,
    /// Steps that had been taken when it began.
    pub resumed_at: usize,
    /// The best look: after how many steps, and its score.
    pub best: Option<(usize, f64)>,
    /// Whether it ended early, for want of improvement.
    pub early: bool,
}

/// Where a training stands.
pub(super) struct Standing<M> {
    pub(super) network: M,
    pub(super) optimiser: Optimiser,
    pub(super) step: usize,
    pub(super) best: Option<(usize, f64)>,
    stale: usize,
}

/// Where a training leaves what it has learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeper<'a> {
    /// Folder of its checkpoints.
    pub(super) folder: &'a Path,
    /// File of the best weights.
    pub(super) best: &'a Path,
    /// What stands beside the weights in every file.
    pub(super) card: &'a Checkpoint,
    /// Checkpoints that are kept.
    pub(super) count: usize,
}

/// Trains the run in a folder to its end, from its newest checkpoint if there is one. The best weights lie in the run's
/// weights file whenever this returns or is killed.
pub fn train(place: &Path, run: &Run, lesson: &Lesson<'_>, watcher: &mut dyn Watcher) -> Result<Ended, TrainError> {
    let experiment = &run.experiment;
    let device = lesson.place.device.clone().autodiff();
    let workers = Workers::new(lesson.threads)?;
    let objective = objective(experiment, &device);
    let engine =
        Engine { objective: &objective, device: &device, precision: lesson.place.precision, workers: &workers };
    let best = place.join(WEIGHTS_FILE);
    let count = experiment.training.keep_checkpoints;
    let keeper = Keeper { folder: place, best: &best, card: &run.checkpoint, count };
    let optimiser = Optimiser::new(experiment.training.weight_decay, experiment.training.clip_norm);
    let network = run.pair(&device)?.trainable(experiment);
    let mut standing = Standing::new(&keeper, network, optimiser, &device)?;
    let resumed_at = standing.step;
    let mut log = Log::open(place, standing.step)?;
    let steps = resumed_at..experiment.training.steps;
    let early = std::thread::scope(|scope| {
        let (graphs, micro_batch) = (&device, experiment.training.micro_batch);
        let load =
            move |batch: Batch| Loaded::new(&batch, lesson.knowledge, micro_batch, (graphs, lesson.place.precision));
        let read = ahead(scope, "batches", steps.map(move |step| lesson.cohort.step(step)))?;
        let batches = ahead(scope, "loading", read.into_iter().map(move |batch| batch.map(&load)))?;
        let early = standing.follow((&keeper, run), &engine, &batches, (&mut log, watcher));
        // Who works ahead waits for room: without a receiver it ends, and only then does this scope.
        drop(batches);
        early
    })?;
    Ok(Ended { steps: standing.step, resumed_at, best: standing.best, early })
}

/// Works off `items` on a thread of its own, until nobody asks for more. Reading a batch and sending it to the device are two of
/// these: both cost time that the device need not wait for.
pub(super) fn ahead<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    items: impl Iterator<Item = T> + Send + 'scope,
) -> Result<Receiver<T>, StepError> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    let work = move || {
        for item in items {
            if sender.send(item).is_err() {
                return;
            }
        }
    };
    let named = std::thread::Builder::new().name(name.to_owned());
    named.spawn_scoped(scope, work).map_err(|source| StepError::Reader { source })?;
    Ok(receiver)
}

/// What an experiment minimises.
pub fn objective(experiment: &Experiment, device: &Device) -> Objective {
    Objective::new(experiment.loss.clone(), centres(experiment, device))
}

/// Token centres (z, y, x) in mm, `[T, 3]`.
fn centres(experiment: &Experiment, device: &Device) -> Tensor<2> {
    let grid = TokenGrid::new(&experiment.input.grid, experiment.vision.patch);
    let values: Vec<f32> = grid.centres_mm().into_iter().flatten().map(narrow).collect();
    Tensor::from_data(TensorData::new(values, [grid.tokens(), 3]), device)
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "millimetres within a patient")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl<M: Module> Standing<M> {
    /// From the newest checkpoint of the folder, or from the first weights, which are those of `network`. They are the first
    /// checkpoint: the file of the best will hold better ones before there is a second.
    pub(super) fn new(
        keeper: &Keeper<'_>,
        network: M,
        optimiser: Optimiser,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let newest = folder::newest(keeper.folder, keeper.card)?;
        let Some(Snapshot { checkpoint, optimiser: state, best, stale }) = newest else {
            let standing = Self { network: network.train(), optimiser, step: 0, best: None, stale: 0 };
            folder::keep(keeper.folder, &standing.snapshot(keeper.card)?, keeper.count)?;
            return Ok(standing);
        };
        let step = usize::try_from(checkpoint.steps).unwrap_or(usize::MAX);
        let unfit = |source| RunError::Weights { source };
        let optimiser = optimiser.resumed(&state, step, &device.clone().inner()).map_err(unfit)?;
        // The snapshot also holds what low-rank tuning has added; the first weights are those that it began with.
        let network = checkpoint.weights.fill(network).map_err(unfit)?.train();
        Ok(Self { network, optimiser, step, best, stale })
    }

    /// Writes down where the training stands, the best weights first; those are `plain` of the network.
    pub(super) fn keep(
        &mut self,
        keeper: &Keeper<'_>,
        look: &Look,
        plain: impl FnOnce(M) -> M,
    ) -> Result<(), TrainError> {
        if self.best.is_none_or(|(_, score)| look.score > score) {
            self.best = Some((self.step, look.score));
            self.stale = 0;
            folder::write(keeper.best, &self.checkpoint(&plain(self.network.clone()), keeper.card)?)?;
        } else {
            self.stale += 1;
        }
        Ok(folder::keep(keeper.folder, &self.snapshot(keeper.card)?, keeper.count)?)
    }

    /// The weights of a network after the steps that were taken.
    fn checkpoint(&self, network: &M, card: &Checkpoint) -> Result<Checkpoint, RunError> {
        let weights = Weights::of(network).map_err(|source| RunError::Weights { source })?;
        Ok(Checkpoint { weights, steps: u64::try_from(self.step).unwrap_or(u64::MAX), ..card.clone() })
    }

    /// Everything to go on from.
    fn snapshot(&self, card: &Checkpoint) -> Result<Snapshot, RunError> {
        let checkpoint = self.checkpoint(&self.network, card)?;
        let optimiser = self.optimiser.state().map_err(|source| RunError::Weights { source })?;
        Ok(Snapshot { checkpoint, optimiser, best: self.best, stale: self.stale })
    }
}

impl Standing<Pair> {
    /// Goes on to the end; tells whether that came early.
    fn follow(
        &mut self,
        (keeper, run): (&Keeper<'_>, &Run),
        engine: &Engine<'_>,
        batches: &Receiver<Result<Loaded, BatchError>>,
        (log, watcher): (&mut Log, &mut dyn Watcher),
    ) -> Result<bool, TrainError> {
        let training = &run.experiment.training;
        loop {
            let waiting = Instant::now();
            let Ok(batch) = batches.recv() else { return Ok(false) };
            let batch = batch.map_err(|source| TrainError::Batch { source })?;
            let record = self.learn((&batch, waiting.elapsed().as_secs_f64()), engine, run)?;
            log.step(&record)?;
            watcher.step(&record);
            if self.step.is_multiple_of(training.validate_every) || self.step == training.steps {
                let look = watcher.look(self.step, &self.network.valid());
                let look = look.map_err(|source| TrainError::Look { step: self.step, source })?;
                log.look(self.step, &look)?;
                self.keep(keeper, &look, Pair::merged)?;
                if training.patience > 0 && self.stale >= training.patience {
                    return Ok(self.step < training.steps);
                }
            }
        }
    }

    /// Takes one step.
    fn learn(
        &mut self,
        (batch, waited_s): (&Loaded, f64),
        engine: &Engine<'_>,
        run: &Run,
    ) -> Result<StepRecord, TrainError> {
        let begun = Instant::now();
        let Gradients { parameters, terms } = engine.gradients(&self.network, batch);
        let gathered = Optimiser::gathered(&self.network, parameters)?;
        // All that the device has queued is done, so that reading costs nothing; after the next line it is not.
        let number = |tensor: Tensor<1>| tensor.inner().try_into_scalar::<f32>().map(f64::from);
        let record = StepRecord {
            step: self.step + 1,
            loss: number(terms.total)?,
            pairs: number(terms.pairs)?,
            flags: number(terms.flags)?,
            shared_flags: number(terms.shared_flags)?,
            located: number(terms.located)?,
            learning_rate: learning_rate(run.experiment.training.rate(), self.step),
            gradient_norm: gathered.length,
            scale: number(self.network.log_scale.val().exp())?,
            bias: number(self.network.bias.val())?,
            waited_s,
            seconds: begun.elapsed().as_secs_f64(),
        };
        let StepRecord { step, loss, gradient_norm, .. } = record;
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(TrainError::NotFinite { step, loss, gradient_norm });
        }
        self.network = self.optimiser.step(self.network.clone(), gathered, record.learning_rate);
        self.step = step;
        Ok(StepRecord { seconds: begun.elapsed().as_secs_f64(), ..record })
    }
}
