//! What both towers are made of: attention over heads, a perceptron, layer normalisation and unit vectors.

use crate::device::{self, gelu};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, module};

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
        apply(&self.down, gelu(apply(&self.up, tokens)))
    }
}

/// Layer normalisation over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[C]`.
    pub gamma: Param<Tensor<1>>,
    /// `[C]`.
    pub beta: Param<Tensor<1>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    pub(super) fn new(dim: usize, epsilon: f64, device: &Device) -> Self {
        let [gamma, beta] = [Tensor::ones([dim], device), Tensor::zeros([dim], device)].map(Param::from_tensor);
        Self { gamma, beta, epsilon }
    }

    /// Rows `[..., C]` to rows of the same shape.
    pub fn forward<const D: usize>(&self, rows: Tensor<D>) -> Tensor<D> {
        device::layer_norm(rows, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}

/// Multi-head attention of queries, keys and values `[B, T, C]`, to `[B, T, C]`; keys that are 0 in `seen` `[B, T]` are
/// hidden from the queries.
pub(super) fn attention(parts: [Tensor<3>; 3], heads: usize, seen: Option<Tensor<2>>) -> Tensor<3> {
    joined(device::attention(parts.map(|tokens| parted(tokens, heads)), seen))
}

/// Tokens `[B, T, C]` cut into heads, `[B, heads, T, C / heads]`.
pub(super) fn parted(tokens: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, count, dim] = tokens.dims();
    tokens.reshape([batch, count, heads, dim / heads]).permute([0, 2, 1, 3])
}

/// Heads `[B, heads, T, C / heads]` as tokens `[B, T, C]`.
pub(super) fn joined(heads: Tensor<4>) -> Tensor<3> {
    let [batch, count, tokens, width] = heads.dims();
    heads.permute([0, 2, 1, 3]).reshape([batch, tokens, count * width])
}

/// The parts side by side, each as wide as a token, that a layer makes of tokens `[B, T, C]`. The weights are cut, not what
/// it makes: to cut a tensor costs a walk over all of it on the way back.
pub(super) fn parts<const N: usize>(layer: &Linear, tokens: &Tensor<3>) -> [Tensor<3>; N] {
    let [_, _, width] = tokens.dims();
    let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(Param::val));
    std::array::from_fn(|index| {
        let columns = index * width..(index + 1) * width;
        let weight = weight.clone().slice_dim(1, columns.clone());
        match &bias {
            Some(bias) => device::linear(tokens.clone(), weight, bias.clone().slice_dim(0, columns)),
            None => module::linear(tokens.clone(), weight, None),
        }
    })
}

/// What a layer with a bias makes of rows `[..., I]`.
pub(super) fn apply<const D: usize>(layer: &Linear, rows: Tensor<D>) -> Tensor<D> {
    match &layer.bias {
        Some(bias) => device::linear(rows, layer.weight.val(), bias.val()),
        None => layer.forward(rows),
    }
}

/// `tensor` in the precision that a layer computes in.
pub(super) fn as_in<const D: usize>(tensor: Tensor<D>, layer: &Linear) -> Tensor<D> {
    tensor.cast(layer.weight.val().dtype())
}

/// Rows `[B, E]` divided by their Euclidean lengths. The caller's handle keeps the rows from being overwritten, which a backend with
/// a graph of its own would find out.
pub(super) fn unit(direction: &Tensor<2>) -> Tensor<2> {
    let squares = direction.clone().powi_scalar(2).sum_dim(1);
    direction.clone() / squares.clamp_min(SHORTEST_EMBEDDING * SHORTEST_EMBEDDING).sqrt()
}

pub(super) fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).init(device)
}

/// A layer's width as a real number; widths are far below the 32 bits that convert exactly.
pub(super) fn width(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
