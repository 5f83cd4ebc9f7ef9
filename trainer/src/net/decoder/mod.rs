//! The report decoder: what a volume's tokens and flags become, word by word.
//!
//! In: the volume tower's normalised tokens `[B, T, C]`, the flags as told `[B, 18]` (1 present, -1 absent, 0 unknown), and
//! token ids. Out: logits over the vocabulary. Both together are the [`Memory`] that every block looks at.
//!
//! What decodes SCALE-VLP's reports is not published; only that the pretrained tower feeds a generator. This is a small
//! transformer decoder from random weights (pre-LayerNorm, learned positions, output tied to the word vectors), told the
//! flags besides the tokens: EXACT-CHAT and U-VLM report what either is worth. Keys and values that were computed are kept
//! in a [`Cache`], so that a word costs one row.

mod block;
mod greedy;
mod memory;
mod network;
#[cfg(test)]
mod tests;

pub use block::{CrossAttention, DecoderBlock};
pub use greedy::{Limits, Written};
pub use memory::{FlagRows, Memory};
pub use network::{Cache, ReportDecoder};

/// Added to the variance in every layer normalisation of the decoder.
pub const DECODER_NORM_EPSILON: f64 = 1e-5;
