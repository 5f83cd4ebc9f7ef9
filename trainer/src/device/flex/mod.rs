//! The kernels on the processor: each row is read while it lies in the cache, and blocks of rows go to all threads.
//!
//! A block is cut by the length of its rows alone, so that no sum depends on the number of threads.

pub(super) mod neighbours;
pub(super) mod numbers;
pub(super) mod rows;

use super::gradient::{Filters, Kernels, Scale, Seen};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use neighbours::Field;
use pulp::{Arch, WithSimd};
use rayon::prelude::*;
use rows::{CausalSoftmax, Gelu, GeluGradient, LayerNorm, LayerNormGradient, Softmax, SoftmaxGradient};

/// Numbers in a block: some hundred microseconds of work.
const BLOCK: usize = 1 << 14;

type Numbers = FloatTensor<Flex>;

impl Kernels for Flex {
    fn convolution_kernel(input: Numbers, filters: Filters<Self>, bias: Numbers) -> Numbers {
        let [_, outputs] = filters.weight.shape().dims();
        let (rows, field) = gathered(input, filters.stride);
        let [z, y, x] = field.centres();
        let output = Self::linear(rows, filters.weight, Some(bias));
        Self::float_reshape(output, Shape::new([field.cases, z, y, x, outputs]))
    }

    fn convolution_x_gradient(input: Numbers, filters: Filters<Self>, output: Numbers) -> Numbers {
        let field = field(&input, filters.stride);
        let rows = whole(Self::linear_x_backward(filters.weight, as_rows(output, field)));
        let ([z, y, x], maps) = (field.size, field.scattered(rows.storage::<f32>()));
        Numbers::from_data(TensorData::new(maps, [field.cases, z, y, x, field.width]))
    }

    fn convolution_weight_gradient(input: Numbers, filters: Filters<Self>, output: Numbers) -> Numbers {
        let (rows, field) = gathered(input, filters.stride);
        Self::linear_weight_backward(rows, as_rows(output, field))
    }

    fn gelu_kernel(input: Numbers) -> Numbers {
        let mut output = whole(input);
        blocks_mut(&mut output, 1).for_each(|(_, block)| vectorised(Gelu { block }));
        output
    }

    fn gelu_gradient(input: Numbers, output: Numbers) -> Numbers {
        let [input, mut gradient] = [input, output].map(whole);
        let input = input.storage::<f32>();
        blocks_mut(&mut gradient, 1)
            .for_each(|(first, block)| vectorised(GeluGradient { input: after(input, first), block }));
        gradient
    }

    fn layer_norm_kernel(input: Numbers, scale: Scale<Self>) -> Numbers {
        let [mut output, gamma, beta] = [input, scale.gamma, scale.beta].map(whole);
        let scale = rows::Scale { gamma: gamma.storage(), beta: beta.storage(), epsilon: scale.epsilon };
        blocks_mut(&mut output, scale.gamma.len()).for_each(|(_, block)| vectorised(LayerNorm { block, scale }));
        output
    }

    fn layer_norm_gradient(input: Numbers, scale: Scale<Self>, output: Numbers) -> [Numbers; 3] {
        let [input, mut gradient, gamma, beta] = [input, output, scale.gamma, scale.beta].map(whole);
        let input = input.storage::<f32>();
        let scale = rows::Scale { gamma: gamma.storage(), beta: beta.storage(), epsilon: scale.epsilon };
        let blocks = blocks_mut(&mut gradient, scale.gamma.len());
        let learned =
            blocks.map(|(first, block)| vectorised(LayerNormGradient { input: after(input, first), scale, block }));
        let learned: Vec<_> = learned.collect();
        let [gamma, beta] = [0, 1].map(|which| total(learned.iter().filter_map(|both| both.get(which))));
        [gradient, gamma, beta]
    }

    fn softmax_kernel(scores: Numbers, seen: Seen<Self>) -> Numbers {
        let [cases, heads, queries, count] = scores.shape().dims();
        let mut weights = whole(scores);
        let keys = match seen {
            Seen::All => ones([cases, count]),
            Seen::Keys(seen) => whole(seen),
            Seen::Past => {
                let seen = ones([1, count]);
                let seen = seen.storage::<f32>();
                parts_mut(&mut weights, queries * count)
                    .for_each(|(_, block)| vectorised(CausalSoftmax { block, queries, seen }));
                return weights;
            }
        };
        let keys = keys.storage::<f32>();
        parts_mut(&mut weights, heads * queries * count).for_each(|(first, block)| {
            let seen = after(keys, first / (heads * queries)).get(..count).unwrap_or_default();
            vectorised(Softmax { block, seen });
        });
        weights
    }

    fn softmax_gradient(weights: Numbers, output: Numbers) -> Numbers {
        let [_, _, _, count] = weights.shape().dims();
        let [weights, mut gradient] = [weights, output].map(whole);
        let weights = weights.storage::<f32>();
        blocks_mut(&mut gradient, count).for_each(|(first, block)| {
            vectorised(SoftmaxGradient { weights: after(weights, first), row: count, block });
        });
        gradient
    }
}

/// Maps `[B, z, y, x, C]` and the neighbourhoods in them.
fn field(maps: &Numbers, stride: usize) -> Field {
    let [cases, z, y, x, width] = maps.shape().dims();
    Field { cases, size: [z, y, x], width, stride }
}

/// The neighbourhoods of maps as rows.
fn gathered(maps: Numbers, stride: usize) -> (Numbers, Field) {
    let field = field(&maps, stride);
    let rows = field.gathered(whole(maps).storage::<f32>());
    (Numbers::from_data(TensorData::new(rows, [field.rows(), field.row()])), field)
}

/// What a convolution has made, `[B, z', y', x', O]`, a row for each neighbourhood.
fn as_rows(made: Numbers, field: Field) -> Numbers {
    let [_, _, _, _, outputs] = made.shape().dims();
    Flex::float_reshape(made, Shape::new([field.rows(), outputs]))
}

fn ones(shape: [usize; 2]) -> Numbers {
    Numbers::from_data(TensorData::ones::<f32, _>(shape))
}

/// A tensor whose storage is its numbers in C order and nothing else.
#[expect(clippy::needless_pass_by_value, reason = "the given handle ends here: the one returned may be the only one")]
fn whole(tensor: Numbers) -> Numbers {
    tensor.to_contiguous()
}

fn vectorised<W: WithSimd>(work: W) -> W::Output {
    Arch::new().dispatch(work)
}

fn after(numbers: &[f32], first: usize) -> &[f32] {
    numbers.get(first..).unwrap_or_default()
}

/// Blocks of some whole rows, each with the place of its first number.
fn blocks_mut(tensor: &mut Numbers, row: usize) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
    parts_mut(tensor, row * (BLOCK / row).max(1))
}

fn parts_mut(tensor: &mut Numbers, part: usize) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
    tensor.storage_mut::<f32>().par_chunks_mut(part).enumerate().map(move |(index, numbers)| (index * part, numbers))
}

/// The sum of rows, in their order.
fn total<'a>(mut rows: impl Iterator<Item = &'a Vec<f32>>) -> Numbers {
    let first = rows.next().cloned().unwrap_or_default();
    let sums = rows.fold(first, |mut sums, row| {
        sums.iter_mut().zip(row).for_each(|(sum, part)| *sum += part);
        sums
    });
    let shape = [sums.len()];
    Numbers::from_data(TensorData::new(sums, shape))
}
