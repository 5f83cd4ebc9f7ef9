//! The power is cut: disks as they would be after it, and a daemon that is started on each of them.
//!
//! A run in which nothing breaks is played on a disk that keeps a log. A cut at a moment leaves what was written before the
//! last flush, and of what was written later any blocks. Broker and subscriber stand elsewhere and keep what they have. So
//! each disk is held against what the wire had carried at that moment: a result that the broker had not acknowledged has to
//! be told again, one that it may have had already only with a mark and under its old number, and in the end books and
//! files are those of the run in which nothing broke. One series comes by network, and what was answered with Success counts
//! as acknowledged like what was synced into the drop folder; the rest is sent again.

pub(crate) mod disk;
mod sender;

use crate::check::Ending;
use crate::delivery::packets::{self, Sent};
use crate::delivery::proxy::Proxy;
use crate::sample::{Sample, side_by_side};
use crate::scene::{Cast, PATIENCE, READY, Scene};
use anyhow::{Context, ensure};
use ctedge_tests::arrival::{self, Dice};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::subscriber::Message;
use data_encoding::HEXLOWER;
use disk::{Disk, Record, Survivor};
use sender::Door;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of what was written after the last flush, so many percent of the blocks are there.
pub(crate) const SHARES: [u64; 4] = [0, 50, 90, 100];
/// How long a daemon may take that has no promise to keep: that of the control.
const CARELESS: Duration = Duration::from_secs(6);
/// How long the file system waits before it writes by itself (ext4's `commit`, 5 s), and some more.
const WRITTEN_BACK: Duration = Duration::from_secs(6);

/// A sender over the network takes its time; a series must not be quiet meanwhile.
const QUIET: (&str, &str) = ("CTEDGE__SERIES__QUIET_S", "3.0");

/// A run in which nothing broke, on a disk that keeps a log.
struct Run {
    record: Record,
    /// The daemon's folder, below the disk's root.
    folder: PathBuf,
    /// From where on the daemon wrote, and where it had ended.
    from: u64,
    until: u64,
    delivered: Vec<sender::Sent>,
    sent: Vec<Sent>,
    ending: Ending,
    /// Digests of the files that are left at the end.
    digests: BTreeMap<String, String>,
}

/// One power cut.
#[derive(Debug, Clone)]
struct Cut {
    at: u64,
    percent: u64,
    seed: u64,
}

/// What became of one.
struct Outcome {
    ready: Duration,
    /// Blocks that the disk had lost.
    missing: usize,
    breaches: Vec<String>,
}

