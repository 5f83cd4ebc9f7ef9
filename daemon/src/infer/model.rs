//! A bundle, opened, checked and ready to run.

use super::draft::writer::Writer;
use super::engines::{self, Halted, Running};
use super::onnx::{Engine, Halt, Runtime, Seen, Tokens};
use super::seen::{Library, Watcher, foci};
use super::{Ask, Drafted, Fault, Folders, Model, Scores, Settings, Setup, library};
use crate::floor::clock::Stopwatch;
use crate::floor::fate::Code;
use crate::floor::worker::memory::Memory;
use ctedge_models::bundle::{self, Admission, Device, GOLDEN, Golden, VerifiedBundle};
use ctedge_models::preprocess;
use ctedge_models::spec::PreprocessSpec;
use ctedge_models::trust::TrustStore;
use ctedge_models::volume::Volume;
use std::time::Duration;

/// A model that has passed its golden test on this device.
pub(super) struct Loaded {
    engine: Engine,
    writer: Option<Writer>,
    library: Option<Library>,
    watcher: Watcher,
    /// How the tokens divide the tensor (z, y, x), where the model tells.
    grid: Option<[usize; 3]>,
    /// What was seen of the last volume.
    tokens: Option<Tokens>,
    input: PreprocessSpec,
    golden: Golden,
    model: Model,
    // Dropped after the engine.
    _runtime: Runtime,
}

impl Loaded {
    /// Verifies and unpacks the bundle, loads ONNX Runtime and the graph, and runs the golden test.
    ///
    /// # Errors
    /// Why not, in words that name the next step.
    pub(super) fn load(setup: &Setup, admission: Option<&Admission>) -> Result<Self, Unloaded> {
        let Setup { settings, folders, watches, .. } = setup;
        let library = library::find(settings.library.as_deref()).map_err(|missing| missing.to_string())?;
        let runtime = Runtime::load(&library)?;
        let bundle = open(settings, folders, &runtime, admission)?;
        let manifest = bundle.manifest();
        has_room(manifest.requires.memory_mib)?;
        let Running { engine, graph, golden_difference, passed_over, unbuilt, discarded } =
            engines::running(setup, &runtime, &bundle)?;
        let writer = Writer::load(&runtime, settings, &bundle, (engine.provider(), &graph));
        let writer = writer.map_err(|reason| format!("the model's decoder: {reason}"))?;
        let reference = Library::open(&bundle, settings.neighbours);
        let reference = reference.map_err(|reason| format!("the model's reference cases: {reason}"))?;
        let watcher = Watcher::open((&runtime, settings), &bundle, (watches, &graph));
        let watcher = watcher.map_err(|reason| format!("the model's report graph: {reason}"))?;
        let model = Model {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            serial: manifest.serial,
            created: manifest.created.clone(),
            digest: bundle.digest().as_str().to_owned(),
            signer: bundle.signer().to_owned(),
            trained: manifest.training.trained,
            precision: manifest.vision.precision.clone(),
            intended_use: manifest.intended_use.clone(),
            labels: manifest.labels.clone(),
            provider: engine.provider(),
            nodes: engine.nodes().clone(),
            passed_over,
            unbuilt,
            discarded,
            library,
            runtime: runtime.version().to_owned(),
            golden_difference,
            drafts: writer.is_some(),
            unscored: watcher.unscored(),
        };
        let (input, golden, grid) = (manifest.input.clone(), manifest.golden.clone(), manifest.token_grid);
        let (library, tokens) = (reference, None);
        Ok(Self { engine, writer, library, watcher, grid, tokens, input, golden, model, _runtime: runtime })
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Runs the golden volume again. Returns the largest difference of a logit from the trainer's.
    ///
    /// # Errors
    /// The model does not pass.
    pub(super) fn golden(&mut self, within: Duration) -> Result<f32, String> {
        golden(&mut self.engine, &self.golden, &self.input, within)
    }

    /// Runs the model on a volume, for as long as it may.
    pub(super) fn scores(&mut self, volume: &Volume<'_>, within: Duration) -> Result<Scores, NoScores> {
        let clock = Stopwatch::start();
        let tensor = preprocess::tensor(volume, &self.input);
        let preprocess_ms = clock.ms();
        let left = within.saturating_sub(clock.elapsed());
        let clock = Stopwatch::start();
        self.tokens = None;
        let Seen { logits, tokens, embedding, flag_saliency } = self.engine.run(&tensor, left)?;
        let infer_ms = clock.ms();
        self.tokens = tokens;
        let watched = self.watcher.watched(&embedding);
        let scores = watched.iter().filter_map(|watched| watched.score.as_ref().ok());
        if !logits.iter().chain(scores).all(|value| value.is_finite()) {
            let reason = "the model gave values that are no numbers".to_owned();
            return Err(NoScores::Failed { code: Code::InferNotFinite, reason });
        }
        let foci = self.grid.map(|grid| foci(&flag_saliency, grid, (&tensor, volume.geometry()))).unwrap_or_default();
        let similar = self.library.as_ref().map(|library| library.similar(&embedding)).transpose();
        let similar = similar.map_err(|reason| NoScores::Failed { code: Code::InferNotFinite, reason })?;
        Ok(Scores { logits, foci, similar, watched, preprocess_ms, infer_ms })
    }

    /// Drafts a report of the volume that the model ran on last.
    pub(super) fn draft(&mut self, ask: &Ask) -> Result<Drafted, (Fault, String)> {
        let Some(writer) = &mut self.writer else {
            return Err((Fault::NoDecoder, "the model has no decoder".to_owned()));
        };
        match &self.tokens {
            Some(tokens) => writer.write(tokens, ask),
            None => Err((Fault::Failed, "the model has seen no volume".to_owned())),
        }
    }
}

/// Why a model is not loaded.
pub(super) struct Unloaded {
    /// The code of the bundle's own fault; `None` where the device is at fault.
    pub(super) fault: Option<&'static str>,
    /// In words that name the next step.
    pub(super) reason: String,
    /// Whether it only lacks memory, which may be there later.
    pub(super) is_short: bool,
}

impl From<String> for Unloaded {
    fn from(reason: String) -> Self {
        Self { fault: None, reason, is_short: false }
    }
}

impl From<Halted> for Unloaded {
    fn from(halted: Halted) -> Self {
        let none = "no execution provider that infer.providers and infer.policy allow runs the model";
        match halted {
            Halted::Disk(reason) => reason.into(),
            Halted::None(reasons) => Self { fault: Some(GOLDEN), ..format!("{none}: {}", reasons.join("; ")).into() },
        }
    }
}

/// What `bundle` says of a disk that fails or a file that is not there.
const UNREADABLE: &str = "unreadable";

/// Why a volume has no scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoScores {
    /// The run took too long, and ended when it was asked to.
    Stopped,
    /// The model or ONNX Runtime failed on it.
    Failed { code: Code, reason: String },
}

