//! The three operations between a transformer's matrix products, each with its gradient as one operation.
//!
//! The framework computes layer normalisation and masked softmax from their parts, and differentiates the parts: some
//! thirty walks over tensors that do not fit a processor's caches, for arithmetic that costs next to nothing.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// What every backend has to offer.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Fused: Backend {
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn fused_softmax(scores: FloatTensor<Self>, keys: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Exact GELU, `x Φ(x)` with the normal distribution's Φ (Hendrycks and Gimpel, arXiv 1606.08415), good to 1e-6. A tensor
/// of any shape.
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_gelu(input.into_dispatch()))
}

/// Layer normalisation over the last axis (Ba, Kiros and Hinton, arXiv 1607.06450),
/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta`; gamma and beta `[C]`.
pub fn layer_norm<const D: usize>(input: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let [input, gamma, beta] = [input.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Fused>::fused_layer_norm(input, gamma, beta, epsilon))
}

/// Softmax over the last axis of attention scores `[B, heads, T, K]`; no weight falls on keys that are 0 in `keys`
/// `[B, K]`, and a query without any key gets zeros.
pub fn softmax(scores: Tensor<4>, keys: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_softmax(scores.into_dispatch(), keys.into_dispatch()))
}
