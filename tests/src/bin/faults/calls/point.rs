//! Faults at single system calls: killed there, or told that the disk has failed.

use super::{Moment, ROOMS};
use crate::check::Ending;
use crate::sample::{Sample, side_by_side};
use crate::scene::{Cast, PATIENCE, READY, Scene};
use anyhow::{Context, ensure};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::collections::BTreeMap;
use std::time::Duration;

/// Faults of a kind.
pub(crate) struct Faults {
    name: &'static str,
    /// What strace does, taken by turns.
    injected: &'static [&'static str],
    /// How long the daemon may go on with the fault before it is killed.
    leave: Duration,
    /// Calls at which it is killed once more while it picks up what it finds.
    again: &'static [&'static str],
}

/// The supervisor is killed.
pub(crate) const KILLS: Faults = Faults { name: "kill", injected: &["signal=KILL"], leave: PATIENCE, again: &[] };

/// The supervisor is killed, and then killed again in the middle of its next start.
pub(crate) const RECOVERIES: Faults = Faults {
    name: "recover",
    // Calls of the supervisor and not of its workers.
    again: &["pwrite64", "fdatasync", "rename", "fsync", "mkdir"],
    ..KILLS
};

/// A call fails. Of short writes there are three: nothing was written, half of it, and half of it where no more will fit.
pub(crate) const ERRORS: Faults = Faults {
    name: "io",
    injected: &["error=EIO", "error=ENOSPC", "error=EDQUOT", "retval=0", "half", "full"],
    leave: Duration::from_secs(8),
    again: &[],
};

/// One fault: where, and what.
#[derive(Debug, Clone)]
struct Fault {
    moment: Moment,
    injected: &'static str,
}

/// What became of one.
#[derive(Debug, Default)]
struct Outcome {
    /// Whether the daemon had ended when it was started again.
    ended: bool,
    /// How long it took to be ready again.
    ready: Duration,
    breaches: Vec<String>,
}

/// How long the daemon may work on after its last result.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// Plays faults of a kind, and then the control.
pub(crate) fn run(faults: &Faults, sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let cast = Cast::make()?;
    let expected = Scene::undisturbed(&cast)?;
    let moments = super::record(&mut Scene::new()?, |scene| {
        scene.play(&cast)?;
        let seen = scene.drain(Some(&expected), PATIENCE)?;
        let breaches = seen.breaches(&expected);
        ensure!(breaches.is_empty(), "an undisturbed run ends in another way:\n{}", breaches.join("\n"));
        Ok(())
    })?;
    tell(&moments, clock);
    let chosen = sample.of(&faults.all(moments));
    let told = format!("{}: {} faults, seed {}", faults.name, chosen.len(), sample.seed);
    clock.say(&told);
    let outcomes = side_by_side(&chosen, sample.jobs, |fault| {
        let outcome = play(faults, fault, &cast, &expected).with_context(|| format!("{fault:?}"))?;
        if !outcome.breaches.is_empty() {
            clock.say(&format!("FAIL {fault:?}\n  {}", outcome.breaches.join("\n  ")));
        }
        Ok(outcome)
    })?;
    let ended = outcomes.iter().filter(|outcome| outcome.ended).count();
    let broken = outcomes.iter().filter(|outcome| !outcome.breaches.is_empty()).count();
    let slowest = outcomes.iter().map(|outcome| outcome.ready).max().unwrap_or_default();
    let found = control(&cast, &expected)?;
    clock.say(&format!(
        "{told}: {ended} ended the daemon, {broken} lost, doubled or left something, ready again within {:.1} s (bar {} s); control: {}",
        slowest.as_secs_f64(),
        READY.as_secs(),
        if found { "the theft was found" } else { "the theft was NOT found" }
    ));
    // A kill that misses its daemon tests nothing; one at the very end of a run may come too late.
    let hit = if faults.injected == KILLS.injected { ended * 10 >= outcomes.len() * 9 } else { ended > 0 };
    let held = broken == 0 && found && slowest <= READY && hit;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

fn tell(moments: &[Moment], clock: &Elapsed) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for moment in moments {
        *counts.entry(moment.thread).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(thread, count)| format!("{thread} {count}")).collect();
    clock.say(&format!("an undisturbed run changes something {} times: {}", moments.len(), counts.join(", ")));
}

