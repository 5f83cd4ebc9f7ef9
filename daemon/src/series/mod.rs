//! Files to series: asks the scan worker what each claimed file is, sorts it into its series, and decides when a series
//! is complete.
//!
//! In: [`crate::intake::Arrival`]s. Out: [`Completed`] series. Owns the `work` and `head` tables of the ledger; the
//! files themselves stay in intake's spool. It reads no file: a jailed worker does, so that a hostile file cannot touch
//! the daemon. Quiet series complete after a pause, announced ones by count, marked ones by the sender's marker file, those
//! of an archive with its last member.

mod again;
mod archive;
mod gather;
pub(crate) mod ledger;
mod naming;
mod sort;
#[cfg(test)]
mod tests;

pub(crate) use again::{found, is_under_way};
pub(crate) use archive::nested;
pub(crate) use ledger::{attempts, identifiers};
pub(crate) use sort::{file_digest, series_digest};

use crate::floor::clock::{Stopwatch, idle};
use crate::floor::disk::Disk;
use crate::floor::fate::Refusal;
use crate::floor::phi::SiteKey;
use crate::floor::store::{SharedStore, StoreError};
use crate::floor::subject::{CompleteBy, Subject};
use crate::intake::{Arrival, IntakeError, Spool};
use ctedge_models::scan::{Header, Identifiers, Unpacked, Urgent};
use gather::Gather;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// When a series counts as complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Seconds without a new file after which a series counts as complete.
    pub(crate) quiet_s: f64,
    /// Whether a series is complete as soon as it has as many files as its header announces.
    pub(crate) trust_expected_count: bool,
    /// Hours for which the files of a finished series are kept, so that late slices meet the ones they belong to.
    pub(crate) keep_h: f64,
    /// MiB of them that are kept at most; 0 for as many as the disk takes.
    pub(crate) keep_mib: u64,
    /// Hours for which refused files are kept.
    pub(crate) quarantine_h: f64,
    /// MiB of them that are kept at most; 0 for as many as the disk takes.
    pub(crate) quarantine_mib: u64,
    /// Seconds after which a complete series without an outcome is told as overdue.
    pub(crate) overdue_s: f64,
    /// Which words of a header make a series go before others.
    pub(crate) urgent: Urgent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quiet_s: 30.0,
            trust_expected_count: true,
            keep_h: 24.0,
            keep_mib: 0,
            quarantine_h: 720.0,
            quarantine_mib: 20_480,
            overdue_s: 1800.0,
            urgent: Urgent::default(),
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.1..=86_400.0).contains(&self.quiet_s) {
            problems.push(format!("series.quiet_s = {}: must lie between 0.1 and 86400 seconds", self.quiet_s));
        }
        for (name, hours) in [("keep_h", self.keep_h), ("quarantine_h", self.quarantine_h)] {
            if !(0.0..=8760.0).contains(&hours) {
                problems.push(format!("series.{name} = {hours}: must lie between 0 and 8760 hours"));
            }
        }
        if !(1.0..=604_800.0).contains(&self.overdue_s) {
            problems.push(format!("series.overdue_s = {}: must lie between 1 and 604800 seconds", self.overdue_s));
        }
        problems
    }

    /// How long the files of a finished series are kept.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs_f64(self.keep_h.max(0.0) * 3600.0)
    }
}

/// A completed series on disk.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Which series, and on what evidence it counts as complete.
    pub(crate) subject: Subject,
    /// Folder that holds exactly its files, each named by its digest.
    pub(crate) folder: PathBuf,
}

/// A series that is ready for the next room, or a file that belongs to none.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    /// The frozen files.
    pub(crate) series: Series,
    /// Why it cannot be a scan, when the header already tells.
    pub(crate) refusal: Option<Refusal>,
}

/// What became of asking for a header.
#[derive(Debug)]
pub(crate) enum HeaderAnswer {
    /// What the file says of itself.
    Header(Header),
    /// The file is an archive of files.
    Archive,
    /// The file says nothing usable.
    Refused(Refusal),
    /// The worker could not be asked; the file is not to blame.
    Unavailable,
}

