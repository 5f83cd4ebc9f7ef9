//! Series that take their worker down among good ones, while daemon and machine are restarted between the attempts.

use super::diary::{Diary, Line};
use super::{LENIENCE, RUN_S, block, key_of, machine, may_mount, model, scene, signal, uid_of};
use crate::scene::{PATIENCE, Scene, below};
use anyhow::{Context, ensure};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{process, tools};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is wrong with a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Its reader dies.
    Crash,
    /// Its reader runs out of memory.
    Memory,
    /// The inference worker stops in the middle of it.
    Hang,
    /// The model never ends on it.
    Loop,
    /// The whole machine goes down while it is read.
    Machine,
}

impl Kind {
    /// Reasons with which it may end: memory that is missing for a thread is another death than memory for a list.
    fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Crash => &["scan_crashed"],
            Self::Memory => &["scan_memory", "scan_crashed"],
            Self::Hang | Self::Loop => &["infer_time"],
            Self::Machine => &["device_restarted"],
        }
    }

    /// What is done to the worker that it has come to.
    fn strikes(self, line: &Line) -> anyhow::Result<()> {
        let worker = line.number("worker");
        match self {
            Self::Crash if line.says("a scan worker reads a series") => signal(worker, Signal::ABORT),
            Self::Memory if line.says("a scan worker reads a series") => starve(worker),
            Self::Hang if line.says("the model runs on a series") => signal(worker, Signal::STOP),
            Self::Crash | Self::Hang | Self::Memory | Self::Loop | Self::Machine => Ok(()),
        }
    }
}

/// From now on a worker gets no memory any more.
fn starve(worker: u64) -> anyhow::Result<()> {
    // It is about to look at the first of many files.
    std::thread::sleep(Duration::from_millis(20));
    let pid = Pid::from_raw(i32::try_from(worker)?).context("a process id")?;
    let none = Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    // It may have ended in this very moment.
    prlimit(Some(pid), Resource::As, none).ok();
    Ok(())
}

/// The doomed series: each of its kind, and its files. Those that have to be struck take long enough to be.
struct Doomed {
    files: Vec<(Kind, Vec<PathBuf>)>,
    many: Made,
    folder: TempDir,
}

impl Doomed {
    fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let many = series::make(&Plan { slices: 800, size: 64, ..Plan::small(1, 97) })?;
        let one = |file| vec![file];
        let files = vec![
            (Kind::Crash, one(block(&folder, "crash", [512, 512, 240], 110)?)),
            (Kind::Memory, many.series.first().cloned().unwrap_or_default()),
            (Kind::Hang, one(block(&folder, "hang", [512, 512, 120], 130)?)),
            (Kind::Loop, one(block(&folder, "loop", [64, 64, 64], model::BRIGHT_HU)?)),
            (Kind::Machine, one(block(&folder, "machine", [512, 512, 240], 140)?)),
        ];
        Ok(Self { files, many, folder })
    }

    /// Their pseudonyms.
    fn keys(&self, scene: &Scene) -> anyhow::Result<BTreeMap<String, Kind>> {
        let key = |(kind, files): &(Kind, Vec<PathBuf>)| {
            let uid = match files.as_slice() {
                [file] => uid_of(file)?,
                _many => self.many.uids(0)?.1,
            };
            Ok((key_of(scene, &uid)?, *kind))
        };
        self.files.iter().map(key).collect()
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq)]
struct Failure {
    /// In which life of the daemon.
    life: usize,
    took: Duration,
}

/// What happened, by series.
#[derive(Debug, Default)]
struct Tale {
    failures: BTreeMap<String, Vec<Failure>>,
    begun: BTreeMap<String, usize>,
    results: BTreeMap<String, Message>,
    quarantine: BTreeSet<String>,
}

impl Tale {
    fn of(diary: &Diary, scene: &Scene) -> Self {
        let mut tale = Self::default();
        let (mut life, mut begun) = (0, BTreeMap::<&str, Instant>::new());
        for line in &diary.lines {
            if line.says("ctedge is running") {
                life += 1;
            } else if line.says("an attempt begins") {
                begun.insert(line.text("series"), line.at);
                *tale.begun.entry(line.text("series").to_owned()).or_default() += 1;
            } else if line.says("an attempt failed") {
                let key = line.text("series");
                let took = begun.get(key).map(|begun| line.at - *begun).unwrap_or_default();
                tale.failures.entry(key.to_owned()).or_default().push(Failure { life, took });
            }
        }
        for result in scene.subscriber.results() {
            tale.results.insert(result.text("series_key").to_owned(), result);
        }
        let folder = scene.appliance.path("spool/quarantine");
        let files = below(&folder, &folder);
        tale.quarantine.extend(files.iter().filter_map(|file| Some(file.split('/').nth(1)?.to_owned())));
        tale
    }

