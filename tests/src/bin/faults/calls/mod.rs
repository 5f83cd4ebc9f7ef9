//! System calls of the supervisor: recorded by thread, and made to fail by thread.
//!
//! strace counts calls for each thread on its own. So that a fault hits the thread that it was meant for, each thread is
//! attached to alone; only the main thread, which works before anybody could attach to it, is started behind strace.

pub(crate) mod point;
pub(crate) mod sync;

use crate::scene::Scene;
use anyhow::{Context, ensure};
use ctedge_tests::process::{self, Running};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The thread that is not attached to.
pub(crate) const MAIN: &str = "main";
/// The others that change something on disk.
pub(crate) const ROOMS: [&str; 6] = ["intake", "series", "choice", "volume", "infer", "models"];
/// Calls that change what is on disk, or make that durable. A question mark passes over what an architecture lacks.
const CALLS: [&str; 17] = [
    "?rename",
    "?renameat",
    "?renameat2",
    "?unlink",
    "?unlinkat",
    "?rmdir",
    "?mkdir",
    "?mkdirat",
    "?fsync",
    "?fdatasync",
    "?syncfs",
    "?pwrite64",
    "?write",
    "?openat",
    "?ftruncate",
    "?fallocate",
    "?fchmod",
];

/// A moment: the N-th call of a kind in a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Name of the thread.
    pub(crate) thread: &'static str,
    /// Name of the call.
    pub(crate) call: String,
    /// Which of these calls of the thread, from 1.
    pub(crate) number: usize,
}

/// Starts the daemon, plays `act`, and returns every moment at which its supervisor changed something, thread by thread.
pub(crate) fn record(scene: &mut Scene, act: impl FnOnce(&Scene) -> anyhow::Result<()>) -> anyhow::Result<Vec<Moment>> {
    let calls = format!("-e signal=none -e trace={}", CALLS.join(","));
    let at = |thread: &str| scene.trace(&format!("trace-{thread}"));
    scene.traced(&format!("strace -D -qq -y -s 0 {calls} -o {}", at(MAIN).display()))?;
    let traces: Vec<_> = [MAIN].into_iter().chain(ROOMS).map(|thread| (thread, at(thread))).collect();
    scene.start()?;
    let pid = scene.appliance.pid()?;
    let mut tracers = Vec::new();
    for (thread, path) in traces.iter().skip(1) {
        tracers.push(attach(pid, thread, &calls, path)?);
    }
    act(scene)?;
    scene.appliance.kill()?;
    scene.untraced()?;
    // They end with the daemon, and have written everything then.
    for mut tracer in tracers {
        process::wait_until(Duration::from_secs(5), || Ok(tracer.check().is_err()))?;
    }
    let root = scene.appliance.path("").display().to_string();
    let mut moments = Vec::new();
    for (thread, path) in traces {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        moments.extend(changes(thread, &text, &root));
    }
    ensure!(moments.len() > 50, "only {} calls were seen: {moments:?}", moments.len());
    Ok(moments)
}

/// The moments of a trace that change something below a folder.
fn changes(thread: &'static str, trace: &str, root: &str) -> Vec<Moment> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut moments = Vec::new();
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let number = seen.entry(call).or_default();
        *number += 1;
        // Strings are not printed, so that a descriptor's path, or the name of the call, has to tell.
        let matters = match call {
            "openat" => rest.contains("O_CREAT"),
            "write" => rest.split(',').next().is_some_and(|file| file.contains(root)),
            _ => true,
        };
        if matters && !rest.contains("/log>") {
            moments.push(Moment { thread, call: call.to_owned(), number: *number });
        }
    }
    moments
}

/// Attaches strace to one thread and waits until it has it.
fn attach(pid: u32, thread: &str, options: &str, out: &Path) -> anyhow::Result<Running> {
    let task = format!("/proc/{pid}/task");
    let mut found = None;
    let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == thread);
    process::wait_until(Duration::from_secs(5), || {
        let threads = fs::read_dir(&task)?.filter_map(Result::ok).map(|entry| entry.path());
        found = threads.into_iter().find(|path| named(path));
        Ok(found.is_some())
    })?;
    let path = found.with_context(|| format!("no thread {thread}"))?;
    let id = path.file_name().context("a thread's number")?.to_string_lossy().into_owned();
    let mut command = Command::new("strace");
    command.args(["-qq", "-y", "-s", "0", "-p", &id, "-o"]).arg(out).args(options.split(' '));
    let tracer = Running::start(command.stdin(Stdio::null()).stderr(Stdio::null()))
        .context("strace is missing: apt-get install strace, or `cargo verify --only tools`")?;
    let status = path.join("status");
    let held = process::wait_until(Duration::from_secs(5), || {
        Ok(fs::read_to_string(&status)?.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")))
    })?;
    ensure!(held, "strace may not attach to the daemon: be root, or set kernel.yama.ptrace_scope to 0");
    Ok(tracer)
}

/// Starts the daemon with a fault at a moment. The fault lasts as long as what is returned, and the order to the next start
/// until [`Scene::untraced`].
pub(crate) fn start(scene: &mut Scene, moment: &Moment, fault: &str) -> anyhow::Result<Option<Running>> {
    let Moment { thread, call, number } = moment;
    if ["half", "full"].contains(&fault) {
        // strace cannot shorten a write; a library that stands before the C library can.
        let library = crate::native::library("short", include_str!("short.c"))?;
        let order = format!("{thread}:{call}:{number}:{fault}");
        scene.traced(&format!("env LD_PRELOAD={} SHORT={order}", library.display()))?;
        scene.appliance.start()?;
        return Ok(None);
    }
    let options = format!("-e signal=none -e trace={call} -e inject={call}:{fault}:when={number}");
    let out = scene.trace("trace");
    if *thread == MAIN {
        scene.traced(&format!("strace -D -qq -y -s 0 {options} -o {}", out.display()))?;
        scene.appliance.start()?;
        return Ok(None);
    }
    scene.appliance.start()?;
    attach(scene.appliance.pid()?, thread, &options, &out).map(Some)
}

/// Starts the daemon, and kills it when the first of its threads makes a call for the N-th time, or a little later.
pub(crate) fn start_and_kill(scene: &mut Scene, call: &str, number: usize) -> anyhow::Result<()> {
    let out = scene.trace("trace-again");
    let options = format!("-e signal=none -e trace={call} -e inject={call}:signal=KILL:when={number}");
    scene.traced(&format!("strace -D -f -qq -s 0 {options} -o {}", out.display()))?;
    scene.appliance.start()?;
    process::wait_until(Duration::from_secs(2), || Ok(scene.appliance.check().is_err()))?;
    scene.appliance.kill()?;
    scene.untraced()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_something_is_a_moment() {
        let trace = "openat(AT_FDCWD</>, \"\"..., O_RDONLY|O_CLOEXEC) = 3</x>\nwrite(2</x/log>, \"\"..., 9) = 9\n\
            openat(AT_FDCWD</>, \"\"..., O_RDWR|O_CREAT, 0644) = 5</x/state/db>\nwrite(4<anon_inode:[eventfd]>, \"\"..., 8) = 8\n\
            write(5</x/state/db>, \"\"..., 8) = 8\nfsync(5</x/state/db>) = 0\n";
        let moments = changes(MAIN, trace, "/x");
        let told: Vec<_> = moments.iter().map(|moment| (moment.call.as_str(), moment.number)).collect();
        assert_eq!(told, [("openat", 2), ("write", 3), ("fsync", 1)]);
    }
}
