//! The broker is killed, forgets everything, or the wire to it breaks, while series come.
//!
//! The series are files that are no scans: each is refused in a moment and is told like any other result. Results carry a
//! number that rises by one, so that a subscriber that has every number has everything. A broker that dies takes with it what
//! it has acknowledged and not passed on; so the subscriber says what it has, as the contract's receipts are for.

pub(crate) mod burst;
pub(crate) mod carry;
pub(crate) mod disk;
pub(crate) mod offline;
pub(crate) mod packets;
pub(crate) mod proxy;
pub(crate) mod wire;

use crate::check::results;
use crate::scene::{PATIENCE, Scene, below};
use anyhow::ensure;
use ctedge_tests::arrival::Dice;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::subscriber::Message;
use proxy::{Cut, Mode, Proxy, Way};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often each thing happens.
pub(crate) struct Counts {
    kills: usize,
    partitions: usize,
    wipes: usize,
    cuts: usize,
}

impl Counts {
    /// So many kills, and of the rest in proportion.
    pub(crate) fn of(points: usize) -> Self {
        let share = |part: usize| (points * part).div_ceil(100);
        Self { kills: points, partitions: share(30), wipes: share(5), cuts: share(400) }
    }
}

/// A daemon that reaches its broker by a wire of ours, and how many series it was given.
pub(crate) struct Stand {
    pub(crate) scene: Scene,
    pub(crate) proxy: Proxy,
    pub(crate) dropped: usize,
    /// Lines of the daemon's configuration, e.g. [`RECEIPTS`].
    more: &'static [&'static str],
    /// Messages that were looked through for results to receipt.
    receipted: usize,
}

/// A result without a receipt is soon sent again.
pub(crate) const RECEIPTS: [&str; 2] = ["outbox.receipts = true", "outbox.receipt_s = 1.0"];

impl Stand {
    /// With everything of the daemon below a folder, and lines of configuration.
    pub(crate) fn at(place: &Path, more: &'static [&'static str]) -> anyhow::Result<Self> {
        Self::with(Mosquitto::start(Memory::Persistent)?, place, more)
    }

    /// The same with a broker.
    fn with(broker: Mosquitto, place: &Path, more: &'static [&'static str]) -> anyhow::Result<Self> {
        let proxy = Proxy::to(broker.port())?;
        let mut scene = Scene::beside(broker, proxy.port(), place, more)?;
        scene.start()?;
        Ok(Self { scene, proxy, dropped: 0, more, receipted: 0 })
    }

    /// The same with receipts that come late enough for a busy machine, and a daemon that is not started yet.
    pub(crate) fn waiting() -> anyhow::Result<Self> {
        let broker = Mosquitto::start(Memory::Persistent)?;
        let proxy = Proxy::to(broker.port())?;
        let more: &'static [&'static str] = &["outbox.receipts = true"];
        let scene = Scene::beside(broker, proxy.port(), &std::env::temp_dir(), more)?;
        Ok(Self { scene, proxy, dropped: 0, more, receipted: 0 })
    }

    /// One series more.
    pub(crate) fn feed(&mut self) -> anyhow::Result<()> {
        self.dropped += 1;
        let text = format!("series number {} is no scan\n", self.dropped).repeat(12);
        let target = self.scene.appliance.incoming().join(format!("{}.dcm", self.dropped));
        // Whole at once: where the machine is busy, a file that is still empty may have settled.
        let part = target.with_extension("part");
        fs::write(&part, text)?;
        Ok(fs::rename(&part, &target)?)
    }

    /// Says of every result that has come since that it is safe. A broker that is away hears it later; one that forgets it
    /// has the result sent again, and hears it then.
    pub(crate) fn receipt(&mut self) -> anyhow::Result<()> {
        let messages = self.scene.subscriber.messages();
        let receipts: Vec<String> = messages.iter().skip(self.receipted).filter_map(receipt).collect();
        if receipts.is_empty() || !self.asks_for_receipts() {
            return Ok(());
        }
        let port = self.scene.broker.port().to_string();
        let mut publisher = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "1", "-t", "ctedge/v1/test/receipt", "-l"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // A broker that is away ends the program before it has read them all.
        let said = publisher.stdin.take().is_some_and(|mut door| writeln!(door, "{}", receipts.join("\n")).is_ok());
        if publisher.wait()?.success() && said {
            self.receipted = messages.len();
        }
        Ok(())
    }

    fn asks_for_receipts(&self) -> bool {
        self.more.contains(&RECEIPTS[0])
    }

    /// Whether every result has arrived, by the daemon's newest books.
    fn is_closed(&self) -> bool {
        let messages = self.scene.subscriber.messages();
        let books = messages.iter().rev().find(|message| message.topic.ends_with("/counters"));
        let count = |name: &str| books.and_then(|books| books.payload.pointer(&format!("/delivery/{name}"))?.as_u64());
        let closed = count(if self.asks_for_receipts() { "receipted" } else { "published" });
        closed == u64::try_from(self.dropped).ok() && [count("queued"), count("unreceipted")] == [Some(0), Some(0)]
    }

    /// What is wrong when everything has had time to arrive.
    fn breaches(&mut self) -> anyhow::Result<Vec<String>> {
        self.breaches_after(PATIENCE + Duration::from_secs(30))
    }

    /// The same where less time is enough.
    fn breaches_after(&mut self, patience: Duration) -> anyhow::Result<Vec<String>> {
        let mut closed = false;
        process::wait_until(patience, || {
            self.receipt()?;
            closed = self.told().len() >= self.dropped && self.is_closed();
            Ok(closed)
        })?;
        self.scene.appliance.check()?;
        let root = self.scene.appliance.path("");
        let refused = || below(&self.scene.appliance.path("spool/quarantine"), &root).len();
        process::wait_until(PATIENCE.min(patience), || Ok(refused() == self.dropped))?;
        let (numbers, dropped) = (self.told(), u64::try_from(self.dropped)?);
        let results = results(&self.scene.subscriber.messages());
        let keys: BTreeSet<&str> = results.iter().map(|(key, _)| key.as_str()).collect();
        let mut breaches = lost(&numbers, dropped);
        if keys.len() != self.dropped || results.len() != self.dropped {
            breaches.push(format!("{dropped} series came, {} were told of, under {} ids", keys.len(), results.len()));
        }
        if !closed {
            breaches.push("by the books a result has not arrived".to_owned());
        }
        if refused() != self.dropped {
            breaches.push(format!("{dropped} files came, {} lie in quarantine", refused()));
        }
        if self.scene.appliance.log().contains("panicked") {
            breaches.push(self.scene.appliance.log_end());
        }
        Ok(breaches)
    }

    /// The numbers of all results that the subscriber has.
    pub(crate) fn told(&self) -> BTreeSet<u64> {
        let results = self.scene.subscriber.results();
        results.iter().filter_map(|result| result.payload.get("seq")?.as_u64()).collect()
    }
}

