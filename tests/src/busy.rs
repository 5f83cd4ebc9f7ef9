//! A busy box while its models change: a series comes again and again, and meanwhile a release goes into the shadow, counts and
//! proves itself, a second one counts, and is gone back from, a third waits and counts.

use crate::appliance::{Appliance, Setup};
use crate::arrival::{self, Manner};
use crate::gauge;
use crate::mosquitto::{Memory, Mosquitto};
use crate::process;
use crate::subscriber::{Message, Subscriber};
use crate::variant::{KEY, Strange, Workshop};
use anyhow::{Context, ensure};
use ctedge_models::bundle::file_digest;
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write::{self, SeriesTags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Series that the box reads before anything changes, at each step, and after the last.
const CALM: usize = 20;
const FEW: usize = 10;
/// How often the control takes the worker away.
const LOSSES: usize = 3;
/// More than are needed; each is a study of its own.
const MOST: u64 = 400;
const PATIENCE: Duration = Duration::from_mins(2);

/// Short trials, no wait for the end of studies, and a loaded machine is no fault of a model; series come faster here than a
/// decoder would write of them.
const MORE: [&str; 4] = [
    "update.probation_series = 10",
    "update.patience_s = 0.0",
    "update.slower = 1000.0",
    "draft.source = \"template\"",
];

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing: as the box is when no model changes.
    Calm,
    /// A release is installed into the shadow.
    Shadow,
    /// It counts, and proves itself.
    Activate,
    /// A second release is installed, and counts.
    Install,
    /// It is gone back from.
    Rollback,
    /// A third release is installed as staged, and then counts.
    Staged,
    /// The control: the worker of the model is killed, and series wait until another has loaded it.
    Loss,
}

/// What was sent and heard.
#[derive(Debug)]
pub struct Course {
    sent: usize,
    messages: Vec<Message>,
    steps: Vec<(Step, Instant, Instant)>,
    log: String,
}

/// A series that has its result: how long it waited, and how long the model had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Which step was being done while it waited or ran.
    pub step: Step,
    /// Ms from the complete series to its result, less those in which it was read or run.
    pub waited_ms: u64,
    /// Ms of its run.
    pub run_ms: u64,
}

struct Stage {
    appliance: Appliance,
    subscriber: Subscriber,
    workshop: Workshop,
    // Last, so that it goes last.
    _broker: Mosquitto,
}

/// Plays it, with a series `every` so long.
pub fn play(every: Duration) -> anyhow::Result<Course> {
    let stage = Stage::open()?;
    let release = |later| stage.workshop.release(later, Strange::No, |_manifest| {});
    let (releases, over) = ([release(1)?, release(2)?, release(3)?], AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| stage.send(every, &over));
        let steps = stage.steps(&releases);
        over.store(true, Ordering::Relaxed);
        let sent = sender.join().map_err(|_panic| anyhow::anyhow!("the sender panicked"))??;
        let steps = steps.with_context(|| stage.appliance.log_end())?;
        stage.hear(|messages| ids(messages).len() >= sent && settled(messages, sent))?;
        Ok(Course { sent, messages: stage.subscriber.messages(), steps, log: stage.appliance.log() })
    })
}

impl Stage {
    fn open() -> anyhow::Result<Self> {
        let (broker, workshop) = (Mosquitto::start(Memory::Persistent)?, Workshop::open()?);
        let recipe = Recipe { seed: 77, size: [64, 64, 16], spacing_mm: [5.0, 5.0, 18.0], findings: Vec::new() };
        let volume = recipe.volume()?;
        for number in 0..MOST {
            let folder = workshop.at(&format!("patient-{number}"));
            fs::create_dir_all(&folder)?;
            write::dicom_series(&volume, &SeriesTags::synthetic(5000 + number), &folder)?;
        }
        let subscriber = Subscriber::start(broker.port())?;
        let more = MORE.map(str::to_owned).to_vec();
        let mut appliance = Appliance::new(&Setup { more, quiet_s: 0.5, ..Setup::quick(broker.port()) })?;
        fs::copy(workshop.public(), appliance.path("trust").join(format!("{KEY}.pub")))?;
        appliance.start()?;
        let stage = Self { appliance, subscriber, workshop, _broker: broker };
        stage.hear(|messages| last(messages, "/model/a", "/state") == Some("active"))?;
        Ok(stage)
    }

