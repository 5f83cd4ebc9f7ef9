//! `selftest`: the model runs its golden volume again, between two series and never during one.

use super::{Ended, LOOK};
use crate::command::{Depth, Reason, Refused};
use crate::floor::clock::{self, Stopwatch};
use crate::infer::Inference;
use crate::pipeline::House;
use crate::pipeline::update::Switched;
use crate::pipeline::vitals::ModelState;
use crate::volume::Reading;
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tracing::error;

/// How often it is tried whether the model has nothing to do: no less than those try who have a series for it.
const MOMENT: Duration = Duration::from_millis(5);

/// What the room of the model is asked for.
pub(in crate::pipeline) enum Task {
    /// Run the model on what was read.
    Read(Box<Reading>),
    /// Test it.
    Examine(Depth, SyncSender<Examined>),
    /// Have this one go on in the place of the same model without its engine.
    Engine(Box<Inference>),
    /// Have a model read in the shadow of the one that counts; nothing has none do so.
    Shadow(Option<Box<Inference>>),
    /// Have the model that waits count: this one, or the one in the shadow.
    Switch(Option<Box<Inference>>, SyncSender<Switched>),
    /// Have the model before count again: this one, or one that is still to be loaded.
    Back(Option<Box<Inference>>, SyncSender<Switched>),
}

/// What a test found, or why the model does not pass.
pub(in crate::pipeline) type Examined = Result<Value, String>;

impl House {
    /// Has the model tested when its turn comes.
    pub(super) fn selftest(&self, depth: Depth, tasks: &SyncSender<Task>) -> Ended {
        let (reply, answer) = sync_channel(1);
        let mut task = Task::Examine(depth, reply);
        loop {
            match tasks.try_send(task) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => task = back,
                Err(TrySendError::Disconnected(_)) => return None,
            }
            if let Some(refused) = self.model_fails() {
                return Some(Err(refused));
            }
            if self.wait(MOMENT) {
                return None;
            }
        }
        loop {
            match clock::idle(|| answer.recv_timeout(LOOK)) {
                Ok(examined) => return Some(examined.map_err(|reason| Refused::new(Reason::Model, reason))),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(refused) = self.model_fails() {
                return Some(Err(refused));
            }
        }
    }

    fn model_fails(&self) -> Option<Refused> {
        match &*self.model.lock().unwrap_or_else(PoisonError::into_inner) {
            ModelState::Failed(reason) => Some(Refused::new(Reason::Model, reason.clone())),
            ModelState::Resting => Some(Refused::new(Reason::Model, "safe mode: nothing is inferred; health says why")),
            ModelState::Loading | ModelState::Loaded(_) => None,
        }
    }

    /// Tests the model, answers, and hands on the one that runs from now on: one that does not pass is loaded anew until it
    /// does, and meanwhile series wait. `None` when the daemon is told to stop.
    pub(in crate::pipeline) fn examine(
        &self,
        mut inference: Inference,
        depth: Depth,
        reply: &SyncSender<Examined>,
    ) -> Option<Inference> {
        let clock = Stopwatch::start();
        let difference = match depth {
            Depth::Golden => match inference.golden() {
                Ok(difference) => difference,
                Err(failed) => {
                    error!(reason = %failed, "the model does not pass its own test; it is loaded anew");
                    // Whoever asked may have gone.
                    reply.send(Err(failed.reason)).ok();
                    let provider = inference.model().provider;
                    drop(inference);
                    if let Some(worker) = failed.hung {
                        self.hung(provider, worker)?;
                    }
                    return self.inference();
                }
            },
            Depth::Full => {
                // Two of them may not fit into the memory of a device. Where it cannot be loaded the model's state says so.
                drop(inference);
                inference = self.inference()?;
                inference.model().golden_difference
            }
        };
        let model = inference.model();
        let found = json!({
            "depth": depth, "difference": difference, "ep": model.provider.name(), "duration_ms": clock.ms(),
            "model": {"name": model.name, "version": model.version, "digest": model.digest},
        });
        reply.send(Ok(found)).ok();
        Some(inference)
    }
}
