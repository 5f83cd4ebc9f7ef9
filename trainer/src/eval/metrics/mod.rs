//! The metrics of an evaluation, as pure functions.
//!
//! In: scores, logits, tokens and the truth, in memory. Out: numbers. Owns nothing; draws only from seeds that it is
//! given. Each function states its definition and source and is compared with another implementation of it on the
//! vectors of `tests/peers/metric_vectors.py`.
//!
//! Two rules hold throughout. What is undefined, such as the AUROC of cases of one class, is `None` and never NaN or a
//! guess. What is malformed, such as a score that is no number, is a [`MetricsError`].

mod baseline;
mod bootstrap;
mod calibrate;
mod classify;
pub mod language;
mod retrieve;
mod sample;

pub use baseline::{Baseline, Findings};
pub use bootstrap::{Bootstrap, Interval};
pub use calibrate::{Isotonic, Temperature};
pub use classify::{
    Bin, Confusion, RocPoint, Scored, Threshold, auroc, average_precision, best_f1, brier, expected_calibration_error,
    reliability, roc, scored, youden,
};
pub use retrieve::{DEPTHS, Hits, PairScores, Pools, Retrieval};
pub(super) use sample::Draw;

use std::collections::BTreeMap;

/// Input that no metric can be computed from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// Two lists that run in parallel have different lengths.
    #[error("there are {given} {what} for {expected} items; give one for each, in the same order")]
    Lengths {
        /// What there are too few or too many of.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
    /// There is nothing to measure.
    #[error("there is no item to measure; check what the evaluation selected")]
    Nothing,
    /// A score is NaN or infinite.
    #[error("score {row} is {score}, not a finite number; check the model's output for this item")]
    NotFinite {
        /// Its place, from zero.
        row: usize,
        /// Its value.
        score: f64,
    },
    /// A score that should be a probability lies outside 0 to 1.
    #[error("score {row} is {score}, not a probability; pass logits through the sigmoid or a calibration first")]
    NotProbability {
        /// Its place, from zero.
        row: usize,
        /// Its value.
        score: f64,
    },
    /// A matrix of pair scores is not square.
    #[error("the scores are {queries} queries by {candidates} candidates; query i and candidate i must be a pair")]
    NotSquare {
        /// Rows.
        queries: usize,
        /// Columns.
        candidates: usize,
    },
    /// A similarity is NaN or infinite.
    #[error("the similarity of query {query} and candidate {candidate} is no finite number; check their embeddings")]
    Similarity {
        /// Row, from zero.
        query: usize,
        /// Column, from zero.
        candidate: usize,
    },
    /// A pool is empty or larger than the set that it is drawn from.
    #[error("a pool of {size} cannot be drawn from {pairs} pairs; choose a size from 1 to {pairs}")]
    PoolSize {
        /// Asked for.
        size: usize,
        /// Pairs that there are.
        pairs: usize,
    },
    /// The confidence of an interval is not strictly between 0 and 1.
    #[error("a confidence of {given} is not between 0 and 1; 0.95 is usual")]
    Confidence {
        /// What was asked for.
        given: f64,
    },
    /// Candidate and reference were embedded in different widths.
    #[error("the candidate's tokens have {candidate} numbers and the reference's {reference}; embed both alike")]
    Widths {
        /// Numbers of a candidate's token.
        candidate: usize,
        /// Numbers of a reference's token.
        reference: usize,
    },
}

/// `Ok` if two parallel lists have one length.
fn same_length(what: &'static str, given: usize, expected: usize) -> Result<(), MetricsError> {
    if given == expected { Ok(()) } else { Err(MetricsError::Lengths { what, given, expected }) }
}

/// A count as a real number.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts are below 2^53, where reals are exact")]
fn real(count: usize) -> f64 {
    count as f64
}

/// `part / whole`, undefined for a whole of nothing.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| real(part) / real(whole))
}

/// How often each item occurs.
fn tally<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// The mean, undefined of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / real(values.len()))
}

#[cfg(test)]
mod tests;
