//! What is said between the supervisor and the scan worker, and the worker itself: the only process that reads foreign
//! files.

use super::calls::Duty;
use super::shared::Filling;
use super::walls::{self, Isolation, Reach};
use super::{Desk, Jail, Lost, Worker};
use crate::floor::fate::{Code, Refusal};
use ctedge_models::scan::{
    self, Facts, FillError, Header, Identifiers, Limits, Patterns, Plan, Reason, ScanError, Traits, Unpacked, Urgent,
    VoxelKind, Which,
};
use ctedge_models::volume::Geometry;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Role name of the scan worker.
const SCAN: &str = "scan";

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Which series does this file belong to?
    Header {
        /// The file.
        path: PathBuf,
        /// Its bounds.
        limits: Limits,
        /// Which of its words, which stay with the worker, make it urgent.
        urgent: Urgent,
    },
    /// What identifies the patient of this file? Asked only where the site publishes it.
    Identifiers {
        /// The file.
        path: PathBuf,
        /// Its bounds.
        limits: Limits,
        /// What is asked for.
        which: Which,
    },
    /// Write the members of this archive into a folder.
    Unpack {
        /// The archive.
        archive: PathBuf,
        /// The folder, empty.
        into: PathBuf,
        /// Bounds of the archive and its members.
        limits: Limits,
    },
    /// What is the series like whose files are all in this folder?
    Traits {
        /// The folder.
        folder: PathBuf,
        /// Its bounds.
        limits: Limits,
        /// What is asked of the words in its headers, which stay with the worker.
        patterns: Patterns,
    },
    /// Decode the series whose files are all in this folder.
    Volume {
        /// The folder.
        folder: PathBuf,
        /// Its bounds.
        limits: Limits,
        /// Bytes that its voxels may take of the device's memory now.
        memory_bytes: u64,
    },
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The file's header.
    Header(Header),
    /// What identifies the file's patient.
    Identifiers(Identifiers),
    /// The file is an archive.
    Archive,
    /// The archive's members are in the folder.
    Unpacked(Unpacked),
    /// What the series is like.
    Traits(Traits),
    /// The volume; its voxels come as sealed shared memory.
    Volume {
        /// Where it lies.
        geometry: Geometry,
        /// Its voxel type.
        kind: VoxelKind,
        /// How it came about.
        facts: Box<Facts>,
    },
    /// The device has not as much memory now as the voxels need.
    NoMemory {
        /// So many bytes.
        needed_bytes: u64,
    },
    /// The input is at fault.
    Refused(ScanError),
}

/// The refusal of a series whose worker was lost.
pub(crate) fn refusal(lost: Lost) -> Refusal {
    let code = match lost {
        Lost::Crashed => Code::ScanCrashed,
        Lost::Memory => Code::ScanMemory,
        Lost::Cpu => Code::ScanCpu,
        Lost::Time => Code::ScanTime,
    };
    Refusal::new(code, lost.to_string())
}

/// Starts a scan worker that reaches nothing but this, and tells how well it is walled in.
///
/// # Errors
/// No worker can be started, or none with walls.
pub(crate) fn start(jail: Jail, reach: &Reach) -> io::Result<(Worker, Isolation)> {
    /// A few calls of the kernel, on a device that may be busy.
    const CLOSING: Duration = Duration::from_secs(30);
    const THREADS: &str = "RAYON_NUM_THREADS";
    // Inside, a worker cannot see what share of the processors it was given, and would start a thread for each.
    let threads = || std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let environment = [(THREADS, std::env::var(THREADS).unwrap_or_else(|_unset| threads()))];
    let mut worker = Worker::start(SCAN, jail, &environment)?;
    let (isolation, _) = worker.ask(reach, None, CLOSING).map_err(io::Error::other)?;
    Ok((worker, isolation))
}

