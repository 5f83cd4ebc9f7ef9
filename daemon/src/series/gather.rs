//! When is a series complete? A pure state machine over files, markers and time.

use super::{LONGEST_WAIT, Settings};
use crate::floor::fate::Refusal;
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::{CompleteBy, Priority};
use crate::intake::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A file as the gatherer sees it.
#[derive(Debug, Clone)]
pub(super) struct Sorted {
    pub(super) study_key: StudyKey,
    pub(super) digest: String,
    pub(super) expected: Option<u32>,
    pub(super) single_file: bool,
    pub(super) priority: Priority,
    pub(super) source: Option<Source>,
    pub(super) refusal: Option<Refusal>,
}

/// A series that is still filling.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) study_key: StudyKey,
    pub(super) digests: BTreeSet<String>,
    pub(super) expected: Option<u32>,
    pub(super) refusal: Option<Refusal>,
    pub(super) priority: Priority,
    sources: BTreeSet<Source>,
    evidence: Option<CompleteBy>,
    last: Duration,
}

impl Open {
    /// Why it is complete at `now`, if it is.
    pub(super) fn complete_by(&self, now: Duration, quiet: Duration) -> Option<CompleteBy> {
        self.evidence.or_else(|| (now >= self.last + quiet).then_some(CompleteBy::QuietPeriod))
    }
}

/// All series that are still filling.
#[derive(Debug)]
pub(super) struct Gather {
    quiet: Duration,
    trust_expected_count: bool,
    open: BTreeMap<SeriesKey, Open>,
    blocked_until: Duration,
}

/// Pause before a series that is blocked by an earlier batch is looked at again.
const BLOCKED: Duration = Duration::from_millis(200);

impl Gather {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            quiet: Duration::from_secs_f64(settings.quiet_s.max(0.0)),
            trust_expected_count: settings.trust_expected_count,
            open: BTreeMap::new(),
            blocked_until: Duration::ZERO,
        }
    }

    /// Whether files of this series have come since it was last complete.
    pub(super) fn knows(&self, key: &SeriesKey) -> bool {
        self.open.contains_key(key)
    }

    /// A series that the ledger knows as open after a restart; its files are on their way again.
    pub(super) fn expect(&mut self, key: SeriesKey, study_key: StudyKey, now: Duration) {
        self.entry(key, study_key, now);
    }

    /// Takes a file that has been sorted into its series.
    pub(super) fn add(&mut self, key: SeriesKey, file: Sorted, now: Duration) {
        let trust_expected_count = self.trust_expected_count;
        let open = self.entry(key, file.study_key, now);
        open.last = now;
        open.digests.insert(file.digest);
        open.expected = open.expected.max(file.expected);
        open.priority = open.priority.max(file.priority);
        open.sources.extend(file.source);
        open.refusal = open.refusal.take().or(file.refusal);
        if file.single_file {
            open.evidence = Some(CompleteBy::SingleFile);
        } else if trust_expected_count && open.has_all() {
            open.evidence = Some(CompleteBy::ExpectedCount);
        }
    }

    fn entry(&mut self, key: SeriesKey, study_key: StudyKey, now: Duration) -> &mut Open {
        self.open.entry(key).or_insert_with(|| Open {
            study_key,
            digests: BTreeSet::new(),
            expected: None,
            refusal: None,
            priority: Priority::Routine,
            sources: BTreeSet::new(),
            evidence: None,
            last: now,
        })
    }

    /// Everything of this series has arrived.
    pub(super) fn ends(&mut self, key: &SeriesKey, evidence: CompleteBy) {
        if let Some(open) = self.open.get_mut(key) {
            open.evidence = Some(evidence);
        }
    }

    /// Everything from this source has arrived.
    pub(super) fn all_came(&mut self, source: Source, evidence: CompleteBy) {
        for open in self.open.values_mut().filter(|open| open.sources.contains(&source)) {
            open.evidence.get_or_insert(evidence);
        }
    }

    /// New files are heard of from `now` on: what came before and has not been seen yet breaks no silence.
    pub(super) fn listens(&mut self, now: Duration) {
        for open in self.open.values_mut() {
            open.last = now;
        }
    }

    /// Series that are complete at `now`, none while a blocked one is waiting its turn.
    pub(super) fn complete(&self, now: Duration) -> Vec<SeriesKey> {
        if now < self.blocked_until {
            return Vec::new();
        }
        let done = |open: &Open| open.complete_by(now, self.quiet).is_some();
        self.open.iter().filter(|(_, open)| done(open)).map(|(key, _)| key.clone()).collect()
    }

    /// Takes a series out, with the evidence on which it is complete.
    pub(super) fn take(&mut self, key: &SeriesKey) -> Option<(Open, CompleteBy)> {
        let open = self.open.remove(key)?;
        let evidence = open.evidence.unwrap_or(CompleteBy::QuietPeriod);
        Some((open, evidence))
    }

    /// An earlier batch of a complete series is still being read: look again a little later.
    pub(super) fn blocked(&mut self, now: Duration) {
        self.blocked_until = now + BLOCKED;
    }

    /// How long nothing can become complete, files aside.
    pub(super) fn patience(&self, now: Duration) -> Duration {
        let due = |open: &Open| if open.evidence.is_some() { Duration::ZERO } else { open.last + self.quiet };
        let next = self.open.values().map(due).min().unwrap_or(now + LONGEST_WAIT);
        next.max(self.blocked_until).saturating_sub(now).min(LONGEST_WAIT)
    }
}

impl Open {
    fn has_all(&self) -> bool {
        let count = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        self.expected.is_some_and(|expected| expected > 0 && count >= expected)
    }
}