impl Faults {
    /// Every fault of this kind at every moment where it can be.
    fn all(&self, moments: Vec<Moment>) -> Vec<Fault> {
        let fits = |moment: &Moment, injected: &str| {
            injected.starts_with("error")
                || injected.starts_with("signal")
                || ["write", "pwrite64"].contains(&moment.call.as_str())
        };
        let of = |moment: Moment| {
            let injected: Vec<_> = self.injected.iter().copied().filter(|injected| fits(&moment, injected)).collect();
            injected.into_iter().map(move |injected| Fault { moment: moment.clone(), injected })
        };
        moments.into_iter().flat_map(of).collect()
    }
}

/// One fault: the daemon meets it, is started again without it, and has to end as if nothing had been.
fn play(faults: &Faults, fault: &Fault, cast: &Cast, expected: &Ending) -> anyhow::Result<Outcome> {
    let mut scene = Scene::new()?;
    let ended = meet(&mut scene, faults, fault, cast, expected)?;
    if let Some(call) = faults.again.get(fault.moment.number % faults.again.len().max(1)) {
        super::start_and_kill(&mut scene, call, 1 + fault.moment.number / faults.again.len() % 8)?;
    }
    let ready = scene.start()?;
    let seen = scene.drain(Some(expected), PATIENCE)?;
    let mut breaches = seen.breaches(expected);
    if let Err(error) = scene.appliance.check() {
        breaches.push(format!("started again, it ended: {error:#}"));
    }
    if scene.appliance.log().contains("panicked") {
        breaches.push("it panicked".to_owned());
    }
    if !breaches.is_empty() {
        breaches.push(scene.appliance.log_end());
    }
    Ok(Outcome { ended, ready, breaches })
}

/// Lets the daemon meet a fault, and makes sure that it is gone then. Returns whether it went by itself.
fn meet(scene: &mut Scene, faults: &Faults, fault: &Fault, cast: &Cast, expected: &Ending) -> anyhow::Result<bool> {
    let tracer = super::start(scene, &fault.moment, fault.injected)?;
    scene.play(cast)?;
    let mut ended = false;
    let over = || {
        ended = scene.appliance.check().is_err();
        // Calls of the other threads may come a little later or never: then there is nothing to wait for.
        Ok(ended || Ending::of(scene) == *expected)
    };
    process::wait_until(faults.leave, over)?;
    // What comes after the last result: acknowledged rows are deleted, files of finished series move on.
    ended = ended || process::wait_until(AFTERWARDS, || Ok(scene.appliance.check().is_err()))?;
    scene.appliance.kill()?;
    drop(tracer);
    // Not sooner: it is read when the daemon starts.
    scene.untraced()?;
    Ok(ended)
}

/// Killed like the others, but its files are stolen before it is started again: that has to be found.
fn control(cast: &Cast, expected: &Ending) -> anyhow::Result<bool> {
    let mut scene = Scene::new()?;
    let [_intake, series, ..] = ROOMS;
    let fault =
        Fault { moment: Moment { thread: series, call: "rename".to_owned(), number: 2 }, injected: "signal=KILL" };
    let ended = meet(&mut scene, &KILLS, &fault, cast, expected)?;
    ensure!(ended && scene.steal()? > 0, "there was nothing to steal");
    scene.start()?;
    let seen = scene.drain(Some(expected), Duration::from_secs(6))?;
    Ok(seen.breaches(expected).iter().any(|breach| breach.contains("is lost")))
}
