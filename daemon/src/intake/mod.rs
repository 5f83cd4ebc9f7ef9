//! The drop folder: notices files, waits until they have settled, and claims them by rename into the spool.
//!
//! In: files that a scanner, a gateway or a person puts into `incoming`. Out: [`Arrival`]s. Owns `incoming` (which it
//! only ever renames out of) and the folders of the [`Spool`]. The periodic listing is the truth; inotify only makes it
//! happen sooner, since it loses events under a burst and sees nothing on network shares. It never opens a file. While the
//! disk is too full, files stay where they are.

mod again;
mod kept;
mod settle;
mod spool;
mod stuck;
#[cfg(test)]
mod tests;

pub(crate) use kept::{Doomed, Kept, Shelf};
pub(crate) use spool::{Retired, Spool};
pub(crate) use stuck::Stuck;

use crate::floor::clock::{Stopwatch, idle};
use crate::floor::disk::Disk;
use crate::floor::phi::SeriesKey;
use notify::Watcher;
use serde::{Deserialize, Serialize};
use settle::{Listing, Settling};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{debug, info, warn};

/// How files are noticed and when they count as arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Seconds between two listings of the drop folder.
    pub(crate) poll_s: f64,
    /// Seconds for which a file's size and time stamp must not change before it is claimed.
    pub(crate) settle_s: f64,
    /// Whether inotify may start a listing early. Harmless where it does not work.
    pub(crate) inotify: bool,
    /// Names that end like this are still being written and are left alone, as are names that begin with a dot.
    pub(crate) temporary_suffixes: Vec<String>,
    /// A file whose name ends like this says that every series with files from its folder is complete.
    pub(crate) marker_suffix: String,
}

impl Default for Settings {
    fn default() -> Self {
        let suffixes = [".tmp", ".part", ".partial", ".filepart", ".crdownload", ".writing", "~"];
        Self {
            poll_s: 1.0,
            settle_s: 2.0,
            inotify: true,
            temporary_suffixes: suffixes.map(str::to_owned).to_vec(),
            marker_suffix: ".complete".to_owned(),
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.05..=3600.0).contains(&self.poll_s) {
            problems.push(format!("intake.poll_s = {}: must lie between 0.05 and 3600 seconds", self.poll_s));
        }
        if !(0.0..=3600.0).contains(&self.settle_s) {
            problems.push(format!("intake.settle_s = {}: must lie between 0 and 3600 seconds", self.settle_s));
        }
        if self.marker_suffix.is_empty() {
            problems.push("intake.marker_suffix is empty: every file would be a marker".to_owned());
        }
        problems
    }
}

/// What came out of the drop folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A file, now ours.
    File(Claim),
    /// What an earlier run had claimed has been handed over.
    CaughtUp,
    /// The sender's word that everything from this folder has arrived.
    Marker(Source),
    /// An operator's word that a finished series is to be read again.
    Again(SeriesKey),
}

/// A claimed file in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Where it lies now; the name says nothing about the patient.
    pub(crate) path: PathBuf,
    /// Which folder it came from; unknown after a restart.
    pub(crate) source: Option<Source>,
    /// Since when it is ours.
    pub(crate) since: Stopwatch,
}

/// A folder of the drop folder, or an archive, as a hash: its name may hold a patient's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source(u64);

