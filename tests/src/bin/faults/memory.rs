//! What each process of the daemon holds at most while a large series goes through.

use crate::scene::{PATIENCE, Scene};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::gauge;
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Plan};
use std::collections::BTreeMap;

/// Slices of 512 x 512.
const SLICES: usize = 600;
/// MiB of its voxels, 16 bits each.
const VOXELS_MIB: u64 = 300;
/// What each may hold, in MiB: the voxels are in the memory of both workers, which share them.
const BARS: [(&str, u64); 3] = [("run", 128), ("scan", VOXELS_MIB + 512), ("infer", VOXELS_MIB + 512)];

/// Has a series read, and says what it took.
pub(crate) fn run(clock: &Elapsed) -> anyhow::Result<bool> {
    clock.say(&format!("writing a series of {SLICES} slices with pydicom"));
    let made = series::make(&Plan { slices: SLICES, size: 512, ..Plan::small(1, 600) })?;
    let mut scene = Scene::new()?;
    scene.start()?;
    let supervisor = scene.appliance.pid()?;
    for files in &made.series {
        arrival::drop_files(files, &scene.appliance.incoming(), "s", Manner::Rename)?;
    }
    let mut peaks = BTreeMap::new();
    process::wait_until(PATIENCE * 6, || {
        for pid in gauge::family(supervisor) {
            let peak = peaks.entry(gauge::role(pid)).or_insert(0);
            *peak = gauge::peak_kb(pid).max(*peak);
        }
        Ok(!scene.subscriber.results().is_empty())
    })?;
    let result = scene.subscriber.wait_for_results(1, PATIENCE)?.pop();
    clock.say(&format!("the result: {}", result.map(|result| result.text("outcome").to_owned()).unwrap_or_default()));
    let mut held = true;
    for (role, bar_mib) in BARS {
        let mib = peaks.get(role).copied().unwrap_or_default() / 1024;
        let is_held = (1..=bar_mib).contains(&mib);
        clock.say(&format!("{role:>6}: {mib} MiB at most (bar {bar_mib}): {}", if is_held { "PASS" } else { "FAIL" }));
        held &= is_held;
    }
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}