    /// What is wrong with it, a sentence each.
    fn breaches(&self, doomed: &BTreeMap<String, Kind>, good: usize) -> Vec<String> {
        let mut breaches = Vec::new();
        for (key, kind) in doomed {
            // Nobody is left to say that an attempt took the machine down: none of them ends otherwise.
            let failures = match kind {
                Kind::Machine => self.begun.get(key).copied().unwrap_or_default(),
                Kind::Crash | Kind::Memory | Kind::Hang | Kind::Loop => self.failures.get(key).map_or(0, Vec::len),
            };
            if failures != 2 {
                breaches.push(format!("{kind:?}: {failures} attempts failed, and should be 2"));
            }
            let told = self.results.get(key).map(|result| (result.text("reason_code"), result.text("reason_detail")));
            match told {
                None => breaches.push(format!("{kind:?}: no result")),
                Some((code, detail)) if !kind.codes().contains(&code) || !detail.contains("2 attempts failed") => {
                    breaches.push(format!("{kind:?}: ended with {code}: {detail}"));
                }
                Some(_) if !self.quarantine.contains(key) => breaches.push(format!("{kind:?}: not in quarantine")),
                Some(_) => {}
            }
            if let Some(longest) = self.longest(key).filter(|took| took.as_secs_f64() > RUN_S * LENIENCE + SLACK_S) {
                breaches.push(format!("{kind:?}: others waited {longest:?} for one attempt"));
            }
        }
        let read = |result: &&Message| ["flagged", "clear", "inconclusive"].contains(&result.text("outcome"));
        let read = self.results.values().filter(read).count();
        if read != good {
            breaches.push(format!("{read} of {good} good series have flags"));
        }
        breaches
    }

    fn tell(&self, doomed: &BTreeMap<String, Kind>, clock: &Elapsed) {
        for (key, kind) in doomed {
            let code = self.results.get(key).map_or("no result", |result| result.text("reason_code"));
            let failures = self.failures.get(key).map(Vec::as_slice).unwrap_or_default();
            let lives: Vec<String> = failures.iter().map(|failure| failure.life.to_string()).collect();
            let longest = self.longest(key).unwrap_or_default().as_secs_f64();
            clock.say(&match kind {
                Kind::Machine => format!("{kind:?}: {code} after {} attempts", self.begun.get(key).unwrap_or(&0)),
                Kind::Crash | Kind::Memory | Kind::Hang | Kind::Loop => format!(
                    "{kind:?}: {code} after {} failed attempts, in lives {} of the daemon; the longest took {longest:.2} s",
                    failures.len(),
                    lives.join(" and ")
                ),
            });
        }
    }

    /// The longest failed attempt at a series.
    fn longest(&self, key: &str) -> Option<Duration> {
        self.failures.get(key)?.iter().map(|failure| failure.took).max()
    }
}

/// For a note in the ledger, and for a line to be written and seen, on a busy machine.
const SLACK_S: f64 = 0.7;

