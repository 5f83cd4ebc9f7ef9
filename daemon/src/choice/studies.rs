//! Which series of a study is read next? A pure state machine over series, endings and time.

use super::rules::{Settings, Standing};
use crate::floor::fate::{Code, Refusal};
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::{CompleteBy, Subject, Verdict};
use crate::series::Completed;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// Studies of which a series waits or is being read.
#[derive(Debug)]
pub(super) struct Studies {
    quiet: Duration,
    studies: BTreeMap<StudyKey, Study>,
}

#[derive(Debug, Default)]
struct Study {
    /// Series that fit a rule, by their keys.
    waiting: BTreeMap<SeriesKey, Completed>,
    /// The one that was released last.
    released: Option<SeriesKey>,
    last: Duration,
}

/// How often the ledger is looked at for a series that is being read.
const LOOK: Duration = Duration::from_millis(500);
/// Longest sleep of the room.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

impl Studies {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { quiet: Duration::from_secs_f64(settings.study_quiet_s.max(0.0)), studies: BTreeMap::new() }
    }

    /// Takes a series that fits a rule.
    pub(super) fn add(&mut self, series: Completed, now: Duration) {
        let Subject { study_key, series_key, .. } = series.series.subject.clone();
        let study = self.studies.entry(study_key).or_default();
        study.last = now;
        // It could not be complete again while it was still being read.
        study.released = study.released.take().filter(|released| *released != series_key);
        study.waiting.insert(series_key, series);
    }

    /// Studies about which something may be to be done: quiet ones, and those of which a series is being read.
    pub(super) fn due(&self, now: Duration) -> Vec<StudyKey> {
        let due = |study: &Study| study.released.is_some() || now >= study.last + self.quiet;
        self.studies.iter().filter(|(_, study)| due(study)).map(|(key, _)| key.clone()).collect()
    }

    /// The series of a study that is being read, as far as is known here.
    pub(super) fn released(&self, study: &StudyKey) -> Option<SeriesKey> {
        self.studies.get(study)?.released.clone()
    }

    /// How long nothing is to be done, new series aside.
    pub(super) fn patience(&self, now: Duration) -> Duration {
        let left = |study: &Study| match study.released {
            Some(_) => LOOK,
            None => (study.last + self.quiet).saturating_sub(now).max(LOOK.min(self.quiet)),
        };
        self.studies.values().map(left).min().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
    }

    /// What becomes of a study's series now that none of them is being read: the best of those that are better than the
    /// one `chosen` before, and all that are not. The others wait on.
    pub(super) fn decide(
        &mut self,
        key: &StudyKey,
        settings: &Settings,
        chosen: Option<&Standing>,
        now: Duration,
    ) -> Vec<Completed> {
        let Some(mut study) = self.studies.remove(key) else { return Vec::new() };
        study.released = None;
        if now < study.last + self.quiet {
            if !study.waiting.is_empty() {
                self.studies.insert(key.clone(), study);
            }
            return Vec::new();
        }
        let (mut better, passed) = sorted(study.waiting.into_values(), settings, chosen);
        let mut ready = passed;
        if !better.is_empty() {
            let best = better.remove(0);
            study.released = Some(best.series.subject.series_key.clone());
            ready.push(instead(best, chosen));
            study.waiting = better.into_iter().map(|next| (next.series.subject.series_key.clone(), next)).collect();
            self.studies.insert(key.clone(), study);
        }
        ready
    }
}

/// Whether a series has to wait for others of its study: a file that holds a whole scan is a study of its own.
pub(super) fn may_have_others(series: &Completed) -> bool {
    series.series.subject.complete_by != CompleteBy::SingleFile
}

/// The series that are rather to be read than the one chosen before, the best first; and those that are not, refused.
fn sorted(
    waiting: impl Iterator<Item = Completed>,
    settings: &Settings,
    chosen: Option<&Standing>,
) -> (Vec<Completed>, Vec<Completed>) {
    let mut better: Vec<(Standing, Completed)> = Vec::new();
    let mut passed = Vec::new();
    for mut series in waiting {
        let Some(standing) = Standing::of(&series.series.subject) else { continue };
        match chosen {
            // A series with late slices is judged no worse than it was without.
            Some(chosen) if chosen.series_key != standing.series_key => match settings.compare(&standing, chosen) {
                Ordering::Less => better.push((standing, series)),
                Ordering::Equal | Ordering::Greater => {
                    pass_over(&mut series, chosen);
                    passed.push(series);
                }
            },
            _ => better.push((standing, series)),
        }
    }
    better.sort_by(|(a, _), (b, _)| settings.order(a, b));
    (better.into_iter().map(|(_, series)| series).collect(), passed)
}

/// Refuses a series because another one of its study was chosen.
pub(crate) fn pass_over(series: &mut Completed, chosen: &Standing) {
    let by = chosen.rule.as_ref().map_or_else(String::new, |rule| format!(" by the rule {rule}"));
    let detail = format!("series {} of this study was chosen{by}", chosen.series_key);
    series.refusal = Some(Refusal::new(Code::OtherChosen, detail));
    if let Some(choice) = &mut series.series.subject.choice {
        choice.verdict = Verdict::OtherChosen;
        choice.chosen_series_key = Some(chosen.series_key.clone());
    }
}

/// Names the series that had been chosen before a better one.
fn instead(mut best: Completed, chosen: Option<&Standing>) -> Completed {
    let Subject { choice, series_key, .. } = &mut best.series.subject;
    if let (Some(choice), Some(chosen)) = (choice, chosen.filter(|chosen| chosen.series_key != *series_key)) {
        choice.instead_of = Some(chosen.series_key.clone());
    }
    best
}
