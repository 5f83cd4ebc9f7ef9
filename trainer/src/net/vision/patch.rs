//! Patches as rows of a matrix: reshape and transpose, then one matrix product. A strided 3D convolution would be the
//! same function, but costs more on every runtime and cannot be exported everywhere.

use burn::tensor::Tensor;

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
