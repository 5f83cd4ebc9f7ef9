//! libtorch: its kernels, and its own graph, which takes gradients without the framework's.

#![expect(deprecated, reason = "burn means to drop libtorch for kernels of its own; trainer/bench has both figures")]

use super::fused::Fused;
use super::gradient::Kernels;
use super::tape::AdamW;
use burn::backend::LibTorch;
use burn::backend::tensor::FloatTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use std::collections::HashSet;

type Numbers = FloatTensor<LibTorch>;

/// The first GPU.
pub(super) fn gpu() -> Device {
    Device::libtorch_cuda(0)
}

/// The processor.
pub(super) fn processor() -> Device {
    Device::libtorch()
}

impl Fused for LibTorch {
    fn fused_linear(input: Numbers, weight: Numbers, bias: Numbers) -> Numbers {
        let mut shape = input.tensor.size();
        let rows = input.tensor.reshape([-1, shape.pop().unwrap_or(1)]);
        shape.extend(bias.tensor.size());
        Numbers::new(bias.tensor.addmm(&rows, &weight.tensor).reshape(shape))
    }

    fn fused_convolution(input: Numbers, weight: Numbers, bias: Numbers, stride: usize) -> Numbers {
        let outputs = bias.tensor.size();
        let shape = [[3, 3, 3, -1].as_slice(), outputs.as_slice()].concat();
        let kernel = weight.tensor.reshape(shape).permute([4, 3, 0, 1, 2]);
        let stride = [i64::try_from(stride).unwrap_or(1); 3];
        let maps = input.tensor.permute([0, 4, 1, 2, 3]);
        let output = maps.conv3d(&kernel, Some(&bias.tensor), stride, [1; 3], [1; 3], 1);
        Numbers::new(output.permute([0, 2, 3, 4, 1]))
    }

    fn fused_residual(input: Numbers, branch: Numbers) -> Numbers {
        Numbers::new(&input.tensor + &branch.tensor)
    }

    fn fused_gelu(input: Numbers) -> Numbers {
        Numbers::new(input.tensor.gelu("none"))
    }

    fn fused_layer_norm(input: Numbers, gamma: Numbers, beta: Numbers, epsilon: f64) -> Numbers {
        let width = gamma.tensor.size();
        Numbers::new(input.tensor.layer_norm(width, Some(&gamma.tensor), Some(&beta.tensor), epsilon, true))
    }

    fn fused_attention(query: Numbers, key: Numbers, value: Numbers) -> Numbers {
        attention([query, key, value], None)
    }

    fn fused_attention_among(query: Numbers, key: Numbers, value: Numbers, seen: Numbers) -> Numbers {
        let mut shape = seen.tensor.size();
        shape.splice(1..1, [1, 1]);
        attention([query, key, value], Some(seen.tensor.ne(0.0).reshape(shape)))
    }

    /// With a mask of its own: libtorch's flag for it takes the queries for the first of the keys.
    fn fused_attention_causal(query: Numbers, key: Numbers, value: Numbers) -> Numbers {
        let [queries, keys] = [&query, &key].map(|part| part.tensor.size().get(2).copied().unwrap_or(0));
        let all = tch::Tensor::ones([queries, keys], (tch::Kind::Bool, query.tensor.device()));
        attention([query, key, value], Some(all.tril(keys - queries)))
    }
}

fn attention([query, key, value]: [Numbers; 3], seen: Option<tch::Tensor>) -> Numbers {
    let [query, key, value] = [&query, &key, &value].map(|part| &part.tensor);
    Numbers::new(tch::Tensor::scaled_dot_product_attention(query, key, value, seen, 0.0, false, None, false))
}

/// Only what the framework's graph needs; the towers' gradients are libtorch's.
impl Kernels for LibTorch {}

