//! Which series a piece of work, a message or a log line speaks of.

use super::phi::{SeriesKey, StudyKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A completed series as every room to the right of `series` sees it, free of patient data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Whether it goes before others.
    pub(crate) priority: Priority,
    /// What the rules of choice say of it; `None` where there are none, and before they were asked.
    pub(crate) choice: Option<Choice>,
}

impl Subject {
    /// What makes its result, model and settings aside: the bytes of the series, and whether it was to be read.
    pub(crate) fn identity(&self) -> String {
        let Some(Choice { verdict, rule, chosen_series_key, .. }) = &self.choice else { return self.digest.clone() };
        let rule = rule.as_deref().unwrap_or_default();
        let chosen = chosen_series_key.as_ref().map_or("", |key| &key.0);
        format!("{}\n{}\n{rule}\n{chosen}", self.digest, verdict.name())
    }
}

/// Whether a series goes before others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    /// It waits its turn.
    #[default]
    Routine,
    /// It is read next, as the words of its header ask (`series.urgent`).
    Urgent,
}

/// What the rules of choice say of a series. Published with its result: it holds the site's words, and numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Choice {
    /// Whether the series is read.
    pub(crate) verdict: Verdict,
    /// Name of the first rule that fits.
    pub(crate) rule: Option<String>,
    /// Place of that rule, counted from 1.
    pub(crate) rank: Option<usize>,
    /// How many rules there are.
    pub(crate) of: usize,
    /// Which of that rule's patterns fits the kernel.
    pub(crate) kernel: Option<String>,
    /// Slice thickness in mm.
    pub(crate) thickness_mm: f64,
    /// Extent along the patient in mm.
    pub(crate) coverage_mm: f64,
    /// With `other_chosen`: the series that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chosen_series_key: Option<SeriesKey>,
    /// With `chosen`: a series that had been chosen before this better one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instead_of: Option<SeriesKey>,
}

/// Whether a series is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It is.
    Chosen,
    /// No rule fits it.
    NotChosen,
    /// Another series of its study is read.
    OtherChosen,
}

impl Verdict {
    /// The published name.
    fn name(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::NotChosen => "not_chosen",
            Self::OtherChosen => "other_chosen",
        }
    }
}

/// The evidence on which a series counted as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
