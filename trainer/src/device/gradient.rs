//! Gradients of the fused operations, on whatever backend has their kernels.

use super::fused::Fused;
use super::parts::{self, convolution, norm};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex};

/// The operations and their gradients, on the numbers alone. Where a backend has no kernel of its own, they are made of its
/// parts.
pub(super) trait Kernels: Backend {
    fn linear_kernel(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::linear(input, weight, Some(bias))
    }

    fn convolution_kernel(
        input: FloatTensor<Self>,
        filters: Filters<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::convolution::<Self>(input, filters, bias)
    }

    /// Gradient of the input, from that of the output.
    fn convolution_x_gradient(
        input: FloatTensor<Self>,
        filters: Filters<Self>,
        output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::x_gradient::<Self>(input, filters, output)
    }

    /// Gradient of the weight, from that of the output.
    fn convolution_weight_gradient(
        input: FloatTensor<Self>,
        filters: Filters<Self>,
        output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::weight_gradient::<Self>(input, filters, output)
    }

    fn gelu_kernel(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(input)
    }

    /// Gradient of the input, from that of the output.
    fn gelu_gradient(input: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self> {
        parts::gelu_gradient::<Self>(input, output)
    }

    fn layer_norm_kernel(input: FloatTensor<Self>, scale: Scale<Self>) -> FloatTensor<Self> {
        norm::layer_norm::<Self>(input, scale)
    }

    /// Gradients of input, gamma and beta, from that of the output.
    fn layer_norm_gradient(
        input: FloatTensor<Self>,
        scale: Scale<Self>,
        output: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        norm::layer_norm_gradient::<Self>(input, scale, output)
    }

    /// Weights of keys, `[B, heads, S, T]`.
    fn softmax_kernel(scores: FloatTensor<Self>, seen: Seen<Self>) -> FloatTensor<Self> {
        parts::softmax::<Self>(scores, seen)
    }

    /// Gradient of the scores, from the weights and their gradient.
    fn softmax_gradient(weights: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self> {
        parts::softmax_gradient::<Self>(weights, output)
    }
}

/// The operations outside a graph, where they are nothing but their kernels.
macro_rules! fused_by_kernels {
    ($backend:ty) => {
        impl Fused for $backend {
            fn fused_linear(
                input: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                Self::linear_kernel(input, weight, bias)
            }

            fn fused_convolution(
                input: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                stride: usize,
            ) -> FloatTensor<Self> {
                Self::convolution_kernel(input, Filters { weight, stride }, bias)
            }

            fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::gelu_kernel(input)
            }

            fn fused_layer_norm(
                input: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                epsilon: f64,
            ) -> FloatTensor<Self> {
                Self::layer_norm_kernel(input, Scale { gamma, beta, epsilon })
            }

            fn fused_attention(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                parts::attention::<Self>(Looked { query, key, value, seen: Seen::All }).0
            }

            fn fused_attention_among(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
                seen: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                parts::attention::<Self>(Looked { query, key, value, seen: Seen::Keys(seen) }).0
            }

            fn fused_attention_causal(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                parts::attention::<Self>(Looked { query, key, value, seen: Seen::Past }).0
            }
        }
    };
}

fused_by_kernels!(Flex);
#[cfg(feature = "cuda")]
fused_by_kernels!(burn::backend::Cube);

/// The framework's own GPU backend joins the parts into kernels by itself.
#[cfg(feature = "cuda")]
impl Kernels for burn::backend::Cube {}

/// The weight `[27 I, O]` of a convolution, and its stride.
#[derive(Debug, Clone)]
pub(super) struct Filters<B: Backend> {
    pub(super) weight: FloatTensor<B>,
    pub(super) stride: usize,
}

/// What layer normalisation learns, and the epsilon under its root.
#[derive(Debug, Clone)]
pub(super) struct Scale<B: Backend> {
    pub(super) gamma: FloatTensor<B>,
    pub(super) beta: FloatTensor<B>,
    pub(super) epsilon: f64,
}

/// Which keys a query may look at.
#[derive(Debug, Clone)]
pub(super) enum Seen<B: Backend> {
    /// All of them.
    All,
    /// Those that are not 0 in `[B, T]`.
    Keys(FloatTensor<B>),
    /// Its own and those before it; the queries are the last of the keys.
    Past,
}

/// What attention looks at: queries `[B, heads, S, D]`, keys and values `[B, heads, T, D]`, and which of the keys.
#[derive(Debug, Clone)]
pub(super) struct Looked<B: Backend> {
    pub(super) query: FloatTensor<B>,
    pub(super) key: FloatTensor<B>,
    pub(super) value: FloatTensor<B>,
    pub(super) seen: Seen<B>,
}

impl<B: Kernels, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    fn fused_linear(input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let [(input, of_input), (weight, of_weight), (bias, of_bias)] =
            [input, weight, bias].map(<FloatTensor<Self>>::into_parts);
        let output = B::linear_kernel(input.clone(), weight.clone(), bias);
        match Linear.prepare::<C>([of_input, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input, weight), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let [(input, of_input), (weight, of_weight), (bias, of_bias)] =
            [input, weight, bias].map(<FloatTensor<Self>>::into_parts);
        let filters = Filters { weight, stride };
        let output = B::convolution_kernel(input.clone(), filters.clone(), bias);
        match Convolution.prepare::<C>([of_input, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input, filters), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

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

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::<B, C>([query, key, value], Seen::All)
    }

    fn fused_attention_among(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        seen: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::<B, C>([query, key, value], Seen::Keys(seen.into_primitive()))
    }

    fn fused_attention_causal(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::<B, C>([query, key, value], Seen::Past)
    }
}

fn attention<B: Kernels, C: CheckpointStrategy>(
    parts: [FloatTensor<Autodiff<B, C>>; 3],
    seen: Seen<B>,
) -> FloatTensor<Autodiff<B, C>> {
    let [(query, of_query), (key, of_key), (value, of_value)] = parts.map(<FloatTensor<Autodiff<B, C>>>::into_parts);
    let (output, attended) = parts::attention::<B>(Looked { query, key, value, seen });
    match Attention.prepare::<C>([of_query, of_key, of_value]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(attended, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

#[derive(Debug)]
struct Linear;

impl<B: Kernels> Backward<B, 3> for Linear {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (input, weight) = ops.state;
        let output = gradients.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        let by_input = || B::linear_x_backward(weight, output.clone());
        let by_weight = || B::linear_weight_backward(input, output.clone());
        register::<B>(parents, gradients, (by_input, by_weight, || B::linear_bias_backward(output.clone())));
    }
}

#[derive(Debug)]
struct Convolution;

impl<B: Kernels> Backward<B, 3> for Convolution {
    type State = (FloatTensor<B>, Filters<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (input, filters) = ops.state;
        let output = gradients.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        let by_input = || B::convolution_x_gradient(input.clone(), filters.clone(), output.clone());
        let by_weight = || B::convolution_weight_gradient(input.clone(), filters.clone(), output.clone());
        register::<B>(parents, gradients, (by_input, by_weight, || B::linear_bias_backward(output.clone())));
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
        ternary::<B, _>(ops, gradients, |(input, scale), output| B::layer_norm_gradient(input, scale, output));
    }
}

#[derive(Debug)]
struct Attention;

impl<B: Kernels> Backward<B, 3> for Attention {
    type State = parts::Attended<B>;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        ternary::<B, _>(ops, gradients, parts::attention_gradient::<B>);
    }
}

/// Gives input, weight and bias their gradients. What needs none gets none computed: a frozen layer's, the data's.
fn register<B: Kernels>(
    parents: [Option<NodeId>; 3],
    gradients: &mut Gradients,
    (by_input, by_weight, by_bias): (
        impl FnOnce() -> FloatTensor<B>,
        impl FnOnce() -> FloatTensor<B>,
        impl FnOnce() -> FloatTensor<B>,
    ),
) {
    let [of_input, of_weight, of_bias] = parents;
    if let Some(node) = of_input {
        gradients.register::<B>(node, by_input());
    }
    if let Some(node) = of_weight {
        gradients.register::<B>(node, by_weight());
    }
    if let Some(node) = of_bias {
        gradients.register::<B>(node, by_bias());
    }
}

/// What the framework has for one input and for two: gives each of three its gradient, if it wants one.
fn ternary<B: Kernels, S>(
    ops: Ops<S, 3>,
    gradients: &mut Gradients,
    parts: impl FnOnce(S, FloatTensor<B>) -> [FloatTensor<B>; 3],
) {
    let parts = parts(ops.state, gradients.consume::<B>(&ops.node));
    for (node, gradient) in ops.parents.into_iter().zip(parts) {
        if let Some(node) = node {
            gradients.register::<B>(node.id, gradient);
        }
    }
}
