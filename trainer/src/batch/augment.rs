//! What is done to a training volume each time it is seen.

use super::middle;
use super::order::{below, stream};
use crate::experiment::Augment;
use ctedge_models::spec::PreprocessSpec;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Shifts, contrast and noise, in units of the tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Augmentation {
    settings: Augment,
    /// About which contrast changes.
    middle: f32,
    /// What enters at the border of a shifted volume.
    fill: f32,
}

impl Augmentation {
    pub(super) fn new(settings: &Augment, input: &PreprocessSpec) -> Self {
        let ([low_hu, high_hu], [low, high]) = (input.window_hu, input.output_range);
        let share = (input.fill_hu.clamp(low_hu, high_hu) - low_hu) / (high_hu - low_hu);
        Self { settings: settings.clone(), middle: middle(input.output_range), fill: low + share * (high - low) }
    }

    /// Whether it changes nothing.
    pub(super) fn is_plain(&self) -> bool {
        self.settings.shift == [0; 3] && self.settings.noise == 0.0 && self.settings.contrast == 0.0
    }

    /// Changes a volume of `size` (z, y, x); what is drawn follows from (seed, step, place) alone.
    pub(super) fn apply(&self, volume: &mut Vec<f32>, size: [usize; 3], (seed, step, place): (u64, usize, usize)) {
        if self.is_plain() {
            return;
        }
        let mut random = stream("augment", seed, &[step, place]);
        *volume = self.shifted(volume, size, &mut random);
        let contrast = 1.0 + narrow(self.settings.contrast) * (2.0 * fraction(&mut random) - 1.0);
        let noise = narrow(self.settings.noise);
        for value in volume {
            *value = self.middle + contrast * (*value - self.middle);
            if noise > 0.0 {
                *value += noise * normal(random.next_u32());
            }
        }
    }

    fn shifted(&self, volume: &[f32], size: [usize; 3], random: &mut ChaCha8Rng) -> Vec<f32> {
        let [z, y, x] = size;
        // Each axis from its own lowest shift upwards: `from` is where output 0 is taken from, plus `shift`.
        let [dz, dy, dx] = self.settings.shift.map(|shift| (below(random, 2 * shift + 1), shift));
        let source = |index: usize, (from, shift): (usize, usize), edge: usize| {
            (index + from).checked_sub(shift).filter(|&place| place < edge)
        };
        let mut moved = vec![self.fill; volume.len()];
        for (row, values) in moved.chunks_mut(x.max(1)).enumerate() {
            let (Some(k), Some(j)) = (source(row / y, dz, z), source(row % y, dy, y)) else { continue };
            let Some(line) = volume.get((k * y + j) * x..(k * y + j + 1) * x) else { continue };
            let (from, shift) = dx;
            let (skip, start) = (from.saturating_sub(shift), shift.saturating_sub(from));
            for (value, old) in values.iter_mut().skip(start).zip(line.iter().skip(skip)) {
                *value = *old;
            }
        }
        moved
    }
}

/// Nearly normal with deviation one: the sum of four uniform bytes (Irwin and Hall).
fn normal(bits: u32) -> f32 {
    /// Mean of the sum, and its standard deviation: sqrt(4 (256^2 - 1) / 12).
    const MEAN: f32 = 510.0;
    const DEVIATION: f32 = 147.8;
    let sum: u16 = bits.to_le_bytes().iter().copied().map(u16::from).sum();
    (f32::from(sum) - MEAN) / DEVIATION
}

/// A number from 0 to below 1.
fn fraction(random: &mut ChaCha8Rng) -> f32 {
    f32::from_bits(0x3f80_0000 | (random.next_u32() >> 9)) - 1.0
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "settings below one in a tensor of 32 bits"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}
