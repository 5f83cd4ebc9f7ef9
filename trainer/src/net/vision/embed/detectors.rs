//! Learned detectors of what is small and may lie anywhere in a patch.
//!
//! One little network looks at every window of the volume in the same way, and a token is told the strongest answer among
//! its windows and their mean: a nodule is learned once, not once for each place in a patch. A window's blocks are looked
//! at first, each by itself, then their answers together. It is a convolution with large strides, written as products of
//! matrices; a second look, half a window further along each axis, finds whole what a window's border has cut in two.

use super::patches;
use crate::device::gelu;
use crate::experiment::Windows;
use crate::net::layers::{Mlp, apply, linear};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// The networks of blocks and windows, and the layer to the tokens.
#[derive(Module, Debug)]
pub struct Detectors {
    /// Voxels of a block to its answers: `[bz * by * bx, W]`, then `[W, W / 2]`.
    pub blocks: Mlp,
    /// The answers of a window's blocks to those of the window: `[blocks * W / 2, 2 W]`, then `[2 W, W]`.
    pub windows: Mlp,
    /// Strongest and mean answers of a patch's windows to what is added to its token, `[2 W, C]`.
    pub project: Linear,
    /// Edges of a window (z, y, x).
    pub window: [usize; 3],
    /// Edges of a block (z, y, x).
    pub block: [usize; 3],
}

impl Detectors {
    pub(in crate::net::vision) fn new(windows: &Windows, dim: usize, device: &Device) -> Self {
        let Windows { window, block, width } = *windows;
        let voxels: usize = block.iter().product();
        let count = window.iter().product::<usize>() / voxels;
        let answers = width / 2;
        Self {
            blocks: Mlp { up: linear(voxels, width, device), down: linear(width, answers, device) },
            windows: Mlp { up: linear(count * answers, 2 * width, device), down: linear(2 * width, width, device) },
            project: linear(2 * width, dim, device),
            window,
            block,
        }
    }

    /// Volumes `[B, 1, z, y, x]` to what is added to the tokens of their patches, `[B, T, C]`.
    pub fn forward(&self, volume: Tensor<5>, patch: [usize; 3]) -> Tensor<3> {
        let further = self.window.map(|edge| edge / 2);
        let looks = vec![self.look(volume.clone(), patch), self.look(turned(volume, further), patch)];
        let answers = Tensor::cat(looks, 2);
        let [batch, tokens, _, width] = answers.dims();
        let kinds = vec![answers.clone().max_dim(2), answers.mean_dim(2)];
        apply(&self.project, Tensor::cat(kinds, 3).reshape([batch, tokens, 2 * width]))
    }

    /// The answers of the windows of each patch, `[B, T, windows, W]`.
    fn look(&self, volume: Tensor<5>, patch: [usize; 3]) -> Tensor<4> {
        let [batch, _, z, y, x] = volume.dims();
        let ([pz, py, px], [wz, wy, wx], [bz, by, bx]) = (patch, self.window, self.block);
        let blocks = [wz / bz, wy / by, wx / bx].iter().product::<usize>();
        let windows = patches(volume, self.window);
        let [_, count, _] = windows.dims();
        let cut = windows.reshape([batch * count, wz / bz, bz, wy / by, by, wx / bx, bx]);
        let rows = cut.permute([0, 1, 3, 5, 2, 4, 6]).reshape([batch, count * blocks, bz * by * bx]);
        let seen = gelu(self.blocks.forward(rows));
        let [_, _, answers] = seen.dims();
        let told = self.windows.forward(seen.reshape([batch, count, blocks * answers]));
        let [_, _, width] = told.dims();
        let ([nz, ny, nx], [rz, ry, rx]) = ([z / pz, y / py, x / px], [pz / wz, py / wy, px / wx]);
        let told = told.reshape([batch, nz, rz, ny, ry, nx, rx, width]).permute([0, 1, 3, 5, 2, 4, 6, 7]);
        told.reshape([batch, nz * ny * nx, rz * ry * rx, width])
    }
}

/// Volumes `[B, 1, z, y, x]` that begin at another voxel (z, y, x); what stood before it follows at the end.
fn turned(volume: Tensor<5>, first: [usize; 3]) -> Tensor<5> {
    first.into_iter().zip(2..).fold(volume, |volume, (first, axis)| {
        let edge = volume.shape().get(axis).copied().unwrap_or(first);
        let parts = [first..edge, 0..first].map(|part| volume.clone().slice_dim(axis, part));
        Tensor::cat(parts.into(), axis)
    })
}
