//! Whoever was turned away, counted, so that a flood of them does not become a flood of entries.

use super::chain::append;
use super::event::Event;
use crate::floor::clock::Stopwatch;
use rusqlite::Transaction;
use std::collections::BTreeMap;
use std::time::Duration;

/// From what somebody was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Sending by network.
    Association,
    /// Telling the device something over MQTT: a receipt, a command.
    Message,
}

impl Alarm {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Association => "association",
            Self::Message => "message",
        }
    }
}

/// What has not been entered yet.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    waiting: BTreeMap<Alarm, (u64, String)>,
    entered: BTreeMap<Alarm, Stopwatch>,
}

/// At most one entry of a kind in this time: the first at once, what comes meanwhile with the next.
const PAUSE: Duration = Duration::from_mins(10);

/// Whether the pause between two entries is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It is.
    Wait,
    /// What waits is entered now: the daemon stops.
    Now,
}

impl Alarms {
    /// Somebody was turned away so often; `detail` says who or why the last time, in our words.
    pub(crate) fn raise(&mut self, alarm: Alarm, times: u64, detail: &str) {
        let (count, last) = self.waiting.entry(alarm).or_default();
        *count = count.saturating_add(times);
        detail.clone_into(last);
    }

    /// Enters what is due. A failed commit leaves it for the next time.
    pub(crate) fn enter<E>(
        &mut self,
        haste: Haste,
        mut commit: impl FnMut(&dyn Fn(&Transaction<'_>) -> Result<(), rusqlite::Error>) -> Result<(), E>,
    ) -> Result<(), E> {
        let recent = |alarm: &Alarm| self.entered.get(alarm).is_some_and(|since| since.elapsed() < PAUSE);
        let due: Vec<Alarm> =
            self.waiting.keys().filter(|alarm| haste == Haste::Now || !recent(alarm)).copied().collect();
        for alarm in due {
            let Some((times, detail)) = self.waiting.get(&alarm).cloned() else { continue };
            commit(&|transaction| append(transaction, Event::Refused { alarm, times, detail: &detail }))?;
            self.waiting.remove(&alarm);
            self.entered.insert(alarm, Stopwatch::start());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::entries;
    use super::*;
    use crate::floor::store::Store;

    #[test]
    fn a_flood_is_one_entry_and_then_one_with_its_count() {
        let mut store = Store::in_memory();
        let mut alarms = Alarms::default();
        let mut enter = |alarms: &mut Alarms, haste| alarms.enter(haste, |work| store.commit(|tx| work(tx))).unwrap();
        alarms.raise(Alarm::Association, 1, "a");
        enter(&mut alarms, Haste::Wait);
        for _ in 0..1000 {
            alarms.raise(Alarm::Association, 3, "b");
            enter(&mut alarms, Haste::Wait);
        }
        alarms.raise(Alarm::Message, 1, "c");
        enter(&mut alarms, Haste::Wait);
        enter(&mut alarms, Haste::Now);
        let told: Vec<_> =
            store.read(|c| entries(c, i64::MIN)).unwrap().into_iter().map(|e| e.1.detail.unwrap()).collect();
        assert_eq!(
            told,
            [
                "association refused, 1 times; the last: a",
                "message refused, 1 times; the last: c",
                "association refused, 3000 times; the last: b"
            ]
        );
    }
}
