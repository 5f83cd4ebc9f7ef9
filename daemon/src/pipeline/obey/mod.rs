//! Commands are carried out here: those that change something one after the other, and beside them those that only look.
//!
//! A command is in the journal before anything is done, and its end is written there before it is told. Whatever was begun
//! when the daemon stopped is taken up again at the next start; how each goes on stands with it.

mod again;
mod cancel;
mod desk;
mod replay;
mod rest;
mod selftest;

pub(super) use desk::Commands;
pub(super) use selftest::Task;

use super::update::Looked;
use super::{AGAIN, House, diag};
use crate::command::{self, Entry, Lane, Order, Reason, Refused, State, Told};
use crate::floor::clock;
use crate::floor::store::lock;
use crate::intake::Arrival;
use desk::{enter, note};
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tracing::error;

/// A command that was begun so often without an end is given up.
const BEGUN_MOST: u32 = 3;
/// How often something that others do is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A command that gets no further for this long has failed.
const STALLED: Duration = Duration::from_mins(10);

/// What became of a command; `None` when the daemon is told to stop before that is known.
pub(super) type Ended = Option<Result<Value, Refused>>;

/// What the commands of a lane work with.
pub(super) enum Doors {
    /// The way into the room that sorts files.
    Change(SyncSender<Arrival>),
    /// The way to the model.
    Look(SyncSender<Task>),
    /// The same, for what changes it.
    Model(SyncSender<Task>),
}

impl Doors {
    fn lane(&self) -> Lane {
        match self {
            Self::Change(_) => Lane::Change,
            Self::Look(_) => Lane::Look,
            Self::Model(_) => Lane::Model,
        }
    }
}

impl House {
    /// Carries out the commands of a lane, until the daemon is told to stop.
    pub(super) fn obey(&self, doors: &Doors) {
        let (mut seen, mut looked) = (0, Looked::default());
        if let Doors::Model(tasks) = doors {
            self.begin_models(tasks);
        }
        while !self.stop.load(Ordering::Relaxed) {
            // Bound first: what a match looks at, the lock included, is held until its end.
            let next = lock(&self.store).commit(|transaction| {
                let next = command::next(transaction, doors.lane(), clock::now_ms())?;
                next.iter().filter(|entry| entry.state.is_final()).try_for_each(|entry| enter(transaction, entry))?;
                next.iter().try_for_each(|entry| self.commands.answer(transaction, entry))?;
                Ok(next)
            });
            match next {
                Ok(Some(mut entry)) => {
                    self.commands.tell(&entry);
                    if !entry.state.is_final()
                        && let Some(ended) = self.carry_out(&mut entry, doors)
                    {
                        self.end(&mut entry, ended);
                        if let Doors::Model(_) = doors {
                            self.sweep_bundles();
                        }
                    }
                    clock::next_piece();
                }
                Ok(None) => {
                    if let Doors::Model(_) = doors {
                        self.look_for_bundles(&mut looked);
                    }
                    self.commands.wait(&mut seen);
                }
                Err(error) => {
                    error!(%error, "the journal of commands cannot be read; trying again");
                    self.wait(AGAIN);
                }
            }
        }
    }

    fn carry_out(&self, entry: &mut Entry, doors: &Doors) -> Ended {
        let Some(request) = entry.request.clone() else {
            return Some(Err(Refused::new(Reason::Device, "the journal does not say what was asked for")));
        };
        if entry.begun > BEGUN_MOST && !matches!(request.order, Order::ModelUpdate(_)) {
            let detail = format!("the device was stopped {BEGUN_MOST} times while it was at it");
            return Some(Err(Refused::new(Reason::Interrupted, detail)));
        }
        let done = match (&request.order, doors) {
            (Order::Selftest { .. } | Order::Diag, _) if request.dry_run => Ok(Some(Ok(serde_json::json!({})))),
            (Order::Reprocess(which), Doors::Change(arrivals)) => self.reprocess(entry, which, arrivals),
            (Order::Replay { since_ms, outcomes, limit }, _) => self.replay(entry, (*since_ms, outcomes, *limit)),
            (Order::Pause { .. }, _) => self.pause(entry),
            (Order::Resume { .. }, _) => self.resume(entry),
            (Order::Restart { when_idle: true }, _) => self.restart(entry, rest::Idle::Awaited),
            (Order::Restart { when_idle: false }, _) => self.restart(entry, rest::Idle::Required),
            (Order::Selftest { depth }, Doors::Look(tasks)) => Ok(self.selftest(*depth, tasks)),
            (Order::Diag, _) => Ok(Some(self.diag())),
            (Order::ModelUpdate(offer), Doors::Model(tasks)) => self.model_update(entry, offer, tasks),
            (Order::ModelActivate { digest }, Doors::Model(tasks)) => {
                self.model_activate(entry, digest.as_deref(), tasks)
            }
            (Order::ModelRollback { .. }, Doors::Model(tasks)) => self.model_rollback(entry, tasks),
            (
                Order::Reprocess(_)
                | Order::Selftest { .. }
                | Order::ModelUpdate(_)
                | Order::ModelActivate { .. }
                | Order::ModelRollback { .. }
                | Order::Cancel(_),
                _,
            ) => Ok(Some(Err(Refused::new(Reason::Device, "the command waited in the wrong lane")))),
        };
        done.unwrap_or_else(|error| Some(Err(Refused::new(Reason::Device, error.to_string()))))
    }

    /// Writes the bundle for support; one is kept.
    fn diag(&self) -> Result<Value, Refused> {
        let name = "diag.tar.zst";
        let path = self.config.paths.state.join(name);
        let written = diag(&self.config, self.told(), &path).and_then(|()| path.metadata());
        let bytes = written.map_err(|error| Refused::new(Reason::Device, error.kind().to_string()))?.len();
        Ok(serde_json::json!({ "file": name, "bytes": bytes }))
    }

    /// Writes into the journal how a command ended, and tells it.
    fn end(&self, entry: &mut Entry, ended: Result<Value, Refused>) {
        (entry.state, entry.told) = match ended {
            Ok(result) => (State::Succeeded, Told::done(result)),
            Err(refused) => (refused.state(), Told::refused(&refused)),
        };
        entry.updated_ms = clock::now_ms();
        loop {
            let stored = lock(&self.store).commit(|transaction| {
                command::ends(transaction, entry)?;
                enter(transaction, entry)?;
                self.commands.answer(transaction, entry)
            });
            let Err(error) = stored else { break };
            error!(%error, "the end of a command cannot be stored; trying again");
            if self.wait(AGAIN) {
                return;
            }
        }
        self.commands.is_over(entry);
        note(entry);
        self.commands.tell(entry);
    }
}
