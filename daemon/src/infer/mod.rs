//! Volume to scores: a worker process that owns ONNX Runtime and the model.
//!
//! In: [`Reading`]s. Out: [`Inferred`]. Owns `state/models`, where bundles are unpacked, and the provider's caches in it.
//! The supervisor only starts the worker, passes the voxels' descriptor on, and outlives a driver that hangs.

mod draft;
mod engines;
mod ladder;
mod library;
mod model;
mod onnx;
mod seen;
mod settings;
mod wire;
mod worker;

pub(crate) use draft::{Ask, Cost, Drafted, Fault, Hold, Policy, Settings as DraftSettings, Source};
pub(crate) use ladder::{Ladder, Reboots, Rung, Stance};
pub(crate) use library::find as find_library;
pub(crate) use model::device;
pub(crate) use seen::{Focus, Neighbour, Similar, Unscored, Watch, Watched, problems_of_watches};
pub(crate) use settings::{Provider, Settings, Tensorrt};
pub(crate) use wire::{Engines, Folders, Setup};
pub(crate) use worker::work;

use crate::floor::clock::Stopwatch;
use crate::floor::durable;
use crate::floor::fate::{Code, Refusal};
use crate::floor::limits::ASKING;
use crate::floor::subject::Subject;
use crate::floor::worker::{Jail, Killed, Lost, Worker};
use crate::volume::{Reading, Scan};
use ctedge_models::bundle::{Admission, LabelSpec, known_code};
use ctedge_models::scan::Facts;
use draft::writer::hung_s;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use tracing::warn;
use wire::{Answer, Request};

/// The model that is loaded and how it really runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// Rises with every release of the name.
    pub(crate) serial: u64,
    /// When it was packed, RFC 3339.
    pub(crate) created: String,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Id of the trusted key that signed it.
    pub(crate) signer: String,
    /// False for random weights.
    pub(crate) trained: bool,
    /// Weight precision.
    pub(crate) precision: String,
    /// Said in every result.
    pub(crate) intended_use: String,
    /// The flags in the order of the scores.
    pub(crate) labels: Vec<LabelSpec>,
    /// Execution provider that runs the graph, as ONNX Runtime says.
    pub(crate) provider: Provider,
    /// How many nodes of the volume graph each of ONNX Runtime's providers runs, by its own name for them.
    pub(crate) nodes: BTreeMap<String, usize>,
    /// Why the providers before it do not run, one sentence each.
    pub(crate) passed_over: Vec<String>,
    /// The one among them whose engine is not built yet.
    pub(crate) unbuilt: Option<Provider>,
    /// Whether engines lay here that this device has not built. They were deleted.
    pub(crate) discarded: bool,
    /// ONNX Runtime's library.
    pub(crate) library: PathBuf,
    /// ONNX Runtime's version.
    pub(crate) runtime: String,
    /// Largest difference of a logit from the trainer's, on the bundle's golden volume.
    pub(crate) golden_difference: f32,
    /// Whether it can draft a report.
    pub(crate) drafts: bool,
    /// Which of the site's watches it gives no score, and why.
    pub(crate) unscored: Vec<(String, Unscored)>,
}

/// What the model said of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    /// One a label, in the model's order.
    pub(crate) logits: Vec<f32>,
    /// Where each flag comes from, in the same order; empty where the model does not tell.
    pub(crate) foci: Vec<Option<Focus>>,
    /// Which reference cases the volume is like, where the model has any.
    pub(crate) similar: Option<Similar>,
    /// What the model says of the findings that the site watches.
    pub(crate) watched: Vec<Watched>,
    /// Milliseconds from volume to tensor.
    pub(crate) preprocess_ms: u64,
    /// Milliseconds of the model.
    pub(crate) infer_ms: u64,
}

/// What became of a series in this room.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// Which series.
    pub(crate) subject: Subject,
    /// What was read, once it was read.
    pub(crate) facts: Option<Facts>,
    /// The scores, or why there are none.
    pub(crate) scores: Result<Scores, Refusal>,
    /// Milliseconds from complete series to the start of reading.
    pub(crate) queue_ms: u64,
    /// Milliseconds of reading.
    pub(crate) decode_ms: u64,
    /// Milliseconds for which the device paused, too hot to go on.
    pub(crate) throttled_ms: u64,
    /// Whether the device was too hot while it was worked on.
    pub(crate) is_hot: bool,
}

/// The model could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct LoadError {
    /// Why, and what to do about it.
    pub(crate) reason: String,
    /// What became of the worker, if loading hung.
    pub(crate) hung: Option<Killed>,
    /// Where the bundle itself is the reason: its code, as in `BUNDLE.md`.
    pub(crate) fault: Option<&'static str>,
    /// Whether the device only lacks memory, which may be there later.
    pub(crate) is_short: bool,
    /// Whether it took more memory than there is.
    pub(crate) is_starved: bool,
}

