//! One pre-LayerNorm transformer block. Its twin in ONNX is `export/onnx/vision/mod.rs`, operator by operator.

use super::LAYER_NORM_EPSILON;
use crate::device::residual;
use crate::experiment::Vision;
use crate::net::layers::{LayerNorm, Mlp, apply, attention, linear, parts};
use burn::module::Module;
use burn::nn::Linear;
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
            norm_attention: LayerNorm::new(dim, LAYER_NORM_EPSILON, device),
            attention: Attention { qkv: linear(dim, 3 * dim, device), out: linear(dim, dim, device), heads },
            norm_mlp: LayerNorm::new(dim, LAYER_NORM_EPSILON, device),
            mlp: Mlp::new(dim, mlp_ratio, device),
        }
    }

    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = residual(tokens.clone(), self.attention.forward(&self.norm_attention.forward(tokens)));
        residual(tokens.clone(), self.mlp.forward(self.norm_mlp.forward(tokens)))
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
    pub fn forward(&self, tokens: &Tensor<3>) -> Tensor<3> {
        apply(&self.out, self.mix(tokens))
    }

    /// Tokens `[B, T, C]` to each token's mean of the values, of the same shape.
    pub fn mix(&self, tokens: &Tensor<3>) -> Tensor<3> {
        attention(parts(&self.qkv, tokens), self.heads, None)
    }
}
