//! A report held against flags.

use super::{Claim, Reading};
use crate::labels::Label;

/// How a report does not say what a flag says. What it calls possible is in conflict with neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// It asserts what is not flagged.
    NotFlagged,
    /// It denies what is flagged.
    Denied,
    /// It does not speak of what is flagged, or only as of the past.
    Omitted,
}

impl Reading {
    /// The conflicts with these flags, in their order: each an abnormality, and whether it is flagged.
    pub fn conflicts(&self, flags: impl IntoIterator<Item = (Label, bool)>) -> Vec<(Label, Conflict)> {
        let conflict = |(label, flagged)| {
            let conflict = match (self.says(label), flagged) {
                (Some(Claim::Present), false) => Conflict::NotFlagged,
                (Some(Claim::Absent), true) => Conflict::Denied,
                (Some(Claim::Historical) | None, true) => Conflict::Omitted,
                (Some(Claim::Present | Claim::Uncertain), true)
                | (Some(Claim::Uncertain | Claim::Historical | Claim::Absent) | None, false) => return None,
            };
            Some((label, conflict))
        };
        flags.into_iter().filter_map(conflict).collect()
    }
}
