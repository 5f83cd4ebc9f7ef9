//! The limits that a worker puts on itself before it touches anything foreign.

use super::Jail;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, setrlimit};
use std::io;

/// Open files of a worker: one scan file a thread, libraries, its socket.
const OPEN_FILES: u64 = 256;

/// Puts this process into its jail. Nothing lifts these limits again, for it or its children.
pub(crate) fn enter(jail: Jail) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    dies_first();
    no_dumps()?;
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

/// Where memory runs out, the kernel is to end a worker, which is one series, and not the supervisor. It stands before what
/// hides this process, which would hide this file from it as well; a kernel that does not let it has its own order.
fn dies_first() {
    /// Half of what there is to add (proc(5), `oom_score_adj`).
    const SCORE: &str = "500";
    drop(std::fs::write("/proc/self/oom_score_adj", SCORE));
}

/// Leaves no picture of this process's memory behind: it would hold the patient's scan. The limit keeps the kernel from
/// writing one itself; only the other switch keeps it from handing one to a program that collects them, and other
/// programs of the same user from looking in.
pub(crate) fn no_dumps() -> io::Result<()> {
    limit(Resource::Core, 0)?;
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let value = rustix::process::getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}
