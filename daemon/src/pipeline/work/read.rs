//! The room that has series read, furnished.

use super::super::obey::Task;
use super::super::{AGAIN, House};
use super::queue::Queue;
use crate::choice::Completed;
use crate::floor::limits;
use crate::floor::store::lock;
use crate::floor::subject::Priority;
use crate::floor::worker::scan::refusal as of_lost;
use crate::series::attempts::{self, Begun, Failed, Stage};
use crate::volume::{self, Reading, Unread};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;
use tracing::{error, warn};

/// Time without another series after which one that was put off is read.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is looked whether others are still under way.
const LOOK: Duration = Duration::from_millis(50);

/// How often it is tried whether the model has nothing to do.
const MOMENT: Duration = Duration::from_millis(10);

/// What comes in, and where what was read goes.
struct Desk<'a> {
    queue: Queue<'a>,
    readings: &'a SyncSender<Task>,
}

/// A series to be read.
enum Turn {
    /// While others are under way.
    Among(Completed),
    /// While no other is: it had a setback.
    Alone(Completed),
}

/// What became of a series.
enum Next {
    /// It was read or refused.
    Read(Box<Reading>),
    /// It had a setback.
    PutOff,
    /// The daemon is told to stop.
    Stop,
}

impl House {
    pub(in crate::pipeline) fn read_series(&self, complete: &Receiver<Completed>, readings: &SyncSender<Task>) {
        let mut desk = Desk { queue: Queue::of(complete), readings };
        while let Some(turn) = self.next_to_read(&mut desk.queue) {
            let goes_on = match turn {
                Turn::Among(completed) => self.read_one(completed, &mut desk),
                Turn::Alone(completed) => {
                    self.nobody_else() && self.read_one(completed, &mut desk) && self.nobody_else()
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits until every series that was read has ended. False when the daemon is told to stop before.
    fn nobody_else(&self) -> bool {
        while !self.under_way.is_none() {
            if self.wait(LOOK) {
                return false;
            }
        }
        true
    }

    /// Reads a series and hands it on. False when the daemon is told to stop.
    fn read_one(&self, completed: Completed, desk: &mut Desk<'_>) -> bool {
        let Some(throttled_ms) = self.cool_down() else { return false };
        match self.read(&completed) {
            Next::Read(mut reading) => {
                (reading.throttled_ms, reading.is_hot) = (throttled_ms, self.is_hot());
                self.under_way.one_more();
                self.hand_over(reading, desk)
            }
            Next::PutOff => {
                self.put_off.push(completed);
                true
            }
            Next::Stop => false,
        }
    }

    /// Hands a volume over when the model has nothing to do; an urgent series that comes meanwhile is read, and goes before
    /// it. False when the daemon is told to stop.
    fn hand_over(&self, mut reading: Box<Reading>, desk: &mut Desk<'_>) -> bool {
        while !self.stop.load(Ordering::Relaxed) {
            reading = match desk.readings.try_send(Task::Read(reading)) {
                Ok(()) => return true,
                Err(TrySendError::Full(Task::Read(back))) => back,
                Err(TrySendError::Disconnected(_) | TrySendError::Full(_)) => return false,
            };
            // Of two urgent ones that goes first which was read first; the other stays in the queue.
            let may_be_overtaken = reading.subject.priority != Priority::Urgent;
            let urgent = if may_be_overtaken { desk.queue.urgent(MOMENT) } else { None };
            let goes_on = match urgent {
                Some(urgent) if self.had_setbacks(&urgent) => {
                    self.put_off.push(urgent);
                    true
                }
                Some(urgent) => self.read_one(urgent, desk),
                None => may_be_overtaken || !self.wait(MOMENT),
            };
            if !goes_on {
                return false;
            }
        }
        false
    }

    /// The next series, one without setbacks if there is one. `None` when the daemon is told to stop.
    fn next_to_read(&self, queue: &mut Queue<'_>) -> Option<Turn> {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(due) = self.put_off.pop(limits::LATER) {
                return Some(Turn::Alone(due));
            }
            match queue.next(QUIET) {
                Ok(completed) if self.had_setbacks(&completed) => self.put_off.push(completed),
                Ok(completed) => return Some(Turn::Among(completed)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(put_off) = self.put_off.pop(Duration::ZERO) {
                        return Some(Turn::Alone(put_off));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    fn had_setbacks(&self, completed: &Completed) -> bool {
        let subject = &completed.series.subject;
        let had = lock(&self.store).read(|connection| attempts::had_setbacks(connection, subject));
        // Where the ledger cannot be read no attempt is noted, and so none begins, either.
        had.unwrap_or_else(|error| {
            error!(%error, "the attempts at a series cannot be looked up");
            false
        })
    }

    fn read(&self, completed: &Completed) -> Next {
        let subject = &completed.series.subject;
        if let Some(refusal) = &completed.refusal {
            return Next::Read(Box::new(volume::refused(completed, refusal.clone())));
        }
        let attempt = match self.begin(subject, Stage::Read) {
            None => return Next::Stop,
            Some(Begun::Spent(refusal)) => return Next::Read(Box::new(volume::refused(completed, refusal))),
            Some(Begun::Noted(attempt)) => attempt,
        };
        loop {
            let read = volume::read(&self.config.volume, completed);
            self.shortage.set(if let Err(Unread::NoMemory(told)) = &read { Some(told.clone()) } else { None });
            match read {
                Ok(reading) if self.done(attempt).is_some() => return Next::Read(Box::new(reading)),
                Ok(_stopping) => return Next::Stop,
                Err(Unread::Lost(lost)) => {
                    return match self.failed(subject, attempt, of_lost(lost).code) {
                        None => Next::Stop,
                        Some(Failed::Again) => Next::PutOff,
                        Some(Failed::Spent(refusal)) => Next::Read(Box::new(volume::refused(completed, refusal))),
                    };
                }
                Err(error @ (Unread::NoWorker(_) | Unread::NoMemory(_))) => warn!(%error, "trying again"),
            }
            if self.wait(AGAIN) {
                return Next::Stop;
            }
        }
    }
}
