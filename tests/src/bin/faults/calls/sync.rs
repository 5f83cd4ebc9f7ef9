//! Whether what a message tells is durable before the broker hears it: read off the system calls of an undisturbed run.

use crate::check::{Ending, results};
use crate::scene::{Cast, PATIENCE, Scene};
use anyhow::{Context, ensure};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What writes, moves, syncs and sends.
const CALLS: &str =
    "?rename,?renameat,?renameat2,?unlink,?unlinkat,fsync,fdatasync,?syncfs,pwrite64,write,writev,sendto,sendmsg";
/// What syncs.
const SYNCS: [&str; 3] = ["fsync", "fdatasync", "syncfs"];

/// A system call, and the lines of the trace at which it began and had ended.
#[derive(Debug, Clone)]
struct Call {
    thread: String,
    name: String,
    rest: String,
    begun: usize,
    ended: usize,
}

/// Looks at a run, and then at the same run with syncs left out, which has to be found.
pub(crate) fn run(clock: &Elapsed) -> anyhow::Result<bool> {
    let cast = Cast::make()?;
    let (calls, ids) = traced(&cast)?;
    let (commits, breaches) = breaches(&calls, &ids);
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    let without = |left_out: &dyn Fn(&Call) -> bool| {
        let doctored: Vec<Call> = calls.iter().filter(|call| !left_out(call)).cloned().collect();
        self::breaches(&doctored, &ids).1.len() > breaches.len()
    };
    let is_sync = |call: &Call| SYNCS.contains(&call.name.as_str());
    let controls = [
        ("of the database", without(&|call| is_sync(call) && call.rest.contains("-wal>"))),
        ("of folders", without(&|call| is_sync(call) && call.name == "fsync" && call.rest.contains("/spool/"))),
        ("of the folder of state", without(&|call| is_sync(call) && call.rest.contains("/state>"))),
        ("of members of an archive", without(&|call| call.name == "syncfs" && call.rest.contains("/unpacking/"))),
        ("of their moves", without(&|call| call.name == "syncfs" && !call.rest.contains("/unpacking/"))),
    ];
    let missed: Vec<_> = controls.iter().filter(|(_, found)| !found).map(|(name, _)| *name).collect();
    clock.say(&format!(
        "fsync: {commits} commit points, {} not synced before what follows; control: syncs left out at {} of {} kinds were found{}",
        breaches.len(),
        controls.len() - missed.len(),
        controls.len(),
        if missed.is_empty() { String::new() } else { format!(", not those {}", missed.join(", ")) }
    ));
    let held = breaches.is_empty() && missed.is_empty();
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// The calls of an undisturbed run and the ids of its results.
fn traced(cast: &Cast) -> anyhow::Result<(Vec<Call>, Vec<String>)> {
    let mut scene = Scene::new()?;
    let path = scene.trace("trace");
    scene.traced(&format!("strace -D -f -qq -y -s 8192 -e signal=none -e trace={CALLS} -o {}", path.display()))?;
    scene.start()?;
    scene.play(cast)?;
    let ending: Ending = scene.drain(None, PATIENCE)?;
    ensure!(ending.is_settled(), "{ending:#?}\n{}", scene.appliance.log_end());
    scene.appliance.kill()?;
    let ids = results(&scene.subscriber.messages()).into_iter().map(|(_, id)| id).collect();
    Ok((calls(&whole(&path)?), ids))
}

/// A trace to its end: strace writes on for a moment after its daemon has gone.
fn whole(path: &Path) -> anyhow::Result<String> {
    let mut length = 0;
    process::wait_until(Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(300));
        let now = fs::metadata(path)?.len();
        let rests = now == length;
        length = now;
        Ok(rests)
    })?;
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The calls of a trace in the order in which they began. One that is interrupted by others stands on two lines.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if text.starts_with("<... ") {
            if let Some(call) = open.remove(thread).and_then(|place| calls.get_mut(place)) {
                call.ended = number;
            }
            continue;
        }
        let Some((name, rest)) = text.split_once('(') else { continue };
        let unfinished = rest.ends_with("<unfinished ...>");
        if unfinished {
            open.insert(thread, calls.len());
        }
        let ended = if unfinished { usize::MAX } else { number };
        let (thread, name, rest) = (thread.to_owned(), name.to_owned(), rest.to_owned());
        calls.push(Call { thread, name, rest, begun: number, ended });
    }
    calls
}

