//! How bright and how dark the blocks of a patch are: what a projection of its voxels learns last. A few voxels of calcium
//! or metal are a small part of a sum over thousands; they are the whole of a maximum.

use super::patches;
use crate::net::layers::linear;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// Maximum, minimum and mean.
pub(crate) const DENSITIES: usize = 3;

/// A linear layer from the densities of a patch's blocks to its token.
#[derive(Module, Debug)]
pub struct Densities {
    /// `[blocks * 3, C]`.
    pub project: Linear,
    /// Edges of a block (z, y, x).
    pub block: [usize; 3],
}

impl Densities {
    pub(in crate::net::vision) fn new(patch: [usize; 3], block: [usize; 3], dim: usize, device: &Device) -> Self {
        let blocks: usize = patch.iter().zip(block).map(|(edge, step)| edge / step).product();
        Self { project: linear(DENSITIES * blocks, dim, device), block }
    }

    /// Volumes `[B, 1, z, y, x]` to what is added to the tokens of their patches, `[B, T, C]`. A token's numbers are those
    /// of its blocks in (z, y, x) order, each its maximum, minimum and mean.
    pub fn forward(&self, volume: Tensor<5>, patch: [usize; 3]) -> Tensor<3> {
        let [batch, _, z, y, x] = volume.dims();
        let [pz, py, px] = patch;
        let [nz, ny, nx] = [z / pz, y / py, x / px];
        let [bz, by, bx] = self.block;
        let [rz, ry, rx] = [pz / bz, py / by, px / bx];
        let blocks = patches(volume, self.block);
        let kinds = vec![blocks.clone().max_dim(2), blocks.clone().min_dim(2), blocks.mean_dim(2)];
        let kinds = Tensor::cat(kinds, 2).reshape([batch, nz, rz, ny, ry, nx, rx, DENSITIES]);
        let rows = kinds.permute([0, 1, 3, 5, 2, 4, 6, 7]);
        self.project.forward(rows.reshape([batch, nz * ny * nx, rz * ry * rx * DENSITIES]))
    }
}
