//! One post-LayerNorm transformer layer of BERT.

use super::TEXT_NORM_EPSILON;
use crate::experiment::Text;
use crate::net::layers::{Mlp, attention, layer_norm, linear};
use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Bool, Device, Tensor};

/// `norm(x + attention(x))`, then `norm(x + mlp(x))`.
#[derive(Module, Debug)]
pub struct Layer {
    /// Tokens look at each other.
    pub attention: TextAttention,
    /// After the attention.
    pub norm_attention: LayerNorm,
    /// Each token by itself.
    pub mlp: Mlp,
    /// After the perceptron.
    pub norm_mlp: LayerNorm,
}

impl Layer {
    pub(super) fn new(architecture: &Text, device: &Device) -> Self {
        let Text { dim, heads, mlp_ratio, .. } = *architecture;
        let square = || linear(dim, dim, device);
        Self {
            attention: TextAttention { query: square(), key: square(), value: square(), out: square(), heads },
            norm_attention: layer_norm(dim, TEXT_NORM_EPSILON, device),
            mlp: Mlp::new(dim, mlp_ratio, device),
            norm_mlp: layer_norm(dim, TEXT_NORM_EPSILON, device),
        }
    }

    /// Tokens `[B, L, C]` to tokens of the same shape; true in `padding` `[B, L]` hides a token from the others.
    pub fn forward(&self, tokens: &Tensor<3>, padding: &Tensor<2, Bool>) -> Tensor<3> {
        let tokens = self.norm_attention.forward(tokens.clone() + self.attention.forward(tokens, padding));
        self.norm_mlp.forward(tokens.clone() + self.mlp.forward(tokens))
    }
}

/// Multi-head self-attention with a projection for each of its parts.
#[derive(Module, Debug)]
pub struct TextAttention {
    /// `[C, C]`.
    pub query: Linear,
    /// `[C, C]`.
    pub key: Linear,
    /// `[C, C]`.
    pub value: Linear,
    /// `[C, C]`.
    pub out: Linear,
    /// Number of heads.
    pub heads: usize,
}

impl TextAttention {
    /// Tokens `[B, L, C]` to tokens of the same shape; true in `padding` `[B, L]` hides a token from the others.
    pub fn forward(&self, tokens: &Tensor<3>, padding: &Tensor<2, Bool>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let heads = self.heads;
        let part = |projection: &Linear| {
            let parted = projection.forward(tokens.clone()).reshape([batch, count, heads, dim / heads]);
            parted.permute([0, 2, 1, 3])
        };
        let mask = padding.clone().reshape([batch, 1, 1, count]).expand([batch, heads, count, count]);
        self.out.forward(attention([&self.query, &self.key, &self.value].map(part), Some(mask)))
    }
}
