//! The volume tower.
//!
//! In: volumes `[B, 1, z, y, x]`, preprocessed by the experiment's input contract. Out: [`Outputs`], embedding, flags,
//! tokens and their saliency; and on request what each token adds to each flag
//! ([`Tower::flag_saliency`]).
//!
//! **What is published of SCALE-VLP** (arXiv 2511.02996) about this tower, and kept: a 3D vision transformer over
//! non-overlapping patches with 3D positional encodings, whose tokens a light aggregator turns into one volume
//! embedding; token scores `r_{i,m}` that the spatial weights of the loss are computed from; the transformer is
//! pretrained and frozen (`tune = "frozen"`).
//!
//! **What is reconstruction here**, because the public text is silent: block layout (pre-LayerNorm, exact erf GELU), the
//! sine-cosine form of the positions and their unit (mm), and the form of the token scores. The aggregator is attention
//! pooling with one learned query, and its softmax weights *are* the token scores,
//! `r_{i,m} = softmax_m(q · h_{i,m} / sqrt(d))` — equation R6 of the reconstruction; centroid and covariance (R7) and
//! the spatial kernel (R8) follow from them in the loss. With `places` above zero the aggregator also reads a few
//! channels of every token in its own place ([`Local`]), with `patch_norm` a patch is normalised on its way in
//! ([`PatchNorms`]), and with `densities` it is told its extremes ([`Densities`]): without the three, a small tower learns several
//! times slower. With `stem` it is told what convolutions see in it ([`Stem`]): without, what is small and lies anywhere in a patch
//! is not found. The published tower takes 32x256x256 voxels in 16^3 patches; size and patch are free here. Learned positions and a
//! class token make it the vision transformer of MONAI and M3D-CLIP, whose weights can be imported.

mod block;
mod embed;
mod heads;
mod tower;

pub use block::{Attention, Block};
pub(crate) use embed::DENSITIES;
pub use embed::{Densities, Filters, PATCH_EPSILON, PatchNorms, Places, Stem, TokenGrid, patches};
pub use heads::{AttentionPool, Local};
pub use tower::{Outputs, Tower};

/// Added to the variance in every layer normalisation of the tower.
pub const LAYER_NORM_EPSILON: f64 = 1e-5;
