//! Which series of a study are read: a scanner sends one chest in many kernels and thicknesses.
//!
//! In: [`Completed`] series. Out: the same, each with the verdict of the site's rules; what is left out comes out refused,
//! so that it has its result as well. Owns the `chosen` table of the ledger. It reads no file: a jailed worker does, and
//! answers with numbers and with those of the site's own patterns that fit. Series wait frozen in the spool; which of them
//! wait is derived anew at every start.

pub(crate) mod ledger;
mod rules;
mod studies;
#[cfg(test)]
mod tests;

pub(crate) use crate::series::{Completed, HeaderAnswer, Series};
pub(crate) use rules::{Mode, Settings, Standing};
pub(crate) use studies::pass_over;

use crate::floor::clock::{Stopwatch, idle};
use crate::floor::fate::Refusal;
use crate::floor::phi::StudyKey;
use crate::floor::store::{SharedStore, StoreError, lock};
use crate::series::ledger::{is_filling, is_ready};
use ctedge_models::scan::Traits;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;
use studies::Studies;
use tracing::debug;

/// What the room works with.
pub(crate) struct Room<'a> {
    /// The rules.
    pub(crate) settings: &'a Settings,
    /// The ledger.
    pub(crate) store: &'a SharedStore,
    /// Asks a jailed worker what a series is like. `None` when the daemon is told to stop.
    pub(crate) read_traits: Box<TraitsReader<'a>>,
}

/// Says what a series is like.
type TraitsReader<'a> = dyn FnMut(&Series) -> Option<Result<Traits, Refusal>> + 'a;

/// Hands series on, at once or when their study is decided, until the channel of completed ones closes.
///
/// # Errors
/// The ledger cannot be read: the daemon stops and finds everything on disk at its next start.
pub(crate) fn run(
    mut room: Room<'_>,
    completed: &Receiver<Completed>,
    chosen: &SyncSender<Completed>,
) -> Result<(), StoreError> {
    let clock = Stopwatch::start();
    let mut studies = Studies::new(room.settings);
    loop {
        let mut ready = Vec::new();
        match idle(|| completed.recv_timeout(studies.patience(clock.elapsed()))) {
            Ok(series) => {
                let Some(judged) = room.judge(series) else { return Ok(()) };
                if room.has_to_wait(&judged) {
                    studies.add(judged, clock.elapsed());
                } else {
                    ready.push(judged);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        for study in studies.due(clock.elapsed()) {
            ready.extend(room.decide(&study, &mut studies, clock.elapsed())?);
        }
        for series in ready {
            if idle(|| chosen.send(series).is_err()) {
                return Ok(());
            }
        }
    }
}

/// Asks the rules about a series of which a worker has told what it is like. One that cannot be read is refused for that,
/// and not chosen from.
pub(crate) fn judge(settings: &Settings, series: &mut Completed, traits: Result<Traits, Refusal>) {
    match traits {
        Ok(traits) => {
            let (choice, refusal) = settings.judge(&traits);
            debug!(series = %series.series.subject.series_key, rule = choice.rule, "the rules have been asked");
            (series.series.subject.choice, series.refusal) = (Some(choice), refusal);
        }
        Err(refusal) => series.refusal = Some(refusal),
    }
}

impl Room<'_> {
    /// Asks the rules about a series. `None` when the daemon is told to stop.
    fn judge(&mut self, mut series: Completed) -> Option<Completed> {
        if series.refusal.is_some() || !self.settings.asks() {
            return Some(series);
        }
        let traits = (self.read_traits)(&series.series)?;
        judge(self.settings, &mut series, traits);
        Some(series)
    }

    fn has_to_wait(&self, judged: &Completed) -> bool {
        self.settings.mode == Mode::Best && judged.refusal.is_none() && studies::may_have_others(judged)
    }

    /// What is to be handed on of a study that is quiet, or of which a series was being read.
    fn decide(&self, study: &StudyKey, studies: &mut Studies, now: Duration) -> Result<Vec<Completed>, StoreError> {
        let released = studies.released(study);
        let known = lock(self.store).read(|connection| {
            let is_read = released.map_or(Ok(false), |series| is_ready(connection, &series))?;
            if is_read || is_filling(connection, study)? {
                Ok(None)
            } else {
                ledger::chosen(connection, study).map(Some)
            }
        })?;
        let Some(chosen) = known else { return Ok(Vec::new()) };
        Ok(studies.decide(study, self.settings, chosen.as_ref(), now))
    }
}
