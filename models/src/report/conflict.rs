//! A report held against flags.

use super::{Claim, Reading};
use crate::labels::Label;
use serde::{Deserialize, Serialize};

/// What a flag lets a report say of its abnormality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// It is not flagged.
    Absent,
    /// It is flagged, and less likely than not: that it may be there is all that can be said.
    Possible,
    /// It is flagged.
    Present,
}

impl From<bool> for Call {
    /// Of a flag without a probability: whether it stands.
    fn from(flagged: bool) -> Self {
        if flagged { Self::Present } else { Self::Absent }
    }
}

/// How a report does not say what a flag says. What it calls possible is in conflict with no flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// It asserts what is not flagged.
    NotFlagged,
    /// It asserts what is flagged as possible.
    Overstated,
    /// It denies what is flagged.
    Denied,
    /// It does not speak of what is flagged, or only as of the past.
    Omitted,
}

impl Reading {
    /// The conflicts with these flags, in their order.
    pub fn conflicts(&self, flags: impl IntoIterator<Item = (Label, Call)>) -> Vec<(Label, Conflict)> {
        let conflict = |(label, call)| {
            let conflict = match (self.says(label), call) {
                (Some(Claim::Present), Call::Absent) => Conflict::NotFlagged,
                (Some(Claim::Present), Call::Possible) => Conflict::Overstated,
                (Some(Claim::Absent), Call::Possible | Call::Present) => Conflict::Denied,
                (Some(Claim::Historical) | None, Call::Possible | Call::Present) => Conflict::Omitted,
                (Some(Claim::Present), Call::Present)
                | (Some(Claim::Uncertain), _)
                | (Some(Claim::Historical | Claim::Absent) | None, Call::Absent) => return None,
            };
            Some((label, conflict))
        };
        flags.into_iter().filter_map(conflict).collect()
    }
}
