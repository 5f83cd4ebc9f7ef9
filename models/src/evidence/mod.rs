//! Reference cases: which of them a series is most like, and how unlike all of them it is.
//!
//! In: the files that a bundle's [`Evidence`] names, as bytes (a device maps them into memory), and the unit embedding of a volume.
//! Out: the nearest cases, exactly, with their labels; the share of them that carries each label; a measure of novelty.

mod search;
#[cfg(test)]
mod tests;

pub use search::{Match, nearest};

use crate::bundle::{Evidence, Novelty};
use crate::labels::Label;
use serde::{Deserialize, Serialize};

/// One reference case, a line of the file that [`Evidence::cases`] names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Its labels.
    pub labels: Vec<Label>,
    /// Findings of its report.
    pub findings: String,
    /// Impression of its report.
    pub impression: String,
}

/// Why reference cases cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// A file of embeddings has another length.
    #[error("the {which} embeddings have {bytes} bytes, not {expected}")]
    Length {
        /// Which.
        which: &'static str,
        /// Bytes that are there.
        bytes: usize,
        /// Bytes that should be.
        expected: u64,
    },
    /// A line is no case.
    #[error("line {line} of the cases: {reason}")]
    Case {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There are fewer or more cases than rows.
    #[error("there are {found} cases for {expected} rows of embeddings")]
    Count {
        /// Lines that are there.
        found: usize,
        /// Rows.
        expected: usize,
    },
    /// The embedding to search for has another width, or is no unit vector.
    #[error("the embedding that is searched for does not fit the reference's")]
    Query,
}

/// The reference cases of a bundle; embeddings stay where they are, 16-bit floats in C order.
#[derive(Debug, Clone)]
pub struct References<B> {
    reports: B,
    volumes: B,
    width: usize,
    cases: Vec<Reference>,
    novelty: Option<Novelty>,
}

impl<B: AsRef<[u8]>> References<B> {
    /// Puts together what a bundle holds, for embeddings of this width: bytes of the reports' and of the volumes' embeddings, and
    /// the cases as text.
    ///
    /// # Errors
    /// The files do not fit each other.
    pub fn new(spec: &Evidence, width: usize, (reports, volumes): (B, B), cases: &str) -> Result<Self, EvidenceError> {
        let expected = spec.bytes(width).unwrap_or(0);
        for (which, bytes) in [("reports'", &reports), ("volumes'", &volumes)] {
            let bytes = bytes.as_ref().len();
            if u64::try_from(bytes) != Ok(expected) {
                return Err(EvidenceError::Length { which, bytes, expected });
            }
        }
        let case = |(index, line)| {
            serde_json::from_str(line)
                .map_err(|error| EvidenceError::Case { line: index + 1, reason: error.to_string() })
        };
        let cases = cases.lines().enumerate().map(case).collect::<Result<Vec<Reference>, _>>()?;
        if cases.len() != spec.count {
            return Err(EvidenceError::Count { found: cases.len(), expected: spec.count });
        }
        Ok(Self { reports, volumes, width, cases, novelty: spec.novelty })
    }

    /// The `count` cases whose reports lie nearest to the unit embedding of a volume, the nearest first.
    ///
    /// # Errors
    /// The embedding is none of this bundle's.
    pub fn neighbours(&self, embedding: &[f32], count: usize) -> Result<Vec<Match>, EvidenceError> {
        nearest(self.reports.as_ref(), self.fitting(embedding)?, count)
    }

    /// How unlike the reference volumes a volume is, where the bundle says how that is judged: see [`Novelty`].
    ///
    /// # Errors
    /// The embedding is none of this bundle's.
    pub fn novelty(&self, embedding: &[f32]) -> Result<Option<Judged>, EvidenceError> {
        let Some(Novelty { neighbours, bound, .. }) = self.novelty else { return Ok(None) };
        let near = nearest(self.volumes.as_ref(), self.fitting(embedding)?, neighbours)?;
        Ok(Some(Judged { score: novelty(&near), bound }))
    }

    /// The case of a row.
    pub fn case(&self, row: usize) -> Option<&Reference> {
        self.cases.get(row)
    }

    /// Number of cases.
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    fn fitting<'a>(&self, embedding: &'a [f32]) -> Result<&'a [f32], EvidenceError> {
        Some(embedding).filter(|embedding| embedding.len() == self.width).ok_or(EvidenceError::Query)
    }
}

/// How unlike the reference volumes a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// One minus the mean cosine to the nearest.
    pub score: f32,
    /// The largest that still counts as alike.
    pub bound: f32,
}

impl Judged {
    /// Whether it is so unlike that what the model says of it is not to be relied on.
    pub fn is_novel(&self) -> bool {
        // Written so that what is no number is novel.
        !matches!(self.score.partial_cmp(&self.bound), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal))
    }
}

/// One minus the mean cosine of the nearest.
pub fn novelty(near: &[Match]) -> f32 {
    let count = u16::try_from(near.len()).map_or(f32::NAN, f32::from);
    1.0 - near.iter().map(|one| one.similarity).sum::<f32>() / count
}
