//! `reprocess`: kept series go through the corridor once more. What the model says is another revision where the model or
//! the settings are others, else the same result under the same id.

use super::{Ended, LOOK, STALLED};
use crate::command::{Entry, Reason, Refused, Told, Which};
use crate::floor::clock::{Stopwatch, idle};
use crate::floor::limits::SERIES_AGAIN;
use crate::floor::phi::SeriesKey;
use crate::floor::store::{StoreError, lock};
use crate::intake::Arrival;
use crate::pipeline::House;
use crate::series::{self, is_under_way};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tracing::warn;

/// What is needed in order to go on after a restart.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    series: Vec<SeriesKey>,
    purged: usize,
}

/// How often the state is told while it goes on.
const TELL: Duration = Duration::from_secs(1);

impl House {
    /// Has series read again. A series counts as done when it is in the corridor: from there on nothing is lost, and its
    /// result comes like any other.
    pub(super) fn reprocess(
        &self,
        entry: &mut Entry,
        which: &Which,
        arrivals: &SyncSender<Arrival>,
    ) -> Result<Ended, StoreError> {
        let known = entry.memory.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let memory = match known {
            Some(memory) => memory,
            None => match self.found(which)? {
                Ok(memory) => memory,
                Err(refused) => return Ok(Some(Err(refused))),
            },
        };
        let count = memory.series.len();
        if entry.request.as_ref().is_some_and(|request| request.dry_run) {
            return Ok(Some(Ok(told(count, memory.purged))));
        }
        entry.memory = serde_json::to_string(&memory).ok();
        self.commands.progress(entry, at(0, count))?;
        let (mut since_told, mut gone) = (Stopwatch::start(), 0);
        for (number, key) in memory.series.iter().enumerate() {
            if let Some(refused) = self.commands.stopped(entry) {
                return Ok(Some(Err(refused)));
            }
            match self.read_again(key, entry.received_ms, arrivals)? {
                Some(Ok(Here::Yes)) => {}
                Some(Ok(Here::Gone)) => gone += 1,
                Some(Err(refused)) => return Ok(Some(Err(refused))),
                None => return Ok(None),
            }
            if since_told.elapsed() >= TELL {
                since_told = Stopwatch::start();
                self.commands.progress(entry, at(number + 1, count))?;
            }
        }
        Ok(Some(Ok(told(count - gone, memory.purged + gone))))
    }

    /// Which series are meant, and how many of them have been deleted.
    fn found(&self, which: &Which) -> Result<Result<Memory, Refused>, StoreError> {
        let always = (0, i64::MAX);
        let most = SERIES_AGAIN + 1;
        let found = lock(&self.store).read(|connection| match which {
            Which::Series(key) => series::found(connection, (Some(key), None), always, most),
            Which::Study(key) => series::found(connection, (None, Some(key)), always, most),
            Which::Between(since, until) => series::found(connection, (None, None), (*since, *until), most),
        })?;
        if found.is_empty() {
            return Ok(Err(Refused::new(Reason::NotFound, "no series of these had a result on this device")));
        }
        if found.len() > SERIES_AGAIN {
            let detail = format!("more than {SERIES_AGAIN} series; name a shorter time");
            return Ok(Err(Refused::new(Reason::TooMany, detail)));
        }
        let all = found.len();
        let series: Vec<SeriesKey> = found.into_iter().filter(|key| self.is_kept(key)).collect();
        if series.is_empty() {
            let detail = format!("the files of {all} series have been deleted; send them again");
            return Ok(Err(Refused::new(Reason::Purged, detail)));
        }
        Ok(Ok(Memory { purged: all - series.len(), series }))
    }

    fn is_kept(&self, key: &SeriesKey) -> bool {
        let kept = self.spool.keeps(key, self.config.series.keep());
        kept.unwrap_or_else(|error| {
            warn!(series = %key, error = %error.kind(), "the spool cannot be read");
            false
        })
    }

    /// Has a series read again, unless it has been since then.
    fn read_again(
        &self,
        key: &SeriesKey,
        since_ms: i64,
        arrivals: &SyncSender<Arrival>,
    ) -> Result<Option<Result<Here, Refused>>, StoreError> {
        let is_there = || lock(&self.store).read(|connection| is_under_way(connection, key, since_ms));
        if is_there()? {
            return Ok(Some(Ok(Here::Yes)));
        }
        if idle(|| arrivals.send(Arrival::Again(key.clone())).is_err()) {
            return Ok(None);
        }
        let waiting = Stopwatch::start();
        loop {
            // In this order: a series that is no longer kept may be on its way by now.
            let is_kept = self.is_kept(key);
            if is_there()? {
                return Ok(Some(Ok(Here::Yes)));
            }
            if !is_kept && waiting.elapsed() > TELL {
                return Ok(Some(Ok(Here::Gone)));
            }
            if waiting.elapsed() > STALLED {
                let detail = "the series before it are not read; those that were handed over will be";
                return Ok(Some(Err(Refused::new(Reason::Stalled, detail))));
            }
            if self.wait(LOOK) {
                return Ok(None);
            }
        }
    }
}

/// Whether a series was there to be read again.
enum Here {
    Yes,
    Gone,
}

fn told(series: usize, purged: usize) -> Value {
    json!({"series": series, "purged": purged})
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "at most a thousand")]
fn at(done: usize, of: usize) -> Told {
    Told { progress: Some(done as f64 / of.max(1) as f64), ..Told::at("reading") }
}
