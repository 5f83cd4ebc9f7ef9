//! The ladder of an inference that hangs, climbed: each rung is kept before it is acted on, logged, and told as an incident.

use super::super::update::Way;
use super::super::vitals::ModelState;
use super::super::{AGAIN, House};
use crate::floor::clock;
use crate::floor::store::{Store, StoreError, fact, set_fact};
use crate::floor::worker::Killed;
use crate::infer::{Engines, Inference, Ladder, Model, Provider, Reboots, Rung, Setup, Stance};
use crate::message::{Check, CheckState, Incident};
use crate::outbox;
use rusqlite::Transaction;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;
use tracing::{error, info, warn};

/// Names the ladder in the ledger.
const LADDER: &str = "ladder";
/// Longest wait for the command that restarts the machine.
const REBOOTING: Duration = Duration::from_mins(1);

/// Where the device stands, as the ledger has it.
pub(in crate::pipeline) fn kept(store: &Store) -> Result<Ladder, StoreError> {
    let kept = store.read(|connection| fact(connection, LADDER))?;
    let mut ladder = kept.map_or_else(Ladder::default, |text| {
        serde_json::from_str(&text).unwrap_or_else(|error| {
            error!(%error, "what was known of hung runs cannot be read");
            Ladder::default()
        })
    });
    ladder.starts(clock::boot());
    Ok(ladder)
}

/// Says what a model that is loaded does not have.
fn lacks(model: &Model) {
    for reason in &model.passed_over {
        warn!(reason, "an execution provider does not run");
    }
    if model.discarded {
        warn!("engines without this device's seal lay in its cache, and were deleted");
    }
    for (watch, reason) in &model.unscored {
        warn!(watch, %reason, "a watch has no scores");
    }
}

/// Keeps where the device stands.
pub(super) fn keep(transaction: &Transaction<'_>, ladder: &Ladder) -> Result<(), rusqlite::Error> {
    let text = serde_json::to_string(ladder).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    set_fact(transaction, LADDER, &text)
}

impl House {
    pub(in crate::pipeline) fn ladder(&self) -> Ladder {
        self.ladder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes where the device stands: kept first, with the message that tells of it. `None` when told to stop.
    fn climb<T>(&self, change: impl Fn(&mut Ladder) -> (T, Option<Incident>)) -> Option<T> {
        let before = self.ladder();
        let mut ladder = before.clone();
        let (value, incident) = change(&mut ladder);
        if ladder != before {
            self.stored(|transaction| {
                keep(transaction, &ladder)?;
                incident.iter().try_for_each(|incident| {
                    outbox::put(transaction, &self.writer.incident(incident), clock::now_ms()).map(drop)
                })
            })?;
            *self.ladder.lock().unwrap_or_else(PoisonError::into_inner) = ladder;
            self.board.wake();
        }
        Some(value)
    }

    /// A run came to an end: the provider obeys. `None` when told to stop.
    pub(super) fn obeyed(&self) -> Option<()> {
        self.climb(|ladder| {
            let probed = ladder.stance() == Stance::Probing;
            ladder.ran();
            ((), probed.then(|| incident("resumed", None, "a run came to an end: safe mode is over")))
        })
    }

    /// A run hung, and its worker was killed. Does what the ladder says. `None` when told to stop.
    pub(in crate::pipeline) fn hung(&self, provider: Provider, worker: Killed) -> Option<()> {
        let (configured, reboots) = (self.config.infer.chain(), self.reboots());
        let rung = self.climb(|ladder| {
            let rung = ladder.wedged((provider, worker), configured, reboots, clock::now_ms());
            (rung, Some(told(rung, Some(provider), worker)))
        })?;
        self.act(rung);
        Some(())
    }

    /// A run took more memory than there is, and its worker is dead. Says what is done about that. `None` when told to stop.
    pub(super) fn starved(&self, provider: Provider) -> Option<Rung> {
        let configured = self.config.infer.chain();
        let rung = self.climb(|ladder| {
            let rung = ladder.starved(provider, configured, clock::now_ms());
            (rung, Some(incident(rung.name(), Some(provider), what_of_memory(rung))))
        })?;
        error!(rung = rung.name(), provider = provider.name(), "{}", what_of_memory(rung));
        if rung == Rung::Lighten {
            self.workshop.gives_up("there was too little memory for the model that serves");
        }
        Some(rung)
    }

    fn reboots(&self) -> Reboots {
        if self.config.infer.reboot.is_empty() { Reboots::Off } else { Reboots::Allowed }
    }

    /// Says what is done, and does it where nobody else does.
    fn act(&self, rung: Rung) {
        let provider = if let Rung::Without(provider) = rung { Some(provider.name()) } else { None };
        error!(rung = rung.name(), provider, "{}", what(rung));
        if rung == Rung::Reboot {
            match self.reboot() {
                Ok(()) => info!("the command infer.reboot was run"),
                Err(reason) => error!(reason, "the command infer.reboot failed; there is safe mode"),
            }
        }
    }

    /// Runs the site's command. Whatever becomes of it, there is safe mode meanwhile.
    fn reboot(&self) -> Result<(), String> {
        let [program, arguments @ ..] = self.config.infer.reboot.as_slice() else { return Ok(()) };
        let mut command = Command::new(program);
        let started = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = started.map_err(|error| error.to_string())?;
        let since = clock::Stopwatch::start();
        while since.elapsed() < REBOOTING && !self.wait(Duration::from_millis(100)) {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(status.to_string()),
                None => {}
            }
        }
        // It may restart the machine yet, and is left to it.
        Err("it has not ended".to_owned())
    }

