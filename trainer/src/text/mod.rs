//! Reports as numbers: which text the report tower sees, and how it becomes tokens.
//!
//! In: the sections of a report, and `[text]` of the experiment. Out: token ids with `[CLS]` and `[SEP]`, padded batches
//! and their masks, and what a decoder learns to write. It owns `tokenizer.json`, which Python's `tokenizers` reads as it is, and never cuts a report
//! without counting what was left out.

mod collate;
mod prompts;
mod sections;
mod target;
mod tokenizer;
mod vocabulary;

pub use collate::{Length, Padded};
pub use ctedge_models::text::{Tokenizer, TokenizerError, Tokens};
pub use prompts::{ABSENT, PRESENT, Presence, prompt};
pub use sections::seen;
pub use target::target;
pub use tokenizer::{from_vocabulary, learn};

use std::path::PathBuf;

/// Why there is no tokenizer, or a text has no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The vocabulary file could not be read.
    #[error("the vocabulary {} cannot be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A piece that stands twice would have two numbers.
    #[error("the vocabulary {} holds {piece:?} twice, again in line {line}; remove one", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The piece.
        piece: String,
        /// Line of its second place, from 1.
        line: usize,
    },
    /// The letters of the corpus alone are more than the vocabulary may hold.
    #[error("text.vocabulary is {wanted}, but the corpus has {letters} letters and marks; raise it above that")]
    Crowded {
        /// Pieces that were asked for.
        wanted: usize,
        /// Pieces that cannot be left out.
        letters: usize,
    },
    /// There is no tokenizer, or a text has no tokens.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

#[cfg(test)]
mod tests;
