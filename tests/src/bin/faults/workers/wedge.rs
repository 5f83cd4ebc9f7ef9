//! Runs that hang: how soon that is found, and every rung of the ladder after it.

use super::diary::{Diary, Line};
use super::{LENIENCE, REPLACED_S, RUN_S, machine, may_mount, scene, signal};
use crate::scene::{PATIENCE, Scene};
use anyhow::{Context, ensure};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process::{self, Running};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::subscriber::Message;
use rustix::process::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// How long a hung run took to be found, and its worker to be replaced.
#[derive(Debug, Clone, Copy)]
struct Figures {
    found: Duration,
    ended: Duration,
    replaced: Duration,
}

impl Figures {
    fn breach(self) -> Option<String> {
        let bars = [
            (self.found, RUN_S * LENIENCE, "was found"),
            (self.ended, RUN_S * LENIENCE + NOTED_S, "was ended"),
            (self.replaced, REPLACED_S, "was replaced"),
        ];
        let broken = bars.into_iter().find(|(took, bar, _)| took.as_secs_f64() > *bar);
        broken.map(|(took, bar, what)| format!("a stopped worker {what} after {took:?}, and should be within {bar} s"))
    }
}

/// For a worker that was killed to be gone.
const NOTED_S: f64 = 0.7;

/// From so many rounds on a worker is held back from dying, too, which takes a while.
const DEEP: usize = 5;

/// Climbs the ladder, and stops so many workers in all.
pub(crate) fn run(rounds: usize, clock: &Elapsed) -> anyhow::Result<bool> {
    may_mount()?;
    let made = series::make(&Plan::small(4, 96))?;
    let mut breaches = Vec::new();
    let mut figures = Vec::new();
    breaches.extend(climbed(&made, &mut figures, clock)?);
    // Three hung runs would be a bad provider: two a daemon.
    for _pair in 0..rounds.saturating_sub(figures.len()).div_ceil(2) {
        figures.extend(stopped(&made)?);
    }
    let longest = |of: fn(&Figures) -> Duration| figures.iter().map(of).max().unwrap_or_default().as_secs_f64();
    clock.say(&format!(
        "{} workers stopped, budget {RUN_S} s: found after {:.2} s at most, ended after {:.2} s, replaced within {:.2} s more",
        figures.len(),
        longest(|figures| figures.found),
        longest(|figures| figures.ended),
        longest(|figures| figures.replaced)
    ));
    breaches.extend(figures.iter().filter_map(|figures| figures.breach()));
    if rounds > DEEP {
        breaches.extend(held_back(&made, clock)?);
    }
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    say(if breaches.is_empty() { "PASS" } else { "FAIL" });
    Ok(breaches.is_empty())
}

fn drop_series(scene: &Scene, made: &Made, number: usize) -> anyhow::Result<()> {
    let files = made.series.get(number).context("a series")?;
    arrival::drop_files(files, &scene.appliance.incoming(), &format!("s{number}"), Manner::Rename)
}

/// Waits for a worker with the model and stops it.
fn stop_worker(diary: &mut Diary) -> anyhow::Result<Line> {
    let loaded = diary.wait("the model is loaded", PATIENCE)?;
    signal(loaded.number("worker"), Signal::STOP)?;
    Ok(loaded)
}

/// Follows a run on a stopped worker to its end.
fn hung(diary: &mut Diary) -> anyhow::Result<Hung> {
    let begun = diary.wait("the model runs on a series", PATIENCE)?.at;
    let found = diary.wait("a run is over its budget; its worker has been asked to end it", PATIENCE)?.at;
    let at = diary.wait("an attempt failed", PATIENCE)?.at;
    Ok(Hung { at, found: found - begun, ended: at - begun })
}

/// A hung run that has been ended.
struct Hung {
    at: Instant,
    found: Duration,
    ended: Duration,
}

