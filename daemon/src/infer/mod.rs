//! Volume to scores: a worker process that owns ONNX Runtime and the model.
//!
//! In: [`Reading`]s. Out: [`Inferred`]. Owns `state/models`, where bundles are unpacked, and the provider's caches in it.
//! The supervisor only starts the worker, passes the voxels' descriptor on, and outlives a driver that hangs.

mod library;
mod model;
mod onnx;
mod worker;

pub(crate) use library::find as find_library;
pub(crate) use worker::work;

use crate::floor::durable;
use crate::floor::fate::{Code, Refusal};
use crate::floor::subject::Subject;
use crate::floor::worker::{Jail, Lost, Worker};
use crate::volume::{Reading, Scan};
use ctedge_models::bundle::LabelSpec;
use ctedge_models::scan::{Facts, VoxelKind};
use ctedge_models::volume::Geometry;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{error, warn};

/// The model and where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The model bundle (`.ctb`, its `.minisig` beside it).
    pub(crate) bundle: PathBuf,
    /// The public key that bundles must be signed with, or a folder of such keys.
    pub(crate) trust: PathBuf,
    /// ONNX Runtime's library. Without it the usual places are searched; `ctedge doctor` shows which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) library: Option<PathBuf>,
    /// Execution providers in the order in which they are tried. The one that really ran stands in every result; a
    /// device that should never run on the processor leaves `cpu` out.
    pub(crate) providers: Vec<Provider>,
    /// Threads of the processor; 0 for all cores.
    pub(crate) threads: usize,
    /// Seconds after which a run counts as hung.
    pub(crate) run_s: f64,
    /// Seconds after which loading counts as hung. TensorRT builds an engine for minutes when a model is new.
    pub(crate) load_s: f64,
}

/// Where ONNX Runtime runs a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Provider {
    /// TensorRT, with CUDA for what it does not take.
    Tensorrt,
    /// CUDA.
    Cuda,
    /// The processor.
    Cpu,
}

impl Provider {
    /// Name in settings and results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tensorrt => "tensorrt",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bundle: "/var/lib/ctedge/model.ctb".into(),
            trust: "/etc/ctedge/trust".into(),
            library: None,
            providers: vec![Provider::Tensorrt, Provider::Cuda, Provider::Cpu],
            threads: 0,
            run_s: 120.0,
            load_s: 1800.0,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.providers.is_empty() {
            problems.push("infer.providers is empty: name at least one of tensorrt, cuda and cpu".to_owned());
        }
        for (name, seconds) in [("run_s", self.run_s), ("load_s", self.load_s)] {
            if !(1.0..=86_400.0).contains(&seconds) {
                problems.push(format!("infer.{name} = {seconds}: must lie between 1 and 86400 seconds"));
            }
        }
        problems
    }
}

/// The model that is loaded and how it really runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
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
    /// Why the providers before it do not run, one sentence each.
    pub(crate) passed_over: Vec<String>,
    /// ONNX Runtime's library.
    pub(crate) library: PathBuf,
    /// ONNX Runtime's version.
    pub(crate) runtime: String,
    /// Largest difference of a logit from the trainer's, on the bundle's golden volume.
    pub(crate) golden_difference: f32,
}

/// What the model said of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    /// One a label, in the model's order.
    pub(crate) logits: Vec<f32>,
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
    /// How inference workers were lost on it, oldest first.
    pub(crate) faults: Vec<String>,
}

/// The model could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct LoadError {
    /// Why, and what to do about it.
    pub(crate) reason: String,
}

/// A request to the inference worker.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Open the bundle, load ONNX Runtime, pass the golden volume.
    Load { settings: Settings, models: PathBuf },
    /// Run the model on the volume whose voxels come with this message.
    Run { geometry: Geometry, kind: VoxelKind },
}

/// An answer of the inference worker.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Loaded(Box<Model>),
    Scores(Scores),
    /// A request that could not be fulfilled.
    Failed {
        code: Code,
        reason: String,
    },
}

/// Names the folder of what CUDA has compiled for this device.
const CUDA_CACHE: &str = "CUDA_CACHE_PATH";

/// Role name of the inference worker.
pub(crate) const INFER: &str = "infer";

