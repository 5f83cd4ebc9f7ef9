//! How near a generated report is to its reference, by words and by embeddings.
//!
//! In: candidate and reference, as tokens or token embeddings. Out: numbers. Owns nothing. Each metric names the variant
//! that it is, since "BLEU-4" of two papers may differ by a factor of two for their tokens and smoothing alone. One
//! reference for each candidate. All reward templated normal sentences; they are to be read beside
//! [`Findings`](super::Findings) and the score of a constant normal report.

mod bertscore;
mod bleu;
mod cider;
mod meteor;
mod rouge;
mod tokens;

pub use bertscore::bertscore;
pub use bleu::{corpus_bleu, mean_sentence_bleu};
pub use cider::cider_d;
pub use meteor::{mean_meteor, meteor};
pub use rouge::{Rouge, mean_rouge, rouge};
pub use tokens::{tokens_13a, tokens_rouge};

use super::tally;
use std::collections::BTreeMap;

/// The longest n-grams that are counted.
const LONGEST: usize = 4;

/// Tokens of a generated text and of its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What was generated.
    pub candidate: Vec<String>,
    /// What should have been.
    pub reference: Vec<String>,
}

impl Pair {
    /// Both texts by one tokeniser: [`tokens_rouge`] for ROUGE, [`tokens_13a`] for the others.
    pub fn new(candidate: &str, reference: &str, tokens: fn(&str) -> Vec<String>) -> Self {
        Self { candidate: tokens(candidate), reference: tokens(reference) }
    }
}

/// What of the candidate is in the reference, and the other way round. All 0 if either has no tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overlap {
    /// Share of the candidate.
    pub precision: f64,
    /// Share of the reference.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl Overlap {
    fn new(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        let f1 = if sum.abs() > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Self { precision, recall, f1 }
    }
}

/// How often each n-gram occurs.
fn ngrams(tokens: &[String], length: usize) -> BTreeMap<&[String], usize> {
    tally(tokens.windows(length.max(1)))
}

/// N-grams that both have, as often as the one with fewer has them.
fn shared(candidate: &[String], reference: &[String], length: usize) -> usize {
    let reference = ngrams(reference, length);
    let clipped = |(ngram, &count): (&&[String], &usize)| reference.get(ngram).map_or(0, |&limit| count.min(limit));
    ngrams(candidate, length).iter().map(clipped).sum()
}
