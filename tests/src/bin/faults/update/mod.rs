//! Models change, and the supervisor is killed at every step of it.
//!
//! A release is installed and proves itself, a second one goes into the shadow, counts, and is gone back from, and the keys of
//! models are replaced. Whenever the daemon is killed, the next start has one model that counts, whole and verified, and the
//! command that was cut short comes to an end.

pub(crate) mod busy;
mod cut;
mod keys;

pub(crate) use cut::run as cuts;

use crate::calls::{self, Moment};
use crate::sample::{Sample, side_by_side};
use crate::scene::{PATIENCE, READY, Scene};
use anyhow::{Context, ensure};
use ctedge_models::bundle::{file_digest, manifest_of};
use ctedge_models::trust;
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::place;
use ctedge_tests::process::{self, Running};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::variant::{KEY, Strange, Workshop};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// What is brought to the device.
struct Goods {
    workshop: Workshop,
    releases: [PathBuf; 2],
    series: Made,
}

/// What is done, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Install,
    Prove,
    Shadow,
    Activate,
    Rollback,
    Root,
}

const STEPS: [Step; 6] = [Step::Install, Step::Prove, Step::Shadow, Step::Activate, Step::Rollback, Step::Root];
/// Asked again and again, with the step that is being done, whether that is to be given up.
type Watch<'a> = dyn FnMut(Step) -> anyhow::Result<bool> + 'a;

/// Whatever a model reads proves it, no study is waited for, and a small disk is full enough only when it is full.
const MORE: [&str; 5] = [
    "update.probation_series = 1",
    "update.patience_s = 0.0",
    "disk.least_mib = 8",
    "disk.ballast_mib = 1",
    // Drafts take a while, in which the kernel writes by itself what a careless daemon never made it write.
    "draft.source = \"template\"",
];
/// Longest time of one step.
const STEP: Duration = Duration::from_secs(20);

/// What became of a kill.
struct Outcome {
    ended: bool,
    ready: Duration,
    breaches: Vec<String>,
}

