//! The volume tower: patches, positions, blocks, pooling, projection and flags.

use super::block::{Block, layer_norm};
use super::patch::patches;
use super::pool::AttentionPool;
use super::positions::TokenGrid;
use super::weights::{Weights, WeightsError};
use crate::experiment::Vision;
use burn::module::Module;
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::spec::Grid;

/// Lengths below this are not divided by, so that a zero vector stays zero.
pub(crate) const SHORTEST_EMBEDDING: f64 = 1e-12;

/// SCALE-VLP's volume tower (reconstruction; see the room's head for what is published).
#[derive(Module, Debug)]
pub struct Tower {
    /// `[pz * py * px, C]`.
    pub patch: Linear,
    /// Added to the tokens, `[1, T, C]`; follows from the grid, so it is no parameter.
    pub positions: Tensor<3>,
    /// The transformer.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: LayerNorm,
    /// Tokens to one vector.
    pub pool: AttentionPool,
    /// `[C, E]`.
    pub project: Linear,
    /// `[C, 18]`.
    pub flags: Linear,
    /// Edges of a patch (z, y, x).
    pub patch_size: [usize; 3],
    /// Size of the input (z, y, x).
    pub input_size: [usize; 3],
}

/// What the tower says of a batch of volumes.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Unit vectors `[B, E]` that are compared with those of reports.
    pub embedding: Tensor<2>,
    /// `[B, 18]`, in the order of `ctedge_models::labels`.
    pub logits: Tensor<2>,
    /// Normalised tokens `[B, T, C]` in (z, y, x) order.
    pub tokens: Tensor<3>,
    /// Weight of each token in the pooling `[B, T]`; sums to one.
    pub saliency: Tensor<2>,
}

impl Tower {
    /// A tower of that shape with these weights; every parameter must be there, and nothing else.
    pub fn new(architecture: &Vision, grid: &Grid, weights: &Weights, device: &Device) -> Result<Self, WeightsError> {
        weights.fill(Self::empty(architecture, grid, device))
    }

    /// The shape alone. Its parameters hold nothing useful until [`Weights::fill`] has filled them.
    pub(super) fn empty(architecture: &Vision, grid: &Grid, device: &Device) -> Self {
        let Vision { patch, dim, depth, embedding, .. } = *architecture;
        Self {
            patch: LinearConfig::new(patch.iter().product(), dim).init(device),
            positions: TokenGrid::new(grid, patch).table(dim, device),
            blocks: (0..depth).map(|_| Block::new(architecture, device)).collect(),
            norm: layer_norm(dim, device),
            pool: AttentionPool::new(dim, device),
            project: LinearConfig::new(dim, embedding).init(device),
            flags: LinearConfig::new(dim, LABEL_COUNT).init(device),
            patch_size: patch,
            input_size: grid.size(),
        }
    }

    /// Volumes `[B, 1, z, y, x]`, preprocessed by the tower's input contract, to its outputs.
    pub fn forward(&self, volume: Tensor<5>) -> Outputs {
        let mut tokens = self.patch.forward(patches(volume, self.patch_size)) + self.positions.clone();
        for block in &self.blocks {
            tokens = block.forward(tokens);
        }
        let tokens = self.norm.forward(tokens);
        let (pooled, saliency) = self.pool.forward(tokens.clone());
        let direction = self.project.forward(pooled.clone());
        let length = direction.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(SHORTEST_EMBEDDING);
        Outputs { embedding: direction / length, logits: self.flags.forward(pooled), tokens, saliency }
    }
}
