//! What a step asks of a machine, and what the machine could do.

use crate::experiment::Experiment;
use std::process::Command;

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
        + tower(tokens, vision.dim, vision.depth, vision.mlp_ratio)
        + tower(real(text.max_tokens), text.dim, text.depth, text.mlp_ratio);
    BACK_AND_FORTH * forward / 1e12
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
        let asked = ["--query-gpu=name,driver_version,memory.used", "--format=csv,noheader,nounits", "--id=0"];
        let said = Command::new("nvidia-smi").args(asked).output().ok()?;
        let line = String::from_utf8(said.stdout).ok()?;
        let mut parts = line.trim().split(", ").map(str::to_owned);
        let (name, driver, memory) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { name, driver, memory_mib: memory.parse().ok()? })
    }

    /// Its dense bf16 matrix products in TFLOP/s, where the data sheet is known here.
    pub(super) fn peak_tflops(&self) -> Option<f64> {
        PEAKS.iter().find(|(name, _)| self.name.contains(name)).map(|&(_, peak)| peak)
    }
}