    /// How a bundle is loaded, on the providers that are not bad.
    pub(in crate::pipeline) fn setup(&self, bundle: PathBuf, ladder: &Ladder) -> Setup {
        let mut setup = self.config.setup(bundle);
        setup.settings.providers = ladder.allowed(self.config.infer.chain());
        setup
    }

    /// A worker with the model, on a provider that is not bad: as soon as there is one. `None` when told to stop.
    pub(in crate::pipeline) fn inference(&self) -> Option<Inference> {
        loop {
            self.rest()?;
            self.model_is(ModelState::Loading);
            let ladder = self.ladder();
            let counting = self.counting();
            // An engine that is not here yet is built by `engines`, and nobody waits for it.
            let setup = Setup { engines: Engines::Kept, ..self.setup(counting.path.clone(), &ladder) };
            match Inference::start(&setup) {
                Ok(mut inference) => {
                    inference.pass_over(bad(&ladder));
                    self.adopt(&counting, &inference)?;
                    self.loaded(&inference);
                    return Some(inference);
                }
                // Its worker may have been ended with the daemon.
                Err(_ended) if self.wait(Duration::ZERO) => return None,
                Err(error) => {
                    error!(%error, "the model cannot be loaded; series wait in the spool");
                    if !error.is_short && self.gives_way_unloaded(&counting, &error)? == Way::Open {
                        continue;
                    }
                    let (hung, first) = (error.hung, ladder.allowed(self.config.infer.chain()).first().copied());
                    self.model_is(ModelState::Failed(error.reason));
                    match first {
                        // Which of them it was nobody knows any more: they are left out in their turn.
                        Some(first) if error.is_starved => drop(self.starved(first)?),
                        _ if error.is_short => {}
                        _ => self.unloadable(&ladder, hung)?,
                    }
                }
            }
            if self.wait(AGAIN) {
                return None;
            }
        }
    }

    /// The model cannot be loaded. Where that hung its first provider is bad; where others were bad already, what is left
    /// without them does not run the model. `None` when told to stop.
    fn unloadable(&self, ladder: &Ladder, hung: Option<Killed>) -> Option<()> {
        let (configured, reboots) = (self.config.infer.chain(), self.reboots());
        let provider = ladder.allowed(configured).first().copied();
        let rung = match (hung, provider) {
            (Some(worker), Some(provider)) => self.climb(|ladder| {
                let rung = ladder.load_hung(provider, configured, reboots, clock::now_ms());
                let detail = match worker {
                    Killed::Gone => "loading the model hung, and its worker was killed",
                    Killed::Left => "loading the model hung, and its worker cannot be killed",
                };
                (rung, Some(incident(rung.name(), Some(provider), detail)))
            })?,
            _ if !ladder.marks().is_empty() => self.climb(|ladder| {
                let rung = ladder.none_left(reboots, clock::now_ms());
                (rung, Some(told(rung, None, Killed::Gone)))
            })?,
            _ => return Some(()),
        };
        self.act(rung);
        Some(())
    }

