//! The limits that a worker puts on itself before it touches anything foreign.

use super::Jail;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use std::io;

/// Open files of a worker: one scan file a thread, libraries, its socket.
const OPEN_FILES: u64 = 256;

/// Puts this process into its jail. Nothing lifts these limits again, for it or its children.
pub(crate) fn enter(jail: Jail) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    // No core dump: it would hold the patient's scan.
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, OPEN_FILES)?;
    if let Some(bytes) = jail.memory_bytes {
        limit(Resource::As, bytes)?;
    }
    if let Some(seconds) = jail.cpu_s {
        // The soft limit kills with SIGXCPU, which tells the cause; the hard one a second later with SIGKILL.
        setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) })?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let value = rustix::process::getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}
