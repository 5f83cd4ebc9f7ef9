//! The live view of a training: a bar with loss and time left, and a line for each look at the validation patients.

use super::Progress;
use crate::device::Place;
use crate::eval::{self, Reader};
use crate::experiment::Experiment;
use crate::net::{Cohort, Pair};
use crate::run::{Look, StepRecord, Watcher, Workers};
use burn::tensor::Device;
use std::error::Error;

/// Weight of the newest loss in the mean that is shown.
const NEWEST: f64 = 0.05;

/// Watches a training for a person.
#[derive(Debug)]
pub(super) struct Live<'a> {
    progress: &'a Progress,
    judges: &'a Cohort<'a>,
    workers: Workers,
    device: Device,
    micro_batch: usize,
    batch: usize,
    steps: usize,
    loss: Option<f64>,
}

impl<'a> Live<'a> {
    pub(super) fn new(
        progress: &'a Progress,
        experiment: &Experiment,
        judges: &'a Cohort<'a>,
        (place, threads): (&Place, usize),
    ) -> anyhow::Result<Self> {
        let training = &experiment.training;
        let (micro_batch, batch, steps) = (training.micro_batch, training.batch, training.steps);
        let workers = Workers::new(threads)?;
        Ok(Self { progress, judges, workers, device: place.device.clone(), micro_batch, batch, steps, loss: None })
    }

    pub(super) fn finish(self) {
        self.progress.say("training has ended");
    }
}

impl Watcher for Live<'_> {
    fn step(&mut self, record: &StepRecord) {
        let loss = self.loss.map_or(record.loss, |loss| loss + NEWEST * (record.loss - loss));
        self.loss = Some(loss);
        let pace =
            u32::try_from(self.batch).map_or(f64::INFINITY, f64::from) / (record.waited_s + record.seconds).max(1e-9);
        self.progress.count(record.step, self.steps);
        self.progress.tell(format!("loss {loss:.4}, {pace:.1} pairs/s"));
    }

    fn look(&mut self, step: usize, network: &Pair) -> Result<Look, Box<dyn Error + Send + Sync>> {
        let reader = Reader { device: &self.device, workers: &self.workers, micro_batch: self.micro_batch };
        let said = reader.read(network, self.judges, &|_| {})?;
        let look = eval::look(&said, self.judges)?;
        let numbers: Vec<String> = look.numbers.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let loss = self.loss.unwrap_or(f64::NAN);
        self.progress.line(&format!("step {step}: loss {loss:.4}, validation {}", numbers.join(", ")));
        Ok(look)
    }
}