/// Cuts the power at so many moments; then the same for a daemon whose syncs do nothing, which has to be found out.
pub(crate) fn run(sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let cast = Cast::make()?;
    let careful = Run::play(&cast, None)?;
    let cuts = careful.cuts(sample);
    let told = format!("power: {} cuts, seed {}", cuts.len(), sample.seed);
    clock.say(&format!("{told}, of {} writes and flushes", careful.until - careful.from));
    let outcomes = side_by_side(&cuts, sample.jobs, |cut| {
        let outcome = careful.survive(cut, PATIENCE).with_context(|| format!("{cut:?}"))?;
        if !outcome.breaches.is_empty() {
            clock.say(&format!("FAIL {cut:?}\n  {}", outcome.breaches.join("\n  ")));
        }
        Ok(outcome)
    })?;
    let broken = outcomes.iter().filter(|outcome| !outcome.breaches.is_empty()).count();
    let holes = outcomes.iter().filter(|outcome| outcome.missing > 0).count();
    let slowest = outcomes.iter().map(|outcome| outcome.ready).max().unwrap_or_default();
    clock.say(&format!(
        "{told}: {broken} breaches (lost, doubled, torn or left over); {holes} disks lacked blocks; ready again within {:.1} s (bar {} s)",
        slowest.as_secs_f64(),
        READY.as_secs()
    ));
    let found = control(&cast, sample, clock)?;
    let held = broken == 0 && slowest <= READY && found;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// The same with a daemon for which every sync does nothing and says that it has. Returns whether that was found.
fn control(cast: &Cast, sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let careless = Run::play(cast, Some(&careless()))?;
    // An eighth of the cuts, and some at least.
    let count = sample.count.map(|count| count.div_ceil(8).max(4));
    // Before the first result there is little to lose.
    let from = careless.sent.iter().map(|sent| sent.at).min().unwrap_or(careless.from);
    let careless = Run { from, ..careless };
    let cuts = careless.cuts(&Sample { count, ..*sample });
    let outcomes = side_by_side(&cuts, sample.jobs, |cut| {
        Ok(careless.survive(cut, CARELESS).map_or_else(|error| vec![format!("{error:#}")], |outcome| outcome.breaches))
    })?;
    let found = outcomes.iter().filter(|breaches| !breaches.is_empty()).count();
    let said: Vec<String> = KINDS
        .iter()
        .map(|(kind, words)| {
            let of = |breaches: &&Vec<String>| breaches.iter().any(|breach| breach.contains(words));
            format!("{} {kind}", outcomes.iter().filter(of).count())
        })
        .collect();
    clock.say(&format!(
        "control, a daemon whose syncs do nothing: {found} of {} cuts were found out: {}",
        cuts.len(),
        said.join(", ")
    ));
    Ok(found > 0)
}

/// Words of a command behind which every sync of a daemon does nothing and says that it has.
pub(crate) fn careless() -> String {
    let syncs = "fsync,fdatasync,?syncfs,?sync_file_range,?msync";
    format!("strace -D -f -qq -s 0 -e signal=none -e trace={syncs} -e inject={syncs}:retval=0 -o /dev/null")
}

/// What a control may find, and words by which it is known.
const KINDS: [(&str, &str); 6] = [
    ("with a result lost", "is lost"),
    ("with a file lost", "is not there"),
    ("with a torn file", "is torn"),
    ("with wrong books", "the books are"),
    ("with a repeat without its mark", "without a mark"),
    ("with another result under its number", "is number"),
];

impl Run {
    /// Plays it, behind the words of a command if they are given.
    fn play(cast: &Cast, behind: Option<&str>) -> anyhow::Result<Self> {
        let disk = Disk::make()?;
        let count = disk.counter()?;
        let broker = Mosquitto::start(Memory::Persistent)?;
        let proxy = Proxy::to(broker.port())?;
        let port = proxy.port();
        let network = process::free_port()?;
        let door = sender::door(network);
        let mut scene = Scene::beside(broker, port, &disk.mount(), &door.each_ref().map(String::as_str))?;
        scene.appliance.environment(QUIET.0, QUIET.1);
        behind.map_or(Ok(()), |command| scene.traced(command))?;
        rustix::fs::sync();
        let from = count();
        proxy.listen(disk.counter()?);
        scene.start()?;
        let mut delivered = Vec::new();
        // The slices of the first series come by network one after the other, the other two later and as files: they are at
        // different stages then.
        for (number, file) in cast.files.iter().enumerate() {
            let door = if number + 2 < cast.files.len() { Door::Network } else { Door::Folder };
            match door {
                Door::Network => sender::store(&[file], network)?,
                Door::Folder => sender::put(file, &scene.appliance.incoming())?,
            }
            delivered.push(sender::Sent { file: file.clone(), door, safe: count() });
            if number + 3 >= cast.files.len() {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        let ending = scene.drain(None, PATIENCE)?;
        ensure!(ending.is_settled(), "the undisturbed run does not end: {ending:#?}\n{}", scene.appliance.log_end());
        // What comes after the last result; without syncs nothing of the run may have been written yet.
        std::thread::sleep(if behind.is_some() { WRITTEN_BACK } else { Duration::from_secs(1) });
        rustix::fs::sync();
        let until = count();
        scene.appliance.kill()?;
        let root = scene.appliance.path("");
        let digests = ending.files.iter().map(|name| Ok((name.clone(), digest(&root.join(name))?)));
        let digests = digests.collect::<anyhow::Result<_>>()?;
        let folder = root.strip_prefix(disk.mount())?.to_owned();
        let sent = packets::results(&proxy.heard());
        ensure!(sent.len() >= ending.results.len(), "only {} results went over the wire", sent.len());
        // The folder would be deleted with its owner; the disk is taken away before.
        let record = disk.record()?;
        Ok(Self { record, folder, from, until, delivered, sent, ending, digests })
    }

    /// Moments and shares of a sample.
    fn cuts(&self, sample: &Sample) -> Vec<Cut> {
        let moments: Vec<u64> = (self.from..=self.until.min(self.record.len())).collect();
        let chosen = sample.of(&moments).into_iter().zip(SHARES.into_iter().cycle());
        chosen.map(|(at, percent)| Cut { at, percent, seed: sample.seed ^ at << 8 ^ percent }).collect()
    }

    /// Starts a daemon on what a cut has left, and waits until all is well or the time is up.
    fn survive(&self, cut: &Cut, patience: Duration) -> anyhow::Result<Outcome> {
        let mut dice = Dice::new(cut.seed);
        let make = |image: &Path| self.record.cut(cut.at, cut.percent, &mut dice, image);
        let (survivor, missing) = Survivor::mount(make)?;
        let network = process::free_port()?;
        let door = sender::door(network);
        let mut scene = Scene::left_in(&survivor.place().join(&self.folder), &door.each_ref().map(String::as_str))?;
        // Nobody has told the sender that these are safe: it sends them again.
        let again = self.delivered.iter().filter(|sent| sent.safe > cut.at);
        let (by_network, by_folder): (Vec<_>, Vec<_>) = again.partition(|sent| sent.door == Door::Network);
        for sent in by_folder {
            sender::put(&sent.file, &scene.appliance.incoming())?;
        }
        if !by_network.is_empty() {
            scene.appliance.environment(QUIET.0, QUIET.1);
        }
        let ready = scene.start()?;
        if !by_network.is_empty() {
            sender::store(&by_network.iter().map(|sent| sent.file.as_path()).collect::<Vec<_>>(), network)?;
        }
        let known: Vec<&Sent> =
            self.sent.iter().filter(|sent| sent.acknowledged.is_some_and(|at| at <= cut.at)).collect();
        let known: BTreeSet<&str> = known.into_iter().map(|sent| sent.id.as_str()).collect();
        let at_the_broker = |(_, id): &&(String, String)| known.contains(id.as_str());
        let acknowledged: Vec<_> = self.ending.results.iter().filter(at_the_broker).cloned().collect();
        let look = || {
            let mut seen = Ending::of(&scene);
            seen.results.extend(acknowledged.iter().cloned());
            seen
        };
        process::wait_until(patience, || Ok(look() == self.ending && is_delivered(&scene.subscriber.messages())))?;
        let mut breaches = look().breaches(&self.ending);
        let messages = scene.subscriber.messages();
        if !is_delivered(&messages) {
            breaches.push("by the books a result has not arrived".to_owned());
        }
        breaches.extend(self.unmarked(cut, &messages));
        breaches.extend(self.torn(&scene.appliance.path(""))?);
        if let Err(error) = scene.appliance.check() {
            breaches.push(format!("it ended: {error:#}"));
        }
        if scene.appliance.log().contains("panicked") {
            breaches.push("it panicked".to_owned());
        }
        if !breaches.is_empty() {
            breaches.push(scene.appliance.log_end());
        }
        scene.appliance.kill()?;
        Ok(Outcome { ready, missing, breaches })
    }

    /// Results that the broker may have had before the cut and that came again without a mark or with another number, and
    /// other results that came under a number that it had.
    fn unmarked(&self, cut: &Cut, messages: &[Message]) -> Vec<String> {
        let before: Vec<&Sent> = self.sent.iter().filter(|sent| sent.at <= cut.at).collect();
        let mut breaches = Vec::new();
        for result in messages.iter().filter(|message| message.is_result()) {
            let seq = result.payload.get("seq").and_then(serde_json::Value::as_u64).unwrap_or_default();
            let (id, number) = (result.text("id"), (result.text("ledger").to_owned(), seq));
            let marked = result.payload.pointer("/delivery/dup_possible") == Some(&true.into());
            for sent in &before {
                if sent.id == id && !marked {
                    breaches.push(format!("result {id} came again without a mark"));
                }
                if (sent.id == id) != (sent.number == number) {
                    breaches.push(format!("result {id} is number {number:?}, and {sent:?} was"));
                }
            }
        }
        breaches
    }

    /// Files that are not what they were, and a ledger that was taken for damaged.
    fn torn(&self, root: &Path) -> anyhow::Result<Vec<String>> {
        let state = arrival::files(&root.join("state"))?;
        let aside = state.iter().filter(|path| path.display().to_string().contains(".damaged-"));
        let mut breaches: Vec<String> = aside.map(|path| format!("{} was set aside", path.display())).collect();
        for (name, expected) in &self.digests {
            let path = root.join(name);
            // One that is not there is told of elsewhere.
            if path.exists() && digest(&path)? != *expected {
                breaches.push(format!("{name} is torn"));
            }
        }
        Ok(breaches)
    }
}

/// Whether every result has been delivered, by the newest books.
fn is_delivered(messages: &[Message]) -> bool {
    let books = messages.iter().rev().find(|message| message.topic.ends_with("/counters"));
    books.and_then(|books| books.payload.pointer("/delivery/queued")?.as_u64()) == Some(0)
}

fn digest(path: &Path) -> anyhow::Result<String> {
    Ok(HEXLOWER.encode(&Sha256::digest(fs::read(path)?)))
}
