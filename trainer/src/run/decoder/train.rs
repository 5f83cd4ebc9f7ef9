//! The decoder's loop: batch after batch, with looks at the validation patients and checkpoints in between.

use super::super::log::{Log, Recorded};
use super::super::optimiser::{Optimiser, learning_rate};
use super::super::train::{Keeper, Standing, ahead};
use super::super::{
    Dictated, Dictation, Ended, Limits, Look, ReportDecoder, Run, TrainError, Workers, Written, make_folder,
};
use super::step::{Part, cut, gradients};
use super::{DECODER_FILE, DECODER_FOLDER};
use crate::experiment;
use crate::loss::BatchError;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Instant;

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecoderRecord {
    /// Steps that were taken, this one included.
    pub step: usize,
    /// What is minimised, a word's mean.
    pub loss: f64,
    /// A word's mean of `-log p`, without smoothing.
    pub surprise: f64,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// Length of the gradient over all parameters, before it was bounded.
    pub gradient_norm: f64,
    /// Time that the device stood still until the step's batch was there.
    pub waited_s: f64,
    /// Time that it then took.
    pub seconds: f64,
}

impl Recorded for DecoderRecord {
    const HEAD: &'static str = "step,loss,surprise,learning_rate,gradient_norm,waited_s,seconds";

    fn step(&self) -> usize {
        self.step
    }

    fn numbers(&self) -> Vec<f64> {
        vec![self.loss, self.surprise, self.learning_rate, self.gradient_norm]
    }

    fn times(&self) -> [f64; 2] {
        [self.waited_s, self.seconds]
    }
}

/// Who watches the training of a decoder.
pub trait DecoderWatcher {
    /// A step was taken.
    fn step(&mut self, record: &DecoderRecord);

    /// The validation patients were looked at after `step` steps.
    ///
    /// # Errors
    /// Whatever keeps it from going on ends the training.
    fn look(&mut self, step: usize, look: &DecoderLook) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A look at the validation patients.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderLook {
    /// The score is minus `loss`, a word's mean of `-log p`; `perplexity` is its exponential.
    pub look: Look,
    /// Drafts of the first few of them, with their places in the cohort.
    pub drafts: Vec<(usize, Written)>,
}

/// What the training of a decoder needs besides its run.
#[derive(Debug)]
pub struct DecoderLesson<'a> {
    /// The patients that it learns from.
    pub learners: &'a Dictation<'a>,
    /// The patients that say which weights are the best.
    pub judges: &'a Dictation<'a>,
    /// Of how many of those a draft is written at each look.
    pub drafts: usize,
    /// Where reports begin and end.
    pub limits: Limits,
    /// Where it computes, in 32 bits.
    pub device: &'a Device,
    /// On which threads.
    pub workers: &'a Workers,
}

/// Trains the decoder of a run in a folder to its end, from its newest checkpoint if there is one. The best weights lie in
/// [`DECODER_FILE`] whenever this returns or is killed after the first look.
///
/// # Errors
/// A batch cannot be read, a file not written, or the loss is no number.
pub fn train_decoder(
    place: &Path,
    run: &Run,
    lesson: &DecoderLesson<'_>,
    watcher: &mut dyn DecoderWatcher,
) -> Result<Ended, TrainError> {
    let settings = run.decoder_settings()?;
    let device = lesson.device.clone().autodiff();
    let (folder, best) = (place.join(DECODER_FOLDER), place.join(DECODER_FILE));
    make_folder(&folder)?;
    let (card, first) = (run.decoder_card(), run.untrained_decoder()?);
    let keeper = Keeper { folder: &folder, best: &best, card: &card, count: run.experiment.training.keep_checkpoints };
    let optimiser = Optimiser::new(settings.weight_decay, settings.clip_norm);
    let network = run.decoder(&first, &device)?;
    let mut standing = Standing::new(&keeper, network, optimiser, &device)?;
    let resumed_at = standing.step;
    let mut log = Log::open(&folder, resumed_at)?;
    let teacher = Teacher { run, settings, lesson, device: &device };
    let steps = resumed_at..settings.steps;
    std::thread::scope(|scope| {
        let learners = lesson.learners;
        let batches = ahead(scope, "reports", steps.map(move |step| learners.step(step)))?;
        let done = teacher.follow(&mut standing, &keeper, &batches, (&mut log, watcher));
        drop(batches);
        done
    })?;
    Ok(Ended { steps: standing.step, resumed_at, best: standing.best, early: false })
}

