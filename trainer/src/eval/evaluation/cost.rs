//! What an answer costs.

use super::super::{EvalError, Reader, said};
use crate::run::{Cohort, Length, Padded, Pair, Run, Tokenizer};
use burn::tensor::{Tensor, TensorData};
use serde::Serialize;
use std::time::Instant;

/// Cases that are timed, after one that is not.
const TIMED: usize = 8;

/// Parameters and time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Parameters of the volume tower, flag head and projection among them.
    pub vision_parameters: usize,
    /// Those of the report tower.
    pub text_parameters: usize,
    /// Threads that the time was taken on.
    pub threads: usize,
    /// The processor's own name.
    pub processor: String,
    /// The only part of an evaluation that differs between two of the same run.
    pub time: Time,
}

/// Medians over a few cases that go through one by one on one thread; preprocessing and reading are not in them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Time {
    /// A volume to embedding and flags, in ms.
    pub volume_ms: Option<f64>,
    /// A report to its embedding, in ms.
    pub report_ms: Option<f64>,
}

/// Counts and times a network on cases of a cohort.
pub(super) fn measure(
    run: &Run,
    network: &Pair,
    reader: &Reader<'_>,
    (tokenizer, cohort): (&Tokenizer, &Cohort<'_>),
) -> Result<Cost, EvalError> {
    let count = |tower| run.checkpoint.weights.part(tower).count();
    let (mut volumes, mut reports) = (Vec::new(), Vec::new());
    for place in 0..cohort.len().min(TIMED + 1) {
        let batch = cohort.plain(vec![place]).map_err(|source| EvalError::Batch { source })?;
        let [z, y, x] = network.vision.input_size;
        let values: Vec<f32> = batch.shown.rows().concat();
        let volume = Tensor::<5>::from_data(TensorData::new(values, [1, 1, z, y, x]), reader.device);
        let begun = Instant::now();
        alone(reader, || said::numbers(network.vision.forward(volume.clone()).embedding))?;
        volumes.push(milliseconds(begun));
        let tokens = cohort.reports().get(place..=place).unwrap_or_default();
        let (ids, mask) = Padded::of(tokenizer, tokens, Length::Longest).tensors(reader.device);
        let begun = Instant::now();
        alone(reader, || said::numbers(network.text.forward(ids.clone(), mask.clone()).embedding))?;
        reports.push(milliseconds(begun));
    }
    Ok(Cost {
        vision_parameters: count("vision"),
        text_parameters: count("text"),
        threads: 1,
        processor: processor(),
        time: Time { volume_ms: median(&volumes), report_ms: median(&reports) },
    })
}

/// On one of the reader's threads.
fn alone(reader: &Reader<'_>, work: impl Fn() -> Result<Vec<f32>, EvalError> + Sync) -> Result<(), EvalError> {
    reader.workers.each(&[()], |()| work().map(drop)).into_iter().collect()
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

/// The middle one, the first left out: it warms up.
fn median(times: &[f64]) -> Option<f64> {
    let mut times: Vec<f64> = times.iter().skip(1).copied().collect();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// As Linux names it; elsewhere its architecture.
fn processor() -> String {
    let table = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = table.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