/// A network outside the framework's graph, whose parameters of these libtorch follows.
pub(super) fn leaves<M: Module>(network: M, learning: &HashSet<ParamId>) -> M {
    network.map(&mut Tracked { learning })
}

struct Tracked<'a> {
    learning: &'a HashSet<ParamId>,
}

impl ModuleMapper for Tracked<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.learning.contains(&param.id) {
            return param;
        }
        param.map(|tensor| renewed(tensor, |tensor| tensor.detach().set_requires_grad(true)))
    }
}

/// The same numbers, of which libtorch follows nothing.
pub(super) fn cut<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    renewed(tensor, |tensor| tensor.detach())
}

/// Another handle to the storage of a tensor. The framework overwrites what has only one.
fn renewed<const D: usize>(tensor: Tensor<D>, handle: impl FnOnce(&tch::Tensor) -> tch::Tensor) -> Tensor<D> {
    let numbers = native(tensor);
    let other = handle(&numbers.tensor);
    Tensor::from_primitive::<LibTorch>(Numbers::from_existing(other, numbers.storage))
}

#[expect(clippy::panic, reason = "the caller has asked the tensor's device")]
fn native<const D: usize>(tensor: Tensor<D>) -> Numbers {
    tensor.try_into_primitive::<LibTorch>().unwrap_or_else(|error| panic!("no tensor of libtorch: {error:?}"))
}

/// One step of the rule on all parameters end to end: new values, and the moments, which are moved where they lie.
pub(super) fn adamw(
    rule: &AdamW,
    [values, gradient]: [Tensor<1>; 2],
    moments: [Tensor<1>; 2],
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let AdamW { betas: [beta_1, beta_2], epsilon, decay, rate, time } = *rule;
    let [values, gradient] = [values, gradient].map(|tensor| native(tensor).tensor);
    let [mut first, mut second] = moments.map(native);
    let _moved = first.tensor.lerp_(&gradient, 1.0 - beta_1);
    let _moved = second.tensor.lerp_(&gradient.square(), 1.0 - beta_2);
    let [short_1, short_2] = [beta_1, beta_2].map(|beta| 1.0 - beta.powi(time));
    // The factors that make up for the moments' start at zero are taken out of the tensors.
    let mut root = second.tensor.sqrt();
    root += epsilon * short_2.sqrt();
    let mut step = &first.tensor / root;
    step *= rate * short_2.sqrt() / short_1;
    let mut moved = values * (1.0 - rate * decay);
    moved -= step;
    let moments = [first, second].map(Tensor::from_primitive::<LibTorch>);
    (Tensor::from_primitive::<LibTorch>(Numbers::new(moved)), moments)
}

/// The gradients of a number by a network's leaves, in 32 bits.
pub(super) fn gradients<M: Module>(of: &Tensor<1>, network: &M) -> GradientsParams {
    let mut found = Leaves::default();
    network.visit(&mut found);
    let back = tch::Tensor::run_backward(&[native(of.clone()).tensor], &found.0, false, false);
    let mut given = Given { back: back.into_iter(), gradients: GradientsParams::new() };
    network.visit(&mut given);
    given.gradients
}

#[derive(Default)]
struct Leaves(Vec<tch::Tensor>);

impl ModuleVisitor for Leaves {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = native(param.val()).tensor;
        if tensor.requires_grad() {
            self.0.push(tensor);
        }
    }
}

/// Gives every leaf its gradient, in the order in which they were found.
struct Given {
    back: std::vec::IntoIter<tch::Tensor>,
    gradients: GradientsParams,
}

impl ModuleVisitor for Given {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !native(param.val()).tensor.requires_grad() {
            return;
        }
        // A leaf that the number does not depend on has none.
        if let Some(gradient) = self.back.next().filter(tch::Tensor::defined) {
            let gradient = Tensor::<D>::from_primitive::<LibTorch>(Numbers::new(gradient));
            self.gradients.register(param.id, gradient.cast(DType::F32));
        }
    }
}
