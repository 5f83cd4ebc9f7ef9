//! Files to a volume: has a jailed scan worker read a series, and answers for what happens to it.
//!
//! In: [`Completed`] series. Out: [`Reading`]: a [`Scan`] whose voxels lie in sealed shared memory, or a refusal. Owns
//! nothing on disk; the files stay in the spool. This process never opens them.

use crate::choice::{Completed, HeaderAnswer, Series};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::fate::{Code, Refusal};
use crate::floor::subject::Subject;
use crate::floor::worker::memory::Memory;
use crate::floor::worker::scan::{self, Answer, Request};
use crate::floor::worker::shared::Sealed;
use crate::floor::worker::walls::{Isolation, Reach};
use crate::floor::worker::{Jail, Lost, Worker};
use ctedge_models::scan::{
    Facts, Identifiers, Limits, Patterns, Reason, ScanError, Traits, Unpacked, Urgent, VoxelKind, Which,
};
use ctedge_models::volume::{Geometry, Volume, VolumeError, Voxels};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{debug, warn};

const MIB: u64 = 1 << 20;

/// What the reader of scans may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Address space of a scan worker in MiB, the voxels included.
    pub(crate) memory_mib: u64,
    /// MiB of the device's memory that the voxels of a series leave free; a series that finds less waits.
    pub(crate) spare_mib: u64,
    /// Processor time of a scan worker in seconds, for one series.
    pub(crate) cpu_s: u64,
    /// Seconds after which a scan worker is killed, for one series.
    pub(crate) wall_s: f64,
    /// How large a scan may be.
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_mib: 6144, spare_mib: 256, cpu_s: 300, wall_s: 300.0, limits: Limits::default() }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.memory_mib < 256 {
            problems.push(format!("volume.memory_mib = {}: a worker needs at least 256", self.memory_mib));
        }
        if self.cpu_s == 0 {
            problems.push("volume.cpu_s = 0: must be at least 1 second".to_owned());
        }
        if !(1.0..=86_400.0).contains(&self.wall_s) {
            problems.push(format!("volume.wall_s = {}: must lie between 1 and 86400 seconds", self.wall_s));
        }
        problems
    }

    fn jail(&self) -> Jail {
        let memory_bytes = Some(self.memory_mib.saturating_mul(1 << 20));
        Jail { memory_bytes, cpu_s: Some(self.cpu_s), ..Jail::default() }
    }

    fn wall(&self) -> Duration {
        Duration::from_secs_f64(self.wall_s.clamp(0.0, 86_400.0))
    }
}

/// A volume, ready for the model.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where it lies.
    pub(crate) geometry: Geometry,
    /// Its voxel type.
    pub(crate) kind: VoxelKind,
    /// How it came about.
    pub(crate) facts: Facts,
    /// The voxels: sealed shared memory, C order (k, j, i).
    pub(crate) voxels: OwnedFd,
}

impl Scan {
    /// Shows the volume to somebody in this process.
    ///
    /// # Errors
    /// Its memory cannot be mapped, or does not fit.
    pub(crate) fn look<T>(self, look: impl FnOnce(&Volume<'_>) -> T) -> io::Result<T> {
        let sealed = Sealed::open(self.voxels)?;
        let volume = mapped(&sealed, self.geometry, self.kind).map_err(io::Error::other)?;
        Ok(look(&volume))
    }
}

/// The volume that lies in sealed memory.
///
/// # Errors
/// The memory holds another number of voxels.
pub(crate) fn mapped(sealed: &Sealed, geometry: Geometry, kind: VoxelKind) -> Result<Volume<'_>, VolumeError> {
    let voxels = match kind {
        VoxelKind::I16 => Voxels::I16(Cow::Borrowed(sealed.as_slice())),
        VoxelKind::F32 => Voxels::F32(Cow::Borrowed(sealed.as_slice())),
    };
    Volume::new(geometry, voxels)
}

