//! Models change, and the power is cut.

use super::{Goods, MORE, Step};
use crate::power::disk::{Disk, Record, Survivor};
use crate::power::{SHARES, careless};
use crate::sample::{Sample, side_by_side};
use crate::scene::{READY, Scene};
use anyhow::{Context, ensure};
use ctedge_tests::arrival::Dice;
use ctedge_tests::progress::{Elapsed, say};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run in which nothing broke, on a disk that keeps a log.
struct Run {
    record: Record,
    /// The daemon's folder, below the disk's root.
    folder: PathBuf,
    from: u64,
    until: u64,
    /// From which write on it had been told that a serial has proved itself.
    proved: Vec<(u64, u64)>,
    /// From which write on the rollback was asked for.
    rollback: u64,
}

/// Cuts the power at so many moments; then the same for a daemon whose syncs do nothing, which has to be found out.
pub(crate) fn run(sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let goods = Goods::make()?;
    let careful = Run::play(&goods, None)?;
    let moments = careful.moments(sample);
    let told = format!(
        "update_power: {} cuts, seed {}, of {} writes and flushes",
        moments.len(),
        sample.seed,
        careful.until - careful.from
    );
    clock.say(&told);
    let outcomes = side_by_side(&moments, sample.jobs, |moment| {
        let (ready, breaches) = careful.survive(&goods, *moment, sample.seed).with_context(|| format!("{moment:?}"))?;
        if !breaches.is_empty() {
            clock.say(&format!("FAIL {moment:?}\n  {}", breaches.join("\n  ")));
        }
        Ok((ready, breaches.len()))
    })?;
    let broken = outcomes.iter().filter(|(_, breaches)| *breaches > 0).count();
    let slowest = outcomes.iter().map(|(ready, _)| *ready).max().unwrap_or_default();
    let (found, of) = control(&goods, sample)?;
    clock.say(&format!(
        "{told}: {broken} left no model, two, an older or another one than was told; ready again within {:.1} s (bar {} s); \
         control, a daemon whose syncs do nothing: {found} of {of} cuts found out",
        slowest.as_secs_f64(),
        READY.as_secs()
    ));
    let held = broken == 0 && slowest <= READY && found > 0;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// The same with a daemon for which every sync does nothing and says that it has: how often that was found, and of how many.
fn control(goods: &Goods, sample: &Sample) -> anyhow::Result<(usize, usize)> {
    let careless = Run::play(goods, Some(&careless()))?;
    // Before a release has proved itself there is nothing that could be forgotten, and as soon as it has been told nothing may be;
    // later the kernel may have written it by itself.
    let told = careless.proved.iter().filter(|(_, serial)| *serial > 0);
    let mut moments: Vec<(u64, u64)> = told.flat_map(|(at, _)| SHARES.map(|share| (*at, share))).collect();
    let from = careless.proved.iter().map(|(at, _)| *at).max().unwrap_or(careless.from);
    let careless = Run { from, ..careless };
    let count = sample.count.map(|count| count.div_ceil(8).max(4));
    moments.extend(careless.moments(&Sample { count, ..*sample }));
    let found = side_by_side(&moments, sample.jobs, |moment| {
        Ok(careless.survive(goods, *moment, sample.seed).map_or(true, |(_, breaches)| !breaches.is_empty()))
    })?;
    Ok((found.iter().filter(|found| **found).count(), found.len()))
}

impl Run {
    fn play(goods: &Goods, behind: Option<&str>) -> anyhow::Result<Self> {
        let disk = Disk::make()?;
        let count = disk.counter()?;
        let mut scene = goods.scene_at(&disk.mount())?;
        behind.map_or(Ok(()), |command| scene.traced(command))?;
        rustix::fs::sync();
        let from = count();
        scene.start()?;
        let (mut proved, mut rollback) = (Vec::new(), None);
        let subscriber = &scene.subscriber;
        let reached = goods.play(&scene, &mut |step| {
            let serial = goods.proved(&subscriber.messages()).unwrap_or_default();
            if proved.last().is_none_or(|(_, known)| *known < serial) {
                proved.push((count(), serial));
            }
            if step == Step::Rollback {
                rollback.get_or_insert_with(&count);
            }
            Ok(false)
        })?;
        ensure!(reached == Step::Root, "an undisturbed run ends at {reached:?}\n{}", scene.appliance.log_end());
        std::thread::sleep(Duration::from_secs(1));
        if behind.is_none() {
            rustix::fs::sync();
        }
        let until = count();
        scene.appliance.kill()?;
        let folder = scene.appliance.path("").strip_prefix(disk.mount())?.to_owned();
        let record = disk.record()?;
        Ok(Self { record, folder, from, until, proved, rollback: rollback.unwrap_or(until) })
    }

    /// Moments and shares of a sample.
    fn moments(&self, sample: &Sample) -> Vec<(u64, u64)> {
        let moments: Vec<u64> = (self.from..=self.until.min(self.record.len())).collect();
        sample.of(&moments).into_iter().zip(SHARES.into_iter().cycle()).collect()
    }

    /// Starts a daemon on what a cut has left, and says how it stands.
    fn survive(&self, goods: &Goods, (at, percent): (u64, u64), seed: u64) -> anyhow::Result<(Duration, Vec<String>)> {
        let mut dice = Dice::new(seed ^ at << 8 ^ percent);
        let make = |image: &Path| self.record.cut(at, percent, &mut dice, image);
        let (survivor, _missing) = Survivor::mount(make)?;
        let mut scene = Scene::left_in(&survivor.place().join(&self.folder), &MORE)?;
        let ready = scene.start()?;
        let told = self.proved.iter().filter(|(told, _)| *told <= at).map(|(_, serial)| *serial).max();
        let mut breaches = goods.breaches(&scene, told.filter(|_| at < self.rollback))?;
        let listed = scene.appliance.command(&["key", "list", "--json"]).output()?;
        let known: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        if known.get("root").and_then(|root| root.get("version")).is_none() {
            breaches.push("no root counts any more".to_owned());
        }
        scene.appliance.kill()?;
        Ok((ready, breaches))
    }
}