/// Kills the supervisor at so many steps, and then plays the control.
pub(crate) fn run(sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let goods = Goods::make()?;
    let moments = calls::record(&mut goods.scene()?, |scene| {
        let reached = goods.play(scene, &mut |_step| Ok(false))?;
        ensure!(reached == Step::Root, "an undisturbed run ends at {reached:?}\n{}", scene.appliance.log_end());
        Ok(())
    })?;
    let chosen = sample.of(&moments);
    let told =
        format!("update: {} of {} steps that change something, seed {}", chosen.len(), moments.len(), sample.seed);
    clock.say(&told);
    let outcomes = side_by_side(&chosen, sample.jobs, |moment| {
        let outcome = goods.killed(moment).with_context(|| format!("{moment:?}"))?;
        if !outcome.breaches.is_empty() {
            clock.say(&format!("FAIL {moment:?}\n  {}", outcome.breaches.join("\n  ")));
        }
        Ok(outcome)
    })?;
    let ended = outcomes.iter().filter(|outcome| outcome.ended).count();
    let broken = outcomes.iter().filter(|outcome| !outcome.breaches.is_empty()).count();
    let slowest = outcomes.iter().map(|outcome| outcome.ready).max().unwrap_or_default();
    let (keys, torn) = keys::killed(&goods)?;
    let found = goods.control()?;
    clock.say(&format!(
        "{told}: {ended} ended the daemon, {broken} left no model, two, an older or another one than was told, ready again within \
         {:.1} s (bar {} s); {keys} kills of `ctedge key trust`, {torn} left no root that counts; control: {}",
        slowest.as_secs_f64(),
        READY.as_secs(),
        if found { "the theft was found" } else { "the theft was NOT found" }
    ));
    let held = broken == 0 && torn == 0 && keys > 0 && found && slowest <= READY && ended * 10 >= outcomes.len() * 8;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

impl Goods {
    fn make() -> anyhow::Result<Self> {
        let workshop = Workshop::open()?;
        for name in ["ann", "bea"] {
            trust::keygen(&workshop.at(""), name, None)?;
        }
        let release = |later| workshop.release(later, Strange::No, |_manifest| {});
        let releases = [release(1)?, release(2)?];
        let goods =
            Self { releases, series: series::make(&Plan { slices: 4, size: 16, ..Plan::small(2, 92) })?, workshop };
        goods.root(1)?;
        goods.root(2)?;
        Ok(goods)
    }

    /// Writes and signs a root document.
    fn root(&self, version: u64) -> anyhow::Result<()> {
        let text = |name: &str| trust::key_text(&self.workshop.at(&format!("{name}.pub")));
        let root = json!({
            "schema": trust::SCHEMA, "version": version, "created": "2026-11-27T00:00:00Z", "threshold": 2,
            "root_keys": [text("ann")?, text("bea")?],
            "bundle_keys": [text(KEY)?, trust::key_text(&place::reference_key()?)?],
        });
        let path = self.workshop.at(&format!("root-{version}.json"));
        fs::write(&path, root.to_string())?;
        for name in ["ann", "bea"] {
            let key = trust::SigningKey::load(&self.workshop.at(&format!("{name}.key")), None)?;
            trust::sign_beside(&path, &key, "a root")?;
        }
        Ok(())
    }

    /// A device with the reference model and the first root pinned.
    fn scene(&self) -> anyhow::Result<Scene> {
        self.scene_at(&std::env::temp_dir())
    }

    /// The same with its folders at a place.
    fn scene_at(&self, place: &Path) -> anyhow::Result<Scene> {
        let broker = Mosquitto::start(Memory::Persistent)?;
        let port = broker.port();
        let scene = Scene::beside(broker, port, place, &MORE)?;
        for entry in fs::read_dir(self.workshop.at(""))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("root-1.json") {
                fs::copy(entry.path(), scene.appliance.path("trust").join(name))?;
            }
        }
        Ok(scene)
    }

    /// Does one step after the other, until `is_over`; returns the last that was begun.
    fn play(&self, scene: &Scene, is_over: &mut Watch<'_>) -> anyhow::Result<Step> {
        scene.subscriber.wait(PATIENCE, |messages| counting(messages).is_some() && loaded(messages).is_some())?;
        let mut reached = Step::Install;
        for step in STEPS {
            reached = step;
            let [first, second] = self.releases.each_ref().map(|path| path.display().to_string());
            let done = match step {
                Step::Install => Self::says((scene, step), &["model", "install", &first], is_over)?,
                Step::Shadow => Self::says((scene, step), &["model", "install", &second, "--mode", "shadow"], is_over)?,
                Step::Activate => Self::says((scene, step), &["model", "activate"], is_over)?,
                Step::Rollback => Self::says((scene, step), &["model", "rollback", "a test"], is_over)?,
                Step::Root => {
                    let root = self.workshop.at("root-2.json").display().to_string();
                    Self::says((scene, step), &["key", "trust", &root], is_over)?
                }
                Step::Prove => {
                    self.give(scene, 0)?;
                    let proved = |messages: &[Message]| changes(messages, "proved") > 0;
                    let mut ended = false;
                    process::wait_until(STEP, || {
                        ended = is_over(step)?;
                        Ok(ended || proved(&scene.subscriber.messages()))
                    })?;
                    !ended
                }
            };
            if !done {
                break;
            }
        }
        Ok(reached)
    }

    /// Runs an operator's command until it ends, or the daemon has. False where the daemon has.
    fn says((scene, step): (&Scene, Step), arguments: &[&str], is_over: &mut Watch<'_>) -> anyhow::Result<bool> {
        let mut command = scene.appliance.command(arguments);
        let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut over = false;
        process::wait_until(STEP, || {
            over = is_over(step)?;
            Ok(over || running.check().is_err())
        })?;
        Ok(!over)
    }

    fn give(&self, scene: &Scene, number: usize) -> anyhow::Result<()> {
        let files = self.series.series.get(number).context("a series")?;
        arrival::drop_files(files, &scene.appliance.incoming(), &format!("s{number}"), Manner::Copy)
    }

    /// One kill, one start, and how it stands then.
    fn killed(&self, moment: &Moment) -> anyhow::Result<Outcome> {
        let mut scene = self.scene()?;
        let (ended, reached) = self.cut_short(&mut scene, moment)?;
        let ready = scene.start()?;
        let messages = scene.subscriber.messages();
        // From the rollback on an older one may count.
        let least = self.proved(&messages).filter(|_| reached < Step::Rollback);
        Ok(Outcome { ended, ready, breaches: self.breaches(&scene, least)? })
    }

    fn cut_short(&self, scene: &mut Scene, moment: &Moment) -> anyhow::Result<(bool, Step)> {
        let tracer = calls::start(scene, moment, "signal=KILL")?;
        let pid = scene.appliance.pid()?;
        let mut is_over = |_step| Ok(!is_there(pid));
        let reached = self
            .play(scene, &mut is_over)
            .or_else(|error| if is_there(pid) { Err(error) } else { Ok(Step::Install) })?;
        let ended = !is_there(pid);
        scene.appliance.kill()?;
        drop(tracer);
        scene.untraced()?;
        Ok((ended, reached))
    }

    /// The highest serial that was told to have proved itself.
    fn proved(&self, messages: &[Message]) -> Option<u64> {
        let told = messages.iter().filter(|message| ["adopted", "proved"].contains(&message.text("cause")));
        told.filter_map(|message| self.serial(text(&message.payload, "/to/digest")?)).max()
    }

    /// What is wrong after the start that follows a kill or a cut; `least` is the serial that has to count, or a higher one.
    fn breaches(&self, scene: &Scene, least: Option<u64>) -> anyhow::Result<Vec<String>> {
        let mut breaches = Vec::new();
        // Commands that were begun come to an end, and the model that counts is loaded.
        let settled = |messages: &[Message]| {
            unfinished(messages).is_empty() && counting(messages).is_some_and(|digest| loaded(messages) == Some(digest))
        };
        if scene.subscriber.wait(STEP, settled).is_err() {
            let messages = scene.subscriber.messages();
            breaches.push(format!(
                "not settled: unfinished {:?}, counts {:?}, loaded {:?}",
                unfinished(&messages),
                counting(&messages),
                loaded(&messages)
            ));
        }
        let messages = scene.subscriber.messages();
        let ended = messages.iter().filter(|message| message.topic.contains("/cmd/model_"));
        let refused = ended.filter(|message| ["failed", "rejected", "expired"].contains(&message.text("state")));
        breaches.extend(refused.map(|message| {
            format!("{} is {}: {}", message.text("name"), message.text("state"), message.text("reason_detail"))
        }));
        let now = counting(&messages).and_then(|digest| self.serial(&digest));
        if now < least {
            breaches.push(format!("serial {now:?} counts, and {least:?} had proved itself"));
        }
        self.give(scene, 1)?;
        let digest = counting(&messages);
        let read_by = |messages: &[Message]| {
            messages
                .iter()
                .rev()
                .filter(|message| message.is_result())
                .find_map(|message| text(&message.payload, "/model/digest").map(str::to_owned))
        };
        let before = messages.iter().filter(|message| message.is_result()).count();
        let more = |messages: &[Message]| messages.iter().filter(|message| message.is_result()).count() > before;
        let read = scene.subscriber.wait(STEP, |messages| more(messages) && read_by(messages) == digest);
        if read.is_err() {
            let messages = scene.subscriber.messages();
            breaches.push(format!("{digest:?} counts, and the next series was read by {:?}", read_by(&messages)));
        }
        breaches.extend(Self::stray(scene)?);
        if scene.appliance.log().contains("panicked") {
            breaches.push("it panicked".to_owned());
        }
        if !breaches.is_empty() {
            breaches.push(scene.appliance.log_end());
        }
        Ok(breaches)
    }

    /// Bundles that are in no slot, or slots without their bundle.
    fn stray(scene: &Scene) -> anyhow::Result<Option<String>> {
        let done = process::output(&mut scene.appliance.command(&["model", "list", "--json"]))?;
        let slots: Value = serde_json::from_str(done.trim())?;
        let digests: BTreeSet<String> = ["a", "b"]
            .into_iter()
            .filter_map(|slot| text(&slots, &format!("/{slot}/model/digest")).map(str::to_owned))
            .collect();
        let entries = fs::read_dir(scene.appliance.path("state/bundles"))?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let kept: BTreeSet<String> = names.filter_map(|name| name.strip_suffix(".ctb").map(str::to_owned)).collect();
        Ok((kept != digests).then(|| format!("slots hold {digests:?}, state/bundles {kept:?}")))
    }

    fn serial(&self, digest: &str) -> Option<u64> {
        let reference = place::reference_bundle().ok()?;
        let known = self.releases.iter().chain([&reference]);
        let found = known.into_iter().find(|path| file_digest(path).is_ok_and(|(_, found)| found == digest))?;
        manifest_of(found).ok().map(|manifest| manifest.serial)
    }

    /// Killed like the others, but the bundle that counts is stolen before the next start: that has to be found.
    fn control(&self) -> anyhow::Result<bool> {
        let mut scene = self.scene()?;
        scene.start()?;
        self.play(&scene, &mut |_step| Ok(false))?;
        let digest = counting(&scene.subscriber.messages()).context("a model that counts")?;
        scene.appliance.kill()?;
        fs::remove_file(scene.appliance.path(&format!("state/bundles/{digest}.ctb")))?;
        scene.start()?;
        Ok(!self.breaches(&scene, None)?.is_empty())
    }
}

