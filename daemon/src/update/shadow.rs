//! How far a model in the shadow agrees with the one that counts. Pure.

use ctedge_models::labels::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a model said of a finding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said {
    /// Its probability.
    pub(crate) probability: f32,
    /// Whether that makes a flag.
    pub(crate) positive: Flagged,
}

/// Whether a finding was flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flagged {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// Series by who flagged a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Both models.
    pub(crate) both: u64,
    /// The one that counts.
    pub(crate) active_only: u64,
    /// The one in the shadow.
    pub(crate) candidate_only: u64,
    /// None.
    pub(crate) neither: u64,
}

/// All that two models said of the same series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Agreement {
    /// SHA-256 of the bundle in the shadow, hex.
    pub(crate) digest: String,
    /// SHA-256 of the bundle that it is compared with.
    pub(crate) against: String,
    /// Series that both have read.
    pub(crate) series: u64,
    /// By finding.
    pub(crate) flags: BTreeMap<Label, Tally>,
    /// Largest difference of a probability.
    pub(crate) max_difference: f32,
}

impl Agreement {
    /// Between these, with nothing read yet.
    pub(crate) fn between(digest: &str, against: &str) -> Self {
        Self { digest: digest.to_owned(), against: against.to_owned(), ..Self::default() }
    }

    /// Both have read a series. Findings that only one of them knows are left out.
    pub(crate) fn note(&mut self, active: &BTreeMap<Label, Said>, candidate: &BTreeMap<Label, Said>) {
        self.series += 1;
        for (label, ours) in active {
            let Some(theirs) = candidate.get(label) else { continue };
            let tally = self.flags.entry(*label).or_default();
            let count = match (ours.positive, theirs.positive) {
                (Flagged::Yes, Flagged::Yes) => &mut tally.both,
                (Flagged::Yes, Flagged::No) => &mut tally.active_only,
                (Flagged::No, Flagged::Yes) => &mut tally.candidate_only,
                (Flagged::No, Flagged::No) => &mut tally.neither,
            };
            *count += 1;
            self.max_difference = self.max_difference.max((ours.probability - theirs.probability).abs());
        }
    }

    /// Share of all findings of all series of which both said the same; nothing before there was one.
    pub(crate) fn share(&self) -> Option<f64> {
        let sum = |count: fn(&Tally) -> u64| self.flags.values().map(count).sum::<u64>();
        let all = sum(|tally| tally.both + tally.neither + tally.active_only + tally.candidate_only);
        let same = sum(|tally| tally.both + tally.neither);
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        (all > 0).then(|| number(same) / number(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_counted_by_finding() {
        let said = |values: [f32; 2]| -> BTreeMap<Label, Said> {
            let flag = |p: f32| Said { probability: p, positive: if p >= 0.5 { Flagged::Yes } else { Flagged::No } };
            [(Label::Cardiomegaly, flag(values[0])), (Label::Emphysema, flag(values[1]))].into()
        };
        let mut agreement = Agreement::between("new", "old");
        assert_eq!(agreement.share(), None);
        agreement.note(&said([0.9, 0.1]), &said([0.8, 0.7]));
        agreement.note(&said([0.6, 0.2]), &said([0.4, 0.2]));
        assert_eq!(agreement.series, 2);
        assert_eq!(agreement.flags[&Label::Cardiomegaly], Tally { both: 1, active_only: 1, ..Tally::default() });
        assert_eq!(agreement.flags[&Label::Emphysema], Tally { candidate_only: 1, neither: 1, ..Tally::default() });
        assert_eq!(agreement.share(), Some(0.5));
        assert!((agreement.max_difference - 0.6).abs() < 1e-6);
    }
}
