//! What a step asks of a machine, and what the machine could do.

use crate::experiment::Experiment;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two questions to the driver.
const EVERY: Duration = Duration::from_millis(100);

/// Floating-point operations of a training step over those of a forward pass: once forwards, twice back.
const BACK_AND_FORTH: f64 = 3.0;

/// Dense bf16 matrix products of a card, in TFLOP/s, by its maker's data sheet.
const PEAKS: [(&str, f64); 6] =
    [("H200", 989.4), ("H100", 989.4), ("A100", 311.9), ("L40S", 362.0), ("4090", 165.2), ("Thor", 517.0)];

/// Floating-point operations of the towers' matrix products in one step of one pair, in units of 10^12.
pub(super) fn tera_per_pair(experiment: &Experiment) -> f64 {
    let Experiment { vision, text, input, .. } = experiment;
    let [voxels, patch] = [input.grid.size(), vision.patch].map(|edges| edges.map(real).iter().product::<f64>());
    let tokens = voxels / patch;
    let tower = |tokens: f64, dim: usize, depth: usize, ratio: usize| {
        let [dim, depth, ratio] = [dim, depth, ratio].map(real);
        depth * tokens * (2.0 * dim * dim * (4.0 + 2.0 * ratio) + 4.0 * tokens * dim)
    };
    let forward = 2.0 * voxels * real(vision.dim)
        + vision.stem.as_ref().map_or(0.0, |widths| stem(widths, voxels))
        + tower(tokens, vision.dim, vision.depth, vision.mlp_ratio)
        + tower(real(text.max_tokens), text.dim, text.depth, text.mlp_ratio);
    BACK_AND_FORTH * forward / 1e12
}

/// Of the convolutions, whose maps have an eighth of the voxels, then a sixty-fourth.
fn stem(widths: &[usize], voxels: f64) -> f64 {
    let inputs = std::iter::once(1).chain(widths.iter().copied());
    let cells = std::iter::once(8.0).chain(std::iter::repeat(64.0));
    let layer = |((inputs, &outputs), part)| 2.0 * 27.0 * real(inputs) * real(outputs) * voxels / part;
    inputs.zip(widths).zip(cells).map(layer).sum()
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// What the driver says of the first card.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) memory_mib: f64,
}

impl Card {
    /// `None` if `nvidia-smi` does not answer.
    pub(super) fn ask() -> Option<Self> {
        let line = asked("name,driver_version,memory.used")?;
        let mut parts = line.split(", ").map(str::to_owned);
        let (name, driver, memory) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { name, driver, memory_mib: memory.parse().ok()? })
    }

    /// Its dense bf16 matrix products in TFLOP/s, where the data sheet is known here.
    pub(super) fn peak_tflops(&self) -> Option<f64> {
        PEAKS.iter().find(|(name, _)| self.name.contains(name)).map(|&(_, peak)| peak)
    }
}

/// Runs `work` while the driver is asked again and again which share of the time the card was busy; the median of its answers.
pub(super) fn busy_while<T>(work: impl FnOnce() -> T) -> (T, Option<f64>) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut shares = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let Some(percent) = asked("utilization.gpu").and_then(|percent| percent.parse::<f64>().ok()) else {
                    break;
                };
                shares.push(percent / 100.0);
                std::thread::sleep(EVERY);
            }
            shares.sort_by(f64::total_cmp);
            shares.get(shares.len() / 2).copied()
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        (done, watch.join().ok().flatten())
    })
}

fn asked(what: &str) -> Option<String> {
    let query = format!("--query-gpu={what}");
    let said = Command::new("nvidia-smi").args([&query, "--format=csv,noheader,nounits", "--id=0"]).output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}
