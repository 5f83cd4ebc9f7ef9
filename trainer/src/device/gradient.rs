//! Gradients of the fused operations, on whatever backend has their kernels.

use super::fused::Fused;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// The operations and their gradients, on the numbers alone.
pub(super) trait Kernels: Backend {
    fn gelu_kernel(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of the input, from that of the output.
    fn gelu_gradient(input: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self>;

    fn layer_norm_kernel(input: FloatTensor<Self>, scale: Scale<Self>) -> FloatTensor<Self>;

    /// Gradients of input, gamma and beta, from that of the output.
    fn layer_norm_gradient(
        input: FloatTensor<Self>,
        scale: Scale<Self>,
        output: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    fn softmax_kernel(scores: FloatTensor<Self>, keys: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of the scores, from the weights and their gradient.
    fn softmax_gradient(weights: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What layer normalisation learns, and the epsilon under its root.
#[derive(Debug, Clone)]
pub(super) struct Scale<B: Backend> {
    pub(super) gamma: FloatTensor<B>,
    pub(super) beta: FloatTensor<B>,
    pub(super) epsilon: f64,
}

impl<B: Kernels, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        match Gelu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(input.clone(), B::gelu_kernel(input)),
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_kernel(input)),
        }
    }

    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [(input, of_input), (gamma, of_gamma), (beta, of_beta)] =
            [input, gamma, beta].map(<FloatTensor<Self>>::into_parts);
        let scale = Scale { gamma, beta, epsilon };
        match LayerNorm.prepare::<C>([of_input, of_gamma, of_beta]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input.clone(), scale.clone()), B::layer_norm_kernel(input, scale)),
            OpsKind::UnTracked(prep) => prep.finish(B::layer_norm_kernel(input, scale)),
        }
    }

    fn fused_softmax(scores: FloatTensor<Self>, keys: FloatTensor<Self>) -> FloatTensor<Self> {
        let (scores, node) = scores.into_parts();
        let weights = B::softmax_kernel(scores, keys.into_primitive());
        match Softmax.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(weights.clone(), weights),
            OpsKind::UnTracked(prep) => prep.finish(weights),
        }
    }
}

#[derive(Debug)]
struct Gelu;

impl<B: Kernels> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |output| B::gelu_gradient(ops.state, output));
    }
}

#[derive(Debug)]
struct LayerNorm;

impl<B: Kernels> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, Scale<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (input, scale) = ops.state;
        let parts = B::layer_norm_gradient(input, scale, gradients.consume::<B>(&ops.node));
        for (node, gradient) in ops.parents.into_iter().zip(parts) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Softmax;

impl<B: Kernels> Backward<B, 1> for Softmax {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |output| B::softmax_gradient(ops.state, output));
    }
}