    pub(in crate::pipeline) fn loaded(&self, inference: &Inference) {
        let model = inference.model();
        info!(
            model = model.name,
            version = model.version,
            provider = model.provider.name(),
            runtime = model.runtime,
            trained = model.trained,
            worker = inference.worker_id(),
            golden_difference = model.golden_difference,
            "the model is loaded"
        );
        lacks(model);
        self.enter_model(&model.digest);
        self.workshop.serves(model);
        self.model_is(ModelState::Loaded(Box::new(model.clone())));
    }

    /// Waits while there is safe mode. `None` when told to stop.
    fn rest(&self) -> Option<()> {
        loop {
            let stance = self.climb(|ladder| {
                let before = ladder.stance();
                ladder.passes(clock::now_ms());
                let probes = before != ladder.stance() && ladder.stance() == Stance::Probing;
                (ladder.stance(), probes.then(|| incident("probing", None, "safe mode is interrupted for one run")))
            })?;
            match stance {
                Stance::Working => return Some(()),
                Stance::Probing => {
                    info!("one run decides whether safe mode ends");
                    return Some(());
                }
                Stance::Safe(_) => self.model_is(ModelState::Resting),
            }
            if self.wait(AGAIN) {
                return None;
            }
        }
    }

    /// Why providers are not even tried, one sentence each.
    pub(in crate::pipeline) fn bad_providers(&self) -> Vec<String> {
        bad(&self.ladder())
    }

    /// How it stands with the providers that hang, and what to do.
    pub(in crate::pipeline) fn inference_check(&self) -> Check {
        let ladder = self.ladder();
        let (hung, left) = ladder.hung();
        let mut details = bad(&ladder);
        if hung > 0 {
            details.push(format!("{hung} runs hung within the last hour, and their workers were replaced"));
        }
        if left > 0 {
            details.push(format!(
                "{left} workers cannot be killed and hold what they have until the machine is restarted"
            ));
        }
        let state = match ladder.stance() {
            Stance::Safe(since) => {
                details.insert(
                    0,
                    format!(
                        "safe mode since {}: runs hung, and no execution provider is left. Series wait in the spool, \
                         nothing is lost. Look at the graphics processor and its driver, then restart the machine or ctedge; \
                         by itself one run is tried after an hour",
                        clock::rfc3339(since)
                    ),
                );
                CheckState::Failed
            }
            Stance::Probing => {
                details.insert(0, "after safe mode one run decides whether there is inference".to_owned());
                CheckState::Degraded
            }
            Stance::Working if details.is_empty() => CheckState::Ok,
            Stance::Working => CheckState::Degraded,
        };
        Check { id: "inference", state, detail: details.join("; ") }
    }
}

/// Why providers are not even tried, one sentence each.
fn bad(ladder: &Ladder) -> Vec<String> {
    let marks = ladder.marks().iter();
    let why = |(provider, since): (&Provider, &i64)| {
        let what = if ladder.is_hungry(*provider) { "take more memory than there is" } else { "hung" };
        format!("{}: bad since {}, its runs {what}; tried again after a day", provider.name(), clock::rfc3339(*since))
    };
    marks.map(why).collect()
}

fn incident(step: &'static str, provider: Option<Provider>, detail: &str) -> Incident {
    Incident { step, provider: provider.map(Provider::name), detail: detail.to_owned() }
}

/// What a rung means, for people.
fn what(rung: Rung) -> &'static str {
    match rung {
        Rung::Replace | Rung::Lighten => "a run hung, and its worker is replaced",
        Rung::Without(_) => "too much hung: the provider is not used any more",
        Rung::Reboot => "no execution provider is left: the machine is restarted",
        Rung::Safe => "no execution provider is left: safe mode, series wait in the spool",
    }
}

/// What a rung means where a run took more memory than there is.
fn what_of_memory(rung: Rung) -> &'static str {
    match rung {
        Rung::Lighten => "a run took more memory than there is: whatever else holds memory for models is let go",
        Rung::Without(_) => "runs take more memory than there is: the provider is not used any more",
        Rung::Replace | Rung::Reboot | Rung::Safe => "a run took more memory than there is: its worker is replaced",
    }
}

fn told(rung: Rung, provider: Option<Provider>, worker: Killed) -> Incident {
    let left = if worker == Killed::Left { "; the worker cannot be killed" } else { "" };
    incident(rung.name(), provider, &format!("{}{left}", what(rung)))
}