/// Plays all kinds among so many good series.
pub(crate) fn run(good: usize, clock: &Elapsed) -> anyhow::Result<bool> {
    may_mount()?;
    let (made, bad) = (series::make(&Plan::small(good, 95))?, Doomed::make()?);
    let mut scene = scene(&[])?;
    model::looping(&mut scene)?;
    let doomed = bad.keys(&scene)?;
    let mut diary = Diary::new(scene.appliance.path("log"));
    machine::boot(&scene, 1)?;
    // The last is there for the machine's own sake: those that it meets at work lose an attempt by no doing of theirs.
    let (first, last) = made.series.split_at(good.saturating_sub(2));
    let (four, machine) = bad.files.split_at(4);
    for files in first.iter().chain(four.iter().map(|(_, files)| files)) {
        give(&scene, files)?;
    }
    clock.say(&format!("{} series lie in the drop folder, {} of them doomed", good + 2, four.len()));
    // Not before: what is read while files are still being given could not be struck.
    scene.appliance.start()?;
    let mut restarts = play(&mut scene, &mut diary, &doomed, first.len() + four.len())?;
    for files in last.iter().chain(machine.iter().map(|(_, files)| files)) {
        give(&scene, files)?;
    }
    restarts += play(&mut scene, &mut diary, &doomed, good + doomed.len())?;
    let tale = Tale::of(&diary, &scene);
    let breaches = tale.breaches(&doomed, good);
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    tale.tell(&doomed, clock);
    let found = control(&bad.folder, clock)?;
    clock.say(&format!(
        "poison: {good} good series, {restarts} restarts, budget {RUN_S} s: {} breaches; control: {}",
        breaches.len(),
        if found { "a third attempt was found" } else { "a third attempt was NOT found" }
    ));
    let held = breaches.is_empty() && found;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

fn give(scene: &Scene, files: &[PathBuf]) -> anyhow::Result<()> {
    let name = files.first().map(|file| file.display().to_string().replace('/', "_")).unwrap_or_default();
    arrival::drop_files(files, &scene.appliance.incoming(), &name, Manner::Rename)
}

/// Strikes whoever comes to a doomed series until there are so many results, and restarts the daemon after the first failure
/// of each; the machine whenever that is what a series does. Returns how often.
fn play(
    scene: &mut Scene,
    diary: &mut Diary,
    doomed: &BTreeMap<String, Kind>,
    results: usize,
) -> anyhow::Result<usize> {
    let (start, mut failed, mut looked, mut boots) = (Instant::now(), BTreeSet::new(), Instant::now(), 1);
    loop {
        let mut falls = false;
        let first = diary.go_on(|line| {
            let Some(kind) = doomed.get(line.text("series")) else { return Ok(false) };
            kind.strikes(line)?;
            falls = *kind == Kind::Machine && line.says("a scan worker reads a series");
            let fails = line.says("an attempt failed") && line.number("attempt") == 1;
            Ok(falls || fails && failed.insert(*kind))
        })?;
        if first.is_some() {
            scene.appliance.kill()?;
            boots += usize::from(falls);
            machine::boot(scene, boots)?;
            scene.appliance.start()?;
        } else if looked.elapsed() > Duration::from_millis(200) {
            looked = Instant::now();
            if scene.subscriber.wait_for_results(results, Duration::ZERO).is_ok() {
                // Files move after the result is kept.
                let work = scene.appliance.path("spool/work");
                process::wait_until(Duration::from_secs(5), || Ok(below(&work, &work).is_empty()))?;
                return Ok(failed.len() + boots - 1);
            }
        }
        ensure!(start.elapsed() < PATIENCE * 4, "it takes too long\n{}", scene.appliance.log_end());
    }
}

/// The same for one series, whose attempts are struck from the ledger while the daemon is down: it has to be found out.
fn control(folder: &TempDir, clock: &Elapsed) -> anyhow::Result<bool> {
    const FORGET: &str =
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('DELETE FROM attempts'); d.commit()";
    let mut scene = scene(&[])?;
    let file = block(folder, "control", [512, 512, 240], 110)?;
    let doomed = BTreeMap::from([(key_of(&scene, &uid_of(&file)?)?, Kind::Crash)]);
    let mut diary = Diary::new(scene.appliance.path("log"));
    arrival::drop_files(&[file], &scene.appliance.incoming(), "doomed", Manner::Rename)?;
    for _life in 0..3 {
        scene.appliance.start()?;
        let start = Instant::now();
        let strike = |line: &Line| {
            doomed.get(line.text("series")).map_or(Ok(()), |kind| kind.strikes(line))?;
            Ok(line.says("an attempt failed"))
        };
        while diary.go_on(strike)?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "the control does not fail\n{}", scene.appliance.log_end());
        }
        scene.appliance.kill()?;
        let database = scene.appliance.path("state/ctedge.db");
        process::output(Command::new(tools::python()?).args(["-c", FORGET]).arg(database)).context("forgetting")?;
    }
    let breaches = Tale::of(&diary, &scene).breaches(&doomed, 0);
    clock.say(&format!("control: {}", breaches.join("; ")));
    Ok(breaches.iter().any(|breach| breach.contains("3 attempts failed")))
}
