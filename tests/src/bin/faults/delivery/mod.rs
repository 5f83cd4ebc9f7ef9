//! The broker is killed, forgets everything, or the wire to it breaks, while series come.
//!
//! The series are files that are no scans: each is refused in a moment and is told like any other result. Results carry a
//! number that rises by one, so that a subscriber that has every number has everything.

pub(crate) mod burst;
mod proxy;

use crate::check::results;
use crate::scene::{PATIENCE, Scene, below};
use anyhow::ensure;
use ctedge_tests::arrival::Dice;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use proxy::{Cut, Mode, Proxy, Way};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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
struct Stand {
    scene: Scene,
    proxy: Proxy,
    dropped: usize,
}

impl Stand {
    fn new() -> anyhow::Result<Self> {
        Self::at(&std::env::temp_dir())
    }

    /// The same with everything of the daemon below a folder.
    fn at(place: &Path) -> anyhow::Result<Self> {
        let broker = Mosquitto::start(Memory::Persistent)?;
        let proxy = Proxy::to(broker.port())?;
        let mut scene = Scene::beside(broker, proxy.port(), place)?;
        scene.start()?;
        Ok(Self { scene, proxy, dropped: 0 })
    }

    /// One series more.
    fn feed(&mut self) -> anyhow::Result<()> {
        self.dropped += 1;
        let text = format!("series number {} is no scan\n", self.dropped).repeat(12);
        Ok(fs::write(self.scene.appliance.incoming().join(format!("{}.dcm", self.dropped)), text)?)
    }

    /// What is wrong when everything has had time to arrive.
    fn breaches(&mut self) -> anyhow::Result<Vec<String>> {
        let patience = PATIENCE + Duration::from_secs(30);
        process::wait_until(patience, || Ok(self.told().len() >= self.dropped))?;
        self.scene.appliance.check()?;
        let root = self.scene.appliance.path("");
        let refused = || below(&self.scene.appliance.path("spool/quarantine"), &root).len();
        process::wait_until(PATIENCE, || Ok(refused() == self.dropped))?;
        let (numbers, dropped) = (self.told(), u64::try_from(self.dropped)?);
        let results = results(&self.scene.subscriber.messages());
        let keys: BTreeSet<&str> = results.iter().map(|(key, _)| key.as_str()).collect();
        let mut breaches = lost(&numbers, dropped);
        if keys.len() != self.dropped || results.len() != self.dropped {
            breaches.push(format!("{dropped} series came, {} were told of, under {} ids", keys.len(), results.len()));
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
    fn told(&self) -> BTreeSet<u64> {
        let results = self.scene.subscriber.results();
        results.iter().filter_map(|result| result.payload.get("seq")?.as_u64()).collect()
    }
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
        let mut stand = Stand::new()?;
        act(&mut stand, count, &mut dice)?;
        let breaches = stand.breaches()?;
        // The last of them taken away in secret: that has to be found.
        let mut told = stand.told();
        let found = told.pop_last().is_some() && !lost(&told, u64::try_from(stand.dropped)?).is_empty();
        clock.say(&format!(
            "{name} {count} times, seed {seed}: {} series, {} breaches; control: {}",
            stand.dropped,
            breaches.len(),
            if found { "the one left out was found" } else { "the one left out was NOT found" }
        ));
        for breach in &breaches {
            clock.say(&format!("FAIL {breach}"));
        }
        held &= breaches.is_empty() && found;
    }
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// Mosquitto saves what it has acknowledged a moment later, and a kill in between loses it, whoever has sent it. So the wire
/// holds its answers back for this long before a kill: what the daemon believes to be safe has been saved by then.
const SAVED: Duration = Duration::from_millis(150);

type Act = fn(&mut Stand, usize, &mut Dice) -> anyhow::Result<()>;

fn kills(stand: &mut Stand, count: usize, dice: &mut Dice) -> anyhow::Result<()> {
    for _kill in 0..count {
        stand.feed()?;
        stand.feed()?;
        // Not a wait for something, but the random moment itself.
        std::thread::sleep(Duration::from_millis(dice.below(600)));
        stand.proxy.mode(Mode::HalfOpen);
        std::thread::sleep(SAVED);
        stand.scene.broker.kill()?;
        stand.proxy.cut(Cut::Close);
        stand.proxy.mode(Mode::Pass);
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

/// The broker forgets sessions and messages. What it has acknowledged and not passed on is lost with it, so it has nothing
/// of the kind when that happens; the daemon's part is to go on, and to tell its state again.
fn wipes(stand: &mut Stand, count: usize, _dice: &mut Dice) -> anyhow::Result<()> {
    for _wipe in 0..count {
        stand.feed()?;
        process::wait_until(PATIENCE, || Ok(stand.told().len() == stand.dropped))?;
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
        stand.feed()?;
        process::wait_until(Duration::from_secs(3), || Ok(stand.proxy.planned_cuts() > before))?;
    }
    Ok(())
}