/// What became of a series in this room.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Which series.
    pub(crate) subject: Subject,
    /// The volume, or why there is none.
    pub(crate) scan: Result<Scan, Refusal>,
    /// Milliseconds from complete series to the start of reading.
    pub(crate) queue_ms: u64,
    /// Milliseconds of reading.
    pub(crate) decode_ms: u64,
    /// Milliseconds of `queue_ms` for which the device paused, too hot to go on.
    pub(crate) throttled_ms: u64,
    /// Whether it was too hot all the same when reading began.
    pub(crate) is_hot: bool,
}

/// Why a series could not be read this time, for no reason that it gives itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// No worker can be started: the device is at fault, and the series waits.
    #[error("no scan worker can be started: {0}")]
    NoWorker(#[from] io::Error),
    /// The device has too little memory for it now: the series waits.
    #[error("{0}")]
    NoMemory(String),
    /// The worker was lost on this series.
    #[error(transparent)]
    Lost(Lost),
}

impl Unread {
    /// The refusal of a series that gets one attempt only.
    ///
    /// # Errors
    /// No worker can be started.
    pub(crate) fn refusal(self) -> io::Result<Refusal> {
        match self {
            Self::NoWorker(error) => Err(error),
            Self::NoMemory(told) => Err(io::Error::new(io::ErrorKind::OutOfMemory, told)),
            Self::Lost(lost) => Ok(scan::refusal(lost)),
        }
    }
}

/// Reads a completed series in a worker of its own.
///
/// # Errors
/// It was not read, and its input gives no reason for that.
pub(crate) fn read(settings: &Settings, Completed { series, refusal }: &Completed) -> Result<Reading, Unread> {
    let Series { subject, folder } = series;
    let waited_ms = clock::now_ms().saturating_sub(subject.completed_ms);
    let clock = Stopwatch::start();
    let scan = match refusal {
        Some(refusal) => Err(refusal.clone()),
        None => decode(settings, subject, folder)?,
    };
    let queue_ms = u64::try_from(waited_ms).unwrap_or_default();
    Ok(Reading { subject: subject.clone(), scan, queue_ms, decode_ms: clock.ms(), throttled_ms: 0, is_hot: false })
}

/// What becomes of a completed series that is refused before it is read.
pub(crate) fn refused(Completed { series, .. }: &Completed, refusal: Refusal) -> Reading {
    let waited_ms = clock::now_ms().saturating_sub(series.subject.completed_ms);
    let queue_ms = u64::try_from(waited_ms).unwrap_or_default();
    Reading {
        subject: series.subject.clone(),
        scan: Err(refusal),
        queue_ms,
        decode_ms: 0,
        throttled_ms: 0,
        is_hot: false,
    }
}

/// Reads a series for somebody who stands by and can ask again: a worker that is lost refuses it.
///
/// # Errors
/// No worker can be started.
pub(crate) fn read_once(settings: &Settings, completed: &Completed) -> io::Result<Reading> {
    read(settings, completed).or_else(|unread| Ok(refused(completed, unread.refusal()?)))
}

/// Asks a worker of its own what a completed series is like, without decoding it.
///
/// # Errors
/// As for [`read`].
pub(crate) fn traits(
    settings: &Settings,
    folder: &Path,
    patterns: &Patterns,
) -> Result<Result<Traits, Refusal>, Unread> {
    let (mut worker, _) = scan::start(settings.jail(), &series_at(folder))?;
    let (folder, limits) = (folder.to_owned(), settings.limits.clone());
    let request = Request::Traits { folder, limits, patterns: patterns.clone() };
    match worker.ask::<_, Answer>(&request, None, settings.wall()) {
        Ok((Answer::Traits(traits), _)) => Ok(Ok(traits)),
        Ok((Answer::Refused(error), _)) => Ok(Err(error.into())),
        // In other words than ours answers a worker that somebody else has taken over.
        Ok(_other) => Err(Unread::Lost(Lost::Crashed)),
        Err(lost) => Err(Unread::Lost(lost)),
    }
}