/// What a training computes with.
struct Teacher<'a> {
    run: &'a Run,
    settings: &'a experiment::Decoder,
    lesson: &'a DecoderLesson<'a>,
    /// It records a graph.
    device: &'a Device,
}

impl Teacher<'_> {
    fn follow(
        &self,
        standing: &mut Standing<ReportDecoder>,
        keeper: &Keeper<'_>,
        batches: &Receiver<Result<Dictated, BatchError>>,
        (log, watcher): (&mut Log, &mut dyn DecoderWatcher),
    ) -> Result<(), TrainError> {
        loop {
            let waiting = Instant::now();
            let Ok(batch) = batches.recv() else { return Ok(()) };
            let batch = batch.map_err(|source| TrainError::Batch { source })?;
            let record = self.learn(standing, (&batch, waiting.elapsed().as_secs_f64()))?;
            log.step(&record)?;
            watcher.step(&record);
            let step = standing.step;
            if step.is_multiple_of(self.settings.validate_every) || step == self.settings.steps {
                let look = self.look(&standing.network.valid())?;
                watcher.look(step, &look).map_err(|source| TrainError::Look { step, source })?;
                log.look(step, &look.look)?;
                standing.keep(keeper, &look.look, |network| network)?;
            }
        }
    }

    /// Takes one step.
    fn learn(
        &self,
        standing: &mut Standing<ReportDecoder>,
        (batch, waited_s): (&Dictated, f64),
    ) -> Result<DecoderRecord, TrainError> {
        let begun = Instant::now();
        let (share, learners, taken) = (self.settings.scheduled_sampling, self.lesson.learners, standing.step);
        let own = |place: usize, word: usize| learners.is_own(share, (taken, place, word));
        let own: Option<&dyn Fn(usize, usize) -> bool> = if share > 0.0 { Some(&own) } else { None };
        let micro_batch = self.run.experiment.training.micro_batch;
        let (parts, words) = cut(learners, batch, (micro_batch, self.device), own);
        let on = (self.device, self.lesson.workers);
        let found = gradients(&standing.network, (&parts, words), self.settings, on);
        let gathered = Optimiser::gathered(&standing.network, found.parameters)?;
        let number = |tensor: Tensor<1>| tensor.try_into_scalar::<f32>().map(f64::from);
        let record = DecoderRecord {
            step: taken + 1,
            loss: number(found.loss)?,
            surprise: number(found.surprise)?,
            learning_rate: learning_rate(self.settings.rate(), taken),
            gradient_norm: gathered.length,
            waited_s,
            seconds: begun.elapsed().as_secs_f64(),
        };
        let DecoderRecord { step, loss, gradient_norm, .. } = record;
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(TrainError::NotFinite { step, loss, gradient_norm });
        }
        standing.network = standing.optimiser.step(standing.network.clone(), gathered, record.learning_rate);
        standing.step = step;
        Ok(DecoderRecord { seconds: begun.elapsed().as_secs_f64(), ..record })
    }

    /// Looks at the validation patients with a decoder that records no graph.
    fn look(&self, decoder: &ReportDecoder) -> Result<DecoderLook, TrainError> {
        let DecoderLesson { judges, device, workers, limits, .. } = *self.lesson;
        let micro_batch = self.run.experiment.training.micro_batch;
        let places: Vec<usize> = (0..judges.cohort().len()).collect();
        let (mut surprise, mut words, mut drafts) = (0.0, 0, Vec::new());
        for round in places.chunks(micro_batch * workers.count()) {
            let batch = judges.plain(round.to_vec()).map_err(|source| TrainError::Batch { source })?;
            let (parts, count) = cut(judges, &batch, (micro_batch, device), None);
            for loss in workers.each(&parts, |part| part.loss(decoder, 0.0).1) {
                surprise += f64::from(loss.try_into_scalar::<f32>()?);
            }
            words += count;
            let wanted = self.lesson.drafts.saturating_sub(drafts.len()).min(round.len());
            if wanted > 0 {
                let drafted = workers
                    .each(&parts, |part: &Part| decoder.greedy(part.shaped(decoder), part.flags.clone(), limits));
                let drafted: Vec<Vec<Written>> = drafted.into_iter().collect::<Result<_, _>>()?;
                drafts.extend(round.iter().copied().zip(drafted.concat()).take(wanted));
            }
        }
        let loss = surprise / u32::try_from(words.max(1)).map_or(f64::INFINITY, f64::from);
        let numbers = BTreeMap::from([("loss", loss), ("perplexity", loss.exp())]);
        Ok(DecoderLook { look: Look { score: -loss, numbers }, drafts })
    }
}