impl Hung {
    /// Its figures, once the model is loaded by another worker.
    fn replaced(&self, by: &Line) -> Figures {
        Figures { found: self.found, ended: self.ended, replaced: by.at - self.at }
    }
}

/// One series whose both attempts meet a stopped worker.
fn stopped(made: &Made) -> anyhow::Result<Vec<Figures>> {
    let mut scene = scene(&[])?;
    let mut diary = Diary::new(scene.appliance.path("log"));
    scene.start()?;
    drop_series(&scene, made, 0)?;
    let mut figures = Vec::new();
    let mut worker = stop_worker(&mut diary)?;
    for _attempt in 0..2 {
        let hung = hung(&mut diary)?;
        let next = stop_worker(&mut diary)?;
        figures.push(hung.replaced(&next));
        ensure!(next.number("worker") != worker.number("worker"), "it was not replaced");
        worker = next;
    }
    let result = scene.subscriber.wait_for_results(1, PATIENCE)?.pop().context("a result")?;
    let told = (result.text("outcome"), result.text("reason_code"));
    ensure!(told == ("failed", "infer_time"), "after two hung runs: {}", result.raw);
    Ok(figures)
}

/// A worker that is dead and is not let go: a tracer that is stopped holds it back, as a driver would in the kernel.
fn held_back(made: &Made, clock: &Elapsed) -> anyhow::Result<Vec<String>> {
    let mut scene = scene(&[])?;
    let mut diary = Diary::new(scene.appliance.path("log"));
    scene.start()?;
    let worker = stop_worker(&mut diary)?.number("worker");
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-qq", "-e", "trace=none", "-p", &worker.to_string()]).stderr(Stdio::null());
    let tracer = Running::start(&mut tracer).context("strace is missing: apt-get install strace")?;
    let status = format!("/proc/{worker}/status");
    let is_held = || {
        Ok(fs::read_to_string(&status)?.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")))
    };
    ensure!(process::wait_until(Duration::from_secs(5), is_held)?, "strace may not attach to the worker");
    signal(u64::from(tracer.pid()), Signal::STOP)?;
    drop_series(&scene, made, 0)?;
    let begun = diary.wait("the model runs on a series", PATIENCE)?.at;
    let left = diary.wait("the inference worker cannot be killed: it hangs in the kernel, and is left", PATIENCE)?.at;
    let next = diary.wait("the model is loaded", PATIENCE)?.at;
    clock.say(&format!(
        "a worker that cannot be killed was left after {:.2} s, and another was there {:.2} s later",
        (left - begun).as_secs_f64(),
        (next - left).as_secs_f64()
    ));
    let told = |message: &Message| {
        checks(message, "inference", "degraded").is_some_and(|detail| detail.contains("cannot be killed"))
    };
    scene.subscriber.wait(PATIENCE, |messages| messages.iter().any(told))?;
    let results = scene.subscriber.wait_for_results(1, PATIENCE)?;
    let read = results.iter().all(|result| result.text("outcome") != "failed");
    Ok((!read).then(|| "the series of a worker that was left has no flags".to_owned()).into_iter().collect())
}

/// The detail of a check of `health` in a state.
fn checks<'a>(message: &'a Message, id: &str, state: &str) -> Option<&'a str> {
    let checks = message.topic.ends_with("/health").then(|| message.payload.get("checks")?.as_array()).flatten()?;
    let is = |check: &&serde_json::Value| {
        let is = |key: &str, wanted: &str| check.get(key).and_then(serde_json::Value::as_str) == Some(wanted);
        is("id", id) && is("state", state)
    };
    checks.iter().find(is)?.get("detail")?.as_str()
}

