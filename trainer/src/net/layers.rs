//! What both towers are made of: attention over heads, a perceptron, layer normalisation and unit vectors.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, activation, module};

/// Lengths below this are not divided by, so that a zero vector stays zero.
pub(crate) const SHORTEST_EMBEDDING: f64 = 1e-12;

/// Two linear layers with an exact (erf) GELU between them.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[C, ratio * C]`.
    pub up: Linear,
    /// `[ratio * C, C]`.
    pub down: Linear,
}

impl Mlp {
    pub(super) fn new(dim: usize, ratio: usize, device: &Device) -> Self {
        Self { up: linear(dim, ratio * dim, device), down: linear(ratio * dim, dim, device) }
    }

    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.down.forward(activation::gelu(self.up.forward(tokens)))
    }
}

/// Multi-head attention of queries, keys and values `[B, heads, T, C / heads]`, to `[B, T, C]`; true in `mask`
/// `[B, heads, T, T]` hides a key from a query. The queries are scaled before the product with the keys, which is
/// TensorRT's condition for fusing attention.
pub(super) fn attention([query, key, value]: [Tensor<4>; 3], mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
    let [batch, heads, count, dim] = query.dims();
    let options = AttentionModuleOptions { scale: Some(1.0), softcap: None, is_causal: false };
    let mixed = module::attention(query * attention_scale(dim), key, value, mask, None, options);
    mixed.permute([0, 2, 1, 3]).reshape([batch, count, heads * dim])
}

/// Factor on queries of this width before they meet the keys, `1 / sqrt(width)`.
fn attention_scale(dim: usize) -> f64 {
    width(dim).sqrt().recip()
}

/// Rows `[B, E]` divided by their Euclidean lengths.
pub(super) fn unit(direction: Tensor<2>) -> Tensor<2> {
    let length = direction.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(SHORTEST_EMBEDDING);
    direction / length
}

pub(super) fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).init(device)
}

pub(super) fn layer_norm(dim: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(dim).with_epsilon(epsilon).init(device)
}

/// A layer's width as a real number; widths are far below the 32 bits that convert exactly.
pub(super) fn width(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
