//! More files at once than anybody watches.

use super::{CONTROL, Stand};
use crate::scene::{PATIENCE, below};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::fs;
use std::time::Duration;

/// Drops so many files at once; each is a series of its own and has to be accounted for.
pub(crate) fn flood(count: usize, clock: &Elapsed) -> anyhow::Result<bool> {
    let mut stand = Stand::at(&std::env::temp_dir(), &[])?;
    for _file in 0..count {
        stand.feed()?;
    }
    clock.say(&format!("{count} files lie in the drop folder"));
    let patience = PATIENCE + Duration::from_millis(100) * u32::try_from(count)?;
    let root = stand.scene.appliance.path("");
    let kept = stand.scene.appliance.path("spool/quarantine");
    process::wait_until(patience, || {
        // Looking costs as much as there is to see.
        std::thread::sleep(Duration::from_millis(500));
        Ok(below(&kept, &root).len() == count)
    })?;
    ended(&mut stand, clock, &format!("burst of {count} files"))
}

/// Says what is missing; then a file is really taken out of the drop folder, and has to be missed.
fn ended(stand: &mut Stand, clock: &Elapsed, what: &str) -> anyhow::Result<bool> {
    let breaches = stand.breaches()?;
    for breach in breaches.iter().take(20) {
        clock.say(&format!("FAIL {breach}"));
    }
    let found = theft(stand)?;
    let word = if found { "was found" } else { "was NOT found" };
    clock.say(&format!("{what}: {} breaches; control: a file stolen from the drop folder {word}", breaches.len()));
    let held = breaches.is_empty() && found;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// One series more, stolen before the daemon can have it. Returns whether it is missed.
fn theft(stand: &mut Stand) -> anyhow::Result<bool> {
    stand.scene.appliance.kill()?;
    stand.feed()?;
    fs::remove_file(stand.scene.appliance.incoming().join(format!("{}.dcm", stand.dropped)))?;
    stand.scene.start()?;
    let (missing, dropped) = (format!("result number {} is lost", stand.dropped), stand.dropped);
    let breaches = stand.breaches_after(CONTROL)?;
    Ok(breaches.contains(&missing)
        && breaches.contains(&format!("{dropped} files came, {} lie in quarantine", dropped - 1)))
}