/// A device whose only provider hangs: replaced, replaced, bad, the machine restarted twice, safe mode, and out of it.
fn climbed(made: &Made, figures: &mut Vec<Figures>, clock: &Elapsed) -> anyhow::Result<Vec<String>> {
    let mut climb = Climb::start()?;
    figures.extend(climb.hangs_thrice(made)?);
    let mut breaches = waits(&climb.scene, made)?;
    breaches.extend(climb.stays_safe()?);
    breaches.extend(climb.hangs_on_two_more_boots()?);
    // An operator restarts the daemon.
    let Climb { mut scene, .. } = climb;
    scene.appliance.stop()?;
    scene.start()?;
    let results = scene.subscriber.wait_for_results(4, PATIENCE).with_context(|| scene.appliance.log_end())?;
    let has_flags = |result: &&Message| ["flagged", "clear", "inconclusive"].contains(&result.text("outcome"));
    let read = results.iter().filter(has_flags).count();
    breaches.extend((read < 3).then(|| format!("{read} of the 3 series that waited have flags")));
    let steps = steps(&scene)?;
    let expected = ["worker_replaced", "worker_replaced", "reboot", "reboot", "safe_mode", "resumed"];
    breaches.extend((steps != expected).then(|| format!("the incidents tell {steps:?}, and should tell {expected:?}")));
    clock.say(&format!(
        "the ladder: {}; 2 restarts of the machine and no third; {read} of 3 series waited and were read",
        steps.join(", ")
    ));
    Ok(breaches)
}

/// A daemon on its way up the ladder.
struct Climb {
    scene: Scene,
    diary: Diary,
    /// A line for each restart of the machine that was asked for.
    reboots: NamedTempFile,
    _script: NamedTempFile,
}

impl Climb {
    fn start() -> anyhow::Result<Self> {
        let (reboots, script) = (NamedTempFile::new()?, NamedTempFile::new()?);
        fs::write(script.path(), REBOOT)?;
        let mut scene = scene(&[])?;
        let words = [script.path(), &scene.appliance.path("state/ctedge.db"), reboots.path()];
        let words = words.map(|path| format!("{:?}", path.display().to_string()));
        scene.appliance.environment("CTEDGE__INFER__REBOOT", format!("[\"sh\", {}]", words.join(", ")));
        let port = process::free_port()?;
        scene.appliance.environment("CTEDGE__WEB__LISTEN", format!("127.0.0.1:{port}"));
        let diary = Diary::new(scene.appliance.path("log"));
        machine::boot(&scene, 1)?;
        scene.start()?;
        Ok(Self { scene, diary, reboots, _script: script })
    }

    /// Two runs of one series and one of another: its only provider is bad, and a restart of the machine is asked for.
    fn hangs_thrice(&mut self, made: &Made) -> anyhow::Result<Vec<Figures>> {
        drop_series(&self.scene, made, 0)?;
        stop_worker(&mut self.diary)?;
        let mut figures = Vec::new();
        for _attempt in 0..2 {
            let hung = hung(&mut self.diary)?;
            figures.push(hung.replaced(&stop_worker(&mut self.diary)?));
        }
        self.scene.subscriber.wait_for_results(1, PATIENCE)?;
        drop_series(&self.scene, made, 1)?;
        hung(&mut self.diary)?;
        self.diary.wait(REBOOTED, PATIENCE)?;
        Ok(figures)
    }

    /// The daemon alone is restarted: that changes nothing.
    fn stays_safe(&mut self) -> anyhow::Result<Option<String>> {
        self.scene.appliance.kill()?;
        self.scene.start()?;
        safe(&self.scene)?;
        let loads = self.diary.wait("the model is loaded", Duration::from_secs(2)).is_ok();
        Ok(loads.then(|| "a restart of the daemon ended safe mode".to_owned()))
    }

    /// The machine is restarted, twice: each time one run decides, and hangs. The second time the budget is spent.
    fn hangs_on_two_more_boots(&mut self) -> anyhow::Result<Vec<String>> {
        let mut breaches = Vec::new();
        for (boot, last) in [(2, REBOOTED), (3, SAFE)] {
            self.scene.appliance.kill()?;
            machine::boot(&self.scene, boot)?;
            self.scene.start()?;
            stop_worker(&mut self.diary)?;
            hung(&mut self.diary)?;
            self.diary.wait(last, PATIENCE)?;
            let count = fs::read_to_string(self.reboots.path())?.lines().count();
            breaches.extend((count != 2).then(|| format!("{count} restarts of the machine, and should be 2")));
        }
        let kept = fs::read_to_string(self.reboots.path())?;
        let late = !kept_before(&kept);
        breaches.extend(late.then(|| format!("a restart was not in the ledger before it was made: {kept}")));
        Ok(breaches)
    }
}

