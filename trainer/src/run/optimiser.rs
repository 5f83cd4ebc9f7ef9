//! The optimiser: `AdamW` (Loshchilov and Hutter, arXiv 1711.05101) on gradients of bounded length.
//!
//! The framework's own optimiser of a whole network clips each tensor by itself and keeps its state under identifiers
//! that change with every start. Here the framework's rule is applied parameter by parameter, its state is kept under
//! the parameters' paths, and the length is that of all gradients together.

use super::{Array, Weights, WeightsError};
use crate::experiment::Training;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor, TensorData, TensorReadError};
use std::collections::BTreeMap;

/// Added to the root of the second moment; the framework's own default of 1e-5 would swallow small gradients.
const EPSILON: f32 = 1e-8;
/// Decay of the moments.
const BETAS: [f32; 2] = [0.9, 0.98];
/// Path of the first moments in stored state.
const FIRST: &str = "first.";
/// Path of the second moments in stored state.
const SECOND: &str = "second.";

/// `AdamW` with its state.
#[expect(missing_debug_implementations, reason = "the framework's rule has none")]
pub struct Optimiser {
    decaying: AdamW,
    plain: AdamW,
    clip_norm: f64,
    /// Moments by the parameter's path, as vectors.
    moments: BTreeMap<String, AdamWState<1>>,
}

impl Optimiser {
    /// An optimiser that has seen nothing. Matrices decay; vectors (biases, shifts and scales of normalisations) do not.
    pub fn new(weight_decay: f64, clip_norm: f64) -> Self {
        let [beta_1, beta_2] = BETAS;
        let config = AdamWConfig::new().with_epsilon(EPSILON).with_beta_1(beta_1).with_beta_2(beta_2);
        let decaying = config.clone().with_weight_decay(narrow(weight_decay)).build();
        Self { decaying, plain: config.with_weight_decay(0.0).build(), clip_norm, moments: BTreeMap::new() }
    }

    /// Moves a network against its gradients, and tells how long they were over all parameters. A length that is no
    /// number moves nothing.
    pub fn step<M: Module>(
        &mut self,
        network: M,
        gradients: GradientsParams,
        rate: f64,
    ) -> Result<(M, f64), TensorReadError> {
        let length = length(&network, &gradients)?;
        if !length.is_finite() {
            return Ok((network, length));
        }
        let factor = if length > self.clip_norm { self.clip_norm / length } else { 1.0 };
        let mut update = Update { optimiser: self, gradients, rate, factor, path: Vec::new() };
        Ok((network.map(&mut update), length))
    }

    /// Its state as named arrays.
    pub fn state(&self) -> Result<Weights, WeightsError> {
        let mut state = Weights::default();
        for (path, AdamWState { momentum }) in &self.moments {
            for (part, moment) in [(FIRST, &momentum.moment_1), (SECOND, &momentum.moment_2)] {
                let name = format!("{part}{path}");
                let values = moment.clone().try_into_vec_as::<f32>();
                let values =
                    values.map_err(|error| WeightsError::Read { name: name.clone(), reason: error.to_string() })?;
                state.0.insert(name, Array { shape: vec![values.len()], values });
            }
        }
        Ok(state)
    }

    /// The same optimiser after `steps` steps that left this state.
    pub fn resumed(mut self, state: &Weights, steps: usize, device: &Device) -> Result<Self, WeightsError> {
        let vector =
            |array: &Array| Tensor::<1>::from_data(TensorData::new(array.values.clone(), [array.values.len()]), device);
        for (name, array) in &state.0 {
            let Some(path) = name.strip_prefix(FIRST) else { continue };
            let second = format!("{SECOND}{path}");
            let other = state.0.get(&second).ok_or(WeightsError::Missing { name: second })?;
            let mut momentum = AdaptiveMomentumState::new(steps, vector(array), vector(other));
            momentum.time = steps;
            self.moments.insert(path.to_owned(), AdamWState::new(momentum));
        }
        Ok(self)
    }
}

/// Euclidean length of all gradients together.
fn length<M: Module>(network: &M, gradients: &GradientsParams) -> Result<f64, TensorReadError> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    network.visit(&mut squares);
    if squares.sums.is_empty() {
        return Ok(0.0);
    }
    // Added up in 64 bits and in the network's order, so that the sum is the same each time.
    let sums: Vec<f32> = Tensor::cat(squares.sums, 0).try_into_vec_as()?;
    Ok(sums.into_iter().map(f64::from).sum::<f64>().sqrt())
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.sums.extend(self.gradients.get::<D>(param.id).map(|gradient| gradient.powi_scalar(2).sum()));
    }
}

struct Update<'a> {
    optimiser: &'a mut Optimiser,
    gradients: GradientsParams,
    rate: f64,
    factor: f64,
    path: Vec<String>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let path = self.path.join(".");
        let Optimiser { decaying, plain, moments, .. } = &mut *self.optimiser;
        let state = moments.remove(&path);
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.dims();
        let rule = if shape.iter().filter(|&&edge| edge > 1).count() > 1 { decaying } else { plain };
        let gradient = gradient.reshape([-1]) * self.factor;
        let (moved, state) = rule.step::<1>(self.rate, tensor.inner().reshape([-1]), gradient, state);
        moments.extend(state.map(|state| (path, state)));
        let moved = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, moved, mapper)
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the framework's settings have 32 bits")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The learning rate of a step, from 0: rises linearly over the warm-up, then falls along half a cosine to its final
/// share (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
pub fn learning_rate(training: &Training, step: usize) -> f64 {
    let Training { steps, warmup_steps, learning_rate, final_share, .. } = *training;
    if step < warmup_steps {
        return learning_rate * real(step + 1) / real(warmup_steps);
    }
    let along = real(step - warmup_steps) / real((steps - 1).saturating_sub(warmup_steps).max(1));
    let cosine = f64::midpoint(1.0, (std::f64::consts::PI * along.min(1.0)).cos());
    learning_rate * (final_share + (1.0 - final_share) * cosine)
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
