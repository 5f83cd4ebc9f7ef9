//! Which files of the drop folder have settled. The decision is pure; only [`Listing::of`] looks at the disk.

use super::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a file looked like in one listing. Any change starts its waiting time anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
}

/// The regular files of the drop folder and its subfolders, without temporary ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Look>,
}

/// Empty subfolders older than this are removed: a sender that makes a folder per study would fill the drop folder.
const EMPTY_FOLDER_AGE: Duration = Duration::from_hours(1);

/// Depth of subfolders that are looked into.
const DEPTH: usize = 16;

impl Listing {
    /// Lists the folder. Symbolic links are never followed.
    pub(super) fn of(incoming: &Path, settings: &Settings) -> io::Result<Self> {
        let mut listing = Self::default();
        listing.add(incoming, settings, DEPTH)?;
        Ok(listing)
    }

    /// Bytes and number of the files.
    pub(super) fn size(&self) -> (u64, u64) {
        let bytes = self.files.values().map(|look| look.bytes).sum();
        (bytes, u64::try_from(self.files.len()).unwrap_or(u64::MAX))
    }

    /// Adds a folder and returns whether it is empty.
    fn add(&mut self, folder: &Path, settings: &Settings, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // An entry that vanishes while we look was taken back by its sender.
            let Ok(kind) = entry.file_type() else { continue };
            if settings.is_temporary(&entry.file_name().to_string_lossy()) {
                continue;
            }
            if kind.is_dir() && depth > 0 {
                // A subfolder that cannot be read must not stop the others.
                if self.add(&entry.path(), settings, depth - 1).is_ok() {
                    remove_if_old_and_empty(&entry);
                }
            } else if kind.is_file() {
                let Ok(metadata) = entry.metadata() else { continue };
                let look = Look { bytes: metadata.len(), modified: metadata.modified().ok() };
                self.files.insert(entry.path(), look);
            }
        }
        Ok(())
    }
}

fn remove_if_old_and_empty(entry: &fs::DirEntry) {
    let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_some_and(|age| age > EMPTY_FOLDER_AGE) {
        // Fails on a folder that is not empty, which is what we want.
        drop(fs::remove_dir(entry.path()));
    }
}

/// Files that were seen and have not settled yet.
#[derive(Debug)]
pub(super) struct Settling {
    settle: Duration,
    marker_suffix: String,
    waiting: BTreeMap<PathBuf, (Look, Duration)>,
}

impl Settling {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settle: Duration::from_secs_f64(settings.settle_s.max(0.0)),
            marker_suffix: settings.marker_suffix.clone(),
            waiting: BTreeMap::new(),
        }
    }

    /// Takes a listing made at `now` (time since start) and returns the files to claim, markers last.
    ///
    /// A marker waits until no other file of its folder is waiting, so that it never overtakes what it speaks of.
    pub(super) fn step(&mut self, listing: Listing, now: Duration) -> Vec<PathBuf> {
        let mut known = std::mem::take(&mut self.waiting);
        let mut settled = BTreeMap::new();
        for (path, look) in listing.files {
            let since = match known.remove(&path) {
                Some((before, since)) if before == look => since,
                _ => now,
            };
            let place = if now.saturating_sub(since) >= self.settle { &mut settled } else { &mut self.waiting };
            place.insert(path, (look, since));
        }
        let (markers, files): (Vec<_>, Vec<_>) = settled.into_iter().partition(|(path, _)| self.is_marker(path));
        let busy: BTreeSet<PathBuf> =
            self.waiting.keys().filter(|path| !self.is_marker(path)).filter_map(|path| folder_of(path)).collect();
        let (early, ready): (Vec<_>, Vec<_>) =
            markers.into_iter().partition(|(path, _)| folder_of(path).is_some_and(|folder| busy.contains(&folder)));
        self.waiting.extend(early);
        files.into_iter().chain(ready).map(|(path, _)| path).collect()
    }

    /// How long to wait before the next listing: until the poll, or sooner when a file is about to settle.
    pub(super) fn patience(&self, settings: &Settings) -> Duration {
        let poll = Duration::from_secs_f64(settings.poll_s.max(0.0));
        if self.waiting.is_empty() { poll } else { poll.min(self.settle).max(Duration::from_millis(50)) }
    }

    fn is_marker(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&self.marker_suffix))
    }
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    path.parent().map(Path::to_owned)
}