/// Said when the machine would have been restarted.
const REBOOTED: &str = "the command infer.reboot was run";
/// Said when there is nothing left to be done.
const SAFE: &str = "no execution provider is left: safe mode, series wait in the spool";

/// In place of a restart: the longest list of restarts that the ledger holds.
const REBOOT: &str = r#"cat "$1" "$1-wal" | grep -a -o 'reboots":\[[0-9,]*\]' | awk '{ print length($0), $0 }' |
    sort -n | tail -n 1 >> "$2""#;

/// Whether each restart was in the ledger when it was made.
fn kept_before(told: &str) -> bool {
    let count = |line: &str| {
        let list = line.split(['[', ']']).nth(1).unwrap_or_default();
        list.split(',').filter(|stamp| !stamp.is_empty()).count()
    };
    told.lines().map(count).eq(1..=told.lines().count())
}

/// Waits until `health` says that there is safe mode.
fn safe(scene: &Scene) -> anyhow::Result<()> {
    let told = |messages: &[Message]| {
        let newest = messages.iter().rfind(|message| message.topic.ends_with("/health"));
        newest.is_some_and(|health| checks(health, "inference", "failed").is_some())
    };
    scene.subscriber.wait(PATIENCE, told).with_context(|| scene.appliance.log_end()).map(drop)
}

/// In safe mode series are taken in and counted, and whoever asks is answered.
fn waits(scene: &Scene, made: &Made) -> anyhow::Result<Vec<String>> {
    safe(scene)?;
    drop_series(scene, made, 2)?;
    drop_series(scene, made, 3)?;
    let counted = |message: &Message| {
        let number = |key: &str| message.payload.get("total")?.get(key)?.as_u64();
        message.topic.ends_with("/counters") && number("received") == Some(4) && number("pending") == Some(3)
    };
    scene.subscriber.wait(PATIENCE, |messages| messages.iter().any(counted))?;
    let status = scene.appliance.command(&["status", "--json"]).output()?;
    let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
    let told = status.get("overall").and_then(serde_json::Value::as_str) == Some("failed");
    Ok((!told).then(|| format!("status in safe mode: {status}")).into_iter().collect())
}

/// The steps that were told, in order.
fn steps(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let is_incident = |message: &&Message| message.topic.ends_with("/event/inference");
    let last =
        |messages: &[Message]| messages.iter().filter(is_incident).any(|incident| incident.text("step") == "resumed");
    let messages = scene.subscriber.wait(PATIENCE, last)?;
    Ok(messages.iter().filter(is_incident).map(|incident| incident.text("step").to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_figures_and_a_budget_that_is_kept_too_late_are_found() {
        let good =
            Figures { found: Duration::from_secs(2), ended: Duration::from_secs(2), replaced: Duration::from_secs(2) };
        assert_eq!(good.breach(), None);
        assert!(Figures { found: Duration::from_secs(4), ..good }.breach().unwrap().contains("was found"));
        assert!(Figures { ended: Duration::from_secs(5), ..good }.breach().unwrap().contains("was ended"));
        assert!(Figures { replaced: Duration::from_secs(11), ..good }.breach().unwrap().contains("was replaced"));
        assert!(kept_before("10 reboots\":[1]\n12 reboots\":[1,2]\n"));
        for late in ["9 reboots\":[]\n", "10 reboots\":[1]\n10 reboots\":[1]\n", "\n"] {
            assert!(!kept_before(late), "{late}");
        }
    }
}
