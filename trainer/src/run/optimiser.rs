//! The optimiser: `AdamW` (Loshchilov and Hutter, arXiv 1711.05101) on gradients of bounded length.
//!
//! The framework's own optimiser of a whole network clips each tensor by itself and keeps its state under identifiers
//! that change with every start. Here the framework's rule is applied to all parameters end to end, which on a GPU is a dozen
//! kernels instead of thousands; its state is stored under the parameters' paths, and the length is that of all gradients
//! together.

use super::{Array, Weights, WeightsError};
use crate::device::{self, Tape};
use crate::experiment::Rate;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor, TensorData, TensorReadError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Added to the root of the second moment; the framework's own default of 1e-5 would swallow small gradients.
const EPSILON: f32 = 1e-8;
/// Decay of the moments.
const BETAS: [f32; 2] = [0.9, 0.98];
/// Path of the first moments in stored state.
const FIRST: &str = "first.";
/// Path of the second moments in stored state.
const SECOND: &str = "second.";
/// Squares that are added up in 32 bits before 64 take over.
const ROW: usize = 4096;

/// `AdamW` with its state.
#[derive(Debug)]
pub struct Optimiser {
    /// Matrices, which decay, and vectors (biases, shifts and scales of normalisations), which do not.
    groups: [Group; 2],
    clip_norm: f64,
    /// Moments of parameters that no group holds yet, by path.
    found: BTreeMap<String, [Tensor<1>; 2]>,
    /// Steps that were taken.
    time: usize,
}

