//! A subscriber is away while more results come than the broker keeps for it.

use super::{CONTROL, RECEIPTS, Stand};
use crate::scene::{PATIENCE, below};
use anyhow::ensure;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::time::{Duration, Instant};

/// Of so many results the broker keeps one.
const KEPT: usize = 3;
/// How long a gap may stay when the subscriber is there again.
const HEALED: Duration = Duration::from_mins(1);

/// So many results while the subscriber is away. The control is a daemon that takes the broker's word for it.
pub(crate) fn run(count: usize, clock: &Elapsed) -> anyhow::Result<bool> {
    let mut stand = forgotten(count, &RECEIPTS)?;
    let (had, start) = (stand.told().len(), Instant::now());
    ensure!(had == 0, "the subscriber was to be away and has {had} results");
    stand.scene.subscriber.come_back();
    let breaches = stand.breaches_after(HEALED)?;
    for breach in breaches.iter().take(20) {
        clock.say(&format!("FAIL {breach}"));
    }
    let healed_s = start.elapsed().as_secs_f64();
    let lost = control(count)?;
    let found = lost >= count - count / KEPT - 1;
    let word = if found { "were found" } else { "were NOT all found" };
    clock.say(&format!(
        "offline: {count} results, of which the broker keeps {}: {} breaches, whole after {healed_s:.1} s; control, without \
         receipts: {lost} lost results {word}",
        count / KEPT,
        breaches.len()
    ));
    let held = breaches.is_empty() && found;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// How many are lost where nobody sends receipts.
fn control(count: usize) -> anyhow::Result<usize> {
    let mut stand = forgotten(count, &[])?;
    stand.scene.subscriber.come_back();
    let breaches = stand.breaches_after(CONTROL)?;
    Ok(breaches.iter().filter(|breach| breach.ends_with("is lost")).count())
}

/// The broker has had all of them, and has kept the first.
fn forgotten(count: usize, more: &'static [&'static str]) -> anyhow::Result<Stand> {
    let limit = format!("max_queued_messages {}\n", count / KEPT);
    let broker = Mosquitto::with(Memory::Persistent, &limit)?;
    let mut stand = Stand::with(broker, &std::env::temp_dir(), more)?;
    stand.scene.subscriber.leave();
    for _series in 0..count {
        stand.feed()?;
    }
    let patience = PATIENCE + Duration::from_millis(100) * u32::try_from(count)?;
    let (root, kept) = (stand.scene.appliance.path(""), stand.scene.appliance.path("spool/quarantine"));
    let sent = || -> anyhow::Result<bool> {
        // Looking costs as much as there is to see.
        std::thread::sleep(Duration::from_millis(500));
        // It says what the ledger does, and by its status that nobody may watch this daemon.
        let told = stand.scene.appliance.command(&["status", "--json"]).output()?.stdout;
        let told: serde_json::Value = serde_json::from_slice(&told)?;
        Ok(told.pointer("/counters/delivery/queued").and_then(serde_json::Value::as_u64) == Some(0)
            && below(&kept, &root).len() == count)
    };
    ensure!(process::wait_until(patience, sent)?, "the broker does not get all results");
    Ok(stand)
}
