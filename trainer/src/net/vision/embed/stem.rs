//! What is seen anywhere in the same way, before the volume is cut into patches: convolutions over neighbouring voxels.
//!
//! A nodule is learned once, not once for each place in a patch, and whole wherever it lies. The first layers of a vision
//! transformer as convolutions: Xiao et al., arXiv 2106.14881. Each layer is normalised over its channels, so that no batch is
//! too small (as Liu et al. do, arXiv 2201.03545).

use crate::device::{CELLS, convolution, gelu};
use crate::experiment::{STEM_CELL, STEM_HALVING};
use crate::net::layers::{LayerNorm, apply, linear};
use crate::net::vision::LAYER_NORM_EPSILON;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// The layers, and the one from their last map to the tokens.
#[derive(Module, Debug)]
pub struct Stem {
    /// One after the other.
    pub layers: Vec<Filters>,
    /// Strongest and mean answers in a patch to what is added to its token, `[2 W, C]`.
    pub project: Linear,
}

/// One layer: convolution, normalisation, GELU.
#[derive(Module, Debug)]
pub struct Filters {
    /// `[27 I, O]`, a neighbourhood's cells in (z, y, x) order.
    pub filters: Linear,
    /// Over the channels.
    pub norm: LayerNorm,
}

impl Stem {
    pub(in crate::net::vision) fn new(widths: &[usize], dim: usize, device: &Device) -> Self {
        let inputs = std::iter::once(1).chain(widths.iter().copied());
        let layers = inputs.zip(widths).map(|(inputs, &outputs)| Filters {
            filters: linear(CELLS * inputs, outputs, device),
            norm: LayerNorm::new(outputs, LAYER_NORM_EPSILON, device),
        });
        let width = widths.last().copied().unwrap_or(1);
        Self { layers: layers.collect(), project: linear(2 * width, dim, device) }
    }

    /// Cells from one neighbourhood of a layer's to the next, along each axis.
    pub fn stride(layer: usize) -> usize {
        if layer < STEM_HALVING { 2 } else { 1 }
    }

    /// Volumes `[B, 1, z, y, x]` to what is added to the tokens of their patches, `[B, T, C]`.
    pub fn forward(&self, volume: Tensor<5>, patch: [usize; 3]) -> Tensor<3> {
        let [batch, _, z, y, x] = volume.dims();
        let ([pz, py, px], [rz, ry, rx]) = (patch, patch.map(|edge| edge / STEM_CELL));
        let first = volume.reshape([batch, z, y, x, 1]);
        let layers = self.layers.iter().enumerate();
        let map = layers.fold(first, |map, (index, layer)| layer.forward(map, Self::stride(index)));
        let [_, _, _, _, width] = map.dims();
        let cells = map.reshape([batch, z / pz, rz, y / py, ry, x / px, rx, width]).permute([0, 1, 3, 5, 2, 4, 6, 7]);
        let tokens = (z / pz) * (y / py) * (x / px);
        let cells = cells.reshape([batch, tokens, rz * ry * rx, width]);
        let kinds = vec![cells.clone().max_dim(2), cells.mean_dim(2)];
        apply(&self.project, Tensor::cat(kinds, 3).reshape([batch, tokens, 2 * width]))
    }
}

impl Filters {
    /// Maps `[B, z, y, x, I]` to maps `[B, z', y', x', O]`.
    fn forward(&self, map: Tensor<5>, stride: usize) -> Tensor<5> {
        let weight = self.filters.weight.val();
        let bias = self.filters.bias.as_ref().map_or_else(|| self.norm.beta.val().zeros_like(), Param::val);
        gelu(self.norm.forward(convolution(map, weight, bias, stride)))
    }
}
