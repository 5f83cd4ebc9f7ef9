//! One post-LayerNorm transformer layer of BERT.

use super::TEXT_NORM_EPSILON;
use crate::device::residual;
use crate::experiment::Text;
use crate::net::layers::{LayerNorm, Mlp, apply, attention, linear};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

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
            norm_attention: LayerNorm::new(dim, TEXT_NORM_EPSILON, device),
            mlp: Mlp::new(dim, mlp_ratio, device),
            norm_mlp: LayerNorm::new(dim, TEXT_NORM_EPSILON, device),
        }
    }

    /// Tokens `[B, L, C]` to tokens of the same shape; 0 in `mask` `[B, L]` hides a token from the others.
    pub fn forward(&self, tokens: &Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let tokens = self.norm_attention.forward(residual(tokens.clone(), self.attention.forward(tokens, mask)));
        self.norm_mlp.forward(residual(tokens.clone(), self.mlp.forward(tokens)))
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
    /// Tokens `[B, L, C]` to tokens of the same shape; 0 in `mask` `[B, L]` hides a token from the others.
    pub fn forward(&self, tokens: &Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let parts = [&self.query, &self.key, &self.value].map(|part| apply(part, tokens.clone()));
        apply(&self.out, attention(parts, self.heads, Some(mask.clone())))
    }
}
