//! The networks: definitions only.
//!
//! In: the shape that an [`Experiment`] asks for, and a batch of input tensors `[B, 1, z, y, x]`. Out: what the volume tower says of it ([`Outputs`]). Owns nothing on
//! disk; knows no loss, no data set and no ONNX.
//!
//! **What is published of SCALE-VLP** (arXiv 2511.02996) about this tower, and kept: a 3D vision transformer over
//! non-overlapping patches with 3D positional encodings, whose tokens a light aggregator turns into one volume
//! embedding; token scores `r_{i,m}` that the spatial weights of the loss are computed from.
//!
//! **What is reconstruction here**, because the public text is silent: block layout (pre-LayerNorm, exact erf GELU), the
//! sine-cosine form of the positions and their unit (mm), and the form of the token scores. The aggregator is attention
//! pooling with one learned query, and its softmax weights *are* the token scores,
//! `r_{i,m} = softmax_m(q · h_{i,m} / sqrt(d))` — equation R6 of the reconstruction; centroid and covariance (R7) and
//! the spatial kernel (R8) follow from them in the loss. The published tower is a frozen pretrained encoder of
//! 32x256x256 voxels in 16^3 patches; size and patch are free here.

mod block;
mod init;
mod patch;
mod pool;
mod positions;
mod tower;
mod weights;

pub use block::{Attention, Block, LAYER_NORM_EPSILON, Mlp};
pub use init::initial;
pub use patch::patches;
pub use pool::AttentionPool;
pub use positions::TokenGrid;
pub(crate) use tower::SHORTEST_EMBEDDING;
pub use tower::{Outputs, Tower};
pub(crate) use weights::little_endian;
pub use weights::{Array, Weights, WeightsError};

#[cfg(test)]
mod tests;