/// The receipt of a message, if it is a result.
fn receipt(message: &Message) -> Option<String> {
    let sha256 = message.payload.pointer("/delivery/sha256")?;
    message.is_result().then(|| serde_json::json!({"id": message.text("id"), "sha256": sha256}).to_string())
}

/// Numbers that are missing, a sentence each.
fn lost(told: &BTreeSet<u64>, dropped: u64) -> Vec<String> {
    (1..=dropped)
        .filter(|number| !told.contains(number))
        .map(|number| format!("result number {number} is lost"))
        .collect()
}

/// Plays everything that can happen between daemon and subscriber.
pub(crate) fn run(counts: &Counts, seed: u64, clock: &Elapsed) -> anyhow::Result<bool> {
    let mut dice = Dice::new(seed);
    let acts: [(&str, usize, Act); 4] = [
        ("the broker killed", counts.kills, kills),
        ("partitions", counts.partitions, partitions),
        ("the broker's memory wiped", counts.wipes, wipes),
        ("the wire cut after a byte", counts.cuts, cuts),
    ];
    let mut held = true;
    for (name, count, act) in acts {
        let mut stand = Stand::at(&std::env::temp_dir(), &RECEIPTS)?;
        act(&mut stand, count, &mut dice)?;
        let breaches = stand.breaches()?;
        clock.say(&format!("{name} {count} times, seed {seed}: {} series, {} breaches", stand.dropped, breaches.len()));
        for breach in &breaches {
            clock.say(&format!("FAIL {breach}"));
        }
        held &= breaches.is_empty();
    }
    held &= control(clock)?;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// How long a control may take to find what is missing.
const CONTROL: Duration = Duration::from_secs(6);

/// A result that is really lost: without receipts, while the subscriber is away, the broker forgets everything right after it
/// has acknowledged the result. That has to be found.
fn control(clock: &Elapsed) -> anyhow::Result<bool> {
    let mut stand = Stand::at(&std::env::temp_dir(), &[])?;
    stand.proxy.listen(|| 0);
    stand.feed()?;
    process::wait_until(PATIENCE, || Ok(stand.told().len() == 1))?;
    stand.scene.subscriber.leave();
    stand.feed()?;
    let acknowledged = |sent: &packets::Sent| sent.number.1 == 2 && sent.acknowledged.is_some();
    let forgotten = || Ok(packets::results(&stand.proxy.heard()).iter().any(acknowledged));
    ensure!(process::wait_until(PATIENCE, forgotten)?, "the broker does not acknowledge a result");
    // The acknowledgement was heard before it was passed on, and the daemon has to have it.
    std::thread::sleep(Duration::from_secs(1));
    stand.scene.broker.kill()?;
    stand.scene.broker.wipe()?;
    stand.scene.broker.resume()?;
    stand.scene.subscriber.come_back();
    let breaches = stand.breaches_after(CONTROL)?;
    let found = breaches.iter().any(|breach| breach == "result number 2 is lost");
    let word = if found { "was found" } else { "was NOT found" };
    clock.say(&format!("control, a broker that forgets what it has just acknowledged: the loss {word}: {breaches:?}"));
    Ok(found)
}

type Act = fn(&mut Stand, usize, &mut Dice) -> anyhow::Result<()>;

fn kills(stand: &mut Stand, count: usize, dice: &mut Dice) -> anyhow::Result<()> {
    for _kill in 0..count {
        stand.feed()?;
        stand.feed()?;
        // Not a wait for something, but the random moment itself.
        std::thread::sleep(Duration::from_millis(dice.below(600)));
        stand.receipt()?;
        stand.scene.broker.kill()?;
        stand.feed()?;
        std::thread::sleep(Duration::from_millis(dice.below(200)));
        stand.scene.broker.resume()?;
    }
    Ok(())
}

fn partitions(stand: &mut Stand, count: usize, dice: &mut Dice) -> anyhow::Result<()> {
    for number in 0..count {
        let (mode, cut) = match number % 4 {
            0 => (Mode::Drop, Cut::Close),
            1 => (Mode::HalfOpen, Cut::Reset),
            2 => (Mode::Pass, Cut::Reset),
            _ => (Mode::HalfOpen, Cut::Close),
        };
        stand.feed()?;
        stand.feed()?;
        std::thread::sleep(Duration::from_millis(dice.below(400)));
        stand.proxy.mode(mode);
        stand.feed()?;
        std::thread::sleep(Duration::from_millis(300 + dice.below(700)));
        stand.proxy.cut(cut);
        stand.proxy.mode(Mode::Pass);
        stand.receipt()?;
    }
    // Once nobody cuts anything: the daemon has to notice by itself that nothing is acknowledged any more.
    stand.proxy.mode(Mode::Drop);
    stand.feed()?;
    let before = stand.scene.appliance.log().matches("no connection to the broker").count();
    let noticed = || Ok(stand.scene.appliance.log().matches("no connection to the broker").count() > before);
    ensure!(count < 10 || process::wait_until(PATIENCE * 2, noticed)?, "a deaf wire is not noticed");
    stand.proxy.cut(Cut::Close);
    stand.proxy.mode(Mode::Pass);
    Ok(())
}

/// The broker forgets sessions and messages in the midst of work; the daemon has to tell its state again.
fn wipes(stand: &mut Stand, count: usize, dice: &mut Dice) -> anyhow::Result<()> {
    for _wipe in 0..count {
        stand.feed()?;
        std::thread::sleep(Duration::from_millis(dice.below(1000)));
        stand.receipt()?;
        let before = stand.scene.subscriber.messages().len();
        stand.scene.broker.kill()?;
        stand.scene.broker.wipe()?;
        stand.scene.broker.resume()?;
        let says = ["/status", "/info", "/health", "/counters"];
        stand.scene.subscriber.wait(PATIENCE, |messages| {
            let new = messages.get(before..).unwrap_or_default();
            says.iter().all(|topic| new.iter().any(|message| message.topic.ends_with(topic)))
        })?;
    }
    Ok(())
}

fn cuts(stand: &mut Stand, count: usize, _dice: &mut Dice) -> anyhow::Result<()> {
    // How much there is to cut: a connection from its first byte to the acknowledgement of a result.
    stand.feed()?;
    process::wait_until(PATIENCE, || Ok(stand.told().len() == stand.dropped))?;
    std::thread::sleep(Duration::from_millis(300));
    let (up, down) = stand.proxy.carried();
    for number in 0..count {
        let byte = number * (up + down) / count.max(1);
        let (way, bytes) = if byte < up { (Way::Up, byte) } else { (Way::Down, byte - up) };
        let before = stand.proxy.planned_cuts();
        stand.proxy.cut_next_after(way, bytes);
        stand.proxy.cut(Cut::Close);
        stand.receipt()?;
        stand.feed()?;
        process::wait_until(Duration::from_secs(3), || Ok(stand.proxy.planned_cuts() > before))?;
    }
    Ok(())
}
