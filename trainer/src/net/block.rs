//! One pre-LayerNorm transformer block. Its twin in ONNX is `export/vision.rs`, operator by operator.

use crate::experiment::Vision;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, activation, module};

/// Added to the variance in every layer normalisation.
pub const LAYER_NORM_EPSILON: f64 = 1e-5;

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
            norm_attention: layer_norm(dim, device),
            attention: Attention {
                qkv: LinearConfig::new(dim, 3 * dim).init(device),
                out: LinearConfig::new(dim, dim).init(device),
                heads,
            },
            norm_mlp: layer_norm(dim, device),
            mlp: Mlp {
                up: LinearConfig::new(dim, mlp_ratio * dim).init(device),
                down: LinearConfig::new(mlp_ratio * dim, dim).init(device),
            },
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
        width(dim / self.heads).sqrt().recip()
    }

    /// Tokens `[B, T, C]` to tokens of the same shape. The queries are scaled before the product with the keys, which
    /// is TensorRT's condition for fusing attention.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let heads = self.heads;
        let fused = self.qkv.forward(tokens).reshape([batch, count, 3, heads, dim / heads]).permute([2, 0, 3, 1, 4]);
        let part = |index: usize| fused.clone().slice_dim(0, index..=index).squeeze_dim::<4>(0);
        let options = AttentionModuleOptions { scale: Some(1.0), softcap: None, is_causal: false };
        let mixed = module::attention(part(0) * self.scale(), part(1), part(2), None, None, options);
        self.out.forward(mixed.permute([0, 2, 1, 3]).reshape([batch, count, dim]))
    }
}

/// Two linear layers with an exact (erf) GELU between them.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[C, ratio * C]`.
    pub up: Linear,
    /// `[ratio * C, C]`.
    pub down: Linear,
}

impl Mlp {
    /// Tokens `[B, T, C]` to tokens of the same shape.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.down.forward(activation::gelu(self.up.forward(tokens)))
    }
}

pub(super) fn layer_norm(dim: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(dim).with_epsilon(LAYER_NORM_EPSILON).init(device)
}

/// A layer's width as a real number; widths are far below the 32 bits that convert exactly.
pub(super) fn width(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
