//! Work on a series by processes that it may take down: noted before it begins, and put off when it had a setback.
//!
//! A series that had one waits until no other does, so that the others lose at most one attempt's time to it. Then it is
//! worked on alone: whatever happens meanwhile is its own doing, and counts against nobody else.

mod build;
mod climb;
mod draft;
mod infer;
mod queue;
mod read;
mod room;

pub(super) use build::Workshop;
pub(super) use climb::kept;
pub(crate) use draft::drafted;

use super::{AGAIN, House};
use crate::choice::Completed;
use crate::floor::clock::{self, Stopwatch};
use crate::floor::fate::Code;
use crate::floor::store::lock;
use crate::floor::subject::Subject;
use crate::series::attempts::{self, Attempt, Begun, Failed, Stage};
use rusqlite::Transaction;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{debug, error, warn};

/// Series that are read when no other waits, each with how long it has been put off. They lie frozen on disk.
#[derive(Debug, Default)]
pub(super) struct PutOff(Mutex<VecDeque<(Stopwatch, Completed)>>);

impl PutOff {
    fn push(&self, series: Completed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((Stopwatch::start(), series));
    }

    /// The first, if it has waited for so long.
    fn pop(&self, waited: Duration) -> Option<Completed> {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.pop_front_if(|(since, _)| since.elapsed() >= waited).map(|(_, series)| series)
    }
}

/// How many series have been read and not ended yet.
#[derive(Debug, Default)]
pub(super) struct UnderWay(AtomicUsize);

impl UnderWay {
    fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl House {
    /// Notes that an attempt at a series begins. `None` when the daemon is told to stop.
    pub(super) fn begin(&self, subject: &Subject, stage: Stage) -> Option<Begun> {
        let begun = self.stored(|transaction| {
            if self.stop.load(Ordering::Relaxed) {
                // What is noted now would not be withdrawn any more.
                return Ok(None);
            }
            attempts::begin(transaction, subject, stage, clock::boot()).map(Some)
        })??;
        match &begun {
            Begun::Noted(Attempt { number, .. }) => {
                debug!(series = %subject.series_key, stage = stage.name(), number, "an attempt begins");
            }
            Begun::Spent(refusal) => warn!(series = %subject.series_key, %refusal, "it gets no further attempt"),
        }
        Some(begun)
    }

    /// Notes that the worker of an attempt was lost. `None` when the daemon is told to stop.
    pub(super) fn failed(&self, subject: &Subject, attempt: Attempt, code: Code) -> Option<Failed> {
        let failed = self.stored(|transaction| attempts::failed(transaction, subject, attempt, code))?;
        let is_last = failed != Failed::Again;
        let Attempt { number, .. } = attempt;
        warn!(series = %subject.series_key, reason = code.name(), attempt = number, is_last, "an attempt failed");
        Some(failed)
    }

    /// Notes that an attempt came to an end of its own. `None` when the daemon is told to stop.
    pub(super) fn done(&self, attempt: Attempt) -> Option<()> {
        self.stored(|transaction| attempts::done(transaction, attempt))
    }

    /// Commits until that succeeds. `None` when the daemon is told to stop before.
    pub(super) fn stored<T>(&self, work: impl Fn(&Transaction<'_>) -> Result<T, rusqlite::Error>) -> Option<T> {
        loop {
            let stored = self.disk.patiently(|| lock(&self.store).commit(&work));
            match stored {
                Ok(value) => return Some(value),
                Err(error) => error!(%error, "an attempt cannot be noted; trying again"),
            }
            if self.wait(AGAIN) {
                return None;
            }
        }
    }

    /// What runs now is cut short by a stop in good order, if it is one, and not by its series.
    pub(super) fn withdraw(&self) {
        if self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let mut ladder = self.ladder();
        ladder.stops();
        let withdrawn = lock(&self.store).commit(|transaction| {
            attempts::withdraw(transaction)?;
            climb::keep(transaction, &ladder)
        });
        if let Err(error) = withdrawn {
            error!(%error, "attempts cannot be withdrawn; they count as interrupted");
        }
    }
}