impl LoadError {
    fn new(reason: String) -> Self {
        Self { reason, hung: None, fault: None, is_short: false, is_starved: false }
    }
}

/// Names the folder of what CUDA has compiled for this device.
const CUDA_CACHE: &str = "CUDA_CACHE_PATH";

/// What is said of an answer to another question.
const ANOTHER: &str = "the inference worker answered something else";

/// Role name of the inference worker.
pub(crate) const INFER: &str = "infer";

/// The inference worker as the supervisor holds it, with a model loaded.
#[derive(Debug)]
pub(crate) struct Inference {
    run_s: f64,
    worker: Worker,
    model: Model,
}

impl Inference {
    /// Starts the worker and has it load the model.
    pub(crate) fn start(setup: &Setup) -> Result<Self, LoadError> {
        Self::load(setup, None, &|| false)
    }

    /// The same for a bundle that is new to this device, until nobody wants it any more.
    pub(crate) fn start_new(
        setup: &Setup,
        admission: Admission,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, LoadError> {
        Self::load(setup, Some(Box::new(admission)), given_up)
    }

    /// The same for a bundle that is known.
    pub(crate) fn start_unless(setup: &Setup, given_up: &dyn Fn() -> bool) -> Result<Self, LoadError> {
        Self::load(setup, None, given_up)
    }

    fn load(setup: &Setup, admission: Option<Box<Admission>>, given_up: &dyn Fn() -> bool) -> Result<Self, LoadError> {
        let Setup { settings, folders: Folders { models, engine_key, .. }, .. } = setup;
        // Builds of ONNX Runtime from 1.29 on report usage unless this is set before they are loaded.
        let mut environment = vec![("ORT_DISABLE_TELEMETRY", "1".to_owned())];
        // CUDA would keep what it compiles in the user's home, which the worker cannot write.
        if std::env::var_os(CUDA_CACHE).is_none() {
            environment.push((CUDA_CACHE, models.join("cuda.cache").display().to_string()));
        }
        // The worker cannot make it where it is missing.
        let made = durable::make_folder(models);
        made.map_err(|error| LoadError::new(format!("{}: {error}", models.display())))?;
        let made = engines::Key::make(engine_key);
        made.map_err(|error| LoadError::new(format!("{}: {error}", engine_key.display())))?;
        let resident_bytes = (settings.memory_mib > 0).then(|| settings.memory_mib.saturating_mul(1 << 20));
        let started = Worker::start(INFER, Jail { resident_bytes, ..Jail::default() }, &environment);
        let mut worker =
            started.map_err(|error| LoadError::new(format!("no inference worker can be started: {error}")))?;
        let request = Request::Load { setup: Box::new(setup.clone()), admission };
        let answer = worker.tell(&request, None);
        match answer.and_then(|()| loading(&mut worker, seconds(settings.load_s), given_up)) {
            Ok(Some(Answer::Loaded(model))) => Ok(Self { run_s: settings.run_s, worker, model: *model }),
            Ok(Some(Answer::Unloaded { fault, reason, is_short })) => {
                let fault = fault.map(|code| known_code(&code).unwrap_or("bad_bundle"));
                Err(LoadError { fault, is_short, ..LoadError::new(reason) })
            }
            Ok(Some(_)) => Err(LoadError::new(ANOTHER.to_owned())),
            Ok(None) => Err(LoadError::new("nobody wants the model any more".to_owned())),
            Err(lost) => {
                let hung = (lost == Lost::Time).then(|| worker.kill());
                let is_starved = lost == Lost::Memory;
                Err(LoadError { hung, is_starved, ..LoadError::new(format!("while loading the model: {lost}")) })
            }
        }
    }

    /// The model.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Process id of the worker.
    pub(crate) fn worker_id(&self) -> u32 {
        self.worker.id()
    }

    /// Says, before all others, why providers were not even tried.
    pub(crate) fn pass_over(&mut self, reasons: Vec<String>) {
        self.model.passed_over.splice(0..0, reasons);
    }

    /// Whether the worker has not died by itself since it was last asked.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.worker.is_alive()
    }

