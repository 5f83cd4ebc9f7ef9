//! `ctedge-trainer bench`: what a step of training costs.

use super::{Outcome, Progress};
use crate::batch::{Batch, Padded, Shown};
use crate::device;
use crate::experiment::Experiment;
use crate::net::Pair;
use crate::run::{self, Engine, Optimiser, Run, Workers};
use anyhow::Context;
use burn::module::Module;
use clap::Args;
use ctedge_models::labels::LABEL_COUNT;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

/// Steps that are not counted: memory is found and kept in them.
const WARM_UP: usize = 3;

/// Time a training step: both towers, the objective, the gradients and the optimiser, on made-up cases.
///
/// Nothing is read and nothing is written; what a step costs does not depend on what its cases show. Reports have
/// `text.max_tokens` tokens, as every batch of a training is padded to.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer bench models/catalog/scale-vlp-tiny/experiment.toml --threads 1")]
pub(super) struct Bench {
    /// The experiment file (TOML).
    experiment: PathBuf,
    /// Steps that are timed.
    #[arg(long, value_name = "N", default_value = "20")]
    steps: NonZeroUsize,
    /// Threads to compute on; all cores if not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Bench {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let experiment = Experiment::read(&self.experiment)?;
        let threads = self.threads.unwrap_or(std::thread::available_parallelism()?).get();
        let steps = self.steps.get();
        progress.say("timing steps");
        let mut seconds = timed(&experiment, threads, steps, progress)?;
        seconds.sort_by(f64::total_cmp);
        let at = |share: usize| seconds.get((seconds.len() - 1) * share / 4).copied().context("no step was timed");
        let (low, median, high) = (at(1)?, at(2)?, at(3)?);
        let pairs = f64::from(u32::try_from(experiment.training.batch)?);
        let text = format!(
            "{steps} steps of {pairs} pairs on {threads} threads: median {median:.4} s (quartiles {low:.4} to {high:.4}), \
             {:.1} pairs/s",
            pairs / median
        );
        let json = json!({
            "steps": steps, "batch": experiment.training.batch, "threads": threads,
            "step_s": { "quartile_1": low, "median": median, "quartile_3": high }, "pairs_per_s": pairs / median,
        });
        Ok(Outcome { text, json })
    }
}

/// Seconds of each step.
fn timed(experiment: &Experiment, threads: usize, steps: usize, progress: &Progress) -> anyhow::Result<Vec<f64>> {
    let batch = made_up(experiment);
    let device = device::cpu().autodiff();
    let workers = Workers::new(threads)?;
    let objective = run::objective(experiment, &device);
    let micro_batch = experiment.training.micro_batch;
    let engine = Engine { objective: &objective, knowledge: None, micro_batch, device: &device, workers: &workers };
    let mut optimiser = Optimiser::new(experiment.training.weight_decay, experiment.training.clip_norm);
    let run = Run::init(experiment.clone(), experiment.text.vocabulary)?;
    let mut network: Pair = run.pair(&device)?.trainable(experiment).train();
    let mut seconds = Vec::new();
    for step in 0..WARM_UP + steps {
        let begun = Instant::now();
        let gradients = engine.gradients(&network, &batch)?;
        (network, _) = optimiser.step(network, gradients.parameters, experiment.training.learning_rate)?;
        seconds.push(begun.elapsed().as_secs_f64());
        progress.count(step + 1, WARM_UP + steps);
    }
    Ok(seconds.split_off(WARM_UP))
}

/// A batch of full size that shows nothing: waves for volumes, and reports of every piece in turn.
fn made_up(experiment: &Experiment) -> Batch {
    let (cases, length) = (experiment.training.batch, experiment.text.max_tokens);
    let voxels: usize = experiment.input.grid.size().iter().product();
    let wave = |index: usize| f32::from(u8::try_from(index % 251).unwrap_or_default()) / 125.0 - 1.0;
    let pieces = experiment.text.vocabulary.max(1);
    let id = |place: usize| i32::try_from(place * 7 % pieces).unwrap_or_default();
    Batch {
        places: (0..cases).collect(),
        shown: Shown::Volumes(
            (0..cases).map(|case| (0..voxels).map(|voxel| wave(voxel * (case + 1))).collect()).collect(),
        ),
        reports: Padded {
            ids: (0..cases * length).map(id).collect(),
            mask: vec![1.0; cases * length],
            shape: [cases, length],
        },
        labels: (0..cases * LABEL_COUNT).map(|flag| f32::from(u8::from(flag % 3 == 0))).collect(),
        labelled: vec![1.0; cases],
        same: vec![0.0; cases * cases],
    }
}
