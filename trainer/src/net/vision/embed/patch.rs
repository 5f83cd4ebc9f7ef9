//! Patches as rows of a matrix: reshape and transpose, then one matrix product. A strided 3D convolution would be the
//! same function, but costs more on every runtime and cannot be exported everywhere.

use crate::net::layers::LayerNorm;
use crate::net::vision::LAYER_NORM_EPSILON;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Added to the variance of a patch's voxels, in squared units of the tensor: the noise of a patch that shows one tissue
/// is not made larger than it is.
pub const PATCH_EPSILON: f64 = 0.01;

/// Layer normalisation of a patch before and after its projection (Dual `PatchNorm`; Kumar et al., arXiv 2302.01327): a
/// patch of soft tissue differs from its neighbour by little, one of lung by much, and both should be seen.
#[derive(Module, Debug)]
pub struct PatchNorms {
    /// Of the voxels.
    pub voxels: LayerNorm,
    /// Of the token.
    pub token: LayerNorm,
}

impl PatchNorms {
    pub(in crate::net::vision) fn new(voxels: usize, dim: usize, device: &Device) -> Self {
        Self {
            voxels: LayerNorm::new(voxels, PATCH_EPSILON, device),
            token: LayerNorm::new(dim, LAYER_NORM_EPSILON, device),
        }
    }
}

/// Cuts volumes `[B, 1, z, y, x]` into non-overlapping patches `[B, T, pz * py * px]`, tokens in (z, y, x) order, and
/// the voxels of a patch in the same order.
pub fn patches(volume: Tensor<5>, patch: [usize; 3]) -> Tensor<3> {
    let [batch, _, z, y, x] = volume.dims();
    let [pz, py, px] = patch;
    let [nz, ny, nx] = [z / pz, y / py, x / px];
    volume.reshape([batch, nz, pz, ny, py, nx, px]).permute([0, 1, 3, 5, 2, 4, 6]).reshape([
        batch,
        nz * ny * nx,
        pz * py * px,
    ])
}