fn decode(settings: &Settings, subject: &Subject, folder: &Path) -> Result<Result<Scan, Refusal>, Unread> {
    let (mut worker, _) = scan::start(settings.jail(), &series_at(folder))?;
    debug!(series = %subject.series_key, worker = worker.id(), "a scan worker reads a series");
    let memory = Memory::now();
    let free_bytes = memory.map_or(u64::MAX, |memory| memory.available_bytes);
    let memory_bytes = free_bytes.saturating_sub(settings.spare_mib.saturating_mul(MIB));
    let request = Request::Volume { folder: folder.to_owned(), limits: settings.limits.clone(), memory_bytes };
    match worker.ask::<_, Answer>(&request, None, settings.wall()) {
        Ok((Answer::Volume { geometry, kind, facts }, Some(voxels))) => {
            Ok(Ok(Scan { geometry, kind, facts: *facts, voxels }))
        }
        Ok((Answer::NoMemory { needed_bytes }, _)) => too_large(needed_bytes, memory).map(Err),
        Ok((Answer::Refused(error), _)) => Ok(Err(error.into())),
        Ok(_other) => Err(Unread::Lost(Lost::Crashed)),
        Err(lost) => Err(Unread::Lost(lost)),
    }
}

/// What becomes of a series whose voxels find no memory: where the device could never have as much, it is refused.
fn too_large(needed_bytes: u64, memory: Option<Memory>) -> Result<Refusal, Unread> {
    let needs = format!("a volume of {} MiB", needed_bytes / MIB);
    match memory {
        Some(memory) if needed_bytes >= memory.total_bytes => {
            let detail = format!("{needs}, on a device with {} MiB of memory", memory.total_bytes / MIB);
            Ok(Refusal::new(Code::ScanMemory, detail))
        }
        _ => Err(Unread::NoMemory(format!("{needs} waits until there is memory for it"))),
    }
}

/// Whether workers are walled in on this device: one is started and says so.
///
/// # Errors
/// What is lacking.
pub(crate) fn isolation(settings: &Settings) -> Result<(), String> {
    match scan::start(settings.jail(), &Reach::default()) {
        Ok((_, Isolation { lacking })) if lacking.is_empty() => Ok(()),
        Ok((_, Isolation { lacking })) => Err(lacking.join("; ")),
        Err(error) => Err(format!("no scan worker can be started: {error}")),
    }
}

/// What has to be reached to read a series: its folder, and where the links in it lead. In the spool there are none; it is
/// `ctedge process` that gathers a series by links.
///
/// What cannot be looked at here the worker cannot read either, and says so.
fn series_at(folder: &Path) -> Reach {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let targets = links.filter_map(|link| Some(link.path().canonicalize().ok()?.parent()?.to_owned()));
    let read = [folder.to_owned()].into_iter().chain(gathered(targets.collect())).collect();
    Reach { read, ..Reach::default() }
}

/// Few folders as they are; of many, that which holds them all.
pub(crate) fn gathered(folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    /// Fits into a message to the worker, however long their names.
    const FEW: usize = 12;
    if folders.len() <= FEW {
        return folders.into_iter().collect();
    }
    let above = |one: PathBuf, other: PathBuf| {
        one.ancestors().find(|folder| other.starts_with(folder)).map_or_else(|| one.clone(), Path::to_owned)
    };
    folders.into_iter().reduce(above).into_iter().collect()
}

/// Has the members of an archive written into an empty folder, by a worker of its own.
///
/// # Errors
/// The device is at fault: no worker can be started, or the disk cannot be read or written.
pub(crate) fn unpack(settings: &Settings, archive: &Path, into: &Path) -> io::Result<Result<Unpacked, Refusal>> {
    let reach = Reach { read: vec![archive.to_owned()], write: vec![into.to_owned()], ..Reach::default() };
    let (mut worker, _) = scan::start(settings.jail(), &reach)?;
    let limits = settings.limits.clone();
    let request = Request::Unpack { archive: archive.to_owned(), into: into.to_owned(), limits };
    Ok(match worker.ask::<_, Answer>(&request, None, settings.wall()) {
        Ok((Answer::Unpacked(unpacked), _)) => Ok(unpacked),
        Ok((Answer::Refused(error), _)) if error.reason == Reason::Unreadable => return Err(of_the_disk(error)),
        Ok((Answer::Refused(error), _)) => Err(error.into()),
        Ok(_other) => Err(Refusal::new(Code::ScanCrashed, "the worker answered something else")),
        Err(lost) => Err(scan::refusal(lost)),
    })
}

