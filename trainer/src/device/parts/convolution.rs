//! A convolution by the framework's own, which keeps channels before cells.

use crate::device::fused::EDGE;
use crate::device::gradient::Filters;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

/// Cells beyond a border that a neighbourhood reaches.
const BEYOND: usize = 1;

pub(in crate::device) fn convolution<B: Backend>(
    input: FloatTensor<B>,
    filters: Filters<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = options(filters.stride);
    last::<B>(B::conv3d(first::<B>(input), kernel::<B>(filters.weight), Some(bias), options))
}

pub(in crate::device) fn x_gradient<B: Backend>(
    input: FloatTensor<B>,
    filters: Filters<B>,
    output: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = options(filters.stride);
    last::<B>(B::conv3d_x_backward(first::<B>(input), kernel::<B>(filters.weight), first::<B>(output), options))
}

pub(in crate::device) fn weight_gradient<B: Backend>(
    input: FloatTensor<B>,
    filters: Filters<B>,
    output: FloatTensor<B>,
) -> FloatTensor<B> {
    let (shape, options) = (filters.weight.shape(), options(filters.stride));
    let by_weight =
        B::conv3d_weight_backward(first::<B>(input), kernel::<B>(filters.weight), first::<B>(output), options);
    // Back from [O, I, 3, 3, 3].
    B::float_reshape(B::float_permute(by_weight, &[2, 3, 4, 1, 0]), shape)
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
