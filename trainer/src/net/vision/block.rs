//! One pre-LayerNorm transformer block. Its twin in ONNX is `export/vision.rs`, operator by operator.

use super::LAYER_NORM_EPSILON;
use crate::experiment::Vision;
use crate::net::layers::{Mlp, attention, attention_scale, layer_norm, linear};
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
    /// Factor on the queries before they meet the keys, `1 / sqrt(C / heads)`.
    pub fn scale(&self) -> f64 {
        let [dim, _] = self.out.weight.dims();
        attention_scale(dim / self.heads)
    }

    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let shape = [batch, count, 3, self.heads, dim / self.heads];
        let fused = self.qkv.forward(tokens).reshape(shape).permute([2, 0, 3, 1, 4]);
        let part = |index: usize| fused.clone().slice_dim(0, index..=index).squeeze_dim::<4>(0);
        self.out.forward(attention([0, 1, 2].map(part), None))
    }
}
