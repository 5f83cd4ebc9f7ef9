//! The volume tower in 8 bits: which numbers its layers see, what it says with them rounded, and what that costs.
//!
//! In: a [`Tower`] and volumes. Out: the [`Steps`] that its graph is quantised with, a [`Quantised`]
//! tower that computes what such a graph computes, and its [`Cost`]. Only the matrices of the blocks are quantised: they do
//! nearly all of the work with weights, while the patch embedding sees voxels, of which 8 bits leave steps of several HU, and what
//! follows the blocks makes the very numbers that are published. Owns nothing on disk.

mod cost;
mod tower;

pub use cost::{Cost, Judged, cost};
pub use tower::Quantised;

use super::ExportError;
use super::onnx::Steps;
use super::trace::{input, read};
use crate::eval::Tower;
use burn::tensor::Device;
use ctedge_models::phantom::Recipe;
use ctedge_models::preprocess;
use ctedge_models::spec::PreprocessSpec;

/// Synthetic patients whose volumes set the ranges.
pub const CALIBRATION_PHANTOMS: u64 = 16;
/// First of their seeds, far from those of training corpora, which count up from small numbers.
const CALIBRATION_SEED: u64 = 1 << 40;
/// First seed of the synthetic patients that the cost is measured on.
const JUDGED_SEED: u64 = 1 << 41;
/// Share of a layer's numbers within its range; the others are clipped. A single outlier would otherwise take steps from
/// all the rest.
const WITHIN: f64 = 0.9999;
/// Largest code of an input.
const LARGEST: f32 = 127.0;

/// What a step of each layer of the blocks is worth: the 99.99th percentile of what a volume gives it, in magnitude and
/// the largest over [`CALIBRATION_PHANTOMS`] synthetic patients, becomes 127.
pub fn measured(tower: &Tower, spec: &PreprocessSpec, device: &Device) -> Result<Steps, ExportError> {
    let mut steps = Steps::new();
    for seed in (CALIBRATION_SEED..).zip(0..CALIBRATION_PHANTOMS).map(|(seed, _)| seed) {
        let Judged { volume, .. } = phantom(&Recipe::patient(seed), spec)?;
        tower::forward(tower, input(tower, &volume, device)?, &mut |layer, tokens| {
            let step = percentile(read(tokens.clone().try_into_vec_as())?) / LARGEST;
            let largest = steps.entry(layer.to_owned()).or_insert(step);
            *largest = largest.max(step);
            Ok(tokens)
        })?;
    }
    Ok(steps)
}

/// `count` synthetic patients that neither training nor calibration has seen.
pub fn phantoms(count: u64, spec: &PreprocessSpec) -> impl Iterator<Item = Result<Judged, ExportError>> {
    (JUDGED_SEED..).zip(0..count).map(|(seed, _)| phantom(&Recipe::patient(seed), spec))
}

fn phantom(recipe: &Recipe, spec: &PreprocessSpec) -> Result<Judged, ExportError> {
    let volume = recipe.volume().map_err(|source| ExportError::Phantom { source })?;
    let volume = preprocess::tensor(&volume, spec).into_values().into_iter().collect();
    Ok(Judged { volume, labels: Some(recipe.labels()) })
}

/// The percentile [`WITHIN`] of magnitudes; a layer that sees only zeros gets the smallest range there is.
fn percentile(mut values: Vec<f32>) -> f32 {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place in a list, neither negative nor beyond its end"
    )]
    let place = ((values.len() as f64) * WITHIN) as usize;
    for value in &mut values {
        *value = value.abs();
    }
    let last = values.len().saturating_sub(1);
    let found = if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(place.min(last), f32::total_cmp).1 };
    found.max(f32::MIN_POSITIVE * LARGEST)
}
