//! The networks: definitions only.
//!
//! In: the shape that an [`Experiment`](crate::experiment::Experiment) asks for, batches of volumes and of token ids.
//! Out: what the two towers of a [`Pair`] say of them, and their parameters as plain [`Weights`]. Owns nothing on disk;
//! knows no loss, no data set and no ONNX.
//!
//! `vision` and `text` are the towers, `decoder` writes reports of what the first has seen, `layers` is what all are made of, `init` the first weights, `import` published
//! ones, `tune` which of them learn, `narrow` in how many bits they compute.

pub mod decoder;
pub mod import;
mod init;
mod layers;
mod narrow;
mod pair;
pub mod text;
mod tune;
pub mod vision;
mod weights;

/// What the rooms on the right need of those on the left; they name this room only.
pub use crate::batch::{
    ABSENT, Batch, BatchError, Case, Cohort, Dictated, Dictation, Features, FeaturesError, Format, Knowledge, LOCATED,
    Length, Located, PRESENT, Padded, Presence, Recorder, Shown, Split, Tokenizer, TokenizerError, Tokens, prompt,
    raised, seen, told_flags,
};
pub use decoder::{Cache, DECODER_NORM_EPSILON, Limits, ReportDecoder, Written};
pub use init::{initial, initial_decoder};
pub use layers::Mlp;
pub(crate) use layers::SHORTEST_EMBEDDING;
pub use pair::Pair;
pub use text::{BertTower, TEXT_NORM_EPSILON, TextOutputs};
pub(crate) use vision::DENSITIES;
pub use vision::{LAYER_NORM_EPSILON, Outputs, PATCH_EPSILON, Stem, TokenGrid, Tower};
pub(crate) use weights::little_endian;
pub use weights::{Array, Weights, WeightsError};

#[cfg(test)]
mod tests;
