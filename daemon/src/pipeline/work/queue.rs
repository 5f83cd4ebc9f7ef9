//! Series that wait to be read: the urgent ones first, else in the order in which they came.

use crate::choice::Completed;
use crate::floor::subject::Priority;
use crate::floor::{clock, limits};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Takes series from the channel as they come. It holds no voxels, and no files.
pub(super) struct Queue<'a> {
    complete: &'a Receiver<Completed>,
    waiting: BTreeMap<(Reverse<Priority>, u64), Completed>,
    came: u64,
}

impl<'a> Queue<'a> {
    /// Of the series that come by this channel.
    pub(super) fn of(complete: &'a Receiver<Completed>) -> Self {
        Self { complete, waiting: BTreeMap::new(), came: 0 }
    }

    /// The series whose turn it is.
    ///
    /// # Errors
    /// None has come for so long, or none will come any more.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Completed, RecvTimeoutError> {
        self.take_in();
        if self.waiting.is_empty() {
            let came = clock::idle(|| self.complete.recv_timeout(patience))?;
            self.add(came);
            self.take_in();
        }
        self.waiting.pop_first().map(|(_, series)| series).ok_or(RecvTimeoutError::Timeout)
    }

    /// An urgent series, if one waits or comes within `patience`.
    pub(super) fn urgent(&mut self, patience: Duration) -> Option<Completed> {
        match clock::idle(|| self.complete.recv_timeout(patience)) {
            Ok(came) => self.add(came),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => clock::idle(|| std::thread::sleep(patience)),
        }
        self.take_in();
        let is_urgent =
            self.waiting.first_key_value().is_some_and(|((Reverse(first), _), _)| *first == Priority::Urgent);
        if is_urgent { self.waiting.pop_first().map(|(_, series)| series) } else { None }
    }

    /// Takes what has come without waiting for it; as long as there is room, so that an urgent one is seen behind others.
    fn take_in(&mut self) {
        while self.waiting.len() < limits::WAITING
            && let Ok(came) = self.complete.try_recv()
        {
            self.add(came);
        }
    }

    fn add(&mut self, series: Completed) {
        self.came = self.came.saturating_add(1);
        self.waiting.insert((Reverse(series.series.subject.priority), self.came), series);
    }
}
