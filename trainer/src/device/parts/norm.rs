//! Layer normalisation, for backends that have no kernel of it.

use super::{narrow, wide};
use crate::device::gradient::Scale;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

pub(in crate::device) fn layer_norm<B: Backend>(input: FloatTensor<B>, scale: Scale<B>) -> FloatTensor<B> {
    let kept = input.dtype();
    let [gamma, beta] = [scale.gamma, scale.beta].map(|learned| last::<B>(learned, input.shape().num_dims()));
    let [normal, _] = normalised::<B>(input, scale.epsilon);
    narrow::<B>(B::float_add(B::float_mul(normal, gamma), beta), kept)
}

pub(in crate::device) fn layer_norm_gradient<B: Backend>(
    input: FloatTensor<B>,
    scale: Scale<B>,
    output: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let (kept, learned) = (input.dtype(), scale.gamma.dtype());
    let shape = input.shape();
    let (axis, width) = (shape.num_dims() - 1, scale.gamma.shape());
    let gamma = last::<B>(scale.gamma, axis + 1);
    let [normal, root] = normalised::<B>(input, scale.epsilon);
    let output = wide::<B>(output);
    let along = B::float_mul(output.clone(), normal.clone());
    let sloped = B::float_mul(output.clone(), gamma.clone());
    let shift = B::float_mean_dim(sloped.clone(), axis);
    let slope = B::float_mean_dim(B::float_mul(along.clone(), gamma), axis);
    let rest = B::float_sub(B::float_sub(sloped, shift), B::float_mul(normal, slope));
    let rows = |tensor: FloatTensor<B>| {
        let [edge] = width.dims();
        let rows = B::float_reshape(tensor, Shape::new([shape.num_elements() / edge, edge]));
        narrow::<B>(B::float_reshape(B::float_sum_dim(rows, 0), width.clone()), learned)
    };
    [narrow::<B>(B::float_mul(rest, root), kept), rows(along), rows(output)]
}

/// Rows less their mean over the root of their variance plus epsilon, and one over that root.
fn normalised<B: Backend>(input: FloatTensor<B>, epsilon: f64) -> [FloatTensor<B>; 2] {
    let axis = input.shape().num_dims() - 1;
    let input = wide::<B>(input);
    let centred = B::float_sub(input.clone(), B::float_mean_dim(input, axis));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), axis);
    let root = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    [B::float_mul(centred, root.clone()), root]
}

/// A vector along the last of some axes.
fn last<B: Backend>(vector: FloatTensor<B>, axes: usize) -> FloatTensor<B> {
    let [width] = vector.shape().dims();
    let shape: Vec<usize> = std::iter::repeat_n(1, axes - 1).chain([width]).collect();
    B::float_reshape(wide::<B>(vector), Shape::from(shape))
}
