//! How full the disks are: the one place that knows, and where work waits for room.
//!
//! [`Disk::look`] measures the filesystems of the three folders, of which one may hold several; `pipeline` has it look every
//! second or two. Rooms ask whether they may take in more, and do whatever may find no room by [`Disk::patiently`]: a full
//! disk is waited for, any other error has its own fate.

mod ballast;
mod marks;

pub(crate) use ballast::Ballast;
pub(crate) use marks::{Fill, Level, Settings};

use super::clock::{self, Stopwatch};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// One of the daemon's folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The drop folder.
    Incoming,
    /// Files on their way.
    Spool,
    /// The ledger.
    State,
}

impl Place {
    /// Name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Spool => "spool",
            Self::State => "state",
        }
    }
}

/// A filesystem with one or more of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    device: u64,
    /// Which of our folders it holds.
    pub(crate) places: Vec<Place>,
    /// How full it is.
    pub(crate) fill: Fill,
    /// What follows from that.
    pub(crate) level: Level,
}

impl Volume {
    /// Whether it holds one of these folders.
    fn holds(&self, places: &[Place]) -> bool {
        self.places.iter().any(|place| places.contains(place))
    }

    /// Names of its folders, for people.
    pub(crate) fn names(&self) -> String {
        self.places.iter().map(|place| place.name()).collect::<Vec<_>>().join(", ")
    }
}

/// An error that may be for want of room.
pub(crate) trait MayLackRoom {
    /// Whether it is: worth waiting for, since others make room.
    fn lacks_room(&self) -> bool;
}

