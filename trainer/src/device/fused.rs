//! The operations of a transformer, each with its gradient as one operation.
//!
//! The framework computes them from their parts, and differentiates the parts: some thirty walks over tensors that do not
//! fit a processor's caches, for arithmetic that costs next to nothing.

#![cfg_attr(
    feature = "libtorch",
    expect(deprecated, reason = "burn means to drop libtorch for kernels of its own; trainer/bench has both figures")
)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// What every backend has to offer.
#[backend_extension(Flex, Cube: cfg(feature = "cuda"), LibTorch: cfg(feature = "libtorch"), Autodiff)]
pub(super) trait Fused: Backend {
    fn fused_linear(input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// A branch added to what it began at, which the way back may still need: unlike the framework's sum it overwrites neither.
    fn fused_residual(input: FloatTensor<Self>, branch: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(input, branch)
    }

    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn fused_attention(query: FloatTensor<Self>, key: FloatTensor<Self>, value: FloatTensor<Self>)
    -> FloatTensor<Self>;

    /// Two of them, since what derives the dispatch knows no tensor that may be left out.
    fn fused_attention_among(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        seen: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_attention_causal(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// `input weight + bias` of rows `[..., I]`, a weight `[I, O]` and a bias `[O]`.
pub fn linear<const D: usize>(input: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let [input, weight, bias] = [input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Fused>::fused_linear(input, weight, bias))
}

/// Edge of the neighbourhoods that a [`convolution`] looks at, in cells.
pub const EDGE: usize = 3;
/// Their cells.
pub const CELLS: usize = EDGE * EDGE * EDGE;

/// A convolution over neighbourhoods of 3 x 3 x 3 cells about every `stride`-th cell along each axis, 0 beyond the border: maps
/// `[B, z, y, x, I]`, a weight `[27 I, O]` whose rows are the cells of a neighbourhood in (z, y, x) order, and a bias `[O]`, to
/// `[B, z / stride, y / stride, x / stride, O]`, rounded up.
pub fn convolution(input: Tensor<5>, weight: Tensor<2>, bias: Tensor<1>, stride: usize) -> Tensor<5> {
    let [input, weight, bias] = [input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Fused>::fused_convolution(input, weight, bias, stride))
}

/// `input + branch`, two tensors of one shape.
pub fn residual<const D: usize>(input: Tensor<D>, branch: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_residual(input.into_dispatch(), branch.into_dispatch()))
}

/// Exact GELU, `x Φ(x)` with the normal distribution's Φ (Hendrycks and Gimpel, arXiv 1606.08415), good to 1e-6 in 32 bits.
/// A tensor of any shape.
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_gelu(input.into_dispatch()))
}

/// Layer normalisation over the last axis (Ba, Kiros and Hinton, arXiv 1607.06450),
/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta`; gamma and beta `[C]`.
pub fn layer_norm<const D: usize>(input: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let [input, gamma, beta] = [input.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Fused>::fused_layer_norm(input, gamma, beta, epsilon))
}

/// Attention of queries `[B, heads, S, D]`, and keys and values `[B, heads, T, D]`, `softmax(q k^T / sqrt(D)) v` (Vaswani et
/// al., arXiv 1706.03762), to `[B, heads, S, D]`. No weight falls on keys that are 0 in `seen` `[B, T]`, and a query without any
/// key gets zeros; without `seen`, every query sees every key.
pub fn attention([query, key, value]: [Tensor<4>; 3], seen: Option<Tensor<2>>) -> Tensor<4> {
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::from_dispatch(match seen {
        None => <Dispatch as Fused>::fused_attention(query, key, value),
        Some(seen) => <Dispatch as Fused>::fused_attention_among(query, key, value, seen.into_dispatch()),
    })
}

/// The same of queries `[B, heads, S, D]` that are the last of the keys `[B, heads, T, D]`: each sees its own key and those
/// before it, to `[B, heads, S, D]`.
pub fn causal_attention([query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Fused>::fused_attention_causal(query, key, value))
}
