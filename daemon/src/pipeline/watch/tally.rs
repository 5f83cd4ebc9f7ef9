//! What is counted since the daemon started, and when series last ended how.

use crate::floor::store::{Store, StoreError};
use crate::report::{Outcome, Report};
use crate::series::ledger;
use crate::web::Histogram;
use std::collections::BTreeMap;

/// Counts of finished series. Every key is one of a short list of ours.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Tally {
    /// Where the time of a series went, by stage.
    pub(super) stages: BTreeMap<&'static str, Histogram>,
    /// From complete series to the stored result.
    pub(super) total: Histogram,
    /// The newest of these, ms.
    pub(super) last_total_ms: Option<u64>,
    /// Reasons of `rejected`.
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// Reasons of `failed`.
    pub(super) failed: BTreeMap<&'static str, u64>,
    /// Positive flags.
    pub(super) positive: BTreeMap<&'static str, u64>,
    /// When series last ended with each outcome, ms since 1970.
    newest: BTreeMap<String, i64>,
}

impl Tally {
    /// Nothing counted yet; what ended before is known from the ledger.
    pub(in crate::pipeline) fn since(store: &Store) -> Result<Self, StoreError> {
        let newest = store.read(ledger::newest)?.into_iter().collect();
        Ok(Self { newest, ..Self::default() })
    }

    /// Counts a finished series.
    pub(in crate::pipeline) fn count(&mut self, report: &Report) {
        let timing = report.timing;
        self.stage("queue", timing.queue_ms);
        self.total.observe_ms(timing.total_ms);
        self.last_total_ms = Some(timing.total_ms);
        if report.facts.is_some() {
            self.stage("decode", timing.decode_ms);
        }
        if report.model.is_some() {
            self.stage("preprocess", timing.preprocess_ms);
            self.stage("infer", timing.infer_ms);
        }
        if let Some(refusal) = &report.refusal {
            let reasons = if report.outcome == Outcome::Failed { &mut self.failed } else { &mut self.rejected };
            *reasons.entry(refusal.code.name()).or_default() += 1;
        }
        for flag in report.flags.iter().filter(|flag| flag.positive()) {
            *self.positive.entry(flag.label.name()).or_default() += 1;
        }
        self.newest.insert(report.outcome.name().to_owned(), crate::floor::clock::now_ms());
    }

    /// Outcome of the newest result, and when it was, ms since 1970.
    pub(super) fn last(&self) -> Option<(&str, i64)> {
        self.newest.iter().max_by_key(|(_, at)| **at).map(|(outcome, at)| (outcome.as_str(), *at))
    }

    /// When a series last got flags, ms since 1970.
    pub(super) fn last_success_ms(&self) -> Option<i64> {
        let flagged = [Outcome::Flagged, Outcome::Clear, Outcome::Inconclusive];
        flagged.iter().filter_map(|outcome| self.newest.get(outcome.name())).max().copied()
    }

    fn stage(&mut self, name: &'static str, ms: u64) {
        self.stages.entry(name).or_default().observe_ms(ms);
    }
}