impl MayLackRoom for io::Error {
    fn lacks_room(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// The filesystems of the three folders.
#[derive(Debug)]
pub(crate) struct Disk {
    settings: Settings,
    folders: [(Place, PathBuf); 3],
    volumes: Mutex<Vec<Volume>>,
    /// Pieces of work that wait for room.
    waiting: AtomicUsize,
    /// Milliseconds for which all work has waited so far.
    waited_ms: AtomicU64,
    stop: AtomicBool,
}

/// Pause before something that found no room is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Disk {
    /// The filesystems of the folders, not looked at yet.
    pub(crate) fn new(settings: Settings, folders: [(Place, PathBuf); 3]) -> Self {
        let (waiting, waited_ms, stop) = Default::default();
        Self { settings, folders, volumes: Mutex::default(), waiting, waited_ms, stop }
    }

    /// Measures every filesystem. One that cannot be measured stays as it was.
    pub(crate) fn look(&self) -> Vec<Volume> {
        // Not under the lock: a share of the network may take its time.
        let fills = self.folders.iter().map(|(place, folder)| (*place, Fill::of(folder))).collect::<Vec<_>>();
        let mut found: Vec<Volume> = Vec::new();
        let mut volumes = self.volumes();
        for (place, fill) in fills {
            let Ok((device, fill)) = fill else {
                let known = volumes.iter().find(|volume| volume.holds(&[place]));
                found.extend(known.map(|known| Volume { places: vec![place], ..known.clone() }));
                continue;
            };
            if let Some(volume) = found.iter_mut().find(|volume| volume.device == device) {
                volume.places.push(place);
            } else {
                let before = volumes.iter().find(|volume| volume.holds(&[place])).map(|volume| volume.level);
                let level = self.settings.level(&fill, before.unwrap_or_default());
                found.push(Volume { device, places: vec![place], fill, level });
            }
        }
        volumes.clone_from(&found);
        found
    }

    /// The filesystem of a folder, as it was found last.
    pub(crate) fn volume(&self, place: Place) -> Option<Volume> {
        self.volumes().iter().find(|volume| volume.holds(&[place])).cloned()
    }

    /// The filesystems, as they were found last.
    pub(crate) fn volumes(&self) -> MutexGuard<'_, Vec<Volume>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files may be claimed, of a drop folder that holds so many bytes in so many files.
    ///
    /// A disk that is full of nothing but what waits there is no reason to stop: a claim takes no room on the same
    /// filesystem, and only what has been read can be deleted.
    pub(crate) fn may_claim(&self, bytes: u64, files: u64) -> bool {
        self.volumes().iter().filter(|volume| volume.holds(&[Place::Spool, Place::State])).all(|volume| {
            let emptied = volume.fill.without(bytes, files);
            volume.level < Level::Stopped
                || (volume.holds(&[Place::Incoming]) && self.settings.level(&emptied, Level::Stopped) < Level::Stopped)
        })
    }

    /// Whether so many bytes may be taken of a folder's filesystem without filling it up.
    pub(crate) fn has_room_for(&self, place: Place, bytes: u64) -> bool {
        self.volume(place).is_some_and(|volume| {
            let free_bytes = volume.fill.free_bytes.saturating_sub(bytes);
            self.settings.level(&Fill { free_bytes, ..volume.fill }, Level::Purging) < Level::Purging
        })
    }

    /// Whether senders may bring more into the drop folder.
    pub(crate) fn may_receive(&self) -> bool {
        self.volumes().iter().all(|volume| volume.level < Level::Stopped)
    }

    /// How many pieces of work wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// For how long all work has waited for room so far.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    /// Does something that may find no room, again and again until it does. It must be something that can be done again
    /// after it has failed half-way.
    ///
    /// # Errors
    /// Those of the work that are for no want of room; and its want of room when the daemon is told to stop meanwhile.
    pub(crate) fn patiently<T, E: MayLackRoom>(&self, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        let first = match work() {
            Err(error) if error.lacks_room() => error,
            other => return other,
        };
        warn!("there is no room on the disk; work waits for it");
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let since = Stopwatch::start();
        let mut outcome = Err(first);
        while !clock::wait(AGAIN, &self.stop) {
            outcome = work();
            if !outcome.as_ref().err().is_some_and(MayLackRoom::lacks_room) {
                info!("work that waited for room goes on");
                break;
            }
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waited_ms.fetch_add(since.ms(), Ordering::Relaxed);
        outcome
    }

    /// The daemon is told to stop: nobody waits for room any more.
    pub(crate) fn give_up(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::Path;

    /// A disk that counts as roomy however full it is, for tests of rooms.
    pub(crate) fn roomy(folder: &Path) -> Disk {
        with_least(folder, 0)
    }

    /// One of which so many MiB have to be free.
    pub(crate) fn with_least(folder: &Path, least_mib: u64) -> Disk {
        let settings = Settings { least_mib, most_mib: least_mib, ..Settings::default() };
        Disk::new(settings, [Place::Incoming, Place::Spool, Place::State].map(|place| (place, folder.into())))
    }

    /// One that was found to be at a level.
    fn at(level: Level, places: &[Place], fill: Fill) -> Disk {
        let disk = Disk { settings: Settings::default(), ..roomy(Path::new("/")) };
        *disk.volumes() = vec![Volume { device: 1, places: places.to_vec(), fill, level }];
        disk
    }

    #[test]
    fn folders_of_one_filesystem_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = roomy(folder.path());
        let [only] = disk.look().try_into().unwrap();
        assert_eq!(only.names(), "incoming, spool, state");
        assert!(only.fill.total_bytes > only.fill.free_bytes && only.fill.free_bytes > 0);
        let path = folder.path().to_owned();
        drop(folder);
        assert_eq!(disk.look().len(), 3, "what cannot be measured {} stays as it was", path.display());
    }

    #[test]
    fn intake_stops_unless_the_drop_folder_itself_is_what_fills_the_disk() {
        let fill = Fill { total_bytes: 100 << 30, free_bytes: 1 << 30, total_files: 0, free_files: 0 };
        let all = [Place::Incoming, Place::Spool, Place::State];
        assert!(at(Level::Purging, &all, fill).may_claim(0, 0));
        let stopped = at(Level::Stopped, &all, fill);
        assert!(!stopped.may_claim(1 << 30, 10) && stopped.may_claim(20 << 30, 10));
        assert!(!at(Level::Stopped, &[Place::Spool], fill).may_claim(20 << 30, 10));
        let incoming = at(Level::Stopped, &[Place::Incoming], fill);
        assert!(incoming.may_claim(0, 0) && !incoming.may_receive(), "claims are what empties it");
    }

    #[test]
    fn a_full_disk_is_waited_for_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let disk = roomy(folder.path());
        let mut kinds = vec![io::ErrorKind::QuotaExceeded, io::ErrorKind::StorageFull];
        let outcome: io::Result<usize> = disk.patiently(|| match kinds.pop() {
            Some(kind) => Err(kind.into()),
            None => Ok(disk.waiting()),
        });
        assert_eq!(outcome.unwrap(), 1, "it can be seen to wait");
        assert!(disk.waiting() == 0 && disk.waited() >= AGAIN * 2);
        let broken: io::Result<()> = disk.patiently(|| Err(io::Error::from_raw_os_error(libc::EIO)));
        assert_eq!(broken.unwrap_err().raw_os_error(), Some(libc::EIO));
        disk.give_up();
        let stopped: io::Result<()> = disk.patiently(|| Err(io::ErrorKind::StorageFull.into()));
        assert!(stopped.unwrap_err().lacks_room(), "a daemon that stops does not wait");
    }
}
