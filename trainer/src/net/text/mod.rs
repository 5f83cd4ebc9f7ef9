//! The report tower: BERT (Devlin et al., arXiv 1810.04805), as BioClinicalBERT and its relatives are published.
//!
//! In: token ids and mask `[B, L]` of the `text` room. Out: [`TextOutputs`], embedding and tokens. Its parameters are
//! BERT's one to one, so that published weights can be imported; only the projection to the shared embedding is ours.

mod layer;
mod tower;

pub use layer::{Layer, TextAttention};
pub use tower::{BertTower, Embeddings, TextOutputs};

/// Added to the variance in every layer normalisation of the tower, as in BERT.
pub const TEXT_NORM_EPSILON: f64 = 1e-12;
