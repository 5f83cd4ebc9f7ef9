//! The vocabulary: for each abnormality the terms that name it, what else those words may mean, and the sentences by which
//! it is denied without being named.

mod airways;
mod heart;
mod lungs;
mod vessels;

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
    /// What may mean it, but is not counted as it by who labelled CT-RATE.
    kin: &'static [&'static str],
    /// What denies it.
    denied: &'static [&'static str],
}

/// An entry without terms, to be written on.
const BLANK: Entry = Entry { labels: &[], seen: &[], unless: &[], kin: &[], denied: &[] };

/// An entry with its terms taken apart.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) labels: &'static [Label],
    seen: Vec<Pattern>,
    unless: Vec<Pattern>,
    kin: Vec<Pattern>,
    denied: Vec<Pattern>,
}

/// What the words of a clause are to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// They name the abnormality.
    Name,
    /// They may mean it.
    Kin,
    /// They deny it.
    Denial,
}

static VOCABULARY: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let patterns = |terms: &'static [&'static str]| terms.iter().map(|term| Pattern::new(term)).collect();
    let known = |entry: &Entry| Known {
        labels: entry.labels,
        seen: patterns(entry.seen),
        unless: patterns(entry.unless),
        kin: patterns(entry.kin),
        denied: patterns(entry.denied),
    };
    heart::ENTRIES.iter().chain(&vessels::ENTRIES).chain(&lungs::ENTRIES).chain(&airways::ENTRIES).map(known).collect()
});

/// All entries.
pub(super) fn vocabulary() -> &'static [Known] {
    &VOCABULARY
}

impl Known {
    /// Where a clause speaks of it, and how.
    pub(super) fn find(&self, words: &[&str]) -> Vec<(Role, Found)> {
        let mut all: Vec<(Role, Found)> =
            find(&self.seen, words).into_iter().map(|found| (Role::Name, found)).collect();
        if !all.is_empty() {
            let others = find(&self.unless, words);
            all.retain(|(_, one)| !others.iter().any(|other| other.overlaps(one)));
        }
        for (role, patterns) in [(Role::Denial, &self.denied), (Role::Kin, &self.kin)] {
            for found in find(patterns, words) {
                if !all.iter().any(|(_, one)| one.overlaps(&found)) {
                    all.push((role, found));
                }
            }
        }
        all
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
