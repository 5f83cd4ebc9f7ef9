//! The operations on the framework's own GPU backend, which joins their parts into kernels by itself.

use super::fused::Fused;
use super::gradient::{Kernels, Looked, Scale};
use super::parts;
use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;

type Numbers = FloatTensor<Cube>;

impl Fused for Cube {
    fn fused_linear(input: Numbers, weight: Numbers, bias: Numbers) -> Numbers {
        Self::linear_kernel(input, weight, bias)
    }

    fn fused_gelu(input: Numbers) -> Numbers {
        Self::gelu_kernel(input)
    }

    fn fused_layer_norm(input: Numbers, gamma: Numbers, beta: Numbers, epsilon: f64) -> Numbers {
        Self::layer_norm_kernel(input, Scale { gamma, beta, epsilon }).0
    }

    fn fused_attention(query: Numbers, key: Numbers, value: Numbers) -> Numbers {
        Self::attention_kernel(Looked { query, key, value, seen: None }).0
    }

    fn fused_attention_among(query: Numbers, key: Numbers, value: Numbers, seen: Numbers) -> Numbers {
        Self::attention_kernel(Looked { query, key, value, seen: Some(seen) }).0
    }
}

impl Kernels for Cube {
    type Normed = (Numbers, Scale<Self>);
    type Attended = parts::Attended<Self>;

    fn layer_norm_kernel(input: Numbers, scale: Scale<Self>) -> (Numbers, Self::Normed) {
        (parts::norm::layer_norm::<Self>(input.clone(), &scale), (input, scale))
    }

    fn layer_norm_gradient(normed: Self::Normed, output: Numbers) -> [Numbers; 3] {
        parts::norm::layer_norm_gradient::<Self>(normed, output)
    }

    fn attention_kernel(looked: Looked<Self>) -> (Numbers, Self::Attended) {
        parts::attention(looked)
    }

    fn attention_gradient(attended: Self::Attended, output: Numbers) -> [Numbers; 3] {
        parts::attention_gradient(attended, output)
    }
}
