//! What is kept of ended series, for how long: by age, by bytes, and by how full the disk is. Nothing goes whose result has
//! not been delivered, or that is needed again.

use super::super::House;
use crate::floor::clock;
use crate::floor::disk::{Level, Place};
use crate::floor::fate::Code;
use crate::floor::store::{StoreError, lock};
use crate::intake::{Doomed, Kept, Shelf};
use crate::outbox;
use crate::series::Settings;
use crate::series::ledger::{self, Standing};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Why kept files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// They were kept for as long as they should be.
    Age,
    /// There are more than should be.
    Bytes,
    /// The disk is filling up, and the site's rules had left the series out.
    LeftOut,
    /// The disk is filling up.
    Disk,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
            Self::LeftOut => "left_out",
            Self::Disk => "disk",
        }
    }
}

/// How many series were deleted since the start, by shelf and reason.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Deleted(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Deleted {
    /// Shelf, reason and number.
    pub(in crate::pipeline) fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, shelf: Shelf, why: Why) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((shelf.name(), why.name())).or_default() += 1;
    }
}

/// How long and how much of a shelf is kept.
#[derive(Debug, Clone, Copy)]
struct Bound {
    age: Duration,
    bytes: Option<u64>,
}

impl Bound {
    fn of(settings: &Settings, shelf: Shelf) -> Self {
        let (hours, mib) = match shelf {
            Shelf::Done => (settings.keep_h, settings.keep_mib),
            Shelf::Quarantine => (settings.quarantine_h, settings.quarantine_mib),
        };
        let bytes = (mib > 0).then(|| mib.saturating_mul(1 << 20));
        Self { age: Duration::from_secs_f64(hours * 3600.0), bytes }
    }

    /// Whether files of this age have to go from a shelf that holds so many bytes on a disk at this level.
    fn why(&self, (shelf, age): (Shelf, Duration), on_shelf: u64, level: Level) -> Option<Why> {
        if age > self.age {
            return Some(Why::Age);
        }
        if self.bytes.is_some_and(|bytes| on_shelf > bytes) {
            return Some(Why::Bytes);
        }
        match (shelf, level) {
            // What was refused goes by its own bounds alone: somebody may want to look at it.
            (Shelf::Quarantine, _) | (_, Level::Roomy) => None,
            (Shelf::Done, Level::Sparing) => Some(Why::LeftOut),
            (Shelf::Done, Level::Purging | Level::Stopped) => Some(Why::Disk),
        }
    }
}

/// Whether the newest result of a series has left the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Delivered,
    NotYet,
}

/// Whether files may go for a reason, as the ledger says of their series.
fn may_go(standing: &Standing, result: Told, why: Why) -> bool {
    match standing {
        Standing::AtWork => false,
        // A ledger that was made anew does not know what it has not read again.
        Standing::Unknown => why == Why::Age,
        Standing::Ended { reason, .. } => {
            result == Told::Delivered && (why != Why::LeftOut || is_left_out(reason.as_deref()))
        }
    }
}

fn is_left_out(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| Code::try_from(reason.to_owned()).is_ok_and(Code::spares_files))
}

impl House {
    /// Forgets delivered results and commands that are older than they are kept.
    pub(super) fn forget_delivered(&self) {
        let keep_ms = Duration::from_secs_f64(self.config.outbox.keep_h.max(0.0) * 3600.0).as_millis();
        let before_ms = clock::now_ms().saturating_sub(i64::try_from(keep_ms).unwrap_or(i64::MAX));
        let forgotten = lock(&self.store).commit(|transaction| outbox::forget_delivered(transaction, before_ms));
        if let Err(error) = forgotten.map(drop).and_then(|()| self.commands.sweep()) {
            warn!(%error, "delivered results and commands of the past cannot be forgotten");
        }
    }

