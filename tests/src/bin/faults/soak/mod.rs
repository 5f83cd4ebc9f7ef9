//! Hours of work in minutes: series come all the time, something breaks every half minute, and nothing may grow.
//!
//! The daemon and its workers live by a clock that runs sixty times as fast (libfaketime, and `waits.c` for what that does
//! not reach); broker and subscriber live by the true one. Only in the first half the daemon itself is killed, so that
//! the second is one process, in which whatever leaks has time to.

mod gauges;

use crate::check::results;
use crate::delivery::Stand;
use crate::delivery::proxy::{Cut, Mode};
use crate::scene::PATIENCE;
use anyhow::{Context, ensure};
use ctedge_tests::arrival::Dice;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::{gauge, process};
use gauges::Gauges;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How fast the daemon's clock is.
const FAST: u32 = 60;
/// By that clock: a series, a fault, a look at the gauges.
const SERIES_EVERY_S: f64 = 45.0;
const FAULT_EVERY_S: f64 = 30.0;
const LOOK_EVERY_S: f64 = 300.0;
/// Keys of the configuration whose seconds would be too short for a machine that is not sixty times as fast; files of
/// finished series, delivered results and what the flight recorder holds are kept for less time than the soak takes, so that
/// they come and go.
const SLOWER: [(&str, &str); 9] = [
    ("CTEDGE__INTAKE__POLL_S", "3.0"),
    ("CTEDGE__INTAKE__SETTLE_S", "6.0"),
    ("CTEDGE__SERIES__QUIET_S", "60.0"),
    ("CTEDGE__SERIES__KEEP_H", "1.0"),
    ("CTEDGE__OUTBOX__KEEP_H", "1.0"),
    ("CTEDGE__EVIDENCE__RECORDER_MIB", "1"),
    ("CTEDGE__INFER__RUN_S", "3600.0"),
    ("CTEDGE__INFER__LOAD_S", "36000.0"),
    ("CTEDGE__VOLUME__WALL_S", "7200.0"),
];

/// Of so many faults one each is the daemon's, or none is.
const DAEMON_TOO: u64 = 21;
const NOT_THE_DAEMON: u64 = 20;

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Worker,
    Broker,
    Partition,
    Hostile,
    Daemon,
}

/// A daemon that lives fast, and what it has been given.
struct Soak {
    stand: Stand,
    series: Vec<Vec<PathBuf>>,
    given: usize,
    dice: Dice,
    start: Instant,
    faults: BTreeMap<Fault, usize>,
    /// How often the daemon ended by itself.
    ended: usize,
    clock: String,
}

