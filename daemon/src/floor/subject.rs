//! Which series a piece of work, a message or a log line speaks of.

use super::phi::{SeriesKey, StudyKey};
use serde::{Deserialize, Serialize};

/// A completed series as every room to the right of `series` sees it, free of patient data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// Pseudonym of the study.
    pub(crate) study_key: StudyKey,
    /// Pseudonym of the series.
    pub(crate) series_key: SeriesKey,
    /// SHA-256 over the sorted digests of the series' files, hex: the same bytes give the same digest in any order.
    pub(crate) digest: String,
    /// Files of the series.
    pub(crate) instances: u32,
    /// Files that the header announced.
    pub(crate) expected: Option<u32>,
    /// Why the series counted as complete.
    pub(crate) complete_by: CompleteBy,
    /// 1 for the first result of a series; rises when late files change the input.
    pub(crate) revision: u32,
    /// Id of the result that this revision replaces.
    pub(crate) replaces: Option<String>,
    /// When the series counted as complete, ms since 1970.
    pub(crate) completed_ms: i64,
}

/// The evidence on which a series counted as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompleteBy {
    /// No new file for the configured quiet period.
    QuietPeriod,
    /// As many files as the header announced.
    ExpectedCount,
    /// The sender's marker file.
    Marker,
    /// It came in an archive.
    Archive,
    /// The format holds a whole scan in one file.
    SingleFile,
    /// The operator named the files (`ctedge process`).
    Operator,
}