    /// Deletes what has to go, the oldest first.
    pub(super) fn sweep(&self) -> io::Result<()> {
        let kept = self.spool.kept()?;
        let mut on_shelf = BTreeMap::from([Shelf::Done, Shelf::Quarantine].map(|shelf| (shelf, 0)));
        for one in &kept {
            *on_shelf.entry(one.shelf).or_default() += one.bytes;
        }
        for one in &kept {
            let level = self.disk.volume(Place::Spool).map(|volume| volume.level).unwrap_or_default();
            let bytes = on_shelf.entry(one.shelf).or_default();
            let Some(why) = Bound::of(&self.config.series, one.shelf).why((one.shelf, one.age), *bytes, level) else {
                continue;
            };
            if self.discard(one, why)? {
                *bytes = bytes.saturating_sub(one.bytes);
                self.disk.look();
            }
            clock::next_piece();
        }
        Ok(())
    }

    /// Deletes kept files, if they may go. Returns whether they have gone.
    fn discard(&self, one: &Kept, why: Why) -> io::Result<bool> {
        let taken = self.take_down(one, why).map_err(io::Error::other)?;
        let Some(doomed) = taken.transpose()?.flatten() else { return Ok(false) };
        doomed.delete()?;
        self.deleted.count(one.shelf, why);
        info!(
            series = %one.key, shelf = one.shelf.name(), why = why.name(), bytes = one.bytes,
            "the files of a series have been deleted"
        );
        Ok(true)
    }

    /// Asks the ledger and takes the files off their shelf, while the ledger is locked: nothing can begin with the series in
    /// between.
    fn take_down(&self, one: &Kept, why: Why) -> Result<Option<io::Result<Option<Doomed>>>, StoreError> {
        lock(&self.store).read(|connection| {
            let standing = ledger::standing(connection, &one.key)?;
            let result = match &standing {
                Standing::Ended { result_id, .. } if !outbox::owes(connection, result_id)? => Told::Delivered,
                Standing::Ended { .. } | Standing::AtWork | Standing::Unknown => Told::NotYet,
            };
            let goes = may_go(&standing, result, why) && !self.spool.is_at_work(&one.key);
            Ok(goes.then(|| self.spool.take_down(one)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_files_go_by_age_by_bytes_and_by_the_disk() {
        let settings = Settings { keep_mib: 10, ..Settings::default() };
        let why = |shelf, age_h: u64, mib: u64, level| {
            Bound::of(&settings, shelf).why((shelf, Duration::from_hours(age_h)), mib << 20, level).map(Why::name)
        };
        assert_eq!(why(Shelf::Done, 1, 1, Level::Roomy), None);
        assert_eq!(why(Shelf::Done, 25, 1, Level::Roomy), Some("age"));
        assert_eq!(why(Shelf::Done, 1, 11, Level::Roomy), Some("bytes"));
        assert_eq!(why(Shelf::Done, 1, 1, Level::Sparing), Some("left_out"));
        assert_eq!(why(Shelf::Done, 1, 1, Level::Purging), Some("disk"));
        assert_eq!(why(Shelf::Quarantine, 25, 100, Level::Stopped), None, "the disk is no reason");
        assert_eq!(why(Shelf::Quarantine, 721, 1, Level::Roomy), Some("age"));
        assert_eq!(why(Shelf::Quarantine, 1, 20_481, Level::Roomy), Some("bytes"));
    }

    #[test]
    fn nothing_goes_that_is_not_delivered_or_that_is_needed() {
        let ended =
            |reason: Option<&str>| Standing::Ended { result_id: "r1".into(), reason: reason.map(str::to_owned) };
        for why in [Why::Age, Why::Bytes, Why::LeftOut, Why::Disk] {
            assert!(!may_go(&ended(Some("not_chosen")), Told::NotYet, why), "{why:?}");
            assert!(!may_go(&Standing::AtWork, Told::Delivered, why), "{why:?}");
            assert_eq!(may_go(&Standing::Unknown, Told::NotYet, why), why == Why::Age);
            assert_eq!(may_go(&ended(None), Told::Delivered, why), why != Why::LeftOut, "{why:?}");
            assert!(may_go(&ended(Some("other_chosen")), Told::Delivered, why), "{why:?}");
        }
    }
}