/// The worker: closes its jail around what the supervisor names first, then answers requests until the supervisor goes.
pub(crate) fn work() -> io::Result<()> {
    let desk = Desk::open()?;
    let Some((reach, _)) = desk.next::<Reach>()? else { return Ok(()) };
    desk.answer(&walls::close(Duty::Scan, &reach)?, None)?;
    while let Some((request, _)) = desk.next::<Request>()? {
        match request {
            Request::Header { path, limits, urgent } => {
                let answer = scan::header(&path, &limits, &urgent);
                desk.answer(&answer.map_or_else(|error| no_scan(&path, error), Answer::Header), None)?;
            }
            Request::Identifiers { path, limits, which } => {
                let answer = scan::identifiers(&path, &limits, which);
                desk.answer(&answer.map_or_else(Answer::Refused, Answer::Identifiers), None)?;
            }
            Request::Unpack { archive, into, limits } => {
                let answer = scan::unpack(&archive, &into, &limits);
                desk.answer(&answer.map_or_else(Answer::Refused, Answer::Unpacked), None)?;
            }
            Request::Traits { folder, limits, patterns } => {
                let traits = plan(&folder, &limits).map(|plan| plan.traits(&patterns));
                desk.answer(&traits.map_or_else(Answer::Refused, Answer::Traits), None)?;
            }
            Request::Volume { folder, limits, memory_bytes } => match volume(&folder, &limits, memory_bytes) {
                Ok((answer, voxels)) => desk.answer(&answer, Some(voxels.as_fd()))?,
                Err(Unfilled::Refused(error)) => desk.answer(&Answer::Refused(error), None)?,
                Err(Unfilled::NoMemory { needed_bytes }) => desk.answer(&Answer::NoMemory { needed_bytes }, None)?,
            },
        }
    }
    Ok(())
}

/// What is refused as one file may be many: an archive may be larger, too.
fn no_scan(path: &Path, error: ScanError) -> Answer {
    let may_be_archive = matches!(error.reason, Reason::NotAScan | Reason::LimitExceeded);
    if may_be_archive && scan::is_archive(path) { Answer::Archive } else { Answer::Refused(error) }
}

fn plan(folder: &Path, limits: &Limits) -> Result<Plan, ScanError> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(&error))?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    scan::plan(&files, limits)
}

/// Why there are no voxels.
enum Unfilled {
    Refused(ScanError),
    NoMemory { needed_bytes: u64 },
}

impl From<ScanError> for Unfilled {
    fn from(error: ScanError) -> Self {
        Self::Refused(error)
    }
}

fn volume(folder: &Path, limits: &Limits, memory_bytes: u64) -> Result<(Answer, OwnedFd), Unfilled> {
    let plan = plan(folder, limits)?;
    let (kind, facts, filling) = filled(&plan, memory_bytes)?;
    let voxels = filling.seal().map_err(|error| unreadable(&error))?;
    Ok((Answer::Volume { geometry: plan.geometry().clone(), kind, facts: Box::new(facts) }, voxels))
}

fn filled(plan: &Plan, memory_bytes: u64) -> Result<(VoxelKind, Facts, Filling), Unfilled> {
    let count = plan.geometry().voxel_count();
    if plan.kind() == VoxelKind::I16 {
        let mut filling = room(count * size_of::<i16>(), memory_bytes)?;
        match plan.fill_i16(filling.as_mut()) {
            Ok(facts) => return Ok((VoxelKind::I16, facts, filling)),
            Err(FillError::Scan(error)) => return Err(error.into()),
            Err(FillError::TooWide) => {}
        }
    }
    let mut filling = room(count * size_of::<f32>(), memory_bytes)?;
    match plan.fill_f32(filling.as_mut()) {
        Ok(facts) => Ok((VoxelKind::F32, facts, filling)),
        Err(FillError::Scan(error)) => Err(error.into()),
        Err(FillError::TooWide) => Err(ScanError::new(Reason::NotHounsfield, "voxels beyond 32-bit numbers").into()),
    }
}

/// Memory for voxels. It is taken as they are written, so that too much of it would be found out by the whole device: what
/// there is is asked before.
fn room(bytes: usize, memory_bytes: u64) -> Result<Filling, Unfilled> {
    let needed_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    if needed_bytes > memory_bytes {
        return Err(Unfilled::NoMemory { needed_bytes });
    }
    Ok(Filling::new(bytes).map_err(|error| no_memory(&error))?)
}

fn unreadable(error: &io::Error) -> ScanError {
    ScanError::new(Reason::Unreadable, error.kind().to_string())
}

fn no_memory(error: &io::Error) -> ScanError {
    ScanError::new(Reason::LimitExceeded, format!("no memory for the volume within the limit ({})", error.kind()))
}