    /// Drops a series again and again; returns how many.
    fn send(&self, every: Duration, over: &AtomicBool) -> anyhow::Result<usize> {
        for (sent, number) in (0..MOST).enumerate() {
            if over.load(Ordering::Relaxed) {
                return Ok(sent);
            }
            let files = arrival::files(&self.workshop.at(&format!("patient-{number}")))?;
            arrival::drop_files(&files, &self.appliance.incoming(), &format!("p{number}"), Manner::Copy)?;
            std::thread::sleep(every);
        }
        anyhow::bail!("{MOST} series were sent, and the models have not changed")
    }

    fn steps(&self, [first, second, third]: &[PathBuf; 3]) -> anyhow::Result<Vec<(Step, Instant, Instant)>> {
        let path = |bundle: &Path| bundle.display().to_string();
        let mut steps = Vec::new();
        let mut over = |step, since| steps.push((step, since, Instant::now()));
        self.more(CALM)?;
        let since = Instant::now();
        self.says(&["install", &path(first), "--mode", "shadow"])?;
        self.hear(|messages| compared(messages) >= 10)?;
        // It slows the others as long as it is there.
        over(Step::Shadow, since);
        let since = Instant::now();
        self.says(&["activate"])?;
        over(Step::Activate, since);
        self.hear(|messages| last(messages, "/model_changed", "/cause") == Some("proved"))?;
        let since = Instant::now();
        self.says(&["install", &path(second)])?;
        over(Step::Install, since);
        self.made(second)?;
        let since = Instant::now();
        self.says(&["rollback", "a test"])?;
        over(Step::Rollback, since);
        self.made(first)?;
        self.more(FEW)?;
        let since = Instant::now();
        self.says(&["install", &path(third), "--mode", "stage"])?;
        self.says(&["activate"])?;
        over(Step::Staged, since);
        self.made(third)?;
        self.more(FEW)?;
        let since = Instant::now();
        for _time in 0..LOSSES {
            self.lose_workers()?;
            self.more(FEW)?;
        }
        over(Step::Loss, since);
        Ok(steps)
    }

    /// Waits until this model has made the newest result.
    fn made(&self, bundle: &Path) -> anyhow::Result<()> {
        let digest = file_digest(bundle)?.1;
        self.hear(|messages| made_by(messages).last().is_some_and(|made| *made == digest))
    }

    /// Waits for so many results more.
    fn more(&self, count: usize) -> anyhow::Result<()> {
        let enough = ids(&self.subscriber.messages()).len() + count;
        self.hear(|messages| ids(messages).len() >= enough)
    }

    fn hear(&self, enough: impl Fn(&[Message]) -> bool) -> anyhow::Result<()> {
        self.subscriber.wait(PATIENCE, enough).map(drop)
    }

    fn says(&self, arguments: &[&str]) -> anyhow::Result<()> {
        process::output(self.appliance.command(&["model"]).args(arguments)).map(drop)
    }

    /// Kills the workers of models.
    fn lose_workers(&self) -> anyhow::Result<()> {
        let is_model = |pid: &u32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split('\0').skip_while(|word| *word != "worker").nth(1) == Some("infer")
        };
        let found: Vec<u32> = gauge::family(self.appliance.pid()?).into_iter().filter(is_model).collect();
        ensure!(!found.is_empty(), "no worker has a model");
        for pid in found {
            kill_process(Pid::from_raw(i32::try_from(pid)?).context("a process id")?, Signal::KILL)?;
        }
        Ok(())
    }
}

impl Course {
    /// Series that were sent.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// What the daemon logged.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Series without a result or with several, gaps in the numbers, and results that name another model than the one that
    /// counted when they were made.
    pub fn breaches(&self) -> Vec<String> {
        let mut told: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
        for result in self.messages.iter().filter(|message| message.is_result()) {
            told.entry(result.text("id")).or_default().push(result);
        }
        let mut breaches = Vec::new();
        if told.len() != self.sent {
            breaches.push(format!("{} series were sent, {} have a result", self.sent, told.len()));
        }
        let several = told.iter().filter(|(_, results)| results.len() > 1);
        breaches.extend(several.map(|(id, results)| format!("{id} was told {} times", results.len())));
        let numbers: Vec<u64> = told.values().flatten().filter_map(|result| number(&result.payload, "/seq")).collect();
        let gaps = (1..).take(self.sent).filter(|number| !numbers.contains(number));
        breaches.extend(gaps.map(|number| format!("no result has the number {number}")));
        breaches.extend(told.values().flatten().filter_map(|result| self.misnamed(result)));
        breaches
    }

