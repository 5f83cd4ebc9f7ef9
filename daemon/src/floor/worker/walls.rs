//! The walls of a worker's jail: which files it reaches (Landlock), and which calls it may make ([`super::calls`]).
//!
//! Both hold for the calling thread and those that it starts. So the walls go up while there is one thread, after what
//! the worker needs from outside has been fetched and before the first foreign byte.

use super::calls::{self, Duty};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The newest version of Landlock whose rules have been tried. Older kernels hold those that they know: the first version
/// holds files, the third their truncation, the fourth TCP, the fifth devices, the sixth signals.
const TRIED: ABI = ABI::V7;

/// Files and folders that a worker reaches; all others are as if they could not be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Which may be read, with what lies below them.
    pub(crate) read: Vec<PathBuf>,
    /// In which files may be made, written and removed.
    pub(crate) write: Vec<PathBuf>,
    /// Whose devices may be written to and controlled.
    pub(crate) devices: Vec<PathBuf>,
}

/// How well a worker is walled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Isolation {
    /// What this kernel cannot do, one sentence each; empty where everything holds.
    pub(crate) lacking: Vec<String>,
}

/// Puts up the walls. Nothing takes them down again.
///
/// # Errors
/// The kernel has what it takes, but refuses: the worker must not go on.
pub(crate) fn close(duty: Duty, reach: &Reach) -> io::Result<Isolation> {
    let files = fence(duty, reach).map_err(io::Error::other)?;
    let calls = calls::forbid(duty)?;
    Ok(Isolation { lacking: without_files(&files).into_iter().chain(calls).collect() })
}

fn without_files(status: &RestrictionStatus) -> Option<String> {
    if status.ruleset != RulesetStatus::NotEnforced {
        return None;
    }
    let why = match status.landlock {
        LandlockStatus::NotImplemented => "it is not built in",
        LandlockStatus::NotEnabled => "it is not switched on at boot (lsm=)",
        LandlockStatus::Available { .. } => "it takes none of the rules",
    };
    Some(format!("landlock is not available on this kernel: {why}"))
}

fn fence(duty: Duty, reach: &Reach) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    // Whoever runs a program is handled too, and no rule allows it.
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(TRIED))?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(TRIED))?;
    let ruleset = ruleset.scope(scope(duty))?.create()?;
    // What is not there is left out: it cannot be reached either.
    let ruleset = ruleset.add_rules(path_beneath_rules(&reach.read, read))?;
    let ruleset = ruleset.add_rules(path_beneath_rules(&reach.write, write(duty)))?;
    ruleset.add_rules(path_beneath_rules(&reach.devices, device))?.restrict_self()
}

fn scope(duty: Duty) -> BitFlags<Scope> {
    match duty {
        Duty::Scan | Duty::Receive => Scope::AbstractUnixSocket | Scope::Signal,
        // Services of drivers may listen at abstract addresses.
        Duty::Infer => Scope::Signal.into(),
    }
}

/// What may be done below a folder that may be written.
fn write(duty: Duty) -> BitFlags<AccessFs> {
    let plain = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    match duty {
        // No links: what lies in the spool is read by others, who would follow them.
        Duty::Scan | Duty::Receive => plain,
        // Caches have folders, and drivers leave sockets and pipes in the folder for temporary files.
        Duty::Infer => AccessFs::from_write(TRIED) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev),
    }
}
