//! Report text as numbers, and numbers as report text: the one tokenizer of training and bedside.
//!
//! In: `tokenizer.json` of a run or a bundle, as Python's `tokenizers` reads it. Out: token ids between `[CLS]` and `[SEP]`, and
//! a [`Draft`] out of the ids that a decoder wrote.

#[cfg(test)]
mod tests;
mod tokenizer;
mod written;

pub use tokenizer::{BEGIN, CONTINUED, END, PAD, Tokenizer, Tokens, UNKNOWN};
pub use written::Draft;

/// Why there is no tokenizer, or a text has no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// A mark that every BERT vocabulary has is not in this one.
    #[error("the vocabulary has no {mark}; it is not BERT's, take one that has [PAD], [UNK], [CLS] and [SEP]")]
    NoMark {
        /// The mark.
        mark: &'static str,
    },
    /// What the library says of a tokenizer file or a text.
    #[error("the tokenizer failed at {step}: {reason}; make it again from the corpus or a vocab.txt")]
    Library {
        /// What was being done.
        step: &'static str,
        /// The library's words.
        reason: String,
    },
}