    fn misnamed(&self, result: &Message) -> Option<String> {
        let (made, digest) = (result.text("produced_at"), text(&result.payload, "/model/digest"));
        let changes = self.messages.iter().filter(|message| message.topic.ends_with("/event/model_changed"));
        // Within one and the same millisecond either may be meant.
        let counted = |until: &dyn Fn(&str) -> bool| {
            let before = changes.clone().filter(|change| until(change.text("at")));
            let newest = before.max_by_key(|change| change.text("at").to_owned());
            newest.and_then(|change| text(&change.payload, "/to/digest"))
        };
        let known = [counted(&|at| at <= made), counted(&|at| at < made)];
        let outcome = ["flagged", "clear", "inconclusive"].contains(&result.text("outcome"));
        let is_right = outcome && digest.is_some() && known.contains(&digest);
        (!is_right).then(|| format!("{} names {digest:?}, and {known:?} counted: {}", result.text("id"), result.raw))
    }

    /// How long each series waited.
    pub fn waits(&self) -> Vec<Wait> {
        let results = self.messages.iter().filter(|message| message.is_result());
        let waits = results.map(|result| {
            let of = |name: &str| number(&result.payload, &format!("/timing_ms/{name}")).unwrap_or_default();
            let run_ms = of("preprocess_ms") + of("infer_ms");
            let waited_ms = of("total_ms").saturating_sub(of("decode_ms") + run_ms);
            let came = result.at.checked_sub(Duration::from_millis(of("total_ms"))).unwrap_or(result.at);
            let met = self.steps.iter().find(|(_, since, until)| *since <= result.at && came <= *until);
            Wait { step: met.map_or(Step::Calm, |(step, ..)| *step), waited_ms, run_ms }
        });
        waits.collect()
    }

    /// Without one of its results, for a control.
    #[must_use]
    pub fn without_a_result(mut self) -> Self {
        if let Some(place) = self.messages.iter().rposition(Message::is_result) {
            self.messages.remove(place);
        }
        self
    }

    /// With one of the changes told a little later than it was, for a control.
    #[must_use]
    pub fn with_a_late_change(mut self) -> Self {
        let newest = self.messages.iter().rev().find(|message| message.is_result());
        let made = newest.map(|result| result.text("produced_at").to_owned());
        let back = self.messages.iter_mut().find(|message| message.text("cause") == "rolled_back");
        if let (Some(at), Some(made)) = (back.and_then(|change| change.payload.get_mut("at")), made) {
            *at = made.into();
        }
        self
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

/// A text of the newest message on topics that end so.
fn last<'a>(messages: &'a [Message], topic: &str, pointer: &str) -> Option<&'a str> {
    let newest = messages.iter().rev().find(|message| message.topic.ends_with(topic))?;
    text(&newest.payload, pointer)
}

fn compared(messages: &[Message]) -> u64 {
    let newest = messages.iter().rev().find(|message| message.topic.ends_with("/model/b"));
    newest.and_then(|message| number(&message.payload, "/shadow/series")).unwrap_or_default()
}

fn ids(messages: &[Message]) -> Vec<&str> {
    let results = messages.iter().filter(|message| message.is_result());
    let mut ids: Vec<&str> = results.map(|message| message.text("id")).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The models that made the results, in the order of these.
fn made_by(messages: &[Message]) -> Vec<&str> {
    let results = messages.iter().filter(|message| message.is_result());
    results.filter_map(|result| text(&result.payload, "/model/digest")).collect()
}

/// Whether the books have so many series and nothing pending.
fn settled(messages: &[Message], sent: usize) -> bool {
    let books = messages.iter().rev().find(|message| message.topic.ends_with("/counters"));
    books.is_some_and(|books| {
        let total = |name: &str| number(&books.payload, &format!("/total/{name}"));
        total("received") == u64::try_from(sent).ok() && total("pending") == Some(0)
    })
}
