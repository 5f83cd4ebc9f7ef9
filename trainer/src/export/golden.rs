//! The golden test: a synthetic volume, its tensor, and what the training framework computed for it.

use super::{ExportError, Trace};
use crate::experiment::Experiment;
use crate::run::Tower;
use burn::tensor::Device;
use ctedge_models::bundle::Golden;
use ctedge_models::preprocess::{self, Tensor};

/// Largest difference of a logit on a device. Reduced-precision matrix units (TF32) stay below it; a wrong graph, input
/// or operator does not.
const TOLERANCE: f32 = 0.01;

/// The input tensor of the experiment's phantom, by the code that every appliance repeats it with.
pub fn phantom_tensor(experiment: &Experiment) -> Result<Tensor, ExportError> {
    let volume = experiment.golden.volume().map_err(|source| ExportError::Phantom { source })?;
    Ok(preprocess::tensor(&volume, &experiment.input))
}

/// Runs the tower on the experiment's phantom.
pub(super) fn golden(experiment: &Experiment, tower: &Tower, device: &Device) -> Result<Golden, ExportError> {
    let tensor = phantom_tensor(experiment)?;
    let tensor_sha256 = tensor.sha256();
    let trace = Trace::of(tower, tensor.into_values().into_iter().collect(), device)?;
    Ok(Golden { phantom: experiment.golden.clone(), tensor_sha256, logits: trace.logits, tolerance: TOLERANCE })
}
