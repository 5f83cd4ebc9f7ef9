//! More files at once than anybody watches, and a disk that has no room.

use super::{CONTROL, Stand};
use crate::scene::{PATIENCE, below};
use anyhow::{Context, ensure};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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

/// A file system of 64 MB in memory; it goes with its owner.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> anyhow::Result<Self> {
        let mut command = Command::new("mount");
        process::output(command.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(at)).context("be root")?;
        Ok(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // What still has a file open there lets go of it later.
        drop(Command::new("umount").arg("--lazy").arg(self.0).status());
    }
}

/// The bar: how long after there is room again everything is told.
const RECOVERED: Duration = Duration::from_secs(30);

/// Fills the disk while series come, makes room, and looks what has become of them.
pub(crate) fn full_disk(clock: &Elapsed) -> anyhow::Result<bool> {
    let folder = tempfile::Builder::new().prefix("ctedge-small-").tempdir()?;
    let _small = Small::mount(folder.path())?;
    let mut stand = Stand::at(folder.path(), &[])?;
    for _file in 0..10 {
        stand.feed()?;
    }
    let ballast = folder.path().join("ballast");
    let mut file = File::create(&ballast)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    // What a sender cannot write whole is not ours to tell of: it is made beside, and only renamed here.
    file.set_len(file.metadata()?.len().saturating_sub(200_000))?;
    drop(file);
    let mut starts = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        if stand.dropped < 60 && stand.feed().is_err() {
            stand.take_back()?;
        }
        starts += usize::from(stand.started_again()?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let waiting = stand.dropped - stand.told().len();
    let shown = shown(&stand);
    fs::remove_file(&ballast)?;
    let room = Instant::now();
    let recovered = process::wait_until(RECOVERED, || {
        starts += usize::from(stand.started_again()?);
        Ok(stand.told().len() >= stand.dropped)
    })?;
    clock.say(&format!(
        "a full disk: {waiting} of {} series waited, the daemon was started again {starts} times, its state said: {shown}; all told {:.1} s after there was room (bar {} s)",
        stand.dropped,
        room.elapsed().as_secs_f64(),
        RECOVERED.as_secs()
    ));
    ensure!(waiting > 0, "the disk never was full");
    Ok(ended(&mut stand, clock, "disk")? && recovered)
}

/// What a subscriber has last heard of the daemon's state.
fn shown(stand: &Stand) -> String {
    let messages = stand.scene.subscriber.messages();
    let last = |topic: &str| messages.iter().rev().find(|message| message.topic.ends_with(topic));
    let status = last("/status").map(|message| message.text("state").to_owned()).unwrap_or_default();
    let checks = last("/health").and_then(|message| message.payload.get("checks")?.as_array().cloned());
    let bad = checks.into_iter().flatten().filter(|check| check.get("state").is_some_and(|state| state != "ok"));
    let bad: Vec<String> = bad.map(|check| check.get("id").map(ToString::to_string).unwrap_or_default()).collect();
    format!("{status}, not well: {}", bad.join(" "))
}

impl Stand {
    /// Starts a daemon that has ended, as systemd does. Returns whether it had.
    fn started_again(&mut self) -> anyhow::Result<bool> {
        if self.scene.appliance.check().is_ok() {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_secs(1));
        self.scene.appliance.start()?;
        Ok(true)
    }

    /// Removes the last series, which could not be written whole.
    fn take_back(&mut self) -> anyhow::Result<()> {
        let path = self.scene.appliance.incoming().join(format!("{}.dcm", self.dropped));
        self.dropped -= 1;
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