/// Plays so many hours by the daemon's clock.
pub(crate) fn run(hours: f64, seed: u64, clock: &Elapsed) -> anyhow::Result<bool> {
    ensure!(hours > 0.0, "--hours: more than 0");
    // And one for the control.
    let needed = Duration::try_from_secs_f64(hours * 3600.0 / SERIES_EVERY_S)?.as_secs() + 3;
    let made = series::make(&Plan { slices: 4, size: 16, ..Plan::small(usize::try_from(needed)?, seed % 100_000) })?;
    let mut soak = Soak::begin(made.series.clone(), seed)?;
    clock.say(&format!(
        "soak: {hours} h in {:.1} min, {} series, seed {seed}",
        hours * 60.0 / f64::from(FAST),
        needed - 3
    ));
    let mut gauges = Gauges::default();
    let (mut next_series, mut next_fault, mut next_look) = (0.0, FAULT_EVERY_S * 4.0, LOOK_EVERY_S);
    let end = hours * 3600.0;
    while soak.now_s() < end {
        let now = soak.now_s();
        if now >= next_series {
            soak.give()?;
            next_series += SERIES_EVERY_S;
        }
        if now >= next_fault {
            soak.break_something(if now < end / 2.0 { DAEMON_TOO } else { NOT_THE_DAEMON })?;
            next_fault += FAULT_EVERY_S;
        }
        if now >= next_look {
            gauges.look(now / 3600.0, &soak.stand)?;
            next_look += LOOK_EVERY_S;
        }
        soak.started_again()?;
        soak.stand.receipt()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let breaches = soak.breaches()?;
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    let flat = gauges.tell(hours / 2.0, clock)?;
    let faults: Vec<String> = soak.faults.iter().map(|(fault, count)| format!("{count} {fault:?}")).collect();
    clock.say(&format!(
        "soak of {hours} h, seed {seed}: {} series and {} hostile files, told as {}; faults: {}; the daemon ended by itself {} times; {} breaches; {}",
        soak.given,
        soak.stand.dropped,
        soak.outcomes(),
        faults.join(", "),
        soak.ended,
        breaches.len(),
        if flat { "nothing grows" } else { "something GROWS" }
    ));
    let found = soak.control()?;
    clock.say(&format!(
        "control: a series stolen from the drop folder {}",
        if found { "was found" } else { "was NOT found" }
    ));
    let held = breaches.is_empty() && flat && found && soak.ended == 0;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

impl Soak {
    fn begin(series: Vec<Vec<PathBuf>>, seed: u64) -> anyhow::Result<Self> {
        let clock = fast_clock()?;
        let mut stand = Stand::waiting()?;
        for (name, value) in SLOWER {
            stand.scene.appliance.environment(name, value);
        }
        let (dice, start) = (Dice::new(seed), Instant::now());
        let faults = BTreeMap::new();
        let mut soak = Self { stand, series, given: 0, dice, start, faults, ended: 0, clock };
        soak.launch()?;
        Ok(soak)
    }

    /// Seconds by the daemon's clock.
    fn now_s(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * f64::from(FAST)
    }

    /// Starts the daemon, whose clock goes on where it was.
    fn launch(&mut self) -> anyhow::Result<()> {
        let ahead = self.start.elapsed().as_secs_f64() * f64::from(FAST - 1);
        let appliance = &mut self.stand.scene.appliance;
        appliance.environment("FAST", FAST.to_string());
        appliance.environment("FAKETIME", format!("+{ahead:.3} x{FAST}"));
        appliance.environment("LD_PRELOAD", self.clock.clone());
        appliance.start()
    }

    /// Starts a daemon that has ended, as systemd does.
    fn started_again(&mut self) -> anyhow::Result<()> {
        if self.stand.scene.appliance.check().is_err() {
            self.ended += 1;
            self.launch()?;
        }
        Ok(())
    }

    /// One series more: its files are copied, and then all there at once.
    fn give(&mut self) -> anyhow::Result<()> {
        let files = self.series.get(self.given).context("there are too few series")?;
        self.given += 1;
        let mut whole = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let target = self.stand.scene.appliance.incoming().join(format!("{}-{number}.ct", self.given));
            let part = target.with_extension("part");
            fs::copy(file, &part)?;
            whole.push((part, target));
        }
        Ok(whole.iter().try_for_each(|(part, target)| fs::rename(part, target))?)
    }

    /// Breaks something of so many twentieths.
    fn break_something(&mut self, of: u64) -> anyhow::Result<()> {
        let fault = match self.dice.below(of) {
            0..3 => Fault::Worker,
            3..6 => Fault::Broker,
            6..12 => Fault::Partition,
            12..20 => Fault::Hostile,
            _ => Fault::Daemon,
        };
        *self.faults.entry(fault).or_default() += 1;
        match fault {
            Fault::Worker => self.kill_a_worker()?,
            Fault::Broker => {
                self.stand.scene.broker.kill()?;
                self.stand.scene.broker.resume()?;
            }
            Fault::Partition => {
                let mode = if self.dice.below(2) == 0 { Mode::Drop } else { Mode::HalfOpen };
                self.stand.proxy.mode(mode);
                std::thread::sleep(Duration::from_millis(self.dice.below(200)));
                self.stand.proxy.cut(if self.dice.below(2) == 0 { Cut::Close } else { Cut::Reset });
                self.stand.proxy.mode(Mode::Pass);
            }
            Fault::Hostile => self.stand.feed()?,
            Fault::Daemon => {
                self.stand.scene.appliance.kill()?;
                self.launch()?;
            }
        }
        Ok(())
    }

    fn kill_a_worker(&mut self) -> anyhow::Result<()> {
        let supervisor = self.stand.scene.appliance.pid()?;
        let workers: Vec<u32> = gauge::family(supervisor).into_iter().filter(|pid| *pid != supervisor).collect();
        let place = usize::try_from(self.dice.below(u64::try_from(workers.len().max(1))?))?;
        if let Some(pid) = workers.get(place).and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
            // It may have ended by itself meanwhile.
            kill_process(pid, Signal::KILL).ok();
        }
        Ok(())
    }

    /// What is wrong when everything has had time to arrive.
    fn breaches(&mut self) -> anyhow::Result<Vec<String>> {
        let all = self.given + self.stand.dropped;
        process::wait_until(PATIENCE, || {
            self.started_again()?;
            self.stand.receipt()?;
            Ok(self.keys().len() >= all && self.unsettled().is_empty())
        })?;
        let told = self.stand.told();
        let highest = told.last().copied().unwrap_or_default();
        let gaps = (1..=highest).filter(|number| !told.contains(number));
        let mut breaches: Vec<String> = gaps.map(|number| format!("result number {number} is lost")).collect();
        if self.keys().len() != all {
            breaches.push(format!("{all} series came, {} were told of", self.keys().len()));
        }
        breaches.extend(self.unsettled());
        if self.stand.scene.appliance.log().contains("panicked") {
            breaches.push("it panicked".to_owned());
        }
        Ok(breaches)
    }

    /// How many results of each kind there are.
    fn outcomes(&self) -> String {
        let mut counts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for result in self.stand.scene.subscriber.results() {
            let words = [result.text("outcome"), result.text("reason_code")].join(" ");
            counts.entry(words.trim().to_owned()).or_default().insert(result.text("id").to_owned());
        }
        counts.iter().map(|(words, ids)| format!("{} {words}", ids.len())).collect::<Vec<_>>().join(", ")
    }

    fn keys(&self) -> BTreeSet<String> {
        results(&self.stand.scene.subscriber.messages()).into_iter().map(|(key, _)| key).collect()
    }

    /// What is not settled by the newest books.
    fn unsettled(&self) -> Vec<String> {
        let messages = self.stand.scene.subscriber.messages();
        let books = messages.iter().rev().find(|message| message.topic.ends_with("/counters"));
        let number = |name: &str| books.and_then(|books| books.payload.pointer(name)?.as_u64());
        let outcomes = ["flagged", "clear", "inconclusive", "rejected", "failed"];
        let ended: u64 = outcomes.iter().filter_map(|name| number(&format!("/total/{name}"))).sum();
        let mut breaches = Vec::new();
        if number("/total/received") != Some(ended) || number("/delivery/receipted") != Some(ended) {
            breaches.push(format!("the books do not balance: {:?}", books.map(|books| &books.payload)));
        }
        breaches
    }

    /// One series more, stolen before the daemon can have it: the same look has to miss it.
    fn control(&mut self) -> anyhow::Result<bool> {
        self.stand.scene.appliance.kill()?;
        self.give()?;
        let incoming = self.stand.scene.appliance.incoming();
        for file in ctedge_tests::arrival::files(&incoming)? {
            fs::remove_file(file)?;
        }
        self.launch()?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(self.keys().len() + 1 == self.given + self.stand.dropped)
    }
}

/// What has to be loaded before a program so that its clock is fast; `waits.c` is compiled for it.
fn fast_clock() -> anyhow::Result<String> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let mut libraries = places.iter().map(|place| Path::new(place).join("faketime/libfaketimeMT.so.1"));
    let library = libraries.find(|path| path.exists());
    let library = library.context("libfaketime is missing: apt-get install faketime")?;
    let waits = crate::native::library("waits", include_str!("waits.c"))?;
    Ok(format!("{} {}", waits.display(), library.display()))
}
