//! Whether a model on probation is fit to stay. Pure.

use super::Settings;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a model made of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Milliseconds of the model.
    pub(crate) infer_ms: u64,
    /// How many flags were positive.
    pub(crate) flags: u32,
}

/// The newest runs of the model that has proved itself: what a new one is held against.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    runs: VecDeque<Run>,
}

/// Runs that are remembered of a model.
const REMEMBERED: usize = 64;
/// Milliseconds that a model may always take longer: a busy machine is no fault of a quick model.
const SLACK_MS: f64 = 500.0;
/// Fewer runs than these say nothing of how long a model takes and how much it flags.
const TELLING: usize = 5;

impl Baseline {
    /// One more.
    pub(crate) fn note(&mut self, run: Run) {
        if self.runs.len() >= REMEMBERED {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
    }

    fn tells(&self) -> bool {
        self.runs.len() >= TELLING
    }

    fn median_ms(&self) -> f64 {
        let mut times: Vec<u64> = self.runs.iter().map(|run| run.infer_ms).collect();
        times.sort_unstable();
        number(times.get(times.len() / 2).copied().unwrap_or_default())
    }

    fn mean_flags(&self) -> f64 {
        let all: u64 = self.runs.iter().map(|run| u64::from(run.flags)).sum();
        number(all) / number(u64::try_from(self.runs.len().max(1)).unwrap_or(u64::MAX))
    }
}

/// Milliseconds and counts as numbers with a point; those that there are lose nothing.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A probation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// SHA-256 of the bundle that is on trial, hex.
    pub(crate) digest: String,
    /// When it began, ms since 1970.
    pub(crate) began_ms: i64,
    /// Series that it has read.
    pub(crate) series: u32,
    /// Series on which it failed.
    pub(crate) faults: u32,
    runs: Baseline,
}

/// What becomes of a model on probation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    GoesOn,
    /// It has proved itself.
    Proved,
    /// It has to give way: stable name of the reason, and the same for people.
    Fails(&'static str, String),
}

impl Trial {
    /// It begins.
    pub(crate) fn begins(digest: &str, now_ms: i64) -> Self {
        Self { digest: digest.to_owned(), began_ms: now_ms, ..Self::default() }
    }

    /// It has read a series.
    pub(crate) fn ran(&mut self, run: Run) {
        self.series = self.series.saturating_add(1);
        self.runs.note(run);
    }

    /// It failed on a series or on its draft: it hung, crashed, or gave values that are no numbers.
    pub(crate) fn failed(&mut self) {
        self.faults = self.faults.saturating_add(1);
    }

    /// What the model is like, which the next one is held against.
    pub(crate) fn into_baseline(self) -> Baseline {
        self.runs
    }

    /// When it ends, ms since 1970, if there are not enough series before.
    pub(crate) fn until_ms(&self, settings: &Settings) -> i64 {
        let hours = std::time::Duration::from_secs_f64(settings.probation_h.clamp(0.0, 8760.0) * 3600.0);
        self.began_ms.saturating_add(i64::try_from(hours.as_millis()).unwrap_or(i64::MAX))
    }

    /// How it stands.
    pub(crate) fn verdict(&self, before: &Baseline, settings: &Settings, now_ms: i64) -> Verdict {
        if self.faults > settings.probation_faults {
            return Verdict::Fails(
                "faults",
                format!("it failed on {} series, {} allowed", self.faults, settings.probation_faults),
            );
        }
        if before.tells() && self.runs.tells() {
            let (ours, theirs) = (self.runs.median_ms(), before.median_ms().max(1.0));
            if ours > theirs * settings.slower && ours > theirs + SLACK_MS {
                let detail = format!("its median run takes {ours} ms, that of the model before took {theirs} ms");
                return Verdict::Fails("slow", detail);
            }
            let (ours, theirs) = (self.runs.mean_flags(), before.mean_flags());
            if (ours - theirs).abs() > settings.flags_shift {
                let detail = format!("it flags {ours:.1} findings a series, the model before flagged {theirs:.1}");
                return Verdict::Fails("flags_shift", detail);
            }
        }
        let is_long_enough = self.series >= settings.probation_series || now_ms >= self.until_ms(settings);
        if is_long_enough && self.series > 0 { Verdict::Proved } else { Verdict::GoesOn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(infer_ms: u64, flags: u32) -> Baseline {
        let mut baseline = Baseline::default();
        (0..10).for_each(|_| baseline.note(Run { infer_ms, flags }));
        baseline
    }

    fn verdict(runs: u32, run: Run, faults: u32, now_ms: i64) -> Verdict {
        let mut trial = Trial::begins("d", 0);
        (0..runs).for_each(|_| trial.ran(run));
        (0..faults).for_each(|_| trial.failed());
        trial.verdict(&baseline(100, 2), &Settings::default(), now_ms)
    }

    #[test]
    fn a_model_proves_itself_by_series_or_by_hours_and_never_without_a_series() {
        const DAY_MS: i64 = 24 * 3_600_000;
        let good = Run { infer_ms: 120, flags: 3 };
        assert_eq!(verdict(19, good, 0, 1), Verdict::GoesOn);
        assert_eq!(verdict(20, good, 1, 1), Verdict::Proved);
        assert_eq!(verdict(1, good, 0, DAY_MS), Verdict::Proved);
        assert_eq!(verdict(0, good, 0, 10 * DAY_MS), Verdict::GoesOn);
    }

    #[test]
    fn a_model_that_fails_is_slow_or_flags_otherwise_gives_way() {
        let code = |verdict| match verdict {
            Verdict::Fails(code, _) => code,
            verdict @ (Verdict::GoesOn | Verdict::Proved) => panic!("{verdict:?}"),
        };
        let run = |infer_ms, flags| Run { infer_ms, flags };
        assert_eq!(code(verdict(0, run(1, 1), 2, 0)), "faults");
        assert_eq!(code(verdict(5, run(601, 2), 0, 0)), "slow");
        assert_eq!(code(verdict(5, run(100, 9), 0, 0)), "flags_shift");
        assert_eq!(verdict(4, run(9000, 18), 0, 0), Verdict::GoesOn, "too few to tell");
        assert_eq!(verdict(5, run(600, 8), 0, 0), Verdict::GoesOn, "on the bounds");
        assert_eq!(verdict(5, run(400, 2), 0, 0), Verdict::GoesOn, "a busy machine");
    }
}