/// What the worker says of the disk: it has the words of the standard library for it, and these have ours.
fn of_the_disk(error: ScanError) -> io::Error {
    let no_room = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    let kind = no_room.into_iter().find(|kind| kind.to_string() == error.detail);
    io::Error::new(kind.unwrap_or(io::ErrorKind::Other), error)
}

/// Asks a long-lived worker for the headers of files, and replaces it now and then.
#[derive(Debug)]
pub(crate) struct HeaderReader<'a> {
    settings: &'a Settings,
    urgent: &'a Urgent,
    reach: Reach,
    worker: Option<Worker>,
    asked: u32,
}

/// Files after which the worker is replaced, so that its processor limit stays that of a few files.
const FILES_OF_A_WORKER: u32 = 512;

impl<'a> HeaderReader<'a> {
    /// For files below these folders; `urgent` says which of their words make a series so. Starts no worker yet.
    pub(crate) fn new(settings: &'a Settings, urgent: &'a Urgent, folders: Vec<PathBuf>) -> Self {
        let reach = Reach { read: folders, ..Reach::default() };
        Self { settings, urgent, reach, worker: None, asked: 0 }
    }

    /// What identifies the patient of a file; `None` where it cannot be read. A worker that is lost is replaced once.
    pub(crate) fn identifiers(&mut self, path: &Path, which: Which) -> Option<Identifiers> {
        let request = Request::Identifiers { path: path.to_owned(), limits: self.settings.limits.clone(), which };
        for _attempt in 0..2 {
            let had = self.worker.take().filter(|_| self.asked < FILES_OF_A_WORKER);
            let mut worker = had.or_else(|| self.start().ok())?;
            self.asked += 1;
            if let Ok((answer, _)) = worker.ask::<_, Answer>(&request, None, self.settings.wall()) {
                self.worker = Some(worker);
                return if let Answer::Identifiers(identifiers) = answer { Some(identifiers) } else { None };
            }
        }
        None
    }

    /// Which series a file belongs to.
    pub(crate) fn read(&mut self, path: &Path) -> HeaderAnswer {
        if self.asked >= FILES_OF_A_WORKER {
            self.worker = None;
        }
        let mut worker = match self.worker.take().map_or_else(|| self.start(), Ok) {
            Ok(worker) => worker,
            Err(error) => {
                warn!(%error, "no scan worker can be started");
                return HeaderAnswer::Unavailable;
            }
        };
        self.asked += 1;
        let (limits, urgent) = (self.settings.limits.clone(), self.urgent.clone());
        let request = Request::Header { path: path.to_owned(), limits, urgent };
        let answer = worker.ask::<_, Answer>(&request, None, self.settings.wall());
        match answer {
            Ok((Answer::Header(header), _)) => {
                self.worker = Some(worker);
                HeaderAnswer::Header(header)
            }
            Ok((Answer::Refused(error), _)) => {
                self.worker = Some(worker);
                // A file that is not there any more is no fault of its sender: the room looks for it itself.
                if error.reason == Reason::Unreadable {
                    HeaderAnswer::Unavailable
                } else {
                    HeaderAnswer::Refused(error.into())
                }
            }
            Ok((Answer::Archive, _)) => {
                self.worker = Some(worker);
                HeaderAnswer::Archive
            }
            Ok((
                Answer::Volume { .. }
                | Answer::Traits(_)
                | Answer::Unpacked(_)
                | Answer::Identifiers(_)
                | Answer::NoMemory { .. },
                _,
            )) => HeaderAnswer::Unavailable,
            Err(lost) => HeaderAnswer::Refused(scan::refusal(lost)),
        }
    }

    fn start(&mut self) -> io::Result<Worker> {
        self.asked = 0;
        Ok(scan::start(self.settings.jail(), &self.reach)?.0)
    }
}