fn is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The digest of the model that counts, as the slots were told last.
fn counting(messages: &[Message]) -> Option<String> {
    let newest = |slot: &str| {
        let topic = format!("/model/{slot}");
        messages.iter().rev().find(|message| message.topic.ends_with(&topic))
    };
    let counts = |message: &&Message| ["active", "probation"].contains(&message.text("state"));
    let found: Vec<&Message> = ["a", "b"].into_iter().filter_map(newest).filter(counts).collect();
    let [one] = found.as_slice() else { return None };
    text(&one.payload, "/model/digest").map(str::to_owned)
}

/// The digest of the model that is loaded, as `info` told it last.
fn loaded(messages: &[Message]) -> Option<String> {
    let info = messages.iter().rev().find(|message| message.topic.ends_with("/info"))?;
    text(&info.payload, "/model/digest").map(str::to_owned)
}

/// Ids of commands about models that have not ended.
fn unfinished(messages: &[Message]) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for message in
        messages.iter().filter(|message| message.topic.contains("/cmd/model_") && !message.text("id").is_empty())
    {
        if ["accepted", "running"].contains(&message.text("state")) {
            open.insert(message.text("id").to_owned());
        } else {
            open.remove(message.text("id"));
        }
    }
    open
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn changes(messages: &[Message], cause: &str) -> usize {
    messages
        .iter()
        .filter(|message| message.topic.ends_with("/model_changed") && message.text("cause") == cause)
        .count()
}
