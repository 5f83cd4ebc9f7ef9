//! `model_update`, `model_activate` and `model_rollback`: from an offer to a model that counts.

use super::super::House;
use super::super::obey::{Ended, Task};
use super::super::vitals::ModelState;
use super::{Switched, Way, bundle};
use crate::command::{Entry, Reason, Refused, Told};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::store::{StoreError, lock};
use crate::infer::Inference;
use crate::series::ledger;
use crate::update::{Slots, Standing, Stock, Unable, Untaken, Window, table};
use ctedge_models::bundle as bundles;
use ctedge_models::offer::{Mode, Offer, Source};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// How often it is tried whether the model has nothing to do, and whether no study is half read.
const MOMENT: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(500);
/// What is told of a model that an operator has gone back from; their own words stand in the command's state.
pub(super) const WORDS: &str = "an operator went back to the model before";

/// What is needed in order to go on after a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// How often the bundle was about to be loaded.
    pub(super) checks: u32,
    /// Whether it has passed: the slot holds it.
    staged: bool,
    /// Which model is to count: where it does, that was done before the restart.
    target: Option<String>,
}

impl Memory {
    pub(super) fn of(entry: &Entry) -> Self {
        entry.memory.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// A step that may be refused, or cut short by the end of the daemon.
pub(super) type Step<T> = Result<Option<Result<T, Refused>>, StoreError>;

/// Goes on with what a step gave, or returns what ended it.
macro_rules! step {
    ($step:expr) => {
        match $step? {
            None => return Ok(None),
            Some(Err(refused)) => return Ok(Some(Err(refused))),
            Some(Ok(value)) => value,
        }
    };
}

impl House {
    /// Takes a model.
    pub(in crate::pipeline) fn model_update(
        &self,
        entry: &mut Entry,
        offer: &Offer,
        tasks: &SyncSender<Task>,
    ) -> Result<Ended, StoreError> {
        let slots = self.slots()?;
        let is_here = Memory::of(entry).staged && slots.find(&offer.digest).is_some();
        let candidate = if is_here || is_done(&slots, offer) {
            None
        } else {
            step!(self.may_begin(&slots, offer));
            if entry.request.as_ref().is_some_and(|request| request.dry_run) {
                return Ok(Some(Ok(json!({}))));
            }
            step!(self.get(entry, offer));
            let candidate = step!(self.check(entry, offer));
            step!(self.put(entry, offer, &candidate));
            Some(Box::new(candidate))
        };
        step!(self.use_model(entry, offer, (candidate, tasks)));
        Ok(Some(Ok(self.told_of(&offer.digest)?)))
    }

    /// Has the model that waits count.
    pub(in crate::pipeline) fn model_activate(
        &self,
        entry: &mut Entry,
        digest: Option<&str>,
        tasks: &SyncSender<Task>,
    ) -> Result<Ended, StoreError> {
        let slots = self.slots()?;
        let wanted = Memory::of(entry).target.or_else(|| digest.map(str::to_owned));
        if let Some(digest) = wanted.as_deref().filter(|digest| slots.counts_now(digest)) {
            return Ok(Some(Ok(self.told_of(digest)?)));
        }
        let is_it = |found: &str| wanted.as_deref().is_none_or(|digest| digest == found);
        let Some((_, slot)) = slots.candidate().filter(|(_, slot)| is_it(&slot.bundle.digest)) else {
            return Ok(Some(Err(refused(Unable::NoCandidate))));
        };
        let (digest, standing) = (slot.bundle.digest.clone(), slot.standing.clone());
        self.aims_at(entry, &digest)?;
        let candidate = step!(Ok::<_, StoreError>(Some(self.standing_by(&digest, &standing))));
        step!(Ok::<_, StoreError>(self.switched(candidate, tasks)));
        Ok(Some(Ok(self.told_of(&digest)?)))
    }

    /// Has the model before count again.
    pub(in crate::pipeline) fn model_rollback(
        &self,
        entry: &mut Entry,
        tasks: &SyncSender<Task>,
    ) -> Result<Ended, StoreError> {
        let slots = self.slots()?;
        if let Some(digest) = Memory::of(entry).target.filter(|digest| slots.counts_now(digest)) {
            return Ok(Some(Ok(self.told_of(&digest)?)));
        }
        let Some((_, slot)) = slots.before() else { return Ok(Some(Err(refused(Unable::NothingBefore)))) };
        let digest = slot.bundle.digest.clone();
        self.aims_at(entry, &digest)?;
        let before = step!(Ok::<_, StoreError>(Some(self.beside(&digest))));
        let (reply, answer) = sync_channel(1);
        let task = Task::Back(before, reply);
        let switched = match self.hand_to_model(task, tasks) {
            Handed::Over => answered(&answer),
            Handed::NobodyThere => self.give_way("rolled_back", WORDS).map(|way| match way {
                Way::Open => Ok(()),
                Way::Blocked => Err(Unable::NothingBefore),
            }),
            Handed::Stop => None,
        };
        match switched {
            None => Ok(None),
            Some(Err(unable)) => Ok(Some(Err(refused(unable)))),
            Some(Ok(())) => Ok(Some(Ok(self.told_of(&digest)?))),
        }
    }

    /// Notes which model is to count, before anything is done.
    fn aims_at(&self, entry: &mut Entry, digest: &str) -> Result<(), StoreError> {
        entry.memory = Some(json!(Memory { target: Some(digest.to_owned()), ..Memory::default() }).to_string());
        self.commands.progress(entry, Told::at("switching"))
    }

    /// Gets the bundle here, whole and under its digest.
    fn get(&self, entry: &mut Entry, offer: &Offer) -> Step<()> {
        let stock = self.stock();
        if stock.has(&offer.digest) {
            return Ok(Some(Ok(())));
        }
        self.commands.progress(entry, Told::at("fetching"))?;
        let got = match &offer.source {
            Source::File(name) => self.bring(name, &offer.digest),
            Source::Https(_) | Source::Mqtt { .. } => match self.fetch(entry, offer) {
                None => return Ok(None),
                Some(fetched) => fetched,
            },
        };
        let kept = got.and_then(|()| {
            let kept = stock.keep(&offer.digest, &offer.signature);
            kept.map_err(|error| Refused::new(Reason::Device, format!("the bundle cannot be kept: {}", error.kind())))
        });
        if let Source::File(name) = &offer.source {
            // Not before: after a kill it is needed again.
            drop(fs::remove_file(Stock::inbox(&self.config.paths.state).join(name)));
        }
        Ok(Some(kept))
    }

    /// Copies a bundle that was brought: by `ctedge model install`, or in the watched folder.
    fn bring(&self, name: &str, digest: &str) -> Result<(), Refused> {
        let inbox = Stock::inbox(&self.config.paths.state).join(name);
        let path = if inbox.exists() { inbox } else { self.config.update.folder.join(name) };
        self.stock().bring(&path, digest).map_err(|untaken| match &untaken {
            Untaken::Io(error) => {
                Refused::new(Reason::Device, format!("the bundle cannot be copied: {}", error.kind()))
            }
            Untaken::Link => Refused::new(Reason::Bundle("unsafe_file"), untaken.to_string()),
            Untaken::Other => Refused::new(Reason::Bundle("other_bundle"), untaken.to_string()),
        })
    }

    /// Puts a model that has passed into the slot that does not count.
    fn put(&self, entry: &mut Entry, offer: &Offer, candidate: &Inference) -> Step<()> {
        let nonce = match self.admission(offer)? {
            Ok((_admission, nonce)) => nonce,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        let model = candidate.model();
        let standing = if offer.mode == Mode::Shadow { Standing::Shadow } else { Standing::Staged };
        let put = self.change(|transaction, slots| {
            let staged = slots.stage(bundle(model), standing.clone(), clock::now_ms());
            if staged.is_ok() {
                table::sees(transaction, bundles::ms(&model.created).unwrap_or_default())?;
                nonce.as_deref().map_or(Ok(()), |nonce| table::use_up(transaction, nonce, clock::now_ms()))?;
            }
            Ok(staged)
        });
        let Some(put) = put else { return Ok(None) };
        if let Err(unable) = put {
            return Ok(Some(Err(refused(unable))));
        }
        entry.memory = Some(json!(Memory { staged: true, ..Memory::of(entry) }).to_string());
        self.commands.progress(entry, Told::at("waiting"))?;
        Ok(Some(Ok(())))
    }

    /// What the offer wants of a model that is in its slot.
    fn use_model(
        &self,
        entry: &mut Entry,
        offer: &Offer,
        (candidate, tasks): (Option<Box<Inference>>, &SyncSender<Task>),
    ) -> Step<()> {
        let slots = self.slots()?;
        let standing = slots.find(&offer.digest).map(|(_, slot)| slot.standing.clone());
        match (offer.mode, standing) {
            (Mode::Activate, Some(standing @ (Standing::Staged | Standing::Shadow))) => {
                if !self.quiet(entry)? {
                    return Ok(self.commands.stopped(entry).map(Err));
                }
                self.commands.progress(entry, Told::at("switching"))?;
                let candidate = match candidate {
                    Some(candidate) => Some(candidate),
                    // It was put there before a restart.
                    None => step!(Ok::<_, StoreError>(Some(self.standing_by(&offer.digest, &standing)))),
                };
                Ok(self.switched(candidate, tasks))
            }
            (Mode::Shadow, Some(Standing::Shadow)) => match candidate {
                Some(candidate) => {
                    let handed = self.hand_to_model(Task::Shadow(Some(candidate)), tasks);
                    Ok((handed != Handed::Stop).then_some(Ok(())))
                }
                // After a restart it was put there already.
                None => Ok(Some(Ok(()))),
            },
            _ => Ok(Some(Ok(()))),
        }
    }

    /// Waits until the window is open and no study is half read, for so long as the site has patience for that. False when
    /// told to stop, or cancelled.
    fn quiet(&self, entry: &mut Entry) -> Result<bool, StoreError> {
        let window = Window::read(&self.config.update.window);
        let halts = || clock::wait(LOOK, &self.commands.halt);
        let mut told = false;
        while window.is_some_and(|window| !window.is_open(clock::now_ms())) {
            if !std::mem::replace(&mut told, true) {
                self.commands.progress(entry, Told::at("waiting for the window"))?;
            }
            if halts() {
                return Ok(false);
            }
            clock::next_piece();
        }
        let since = Stopwatch::start();
        while since.elapsed() < Duration::from_secs_f64(self.config.update.patience_s.clamp(0.0, 86_400.0)) {
            if !lock(&self.store).read(|connection| ledger::is_half_read(connection, clock::now_ms()))? {
                break;
            }
            if halts() {
                return Ok(false);
            }
            clock::next_piece();
        }
        Ok(!self.commands.halt.load(Ordering::Relaxed))
    }

    /// Has the model that waits count: by the room of the model, between two series; where that has none to run it only
    /// needs to be told which to load.
    fn switched(&self, candidate: Option<Box<Inference>>, tasks: &SyncSender<Task>) -> Option<Result<(), Refused>> {
        let (reply, answer) = sync_channel(1);
        match self.hand_to_model(Task::Switch(candidate, reply), tasks) {
            Handed::Over => answered(&answer).map(|switched| switched.map_err(refused)),
            Handed::NobodyThere => self.activate().map(|switched| switched.map_err(refused)),
            Handed::Stop => None,
        }
    }

    /// Hands a task to the room of the model when its turn comes.
    pub(in crate::pipeline) fn hand_to_model(&self, mut task: Task, tasks: &SyncSender<Task>) -> Handed {
        loop {
            match tasks.try_send(task) {
                Ok(()) => return Handed::Over,
                Err(TrySendError::Full(back)) => task = back,
                Err(TrySendError::Disconnected(_)) => return Handed::Stop,
            }
            if self.has_no_model() {
                return Handed::NobodyThere;
            }
            if self.wait(MOMENT) {
                return Handed::Stop;
            }
            clock::next_piece();
        }
    }

    /// Whether the room of the model waits for one that can be loaded.
    fn has_no_model(&self) -> bool {
        let state = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, ModelState::Failed(_) | ModelState::Resting)
    }

    /// Where a model is, as the result of a command.
    fn told_of(&self, digest: &str) -> Result<Value, StoreError> {
        let slots = self.slots()?;
        Ok(slots.find(digest).map_or(Value::Null, |(place, slot)| {
            let bundle = &slot.bundle;
            json!({
                "slot": place.name(), "state": slot.standing.name(), "name": bundle.name, "version": bundle.version,
                "serial": bundle.serial, "digest": bundle.digest,
            })
        }))
    }
}

/// Whether a task has reached the room of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Handed {
    /// It has.
    Over,
    /// The room has no model, and waits for one that can be loaded.
    NobodyThere,
    /// The daemon is told to stop.
    Stop,
}

fn answered(answer: &Receiver<Switched>) -> Option<Switched> {
    clock::idle(|| answer.recv()).ok()
}

/// Whether what is offered is so already.
fn is_done(slots: &Slots, offer: &Offer) -> bool {
    slots.find(&offer.digest).is_some_and(|(_, slot)| {
        slot.standing.counts()
            || matches!(
                (&slot.standing, offer.mode),
                (Standing::Shadow, Mode::Shadow | Mode::Stage) | (Standing::Staged, Mode::Stage)
            )
    })
}

pub(super) fn refused(unable: Unable) -> Refused {
    let reason = match unable {
        Unable::Unproved => Reason::Unproved,
        Unable::NoCandidate | Unable::NothingBefore => Reason::NotFound,
    };
    Refused::new(reason, unable.to_string())
}