impl From<Halt> for NoScores {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped => Self::Stopped,
            Halt::Failed(reason) => Self::Failed { code: Code::InferFailed, reason },
        }
    }
}

fn open(
    settings: &Settings,
    folders: &Folders,
    runtime: &Runtime,
    admission: Option<&Admission>,
) -> Result<VerifiedBundle, Unloaded> {
    let trust = TrustStore::open(&settings.trust, &folders.trust).map_err(|error| {
        let (error, hint) =
            (chain(&error), "it must name the public key (.pub) of whoever signs your models, or a root document");
        format!("infer.trust: {error}; {hint}")
    })?;
    let device = device(settings, runtime.version());
    let (file, keys, into) = (&settings.bundle, trust.keys(), &folders.models);
    let opened = match admission {
        None => bundle::open_on(&device, file, keys, into),
        Some(admission) => bundle::open_new((&device, admission), file, keys, into),
    };
    opened.map_err(|error| Unloaded {
        fault: Some(error.code()).filter(|code| *code != UNREADABLE),
        ..format!("the bundle {}: {}", file.display(), chain(&error)).into()
    })
}

/// Whether as much memory is free as the bundle says that it takes. Without it the kernel would end this worker, or others.
fn has_room(needs_mib: u64) -> Result<(), Unloaded> {
    let free_mib = Memory::now().map_or(u64::MAX, |memory| memory.available_bytes >> 20);
    if needs_mib <= free_mib {
        return Ok(());
    }
    let reason =
        format!("the model takes {needs_mib} MiB of memory and {free_mib} MiB are free; end what else runs here");
    Err(Unloaded { is_short: true, ..reason.into() })
}

/// This device. Where the kernel does not tell how much memory there is, that stops nothing.
pub(crate) fn device(settings: &Settings, runtime: &str) -> Device {
    Device {
        ctedge: env!("CARGO_PKG_VERSION").to_owned(),
        onnxruntime: runtime.to_owned(),
        memory_mib: Memory::now().map_or(u64::MAX, |memory| memory.total_bytes >> 20),
        class: settings.device_class.clone().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// Runs the bundle's own phantom through preprocessing and model, and compares with what the trainer computed.
pub(super) fn golden(
    engine: &mut Engine,
    golden: &Golden,
    input: &PreprocessSpec,
    within: Duration,
) -> Result<f32, String> {
    let Golden { phantom, tensor_sha256, logits, tolerance } = golden;
    let volume = phantom.volume().map_err(|error| format!("the golden volume: {error}"))?;
    let tensor = preprocess::tensor(&volume, input);
    if tensor.sha256() != *tensor_sha256 {
        return Err(
            "the golden volume gives another tensor here than in the trainer: bundle and ctedge do not fit".to_owned()
        );
    }
    let ours = engine.run(&tensor, within).map(|seen| seen.logits).map_err(|halt| match halt {
        Halt::Stopped => "the model does not end on the golden volume".to_owned(),
        Halt::Failed(reason) => reason,
    })?;
    let worst = ours.iter().zip(logits).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    // Written so that a NaN fails.
    if worst <= *tolerance && ours.iter().all(|logit| logit.is_finite()) {
        Ok(worst)
    } else {
        let provider = engine.provider().name();
        Err(format!("the golden volume's logits differ by {worst} on {provider}, the bundle allows {tolerance}"))
    }
}
