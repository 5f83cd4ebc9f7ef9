//! `ctedge-trainer bench`: what a step of training costs.

mod cost;

use super::place::{Placed, workers_for};
use super::{Outcome, Progress};
use crate::batch::{Batch, Padded, Shown};
use crate::device::Place;
use crate::experiment::Experiment;
use crate::net::Pair;
use crate::run::{self, Engine, Loaded, Optimiser, Run, Workers};
use anyhow::Context;
use burn::module::Module;
use clap::Args;
use cost::{Card, busy_while, tera_per_pair};
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
    #[command(flatten)]
    placed: Placed,
}

/// What was measured.
struct Timed {
    /// Seconds of each step.
    steps: Vec<f64>,
    /// Seconds that the last batch took to the device.
    load_s: f64,
    /// The last loss.
    loss: f64,
    /// Share of the time in which the card computed.
    busy: Option<f64>,
}

impl Bench {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let experiment = Experiment::read(&self.experiment)?;
        let place = self.placed.place(progress)?;
        let threads = workers_for(&place, self.threads.unwrap_or(std::thread::available_parallelism()?).get());
        let steps = self.steps.get();
        progress.say("timing steps");
        let Timed { steps: mut seconds, load_s, loss, busy } = timed(&experiment, (&place, threads), steps, progress)?;
        seconds.sort_by(f64::total_cmp);
        let at = |share: usize| seconds.get((seconds.len() - 1) * share / 4).copied().context("no step was timed");
        let (low, median, high) = (at(1)?, at(2)?, at(3)?);
        let pairs = f64::from(u32::try_from(experiment.training.batch)?);
        let rate = pairs * tera_per_pair(&experiment) / median;
        let card = if place.is_gpu() { Card::ask() } else { None };
        let share = card.as_ref().and_then(Card::peak_tflops).map(|peak| rate / peak);
        let told = card.as_ref().map_or_else(String::new, |card| {
            let share = share.map_or_else(String::new, |share| format!(" ({:.1} % of its bf16 peak)", 100.0 * share));
            format!("{share}, {:.0} MiB of the card's memory", card.memory_mib)
        });
        let text = format!(
            "{steps} steps of {pairs} pairs on {}, layers in {}: median {median:.4} s (quartiles {low:.4} to {high:.4}), \
             {:.1} pairs/s, {rate:.1} TFLOP/s{told}; a batch takes {load_s:.4} s to the device",
            place.kind,
            place.precision,
            pairs / median,
        );
        let json = json!({
            "by": "ctedge-trainer", "device": place.kind.to_string(), "precision": place.precision.to_string(),
            "card": card.as_ref().map(|card| &card.name), "driver": card.as_ref().map(|card| &card.driver),
            "memory_mib": card.as_ref().map(|card| card.memory_mib),
            "steps": steps, "batch": experiment.training.batch, "micro_batch": experiment.training.micro_batch,
            "threads": threads, "step_s": { "quartile_1": low, "median": median, "quartile_3": high },
            "pairs_per_s": pairs / median, "tflops": rate, "share_of_peak": share, "busy": busy, "load_s": load_s, "loss": loss,
        });
        Ok(Outcome { text, json })
    }
}

fn timed(
    experiment: &Experiment,
    (place, threads): (&Place, usize),
    steps: usize,
    progress: &Progress,
) -> anyhow::Result<Timed> {
    let device = place.device.clone().autodiff();
    let workers = Workers::new(threads)?;
    let objective = run::objective(experiment, &device);
    let engine = Engine { objective: &objective, device: &device, precision: place.precision, workers: &workers };
    let mut optimiser = Optimiser::new(experiment.training.weight_decay, experiment.training.clip_norm);
    let run = Run::init(experiment.clone(), experiment.text.vocabulary)?;
    let mut network: Pair = run.pair(&device)?.trainable(experiment).train();
    let batch = made_up(experiment);
    let mut load_s = 0.0;
    let mut loaded = None;
    for _ in 0..WARM_UP {
        let begun = Instant::now();
        loaded = Some(Loaded::new(&batch, None, experiment.training.micro_batch, (&device, place.precision)));
        device.sync()?;
        load_s = begun.elapsed().as_secs_f64();
    }
    let loaded = loaded.context("no batch")?;
    let mut done = 0;
    let mut step = || -> anyhow::Result<(f64, f64)> {
        let begun = Instant::now();
        let gradients = engine.gradients(&network, &loaded);
        let gathered = Optimiser::gathered(&network, gradients.parameters)?;
        let loss = f64::from(gradients.terms.total.try_into_scalar::<f32>()?);
        network = optimiser.step(network.clone(), gathered, experiment.training.learning_rate);
        done += 1;
        progress.count(done, WARM_UP + steps);
        Ok((begun.elapsed().as_secs_f64(), loss))
    };
    let _warm: Vec<_> = (0..WARM_UP).map(|_| step()).collect::<Result<_, _>>()?;
    let count = |step: &mut dyn FnMut() -> anyhow::Result<(f64, f64)>| (0..steps).map(|_| step()).collect();
    let (counted, busy): (anyhow::Result<Vec<(f64, f64)>>, _) =
        if place.is_gpu() { busy_while(|| count(&mut step)) } else { (count(&mut step), None) };
    let (seconds, losses): (Vec<f64>, Vec<f64>) = counted?.into_iter().unzip();
    Ok(Timed { steps: seconds, load_s, loss: losses.last().copied().unwrap_or(f64::NAN), busy })
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
        located: None,
    }
}