/// The room's errors, all of them the device's: the daemon stops and finds everything on disk at its next start. A full disk
/// is none of them: it is waited for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeriesError {
    /// The ledger.
    #[error("the ledger of series")]
    Ledger(#[from] StoreError),
    /// The spool.
    #[error("the spool")]
    Spool(#[from] IntakeError),
    /// A file could not be moved within the spool.
    #[error("a move within the spool")]
    Move(#[from] io::Error),
    /// No scan worker could be started, again and again.
    #[error("no scan worker answers")]
    NoWorker,
}

/// What the room works with.
pub(crate) struct Room<'a> {
    /// When a series counts as complete.
    pub(crate) settings: &'a Settings,
    /// Makes pseudonyms.
    pub(crate) site: &'a SiteKey,
    /// The files.
    pub(crate) spool: &'a Spool,
    /// The ledger.
    pub(crate) store: &'a SharedStore,
    /// Where work waits when there is no room.
    pub(crate) disk: &'a Disk,
    /// Asks the jailed worker for a file's header.
    pub(crate) read_header: Box<dyn FnMut(&Path) -> HeaderAnswer + 'a>,
    /// Asks it what identifies the patient of a file, where the site publishes that.
    pub(crate) read_identifiers: Option<Box<ReadIdentifiers<'a>>>,
    /// Has a jailed worker unpack an archive into an empty folder.
    pub(crate) unpack: Box<Unpack<'a>>,
    /// Called in the transaction that opens or completes a series, to put its event into the outbox.
    pub(crate) announce: Box<ledger::Announce<'a>>,
}

/// What identifies the patient of a file; `None` where it cannot be read.
pub(crate) type ReadIdentifiers<'a> = dyn FnMut(&Path) -> Option<Identifiers> + 'a;

/// Unpacks an archive into an empty folder, or refuses it. An error is the device's.
pub(crate) type Unpack<'a> = dyn Fn(&Path, &Path) -> io::Result<Result<Unpacked, Refusal>> + 'a;

/// Sorts arrivals and hands over completed series until the channel of arrivals closes.
///
/// Starts with what an earlier run left: frozen series are handed over again, open ones are sorted again.
pub(crate) fn run(
    mut room: Room<'_>,
    arrivals: &Receiver<Arrival>,
    completed: &SyncSender<Completed>,
) -> Result<(), SeriesError> {
    let clock = Stopwatch::start();
    let mut gather = Gather::new(room.settings);
    for again in room.resume(&mut gather, clock.elapsed())? {
        if idle(|| completed.send(again).is_err()) {
            return Ok(());
        }
    }
    // A series of an archive that is still claimed must not be complete before the rest of it has been sorted again.
    let (mut caught_up, mut waited) = (false, room.disk.waited());
    loop {
        let patience = if caught_up { gather.patience(clock.elapsed()) } else { LONGEST_WAIT };
        let arrival = idle(|| arrivals.recv_timeout(patience));
        let mut now = clock.elapsed();
        match arrival {
            Ok(Arrival::CaughtUp) => {
                caught_up = true;
                gather.listens(now);
            }
            Ok(Arrival::File(claim)) => {
                // Others may wait behind it: nothing is known of them up to now, only up to when this one came.
                now = now.saturating_sub(claim.since.elapsed());
                room.sort(&claim, &mut gather, now)?;
            }
            Ok(Arrival::Again(key)) => room.again(&key, &mut gather, now)?,
            Ok(Arrival::Marker(source)) => gather.all_came(source, CompleteBy::Marker),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        // Who waits for room on the disk sees no files come: no series has been quiet meanwhile.
        let before = std::mem::replace(&mut waited, room.disk.waited());
        if before != waited || room.disk.waiting() > 0 {
            gather.listens(clock.elapsed());
        }
        if !caught_up {
            continue;
        }
        for key in gather.complete(now) {
            let Some(ready) = room.complete(&key, &mut gather, clock.elapsed())? else { continue };
            if idle(|| completed.send(ready).is_err()) {
                return Ok(());
            }
        }
    }
}

/// Longest sleep of the room, so that a blocked series is looked at again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