    /// Runs the model on what was read. A refusal is the model's or the runtime's word on this volume.
    ///
    /// # Errors
    /// The run came to no end. Unless the worker stopped it, there is no worker any more.
    pub(crate) fn run(&mut self, scan: &Scan) -> Result<Result<Scores, Refusal>, Unfinished> {
        let within = seconds(self.run_s);
        let (geometry, kind, within_s) = (scan.geometry.clone(), scan.kind, self.run_s);
        self.worker.tell(&Request::Run { geometry, kind, within_s }, Some(scan.voxels.as_fd()))?;
        let mut answer = self.worker.hear::<Answer>(within)?;
        if answer.is_none() {
            warn!(worker = self.worker.id(), "a run is over its budget; its worker has been asked to end it");
            answer = self.worker.hear(within.mul_f64(ASKING))?;
        }
        match answer {
            Some((Answer::Scores(scores), _)) => Ok(Ok(scores)),
            Some((Answer::Failed { code, reason }, _)) => Ok(Err(Refusal::new(code, reason))),
            Some((Answer::Stopped, _)) => Err(Unfinished::Stopped),
            Some((_, _)) => Ok(Err(Refusal::new(Code::InferFailed, ANOTHER))),
            None => Err(Unfinished::Wedged(self.worker.kill())),
        }
    }

    /// Drafts a report of the volume that the model ran on last; what is `None` is not there, for the reason that stands in the log.
    ///
    /// # Errors
    /// The draft came to no end. There is no worker any more.
    pub(crate) fn draft(&mut self, ask: Ask) -> Result<Result<Drafted, Fault>, Unfinished> {
        let within = seconds(hung_s(ask.settings.within_s)).mul_f64(1.0 + ASKING);
        let answer = self.worker.ask::<_, Answer>(&Request::Draft(ask), None, within);
        match answer {
            Ok((Answer::Drafted(drafted), _)) => Ok(Ok(drafted)),
            Ok((Answer::Undrafted { fault, reason }, _)) => {
                warn!(worker = self.worker.id(), reason, "there is no draft");
                Ok(Err(fault))
            }
            Ok((_, _)) => Ok(Err(Fault::Failed)),
            Err(Lost::Time) => Err(Unfinished::Wedged(self.worker.kill())),
            Err(lost) => Err(lost.into()),
        }
    }

    /// Runs the golden volume again. Returns the largest difference of a logit from the trainer's.
    ///
    /// # Errors
    /// The model does not pass, or the worker is lost.
    pub(crate) fn golden(&mut self) -> Result<f32, LoadError> {
        let answer =
            self.worker.ask::<_, Answer>(&Request::Golden { within_s: self.run_s }, None, seconds(self.run_s) * 2);
        let reason = match answer {
            Ok((Answer::Golden(difference), _)) => return Ok(difference),
            Ok((Answer::Failed { reason, .. }, _)) => reason,
            Ok((_, _)) => ANOTHER.to_owned(),
            Err(lost) => {
                let hung = (lost == Lost::Time).then(|| self.worker.kill());
                return Err(LoadError { hung, ..LoadError::new(lost.to_string()) });
            }
        };
        Err(LoadError::new(reason))
    }
}

/// What a worker says that loads a model; `None` when nobody wants that any more.
fn loading(worker: &mut Worker, within: Duration, given_up: &dyn Fn() -> bool) -> Result<Option<Answer>, Lost> {
    /// How often it is looked whether somebody does.
    const LOOK: Duration = Duration::from_millis(200);
    let since = Stopwatch::start();
    loop {
        let left = within.saturating_sub(since.elapsed());
        match worker.hear::<Answer>(LOOK.min(left))? {
            Some((answer, _)) => return Ok(Some(answer)),
            None if left <= LOOK => return Err(Lost::Time),
            None if given_up() => return Ok(None),
            None => {}
        }
    }
}

/// Why a run came to no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfinished {
    /// It took too long, and ended when it was asked to.
    #[error("the run took too long and was ended")]
    Stopped,
    /// The worker died.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It took too long, did not end when it was asked to, and its worker was killed.
    #[error("the run hung and its worker was killed")]
    Wedged(Killed),
}

impl Unfinished {
    /// The published reason.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Stopped | Self::Wedged(_) | Self::Lost(Lost::Time) => Code::InferTime,
            Self::Lost(Lost::Memory) => Code::InferMemory,
            Self::Lost(Lost::Crashed | Lost::Cpu) => Code::InferCrashed,
        }
    }
}

/// What has become of a series of which this was read.
pub(crate) fn inferred(reading: &Reading, scores: Result<Scores, Refusal>) -> Inferred {
    let facts = reading.scan.as_ref().ok().map(|scan| scan.facts.clone());
    let Reading { queue_ms, decode_ms, throttled_ms, is_hot, .. } = *reading;
    Inferred { subject: reading.subject.clone(), facts, scores, queue_ms, decode_ms, throttled_ms, is_hot }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))
}