/// Parameters that share a rule.
struct Group {
    rule: AdamW,
    decay: f64,
    /// Paths and lengths of the parameters, in the order that their moments lie in.
    layout: Vec<(String, usize)>,
    moments: Option<AdamWState<1>>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Optimiser {
    /// An optimiser that has seen nothing.
    pub fn new(weight_decay: f64, clip_norm: f64) -> Self {
        let [beta_1, beta_2] = BETAS;
        let config = AdamWConfig::new().with_epsilon(EPSILON).with_beta_1(beta_1).with_beta_2(beta_2);
        let groups = [weight_decay, 0.0].map(|decay| {
            let rule = config.clone().with_weight_decay(narrow(decay)).build();
            Group { rule, decay, layout: Vec::new(), moments: None }
        });
        Self { groups, clip_norm, found: BTreeMap::new(), time: 0 }
    }

    /// Brings a network's gradients together and finds how long they are over all parameters. It waits until they are there.
    pub fn gathered<M: Module>(network: &M, gradients: GradientsParams) -> Result<Gathered, TensorReadError> {
        let mut found = Found { gradients, groups: Default::default(), path: Vec::new() };
        network.visit(&mut found);
        let groups = found.groups.map(Pieces::joined);
        Ok(Gathered { length: length(&groups)?, groups })
    }

    /// Moves a network against its gradients. A length that is no number moves nothing.
    pub fn step<M: Module>(&mut self, network: M, gathered: Gathered, rate: f64) -> M {
        let Gathered { length, groups } = gathered;
        if !length.is_finite() {
            return network;
        }
        let factor = if length > self.clip_norm { self.clip_norm / length } else { 1.0 };
        let mut moved = BTreeMap::new();
        for (index, joined) in groups.into_iter().enumerate() {
            let Some(Joined { layout, values, gradient }) = joined else { continue };
            let places = places(&layout);
            self.settle(index, layout, &gradient.device());
            let gradient = if factor < 1.0 { gradient * factor } else { gradient };
            let Some(group) = self.groups.get_mut(index) else { continue };
            let values = group.moved(rate, self.time, values, gradient);
            moved.extend(places.into_iter().map(|(path, place)| (path, (values.clone(), place))));
        }
        self.time += 1;
        network.map(&mut Scattered { moved, path: Vec::new() })
    }

    /// Its state as named arrays.
    pub fn state(&self) -> Result<Weights, WeightsError> {
        let mut state = Weights::default();
        let within = self.groups.iter().flat_map(Group::apart);
        let beside = self.found.iter().map(|(path, moments)| (path.clone(), moments.clone()));
        for (path, moments) in within.chain(beside) {
            for (part, moment) in [FIRST, SECOND].into_iter().zip(moments) {
                let name = format!("{part}{path}");
                let values = moment.try_into_vec_as::<f32>();
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
            self.found.insert(path.to_owned(), [vector(array), vector(other)]);
        }
        self.time = steps;
        Ok(self)
    }

    /// Brings a group's moments into the order that its parameters have now.
    fn settle(&mut self, index: usize, layout: Vec<(String, usize)>, device: &Device) {
        let Some(group) = self.groups.get_mut(index).filter(|group| group.layout != layout) else { return };
        self.found.extend(group.apart());
        if self.time > 0 {
            let taken = layout.iter().map(|(path, length)| {
                self.found.remove(path).unwrap_or_else(|| [0, 1].map(|_| Tensor::zeros([*length], device)))
            });
            let (first, second): (Vec<_>, Vec<_>) = taken.map(|[first, second]| (first, second)).unzip();
            group.moments = Some(moments(self.time, [first, second].map(|pieces| Tensor::cat(pieces, 0))));
        }
        group.layout = layout;
    }
}

impl Group {
    /// The values after a step, which moves the moments too; `time` steps were taken before.
    fn moved(&mut self, rate: f64, time: usize, values: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let tape = Tape::of(&gradient.device());
        let state = self.moments.take();
        if let Some(AdamWState { momentum }) = &state {
            let count = i32::try_from(time + 1).unwrap_or(i32::MAX);
            let betas = BETAS.map(f64::from);
            let rule = device::AdamW { betas, epsilon: EPSILON.into(), decay: self.decay, rate, time: count };
            let both = [momentum.moment_1.clone(), momentum.moment_2.clone()];
            if let Some((values, [first, second])) = tape.adamw(&rule, &[values.clone(), gradient.clone()], &both) {
                self.moments = Some(moments(time + 1, [first, second]));
                return values;
            }
        }
        let (values, state) = self.rule.step::<1>(rate, values, gradient, state);
        self.moments = state;
        values
    }

    /// The moments of each parameter.
    fn apart(&self) -> Vec<(String, [Tensor<1>; 2])> {
        let Some(AdamWState { momentum }) = &self.moments else { return Vec::new() };
        let both = [&momentum.moment_1, &momentum.moment_2];
        let cut = |(path, place): (String, Range<usize>)| {
            (path, both.map(|moment| moment.clone().slice_dim(0, place.clone())))
        };
        places(&self.layout).into_iter().map(cut).collect()
    }
}

/// The rule's state after so many steps.
fn moments(time: usize, [first, second]: [Tensor<1>; 2]) -> AdamWState<1> {
    let mut momentum = AdaptiveMomentumState::new(time, first, second);
    momentum.time = time;
    AdamWState::new(momentum)
}

/// Where each parameter lies among all of them.
fn places(layout: &[(String, usize)]) -> Vec<(String, Range<usize>)> {
    let begins = layout.iter().scan(0, |end, (_, length)| {
        let begin = *end;
        *end += length;
        Some(begin)
    });
    begins.zip(layout).map(|(begin, (path, length))| (path.clone(), begin..begin + length)).collect()
}

/// A network's gradients, ready for a step.
#[derive(Debug)]
pub struct Gathered {
    /// Their Euclidean length, over all parameters.
    pub length: f64,
    groups: [Option<Joined>; 2],
}

/// Parameters of a group with their gradients, one by one.
#[derive(Default)]
struct Pieces {
    layout: Vec<(String, usize)>,
    values: Vec<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
}

/// The same end to end.
#[derive(Debug)]
struct Joined {
    layout: Vec<(String, usize)>,
    values: Tensor<1>,
    gradient: Tensor<1>,
}

impl Pieces {
    /// `None` if there are none.
    fn joined(self) -> Option<Joined> {
        let Self { layout, values, gradients } = self;
        (!layout.is_empty()).then(|| Joined {
            layout,
            values: Tensor::cat(values, 0),
            gradient: Tensor::cat(gradients, 0),
        })
    }
}

/// Euclidean length of all gradients together.
fn length(groups: &[Option<Joined>; 2]) -> Result<f64, TensorReadError> {
    let mut sum = 0.0;
    for Joined { gradient, .. } in groups.iter().flatten() {
        let [count] = gradient.dims();
        let whole = count - count % ROW;
        let squares = gradient.clone().powi_scalar(2);
        let mut sums = Vec::new();
        if whole > 0 {
            let rows = squares.clone().slice_dim(0, 0..whole).reshape([whole / ROW, ROW]);
            sums.push(rows.sum_dim(1).reshape([-1]));
        }
        if whole < count {
            sums.push(squares.slice_dim(0, whole..count).sum());
        }
        // Added up in 64 bits and in the network's order, so that the sum is the same each time.
        let sums: Vec<f32> = Tensor::cat(sums, 0).try_into_vec_as()?;
        sum += sums.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(sum.sqrt())
}

struct Found {
    gradients: GradientsParams,
    groups: [Pieces; 2],
    path: Vec<String>,
}

impl ModuleVisitor for Found {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let values = param.val().inner();
        let shape = values.dims();
        let [matrices, vectors] = &mut self.groups;
        let group = if shape.iter().filter(|&&edge| edge > 1).count() > 1 { matrices } else { vectors };
        group.layout.push((self.path.join("."), shape.iter().product()));
        group.values.push(values.reshape([-1]));
        group.gradients.push(gradient.reshape([-1]));
    }
}

/// Puts moved parameters back in their places.
struct Scattered {
    moved: BTreeMap<String, (Tensor<1>, Range<usize>)>,
    path: Vec<String>,
}

impl ModuleMapper for Scattered {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((values, place)) = self.moved.remove(&self.path.join(".")) else { return param };
        let (id, tensor, mapper) = param.consume();
        let moved = values.slice_dim(0, place).reshape(tensor.dims());
        Param::from_mapped_value(id, Tensor::from_inner(moved).require_grad(), mapper)
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the framework's settings have 32 bits")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The learning rate of a step, from 0: rises linearly over the warm-up, then falls along half a cosine to its final
/// share, and does both once more from its restart on (Loshchilov and Hutter, arXiv 1608.03983).
pub fn learning_rate(rate: Rate, step: usize) -> f64 {
    let Rate { highest, warmup_steps, final_share, .. } = rate;
    let (step, steps) = match rate.restart_at {
        Some(at) if step >= at => (step - at, rate.steps.saturating_sub(at)),
        Some(at) => (step, at),
        None => (step, rate.steps),
    };
    if step < warmup_steps {
        return highest * real(step + 1) / real(warmup_steps);
    }
    let along = real(step - warmup_steps) / real((steps - 1).saturating_sub(warmup_steps).max(1));
    let cosine = f64::midpoint(1.0, (std::f64::consts::PI * along.min(1.0)).cos());
    highest * (final_share + (1.0 - final_share) * cosine)
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
