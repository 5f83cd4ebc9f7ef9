//! The volume tower: patches, positions, blocks, pooling, projection and flags.

use super::{AttentionPool, Block, Densities, LAYER_NORM_EPSILON, Local, PatchNorms, Places, Stem, TokenGrid, patches};
use crate::experiment::Vision;
use crate::net::layers::{LayerNorm, as_in, linear, unit};
use crate::net::{Weights, WeightsError};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::spec::Grid;

/// SCALE-VLP's volume tower (reconstruction; see the room's head for what is published).
#[derive(Module, Debug)]
pub struct Tower {
    /// `[V, C]` of the V voxels of a patch.
    pub patch: Linear,
    /// Before and after it.
    pub patch_norms: Option<PatchNorms>,
    /// How bright and how dark parts of a patch are.
    pub densities: Option<Densities>,
    /// What convolutions see in a patch.
    pub stem: Option<Stem>,
    /// Where a token lies.
    pub positions: Places,
    /// One more token before the others, `[1, 1, C]`; where it stands is part of what it learns, as in MONAI.
    pub class_token: Option<Param<Tensor<3>>>,
    /// The transformer.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: LayerNorm,
    /// Tokens to one vector.
    pub pool: AttentionPool,
    /// What each token says in its own place, `[B, T * W]`.
    pub local: Option<Local>,
    /// `[C + T * W, E]`.
    pub project: Linear,
    /// `[C + T * W, 18]`.
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
    /// What embedding and flags are read from: the pooled tokens, and what each says in its own place, `[B, C + T * W]`.
    pub summary: Tensor<2>,
    /// Normalised tokens `[B, T, C]` in (z, y, x) order.
    pub tokens: Tensor<3>,
    /// Weight of each token in the pooling `[B, T]`; sums to one.
    pub saliency: Tensor<2>,
    /// Normalised class token `[B, C]`, where the tower has one; embedding and flags are made of the patches alone.
    pub class: Option<Tensor<2>>,
}

impl Tower {
    /// A tower of that shape with these weights; every parameter must be there, and nothing else.
    pub fn new(architecture: &Vision, grid: &Grid, weights: &Weights, device: &Device) -> Result<Self, WeightsError> {
        weights.fill(Self::empty(architecture, grid, device))
    }

    /// The shape alone. Its parameters hold nothing useful until [`Weights::fill`] has filled them.
    pub(in crate::net) fn empty(architecture: &Vision, grid: &Grid, device: &Device) -> Self {
        let Vision { patch, dim, depth, embedding, class_token, patch_norm, densities, places, .. } = *architecture;
        let tokens = TokenGrid::new(grid, patch);
        let voxels = patch.iter().product();
        let summary = dim + tokens.tokens() * places;
        Self {
            patch: linear(voxels, dim, device),
            patch_norms: patch_norm.then(|| PatchNorms::new(voxels, dim, device)),
            densities: densities.map(|block| Densities::new(patch, block, dim, device)),
            stem: architecture.stem.as_ref().map(|widths| Stem::new(widths, dim, device)),
            positions: Places::new(architecture, &tokens, device),
            class_token: class_token.then(|| Param::from_tensor(Tensor::zeros([1, 1, dim], device))),
            blocks: (0..depth).map(|_| Block::new(architecture, device)).collect(),
            norm: LayerNorm::new(dim, LAYER_NORM_EPSILON, device),
            pool: AttentionPool::new(dim, device),
            local: (places > 0).then(|| Local::new(dim, places, device)),
            project: linear(summary, embedding, device),
            flags: linear(summary, LABEL_COUNT, device),
            patch_size: patch,
            input_size: grid.size(),
        }
    }

    /// Volumes `[B, 1, z, y, x]`, preprocessed by the tower's input contract, to its outputs.
    pub fn forward(&self, volume: Tensor<5>) -> Outputs {
        self.read(self.encode(volume))
    }

    /// Volumes to the tokens after the last block `[B, T, C]`, a class token before the others: all that rests in a frozen
    /// tower.
    pub fn encode(&self, volume: Tensor<5>) -> Tensor<3> {
        self.blocks.iter().fold(self.embed(volume), |tokens, block| block.forward(as_in(tokens, &block.attention.qkv)))
    }

    /// Values of [`Tower::encode`] for one volume, `T * C`.
    pub fn encoded(&self) -> usize {
        (self.tokens() + usize::from(self.class_token.is_some())) * self.dim()
    }

    /// Tokens of a volume but for a class token, T.
    pub fn tokens(&self) -> usize {
        self.input_size.iter().zip(self.patch_size).map(|(edge, step)| edge / step).product()
    }

    /// Width of a token, C.
    pub fn dim(&self) -> usize {
        let [dim] = self.norm.gamma.dims();
        dim
    }

    /// Volumes to the tokens before the first block `[B, T, C]`, a class token before the others.
    pub fn embed(&self, volume: Tensor<5>) -> Tensor<3> {
        let voxels = patches(volume.clone(), self.patch_size);
        let voxels = match &self.patch_norms {
            Some(norms) => norms.voxels.forward(voxels),
            None => voxels,
        };
        let mut patches = as_in(self.patch.forward(as_in(voxels, &self.patch)), &self.project);
        if let Some(densities) = &self.densities {
            patches = patches + densities.forward(volume.clone(), self.patch_size);
        }
        if let Some(stem) = &self.stem {
            patches = patches + stem.forward(volume, self.patch_size);
        }
        if let Some(norms) = &self.patch_norms {
            patches = norms.token.forward(patches);
        }
        let patches = patches + self.positions.table();
        let [batch, _, dim] = patches.dims();
        match &self.class_token {
            Some(class) => Tensor::cat(vec![class.val().expand([batch, 1, dim]), patches], 1),
            None => patches,
        }
    }

    /// Tokens after the last block to the tower's outputs.
    pub fn read(&self, tokens: Tensor<3>) -> Outputs {
        let tokens = self.norm.forward(as_in(tokens, &self.project));
        let [_, inside, _] = tokens.dims();
        let class = self.class_token.as_ref().map(|_| tokens.clone().slice_dim(1, 0..1).squeeze_dim::<2>(1));
        let first = usize::from(class.is_some());
        let tokens = tokens.slice_dim(1, first..inside);
        let (pooled, saliency) = self.pool.forward(tokens.clone());
        let summary = match &self.local {
            Some(local) => Tensor::cat(vec![pooled, local.forward(tokens.clone())], 1),
            None => pooled,
        };
        let logits = self.flags.forward(summary.clone());
        let embedding = unit(&self.project.forward(summary.clone()));
        Outputs { embedding, logits, summary, tokens, saliency, class }
    }
}
