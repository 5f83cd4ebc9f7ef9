//! The site's rules of choice for files that an operator names: all series of a study are there at once.

use super::sorting::Found;
use crate::choice::{self, Mode, Standing};
use crate::config::Config;
use crate::floor::phi::StudyKey;
use crate::report::Report;
use crate::volume;
use anyhow::Context;
use std::collections::BTreeMap;

/// Asks the rules about every series and, where only the best is read, puts those of a study into the order in which they
/// are tried.
pub(super) fn judged(mut found: Vec<Found>, config: &Config) -> anyhow::Result<Vec<Found>> {
    if !config.choice.asks() {
        return Ok(found);
    }
    let patterns = config.choice.patterns();
    for series in found.iter_mut().map(|found| &mut found.completed).filter(|series| series.refusal.is_none()) {
        let traits = volume::traits(&config.volume, &series.series.folder, &patterns);
        let traits = traits.or_else(|unread| Ok::<_, std::io::Error>(Err(unread.refusal()?)));
        choice::judge(&config.choice, series, traits.context("no scan worker can be started")?);
    }
    if config.choice.mode == Mode::Best {
        found.sort_by(|a, b| {
            let [a, b] = [a, b].map(|found| &found.completed.series.subject);
            let by_standing = || match (Standing::of(a), Standing::of(b)) {
                (Some(a), Some(b)) => config.choice.order(&a, &b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            a.study_key.cmp(&b.study_key).then_with(by_standing)
        });
    }
    Ok(found)
}

/// Which series of each study has flags already.
#[derive(Default)]
pub(super) struct Chosen(BTreeMap<StudyKey, Standing>);

impl Chosen {
    /// Leaves a series out of which a better one has been read.
    pub(super) fn pass(&self, found: &mut Found) {
        let series = &mut found.completed;
        let chosen = self.0.get(&series.series.subject.study_key).filter(|_| series.refusal.is_none());
        if let Some(chosen) = chosen {
            choice::pass_over(series, chosen);
        }
    }

    /// Notes how a series ended.
    pub(super) fn note(&mut self, report: &Report, config: &Config) {
        let standing = Standing::of(&report.subject).filter(|_| report.refusal.is_none());
        if let (Mode::Best, Some(standing)) = (config.choice.mode, standing) {
            self.0.insert(report.subject.study_key.clone(), standing);
        }
    }
}
