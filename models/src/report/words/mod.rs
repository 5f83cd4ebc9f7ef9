//! The vocabulary: for each abnormality the terms that name it, what else those words may mean, and the sentences by which
//! it is denied without being named.

mod lungs;
mod mediastinum;

use super::pattern::{Found, Pattern, find};
use crate::labels::Label;
use std::sync::LazyLock;

/// The words for one abnormality, or for several that always come together. Terms are written as in `pattern`.
#[derive(Debug)]
struct Entry {
    labels: &'static [Label],
    /// Terms that name it.
    seen: &'static [&'static str],
    /// Where a term is part of one of these it means something else.
    unless: &'static [&'static str],
    /// What denies it.
    denied: &'static [&'static str],
}

/// An entry with its terms taken apart.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) labels: &'static [Label],
    seen: Vec<Pattern>,
    unless: Vec<Pattern>,
    denied: Vec<Pattern>,
}

static VOCABULARY: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let patterns = |terms: &'static [&'static str]| terms.iter().map(|term| Pattern::new(term)).collect();
    let known = |entry: &Entry| Known {
        labels: entry.labels,
        seen: patterns(entry.seen),
        unless: patterns(entry.unless),
        denied: patterns(entry.denied),
    };
    mediastinum::ENTRIES.iter().chain(&lungs::ENTRIES).map(known).collect()
});

/// All entries.
pub(super) fn vocabulary() -> &'static [Known] {
    &VOCABULARY
}

impl Known {
    /// Where a clause names it, and where a clause denies it without a word of denial.
    pub(super) fn find(&self, words: &[&str]) -> (Vec<Found>, Vec<Found>) {
        let mut seen = find(&self.seen, words);
        if !seen.is_empty() {
            let others = find(&self.unless, words);
            seen.retain(|one| !others.iter().any(|other| other.overlaps(one)));
        }
        let denied = find(&self.denied, words);
        seen.retain(|one| !denied.iter().any(|other| other.overlaps(one)));
        (seen, denied)
    }
}

/// Whether it lies on a side or in a zone; the others lie in the middle, or are told by their vessel.
pub(super) fn has_place(label: Label) -> bool {
    !matches!(
        label,
        Label::ArterialWallCalcification
            | Label::Cardiomegaly
            | Label::PericardialEffusion
            | Label::CoronaryArteryWallCalcification
            | Label::HiatalHernia
            | Label::Lymphadenopathy
    )
}
