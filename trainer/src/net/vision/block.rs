//! One pre-LayerNorm transformer block. Its twin in ONNX is `export/onnx/vision.rs`, operator by operator.

use super::LAYER_NORM_EPSILON;
use crate::experiment::Vision;
use crate::net::layers::{Mlp, attention, layer_norm, linear};
use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    /// Before the attention.
    pub norm_attention: LayerNorm,
    /// Tokens look at each other.
    pub attention: Attention,
    /// Before the perceptron.
    pub norm_mlp: LayerNorm,
    /// Each token by itself.
    pub mlp: Mlp,
}

impl Block {
    pub(super) fn new(architecture: &Vision, device: &Device) -> Self {
        let Vision { dim, heads, mlp_ratio, .. } = *architecture;
        Self {
            norm_attention: layer_norm(dim, LAYER_NORM_EPSILON, device),
            attention: Attention { qkv: linear(dim, 3 * dim, device), out: linear(dim, dim, device), heads },
            norm_mlp: layer_norm(dim, LAYER_NORM_EPSILON, device),
            mlp: Mlp::new(dim, mlp_ratio, device),
        }
    }

    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = tokens.clone() + self.attention.forward(self.norm_attention.forward(tokens));
        tokens.clone() + self.mlp.forward(self.norm_mlp.forward(tokens))
    }
}

/// Multi-head self-attention with one fused projection.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[C, 3C]`: queries, keys and values side by side.
    pub qkv: Linear,
    /// `[C, C]`.
    pub out: Linear,
    /// Number of heads.
    pub heads: usize,
}

impl Attention {
    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.out.forward(self.mix(self.qkv.forward(tokens)))
    }

    /// Queries, keys and values side by side `[B, T, 3C]` to each token's mean of the values `[B, T, C]`.
    pub fn mix(&self, fused: Tensor<3>) -> Tensor<3> {
        let [batch, count, width] = fused.dims();
        let shape = [batch, count, 3, self.heads, width / 3 / self.heads];
        let fused = fused.reshape(shape).permute([2, 0, 3, 1, 4]);
        let part = |index: usize| fused.clone().slice_dim(0, index..=index).squeeze_dim::<4>(0);
        attention([0, 1, 2].map(part), None)
    }
}