/// The inference worker as the supervisor holds it. After a crash or a hang it starts a new one.
#[derive(Debug)]
pub(crate) struct Inference {
    settings: Settings,
    models: PathBuf,
    worker: Worker,
    model: Model,
}

impl Inference {
    /// Starts the worker and has it load the model; `models` is the folder for unpacked bundles.
    pub(crate) fn start(settings: &Settings, models: &Path) -> Result<Self, LoadError> {
        // Builds of ONNX Runtime from 1.29 on report usage unless this is set before they are loaded.
        let mut environment = vec![("ORT_DISABLE_TELEMETRY", "1".to_owned())];
        // CUDA would keep what it compiles in the user's home, which the worker cannot write.
        if std::env::var_os(CUDA_CACHE).is_none() {
            environment.push((CUDA_CACHE, models.join("cuda.cache").display().to_string()));
        }
        // The worker cannot make it where it is missing.
        let made = durable::make_folder(models);
        made.map_err(|error| LoadError { reason: format!("{}: {error}", models.display()) })?;
        let started = Worker::start(INFER, Jail::default(), &environment);
        let mut worker =
            started.map_err(|error| LoadError { reason: format!("no inference worker can be started: {error}") })?;
        let request = Request::Load { settings: settings.clone(), models: models.to_owned() };
        let answer = worker.ask::<_, Answer>(&request, None, seconds(settings.load_s));
        let reason = match answer {
            Ok((Answer::Loaded(model), _)) => {
                return Ok(Self { settings: settings.clone(), models: models.to_owned(), worker, model: *model });
            }
            Ok((Answer::Failed { reason, .. }, _)) => reason,
            Ok((Answer::Scores(_), _)) => "the inference worker answered something else".to_owned(),
            Err(lost) => format!("while loading the model: {lost}"),
        };
        Err(LoadError { reason })
    }

    /// The model.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Process id of the worker.
    pub(crate) fn worker_id(&self) -> u32 {
        self.worker.id()
    }

    /// Runs the model on what was read. A worker that is lost is replaced and the volume tried once more.
    ///
    /// # Errors
    /// The model cannot be loaded again; the reading comes back with the error.
    pub(crate) fn run(&mut self, reading: &Reading) -> Result<Inferred, LoadError> {
        let mut faults = Vec::new();
        let (facts, scores) = match &reading.scan {
            Err(refusal) => (None, Err(refusal.clone())),
            Ok(scan) => (Some(scan.facts.clone()), self.scores(scan, &mut faults)?),
        };
        let Reading { subject, queue_ms, decode_ms, .. } = reading;
        let subject = subject.clone();
        Ok(Inferred { subject, facts, scores, queue_ms: *queue_ms, decode_ms: *decode_ms, faults })
    }

    fn scores(&mut self, scan: &Scan, faults: &mut Vec<String>) -> Result<Result<Scores, Refusal>, LoadError> {
        match self.attempt(scan) {
            Ok(answered) => return Ok(answered),
            Err(lost) => {
                warn!(%lost, "the inference worker is lost; trying once more with a new one");
                faults.push(lost.to_string());
            }
        }
        *self = Self::start(&self.settings, &self.models)?;
        Ok(match self.attempt(scan) {
            Ok(answered) => answered,
            Err(lost) => {
                error!(%lost, "the inference worker is lost again");
                faults.push(lost.to_string());
                *self = Self::start(&self.settings, &self.models)?;
                let code = if lost == Lost::Time { Code::InferTime } else { Code::InferCrashed };
                Err(Refusal::new(code, lost.to_string()))
            }
        })
    }

    fn attempt(&mut self, scan: &Scan) -> Result<Result<Scores, Refusal>, Lost> {
        let request = Request::Run { geometry: scan.geometry.clone(), kind: scan.kind };
        let answer = self.worker.ask::<_, Answer>(&request, Some(scan.voxels.as_fd()), seconds(self.settings.run_s))?;
        Ok(match answer {
            (Answer::Scores(scores), _) => Ok(scores),
            (Answer::Failed { code, reason }, _) => Err(Refusal::new(code, reason)),
            (Answer::Loaded(_), _) => Err(Refusal::new(Code::InferFailed, "the worker answered something else")),
        })
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))
}
