//! A disk that has no room: what was to be done waits, what is kept goes, and nothing is lost.

use super::{Stand, lost};
use crate::scene::{PATIENCE, below};
use anyhow::{Context, ensure};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

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

/// Lines of configuration for so small a disk.
const SMALL: [&str; 2] = ["disk.least_mib = 1", "disk.ballast_mib = 4"];
/// The bar: how long after there is room again everything is told.
const RECOVERED: Duration = Duration::from_secs(30);
/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(6);

/// Plays everything that a disk can lack.
pub(crate) fn run(clock: &Elapsed) -> anyhow::Result<bool> {
    let mut held = true;
    for act in [waits, keeps] {
        let folder = tempfile::Builder::new().prefix("ctedge-small-").tempdir()?;
        let _small = Small::mount(folder.path())?;
        let mut stand = Stand::at(folder.path(), &SMALL)?;
        held &= act(&mut stand, folder.path(), clock)?;
    }
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// Something else that takes all the room but so many bytes.
fn fill(folder: &Path, left: u64) -> anyhow::Result<PathBuf> {
    let path = folder.join("foreign");
    let mut file = File::create(&path)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    file.set_len(file.metadata()?.len().saturating_sub(left))?;
    Ok(path)
}

/// Fills the disk while series come, makes room, and looks what has become of them.
fn waits(stand: &mut Stand, folder: &Path, clock: &Elapsed) -> anyhow::Result<bool> {
    for _file in 0..10 {
        stand.feed()?;
    }
    let set_aside = folder_of(stand).join("state/ballast");
    ensure!(process::wait_until(PATIENCE, || Ok(set_aside.is_file()))?, "nothing is set aside for the ledger");
    // What a sender cannot write whole is not ours to tell of: it is made beside, and only renamed here.
    let foreign = fill(folder, 200_000)?;
    let (mut starts, start, mut killed) = (0, Instant::now(), false);
    while start.elapsed() < FULL {
        // Whoever pulls the plug now finds a daemon that starts all the same.
        if !killed && start.elapsed() > FULL / 2 {
            killed = true;
            stand.scene.appliance.kill()?;
            stand.scene.appliance.start()?;
        }
        if stand.dropped < 60 && stand.feed().is_err() {
            stand.take_back()?;
        }
        starts += usize::from(stand.started_again()?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let waiting = stand.dropped - stand.told().len();
    let (shown, event) = (shown(stand), events(stand).pop());
    fs::remove_file(&foreign)?;
    let room = Instant::now();
    let recovered = process::wait_until(RECOVERED, || {
        starts += usize::from(stand.started_again()?);
        Ok(stand.told().len() >= stand.dropped)
    })?;
    clock.say(&format!(
        "a full disk: {waiting} of {} series waited, the daemon was started again {starts} times, health said: {shown}; event: {}; all told {:.1} s after there was room (bar {} s)",
        stand.dropped,
        event.as_deref().unwrap_or("none"),
        room.elapsed().as_secs_f64(),
        RECOVERED.as_secs()
    ));
    ensure!(waiting > 0, "the disk never was full");
    let well = process::wait_until(PATIENCE, || Ok(disk_check(stand).is_some_and(|(state, _)| state == "ok")))?;
    let again = process::wait_until(PATIENCE, || Ok(set_aside.is_file()))?;
    let mut held = recovered && starts == 0 && shown.starts_with("failed") && well && again;
    held &= event.is_some_and(|event| event.contains("\"stopped\""));
    let breaches = stand.breaches()?;
    breaches.iter().take(20).for_each(|breach| clock.say(&format!("FAIL {breach}")));
    held &= breaches.is_empty();
    Ok(robbed(stand, folder, clock)? && held)
}

/// The control: a series is taken out of the drop folder while it waits there. That has to be found.
fn robbed(stand: &mut Stand, folder: &Path, clock: &Elapsed) -> anyhow::Result<bool> {
    let foreign = fill(folder, 200_000)?;
    let stopped = || Ok(disk_check(stand).is_some_and(|(state, _)| state == "failed"));
    ensure!(process::wait_until(PATIENCE, stopped)?, "the disk is not found full: {:?}", disk_check(stand));
    stand.feed()?;
    fs::remove_file(stand.scene.appliance.incoming().join(format!("{}.dcm", stand.dropped)))?;
    fs::remove_file(&foreign)?;
    stand.feed()?;
    process::wait_until(PATIENCE, || Ok(stand.told().len() + 1 >= stand.dropped))?;
    let missing = lost(&stand.told(), u64::try_from(stand.dropped)?);
    let word = if missing.is_empty() { "was NOT found" } else { "was found" };
    clock.say(&format!("control: a series that was stolen while it waited {word}: {}", missing.join("; ")));
    Ok(!missing.is_empty())
}

/// Finished series make room when the disk fills up, but not before they have been delivered.
fn keeps(stand: &mut Stand, folder: &Path, clock: &Elapsed) -> anyhow::Result<bool> {
    const SERIES: usize = 4;
    let made = series::make(&Plan { slices: 20, size: 128, ..Plan::small(SERIES, 97) })?;
    stand.scene.broker.kill()?;
    for (number, files) in made.series.iter().enumerate() {
        arrival::drop_files(files, &stand.scene.appliance.incoming(), &format!("s{number}"), Manner::Rename)?;
    }
    let (done, root) = (folder_of(stand).join("spool/done"), folder_of(stand));
    let kept = || below(&done, &root).len();
    let all = SERIES * 20;
    let finished = process::wait_until(PATIENCE * 2, || Ok(kept() == all))?;
    ensure!(finished, "{} files are kept, not {all}\n{}", kept(), stand.scene.appliance.log_end());
    // Nine tenths full, but room for work: what is kept would go, were it delivered.
    let foreign = fill(folder, 5 << 20)?;
    let heeded = || Ok(stand.scene.appliance.log().contains("the disk is filling up"));
    ensure!(process::wait_until(PATIENCE, heeded)?, "the disk is not found filling up");
    std::thread::sleep(Duration::from_secs(3));
    let undelivered = kept();
    stand.scene.broker.resume()?;
    let told = stand.scene.subscriber.wait_for_results(SERIES, PATIENCE)?.len();
    let deleted = process::wait_until(PATIENCE, || Ok(kept() < all))?;
    // Each is one line, under its pseudonym.
    let lines = stand.scene.appliance.log().matches("the files of a series have been deleted").count();
    fs::remove_file(foreign)?;
    clock.say(&format!(
        "a disk that fills up: {undelivered} of {all} files were kept while their results were not delivered; then {} are, {lines} lines tell of it",
        kept()
    ));
    stand.scene.appliance.check()?;
    Ok(undelivered == all && told >= SERIES && deleted && lines > 0)
}

fn folder_of(stand: &Stand) -> PathBuf {
    stand.scene.appliance.path("")
}

/// State and detail of the check `disk`, as a subscriber has heard them last.
fn disk_check(stand: &Stand) -> Option<(String, String)> {
    let messages = stand.scene.subscriber.messages();
    let health = messages.iter().rev().find(|message| message.topic.ends_with("/health"))?;
    let checks = health.payload.get("checks")?.as_array()?;
    let disk = checks.iter().find(|check| check.get("id").is_some_and(|id| id == "disk"))?;
    let text = |key: &str| disk.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    Some((text("state"), text("detail")))
}

fn shown(stand: &Stand) -> String {
    disk_check(stand).map(|(state, detail)| format!("{state} ({detail})")).unwrap_or_default()
}

/// Events of a disk that fills up.
fn events(stand: &Stand) -> Vec<String> {
    let is_event = |message: &Message| message.topic.ends_with("/event/disk_low");
    stand.scene.subscriber.messages().into_iter().filter(is_event).map(|message| message.payload.to_string()).collect()
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
        let path = self.scene.appliance.incoming().join(format!("{}.part", self.dropped));
        self.dropped -= 1;
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
