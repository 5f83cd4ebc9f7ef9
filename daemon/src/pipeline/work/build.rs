//! An engine that is not here yet is built beside the model that serves: on a provider that needs none it reads series meanwhile, and
//! gives way to the same model with its engine once that has passed.

use super::super::House;
use super::super::obey::Task;
use crate::floor::clock::{self, Stopwatch};
use crate::floor::store::lock;
use crate::infer::{Inference, Model, Provider};
use crate::message::{Check, CheckState};
use crate::update::table;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// How often it is looked whether an engine is wanted.
const LOOK: Duration = Duration::from_millis(500);

/// The engine that is wanted, and what has become of it.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Workshop(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    wanted: Option<Order>,
    begun: Option<Begun>,
    /// A model whose engine could not be built since the daemon's start, by the digest of its bundle, and why, where the model itself
    /// does not say so.
    failed: Option<(String, Option<String>)>,
}

/// The model that runs without the engine of a provider, by the digest of its bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    digest: String,
    provider: Provider,
}

/// What became of an engine.
enum Ended {
    /// It has passed.
    Built,
    /// Nobody wants it any more.
    GivenUp,
    /// The model was loaded on another provider, and says why.
    PassedOver,
    /// The model was not loaded, for this reason.
    Failed(String),
}

#[derive(Debug)]
struct Begun {
    provider: Provider,
    at_ms: i64,
    /// Milliseconds that it took the last time.
    last_ms: Option<u32>,
}

impl Workshop {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This model serves from now on. What was built for another is not wanted any more.
    pub(super) fn serves(&self, model: &Model) {
        let mut state = self.state();
        let has_failed = state.failed.as_ref().is_some_and(|(digest, _)| *digest == model.digest);
        let order = model.unbuilt.map(|provider| Order { digest: model.digest.clone(), provider });
        state.wanted = order.filter(|_| !has_failed);
    }

    /// What is being built is not to be, and why.
    pub(super) fn gives_up(&self, reason: &str) {
        let mut state = self.state();
        if let Some(order) = state.wanted.take() {
            state.failed = Some((order.digest, Some(reason.to_owned())));
        }
    }

    fn wanted(&self) -> Option<Order> {
        self.state().wanted.clone()
    }

    fn is_wanted(&self, order: &Order) -> bool {
        self.state().wanted.as_ref() == Some(order)
    }

    fn begins(&self, order: &Order, last_ms: Option<u32>) {
        let (at_ms, provider) = (clock::now_ms(), order.provider);
        self.state().begun = Some(Begun { provider, at_ms, last_ms });
    }

    /// That is over.
    fn ends(&self, order: &Order, ended: Ended) {
        let mut state = self.state();
        state.begun = None;
        if state.wanted.as_ref() == Some(order) {
            state.wanted = None;
        }
        let failed = match ended {
            Ended::Built | Ended::GivenUp => return,
            Ended::PassedOver => None,
            Ended::Failed(reason) => Some(reason),
        };
        state.failed = Some((order.digest.clone(), failed));
    }

    /// How it stands with the engine; nothing where none is missing.
    fn told(&self, serving: &str) -> Option<String> {
        let state = self.state();
        if let Some(Begun { provider, at_ms, last_ms }) = &state.begun {
            let since = clock::rfc3339(*at_ms);
            let about = last_ms.map_or_else(
                || "how long it takes here is not known yet".to_owned(),
                |ms| format!("to be ready at about {}", clock::rfc3339(at_ms.saturating_add(i64::from(ms)))),
            );
            let provider = provider.name();
            return Some(format!("{provider}'s is being built since {since}, {about}; series are read without it"));
        }
        let (_, reason) = state.failed.as_ref().filter(|(digest, _)| digest == serving)?;
        Some(format!("{}; it is tried again when ctedge is started", reason.as_ref()?))
    }
}

impl House {
    /// Builds what is wanted, until the daemon is told to stop.
    pub(in crate::pipeline) fn build_engines(&self, tasks: &SyncSender<Task>) {
        while !self.wait(LOOK) {
            if let Some(order) = self.workshop.wanted() {
                self.build_engine(&order, tasks);
            }
        }
    }

    fn build_engine(&self, order: &Order, tasks: &SyncSender<Task>) {
        let last_ms = lock(&self.store).read(table::loading_ms).ok().flatten();
        self.workshop.begins(order, last_ms);
        self.board.wake();
        info!(provider = order.provider.name(), last_ms, "an engine is built beside the model that serves");
        let setup = self.setup(self.counting().path, &self.ladder());
        let since = Stopwatch::start();
        let given_up = || self.stop.load(Ordering::Relaxed) || !self.workshop.is_wanted(order);
        let built = Inference::start_unless(&setup, &given_up);
        let ready = match built {
            _ if given_up() => None,
            // Another model counts by now.
            Ok(built) if built.model().digest != order.digest => None,
            ready => Some(ready),
        };
        let ended = match &ready {
            Some(Ok(built)) if built.model().provider == order.provider => {
                self.note_loading(&since);
                Ended::Built
            }
            Some(Ok(_)) => Ended::PassedOver,
            Some(Err(error)) => {
                warn!(%error, provider = order.provider.name(), "an engine cannot be built; series are read without it");
                Ended::Failed(format!("{}: {error}", order.provider.name()))
            }
            None => Ended::GivenUp,
        };
        self.workshop.ends(order, ended);
        if let Some(Ok(built)) = ready {
            self.hand_to_model(Task::Engine(Box::new(built)), tasks);
        }
        self.board.wake();
    }

    /// Keeps how long a model took that was loaded with all that had to be built for it.
    pub(in crate::pipeline) fn note_loading(&self, since: &Stopwatch) {
        let took = u32::try_from(since.ms()).unwrap_or(u32::MAX);
        drop(lock(&self.store).commit(|transaction| table::keep_loading_ms(transaction, took)));
    }

    /// The same model, with the engine that was built beside it: unless another one counts by now.
    pub(in crate::pipeline) fn with_engine(&self, active: Inference, mut built: Inference) -> Inference {
        if built.model().digest != active.model().digest || !built.is_alive() {
            self.workshop.serves(active.model());
            return active;
        }
        built.pass_over(self.bad_providers());
        self.loaded(&built);
        built
    }

    /// How it stands with the engine of the model that serves.
    pub(in crate::pipeline) fn engine_check(&self, serving: &Model) -> Option<Check> {
        let detail = self.workshop.told(&serving.digest)?;
        Some(Check { id: "engine", state: CheckState::Degraded, detail })
    }
}