/// How many commit points there are, and which of them do not hold.
fn breaches(calls: &[Call], ids: &[String]) -> (usize, Vec<String>) {
    let told: Vec<_> = ids.iter().map(|id| (format!("result {id}"), result_is_synced(calls, id))).collect();
    let moved = calls.iter().filter(|call| moves_a_series(call)).map(|call| {
        let (from, to) = paths(&call.rest);
        (format!("{from} to {to}"), both_folders_are_synced(calls, call))
    });
    let gone = |call: &&Call| call.name.starts_with("unlink") && call.rest.contains("/spool/claimed/");
    let let_go = calls.iter().filter(gone).map(|call| {
        // After the last member has been moved.
        let last =
            calls.iter().filter(|other| sorts_a_member(other)).map(|other| other.ended).max().unwrap_or_default();
        let synced = |other: &Call| other.name == "syncfs" && other.begun > last && other.ended < call.begun;
        ("an archive deleted".to_owned(), calls.iter().any(synced))
    });
    let sorted = calls.iter().filter(|call| sorts_a_member(call));
    let sorted = sorted.map(|call| ("a member sorted".to_owned(), bytes_are_synced(calls, call)));
    let (moved, let_go): (Vec<_>, Vec<_>) = (moved.collect(), let_go.collect());
    let sorted: Vec<_> = sorted.collect();
    // Three results; each series moves to work/ and from there; one archive of four members.
    let (archives, members) = ((let_go.len(), 1, "archives"), (sorted.len(), 4, "members"));
    let expected = [(told.len(), 3, "results"), (moved.len(), 6, "moves"), archives, members];
    let missing = expected.iter().filter(|(is, should, _)| is != should);
    let missing = missing.map(|(is, should, what)| format!("{is} {what} were seen and not {should}"));
    let all = [told, moved, let_go, sorted].concat();
    let broken = all.iter().filter(|(_, held)| !held).map(|(what, _)| format!("not durable in time: {what}"));
    (all.len(), missing.chain(broken).collect())
}

/// Whether a result is in the database's log, and that on the disk, before the broker is told.
fn result_is_synced(calls: &[Call], id: &str) -> bool {
    let with_id = |call: &&Call| call.rest.contains(id);
    let Some(sent) = calls.iter().filter(with_id).find(|call| is_sent(call)) else { return false };
    let Some(written) =
        calls.iter().filter(with_id).find(|call| call.name == "pwrite64" && call.rest.contains("-wal>"))
    else {
        return false;
    };
    let in_time = |call: &Call| SYNCS.contains(&call.name.as_str()) && call.ended < sent.begun;
    let file = calls.iter().any(|call| in_time(call) && call.begun > written.ended && call.rest.contains("-wal>"));
    let folder = calls.iter().any(|call| in_time(call) && call.rest.contains("/state>"));
    file && folder
}

/// Whether something goes to a socket.
fn is_sent(call: &Call) -> bool {
    let socket = call.rest.split(',').next().is_some_and(|file| file.contains("<socket:") || file.contains("<TCP"));
    socket && ["write", "writev", "sendto", "sendmsg"].contains(&call.name.as_str())
}

/// Whether the folder of a series is moved to where it is read, or where it ends.
fn moves_a_series(call: &Call) -> bool {
    let (from, _to) = paths(&call.rest);
    let series = |stage: &str| from.split_once(stage).is_some_and(|(_, key)| !key.contains('/'));
    call.name.starts_with("rename") && (series("/spool/series/") || series("/spool/work/"))
}

/// Whether a member of an archive is moved into its series.
fn sorts_a_member(call: &Call) -> bool {
    let (from, to) = paths(&call.rest);
    call.name.starts_with("rename") && from.contains("/spool/unpacking/") && to.contains("/spool/series/")
}

/// Whether whatever was written into the folder of a member is synced before it is moved.
fn bytes_are_synced(calls: &[Call], moved: &Call) -> bool {
    let (from, _to) = paths(&moved.rest);
    let folder = from.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
    let writes = |call: &&Call| call.name.contains("write") && call.rest.contains(folder);
    let written = calls.iter().filter(writes).map(|call| call.ended).max();
    let synced =
        |call: &Call, since| SYNCS.contains(&call.name.as_str()) && call.begun > since && call.ended < moved.begun;
    written.is_some_and(|since| calls.iter().any(|call| synced(call, since) && call.rest.contains(folder)))
}

/// Whether both folders of a move are synced before the thread writes into the database again.
fn both_folders_are_synced(calls: &[Call], moved: &Call) -> bool {
    let later = calls.iter().filter(|call| call.thread == moved.thread && call.begun > moved.ended);
    let next: Vec<&Call> = later.take_while(|call| !(call.name == "pwrite64" && call.rest.contains("-wal>"))).collect();
    let (from, to) = paths(&moved.rest);
    [from, to].into_iter().all(|path| {
        let folder = path.rsplit_once('/').map(|(folder, _)| format!("<{folder}>")).unwrap_or_default();
        next.iter().any(|call| call.name == "fsync" && call.rest.contains(&folder))
    })
}

/// The first two strings of a call.
fn paths(rest: &str) -> (&str, &str) {
    let mut strings = rest.split('"').skip(1).step_by(2);
    (strings.next().unwrap_or_default(), strings.next().unwrap_or_default())
}