impl Source {
    /// The source at a path.
    pub(crate) fn of(path: &Path) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The drop folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// A folder of the spool could not be made or listed.
    #[error("the spool folder {path}: {source}")]
    Spool {
        /// Which folder (a configured path, no patient data).
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the room works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room<'a> {
    /// How files are noticed.
    pub(crate) settings: &'a Settings,
    /// The drop folder.
    pub(crate) incoming: &'a Path,
    /// Where claimed files go.
    pub(crate) spool: &'a Spool,
    /// Whether there is room for more.
    pub(crate) disk: &'a Disk,
    /// Whether files are left where they are.
    pub(crate) paused: &'a AtomicBool,
    /// What cannot be taken.
    pub(crate) stuck: &'a Mutex<Stuck>,
}

/// Watches the drop folder until `stop` is set or nobody takes arrivals any more.
///
/// First hands over what an earlier run had claimed but not finished sorting. A full channel makes it wait, and so do a
/// full disk and an operator's pause: the drop folder is the buffer.
pub(crate) fn run(room: Room<'_>, arrivals: &SyncSender<Arrival>, stop: &AtomicBool) -> Result<(), IntakeError> {
    let Room { settings, incoming, spool, paused, .. } = room;
    for path in spool.claimed()? {
        let again = Arrival::File(Claim { path, source: None, since: Stopwatch::start() });
        if idle(|| arrivals.send(again).is_err()) {
            return Ok(());
        }
    }
    if idle(|| arrivals.send(Arrival::CaughtUp).is_err()) {
        return Ok(());
    }
    let (hints, _watcher) = hints(settings, incoming);
    let mut settling = Settling::new(settings);
    let started = Stopwatch::start();
    let mut gate = Gate { is_open: true };
    while !stop.load(Ordering::Relaxed) {
        if paused.load(Ordering::Relaxed) {
            idle(|| std::thread::sleep(PAUSED));
            continue;
        }
        match Listing::of(incoming, settings) {
            Ok(listing) => {
                room.stuck().listed(&listing);
                let waits = listing.size();
                for settled in settling.step(listing, started.elapsed()) {
                    if paused.load(Ordering::Relaxed) || !gate.lets_in(room.disk, waits) {
                        break;
                    }
                    let Some(arrival) = room.claim(&settled) else { continue };
                    if idle(|| arrivals.send(arrival).is_err()) {
                        return Ok(());
                    }
                }
            }
            Err(error) => room.stuck().unlisted(error.kind()),
        }
        idle(|| wait(&hints, settling.patience(settings)));
    }
    Ok(())
}

/// How often a paused intake looks whether it still is.
const PAUSED: Duration = Duration::from_millis(100);

/// Whether files may come in, as it was told last.
#[derive(Debug)]
struct Gate {
    is_open: bool,
}

impl Gate {
    /// Whether there is room for what waits in the drop folder, so many bytes in so many files; and a line in the log where
    /// that has changed. A file that finds none settles anew.
    fn lets_in(&mut self, disk: &Disk, (bytes, files): (u64, u64)) -> bool {
        let before = std::mem::replace(&mut self.is_open, disk.may_claim(bytes, files));
        match (before, self.is_open) {
            (true, false) => warn!(files, "the disk is too full; files stay in the drop folder"),
            (false, true) => info!("there is room again; files are claimed"),
            (true, true) | (false, false) => {}
        }
        self.is_open
    }
}

impl Room<'_> {
    fn stuck(&self) -> MutexGuard<'_, Stuck> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(self, settled: &Path) -> Option<Arrival> {
        let source = Source::of(settled.parent().unwrap_or(settled));
        if self.settings.is_marker(settled) {
            return match std::fs::remove_file(settled) {
                Ok(()) => Some(Arrival::Marker(source)),
                Err(error) => {
                    self.stuck().left(settled, error.kind());
                    None
                }
            };
        }
        match self.disk.patiently(|| self.spool.claim(settled)) {
            Ok(path) => Some(Arrival::File(Claim { path, source: Some(source), since: Stopwatch::start() })),
            // The sender took it back or replaced it: the next listing tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.stuck().left(settled, error.kind());
                None
            }
        }
    }
}

impl Settings {
    fn is_marker(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&self.marker_suffix))
    }

    fn is_temporary(&self, name: &str) -> bool {
        name.starts_with('.') || self.temporary_suffixes.iter().any(|suffix| name.ends_with(suffix.as_str()))
    }
}

/// A channel that gets a message when inotify has seen something. The watcher lives as long as the second value.
fn hints(settings: &Settings, incoming: &Path) -> (Receiver<()>, Option<notify::RecommendedWatcher>) {
    let (sender, receiver) = sync_channel(1);
    if !settings.inotify {
        return (receiver, None);
    }
    // A full channel already holds the hint, so a failed send loses nothing.
    let notice = move |_event| {
        sender.try_send(()).ok();
    };
    let watcher = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(incoming, notify::RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    if watcher.is_err() {
        debug!("inotify is not available on the drop folder; polling alone");
    }
    (receiver, watcher.ok())
}

/// Sleeps for `patience`, or until a hint comes; a burst of hints counts as one.
fn wait(hints: &Receiver<()>, patience: Duration) {
    /// Shortest pause between two listings, so that a burst of events does not turn into a burst of listings.
    const BREATH: Duration = Duration::from_millis(50);
    std::thread::sleep(BREATH.min(patience));
    match hints.recv_timeout(patience.saturating_sub(BREATH)) {
        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(patience.saturating_sub(BREATH)),
    }
}
