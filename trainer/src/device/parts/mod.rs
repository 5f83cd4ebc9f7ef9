//! The operations made of a backend's own, in 32 bits whatever the numbers around them have: a backend that joins
//! element-wise operations makes few kernels of them.

pub(super) mod convolution;
pub(super) mod norm;

use super::gradient::{Kernels, Looked, Seen};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, TensorData};

/// Added to the score of a key that is not there.
const HIDDEN: f64 = 1e9;

/// Queries (scaled), keys, values and the weights between them.
#[derive(Debug, Clone)]
pub(super) struct Attended<B: Backend> {
    looked: Looked<B>,
    weights: FloatTensor<B>,
}

pub(super) fn attention<B: Kernels>(looked: Looked<B>) -> (FloatTensor<B>, Attended<B>) {
    let query = B::float_mul_scalar(looked.query, scale(&looked.key).into());
    let scores = B::float_matmul(query.clone(), turned::<B>(looked.key.clone()));
    let weights = B::softmax_kernel(scores, looked.seen.clone());
    let output = B::float_matmul(weights.clone(), looked.value.clone());
    (output, Attended { looked: Looked { query, ..looked }, weights })
}

pub(super) fn attention_gradient<B: Kernels>(attended: Attended<B>, output: FloatTensor<B>) -> [FloatTensor<B>; 3] {
    let Attended { looked: Looked { query, key, value, .. }, weights } = attended;
    let factor = scale(&key);
    let of_value = B::float_matmul(turned::<B>(weights.clone()), output.clone());
    let of_scores = B::softmax_gradient(weights, B::float_matmul(output, turned::<B>(value)));
    let of_query = B::float_mul_scalar(B::float_matmul(of_scores.clone(), key), factor.into());
    [of_query, B::float_matmul(turned::<B>(of_scores), query), of_value]
}

pub(super) fn softmax<B: Backend>(scores: FloatTensor<B>, seen: Seen<B>) -> FloatTensor<B> {
    let kept = scores.dtype();
    let [batch, _, queries, count] = scores.shape().dims();
    let scores = wide::<B>(scores);
    let seen = match seen {
        Seen::All => None,
        Seen::Keys(seen) => Some(B::float_reshape(wide::<B>(seen), Shape::new([batch, 1, 1, count]))),
        Seen::Past => Some(B::float_from_data(past([queries, count]), &scores.device())),
    };
    let weights = match seen {
        None => B::softmax(scores, 3),
        Some(seen) => {
            let hidden = B::float_mul_scalar(B::float_sub_scalar(seen.clone(), 1.0.into()), HIDDEN.into());
            B::float_mul(B::softmax(B::float_add(scores, hidden), 3), seen)
        }
    };
    narrow::<B>(weights, kept)
}

/// 1 where a key is not behind a query, `[1, 1, S, T]`; the queries are the last of the keys.
fn past([queries, count]: [usize; 2]) -> TensorData {
    let row = |query| (0..count).map(move |key| if key + queries <= count + query { 1.0_f32 } else { 0.0 });
    TensorData::new((0..queries).flat_map(row).collect(), [1, 1, queries, count])
}

pub(super) fn softmax_gradient<B: Backend>(weights: FloatTensor<B>, output: FloatTensor<B>) -> FloatTensor<B> {
    let kept = weights.dtype();
    let [weights, output] = [weights, output].map(wide::<B>);
    let shift = B::float_sum_dim(B::float_mul(weights.clone(), output.clone()), 3);
    narrow::<B>(B::float_mul(weights, B::float_sub(output, shift)), kept)
}

pub(super) fn gelu_gradient<B: Backend>(input: FloatTensor<B>, output: FloatTensor<B>) -> FloatTensor<B> {
    let kept = input.dtype();
    let [x, output] = [input, output].map(wide::<B>);
    let half = B::float_erf(B::float_mul_scalar(x.clone(), std::f64::consts::FRAC_1_SQRT_2.into()));
    let share = B::float_mul_scalar(B::float_add_scalar(half, 1.0.into()), 0.5.into());
    let bell = B::float_exp(B::float_mul_scalar(B::float_mul(x.clone(), x.clone()), (-0.5).into()));
    let density = 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    let slope = B::float_add(share, B::float_mul_scalar(B::float_mul(x, bell), density.into()));
    narrow::<B>(B::float_mul(output, slope), kept)
}

/// `1 / sqrt(D)`.
fn scale(key: &impl TensorMetadata) -> f64 {
    let [_, _, _, width] = key.shape().dims();
    u32::try_from(width).map_or(f64::INFINITY, f64::from).sqrt().recip()
}

fn turned<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_swap_dims(tensor, 2, 3)
}

fn wide<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    narrow::<B>(tensor, DType::F32)
}

fn narrow<B: Backend>(tensor: FloatTensor<B>, to: DType) -> FloatTensor<B> {
    if tensor.dtype() == to { tensor } else { B::float_cast(tensor, FloatDType::from(to)) }
}
