//! A convolution by the framework's own, which keeps channels before cells.

use crate::device::gradient::{Filters, Wanted};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

/// Edge of a neighbourhood, and the cells beyond a border that it reaches.
const EDGE: usize = 3;
const BEYOND: usize = 1;

pub(in crate::device) fn convolution<B: Backend>(
    input: FloatTensor<B>,
    filters: Filters<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = options(filters.stride);
    last::<B>(B::conv3d(first::<B>(input), kernel::<B>(filters.weight), Some(bias), options))
}

pub(in crate::device) fn convolution_gradient<B: Backend>(
    input: FloatTensor<B>,
    filters: Filters<B>,
    output: FloatTensor<B>,
    wanted: Wanted,
) -> (Option<FloatTensor<B>>, FloatTensor<B>) {
    let (shape, options) = (filters.weight.shape(), options(filters.stride));
    let [input, output, weight] = [first::<B>(input), first::<B>(output), kernel::<B>(filters.weight)];
    let by_input = (wanted == Wanted::Both)
        .then(|| last::<B>(B::conv3d_x_backward(input.clone(), weight.clone(), output.clone(), options.clone())));
    let by_weight = B::conv3d_weight_backward(input, weight, output, options);
    // Back from [O, I, 3, 3, 3].
    (by_input, B::float_reshape(B::float_permute(by_weight, &[2, 3, 4, 1, 0]), shape))
}

fn options(stride: usize) -> ConvOptions<3> {
    ConvOptions::new([stride; 3], [BEYOND; 3], [1; 3], 1)
}

/// A weight `[27 I, O]` as `[O, I, 3, 3, 3]`.
fn kernel<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    let [rows, outputs] = weight.shape().dims();
    let inputs = rows / (EDGE * EDGE * EDGE);
    let cells = B::float_reshape(weight, Shape::new([EDGE, EDGE, EDGE, inputs, outputs]));
    B::float_permute(cells, &[4, 3, 0, 1, 2])
}

/// Channels before cells.
fn first<B: Backend>(maps: FloatTensor<B>) -> FloatTensor<B> {
    B::float_permute(maps, &[0, 4, 1, 2, 3])
}

/// Channels after cells.
fn last<B: Backend>(maps: FloatTensor<B>) -> FloatTensor<B> {
    B::float_permute(maps, &[0, 2, 3, 4, 1])
}
