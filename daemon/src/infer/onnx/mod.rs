//! The only folder that knows `ort`.

mod decoder;
mod sentences;

pub(super) use decoder::{Decoder, Tokens};
pub(super) use sentences::Sentences;

use super::{Provider, Settings, Tensorrt};
use ctedge_models::preprocess::Tensor;
use ndarray::Axis;
use ort::environment::Environment;
use ort::ep::{ArenaExtendStrategy, CPU, CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT};
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;
use ort::{AsPointer, ortsys};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// A graph on disk.
#[derive(Clone)]
pub(super) struct Graph {
    /// The ONNX file.
    pub(super) path: PathBuf,
    /// Its input and that input's shape, which is always the same: `volume:1x1x64x80x80`.
    pub(super) profile: String,
    /// Folder for what is made of it on this device and costs time to make again.
    pub(super) cache: PathBuf,
    /// The folder in it for engines, which count only as they were sealed.
    pub(super) engines: PathBuf,
    /// Names the model in the cache: without it TensorRT takes another model's engine for this one's.
    pub(super) digest: String,
    /// Number of logits.
    pub(super) labels: usize,
}

/// ONNX Runtime's library, loaded. There is one a process, and it outlives its sessions.
pub(super) struct Runtime {
    environment: Environment,
    version: String,
    has_tensorrt: bool,
}

impl Runtime {
    /// Loads the library.
    pub(super) fn load(library: &Path) -> Result<Self, String> {
        let unusable = |error: &dyn std::fmt::Display| format!("ONNX Runtime at {}: {error}", library.display());
        let environment = ort::init_from(library).map_err(|error| unusable(&error))?;
        // Only older builds listen to this; ORT_DISABLE_TELEMETRY, set by the supervisor, is for the newer ones.
        let environment = environment.with_telemetry(false).build().map_err(|error| unusable(&error))?;
        let version = version_of(library).map_err(|error| unusable(&error))?;
        let has_tensorrt = TensorRT::is_available().map_err(|error| unusable(&error))?;
        Ok(Self { environment, version, has_tensorrt })
    }

    /// Whether the library was built with TensorRT. What that needs may be missing all the same.
    pub(super) fn has_tensorrt(&self) -> bool {
        self.has_tensorrt
    }

    /// Version of the library, e.g. `1.28.0`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// What the library calls itself. Its build information names a branch, which is `HEAD` in the published packages.
#[expect(unsafe_code, reason = "calls the C interface of ONNX Runtime")]
fn version_of(library: &Path) -> Result<String, libloading::Error> {
    // SAFETY: `ort` has loaded and used this very library, so that its initialisers have run and its entry point is what
    // onnxruntime_c_api.h says: a function that returns a static table, whose version is a static C string.
    let version = unsafe {
        let library = libloading::Library::new(library)?;
        let entry = library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase")?;
        CStr::from_ptr(((*entry()).GetVersionString)())
    };
    Ok(version.to_string_lossy().into_owned())
}

/// A graph in ONNX Runtime.
pub(super) struct Engine {
    session: Session,
    labels: usize,
    provider: Provider,
    nodes: BTreeMap<String, usize>,
}

impl Engine {
    /// Loads a graph with one provider. What ONNX Runtime really gave it to may be another: [`Engine::provider`].
    pub(super) fn load(
        runtime: &Runtime,
        settings: &Settings,
        graph: &Graph,
        wanted: Provider,
    ) -> Result<Self, String> {
        let session = build(&runtime.environment, settings, graph, wanted)?;
        let nodes = assigned(&session)?;
        let provider = provider_of(&nodes)?;
        Ok(Self { session, labels: graph.labels, provider, nodes })
    }

    /// The provider that runs the graph, as ONNX Runtime says.
    pub(super) fn provider(&self) -> Provider {
        self.provider
    }

    /// How many nodes of the graph each of ONNX Runtime's providers was given, by its own name for them.
    pub(super) fn nodes(&self) -> &BTreeMap<String, usize> {
        &self.nodes
    }

    /// Runs the graph for as long as it may.
    pub(super) fn run(&mut self, tensor: &Tensor, within: Duration) -> Result<Seen, Halt> {
        let input = tensor.values().view().insert_axis(Axis(0));
        let input = TensorRef::from_array_view(input)?;
        let inputs = ort::inputs!["volume" => input];
        let session = &mut self.session;
        let options = RunOptions::new()?;
        let mut outputs = watched(&options, within, || Ok(session.run_with_options(inputs, &options)?))?;
        let numbers = |name: &str| match outputs.get(name) {
            Some(values) => Ok(values.try_extract_tensor::<f32>()?.1.to_vec()),
            None => Ok::<_, Halt>(Vec::new()),
        };
        let (logits, embedding, flag_saliency) = (numbers("logits")?, numbers("embedding")?, numbers("flag_saliency")?);
        if logits.len() != self.labels {
            return Err(Halt::Failed(format!("the graph gave {} logits for {} labels", logits.len(), self.labels)));
        }
        let tokens = outputs.remove("tokens").map(Tokens);
        Ok(Seen { logits, embedding, flag_saliency, tokens })
    }
}

/// What a volume graph said. What it has no output for is empty.
pub(super) struct Seen {
    /// One a label.
    pub(super) logits: Vec<f32>,
    /// Unit vector `[E]`.
    pub(super) embedding: Vec<f32>,
    /// What each token adds to each flag's logit, `[labels, T]` in C order.
    pub(super) flag_saliency: Vec<f32>,
    /// What is said of each patch, for the decoder.
    pub(super) tokens: Option<Tokens>,
}

/// Why a run gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// It took too long, and ended when it was asked to.
    Stopped,
    /// ONNX Runtime refused it.
    Failed(String),
}

impl<T> From<ort::Error<T>> for Halt {
    fn from(error: ort::Error<T>) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs graphs, and from a thread beside asks ONNX Runtime to end the run when its time is up. A provider that hangs
/// does not hear it; then the supervisor ends this process.
fn watched<T>(options: &RunOptions, within: Duration, run: impl FnOnce() -> Result<T, Halt>) -> Result<T, Halt> {
    let (ends, end) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        let watch = move || {
            let is_over = end.recv_timeout(within) == Err(RecvTimeoutError::Timeout);
            is_over && options.terminate().is_ok()
        };
        let watch = std::thread::Builder::new().name("watch".to_owned()).spawn_scoped(scope, watch);
        let watch = watch.map_err(|error| Halt::Failed(error.to_string()))?;
        let outcome = run();
        drop(ends);
        match (outcome, watch.join()) {
            // It was done in the moment in which it was asked to end.
            (Ok(outcome), _) => Ok(outcome),
            (Err(_ended), Ok(true)) => Err(Halt::Stopped),
            (Err(halt), Ok(false) | Err(_)) => Err(halt),
        }
    })
}

/// Loads the graph with one provider. A provider that is not there is an error here, not a fallback.
fn build(environment: &Environment, settings: &Settings, graph: &Graph, wanted: Provider) -> Result<Session, String> {
    let say = |error: ort::Error<SessionBuilder>| error.to_string();
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let builder = Session::builder(environment).map_err(|error| error.to_string())?;
    // Spinning threads would burn two thirds more processor time per run and heat the box while it waits.
    let builder = builder.with_intra_threads(threads).map_err(say)?.with_intra_op_spinning(false).map_err(say)?;
    let builder = builder.with_config_entry("session.record_ep_graph_assignment_info", "1").map_err(say)?;
    let mut builder = builder.with_execution_providers(dispatch(wanted, graph, &settings.tensorrt)).map_err(say)?;
    builder.commit_from_file(&graph.path).map_err(|error| error.to_string())
}

fn dispatch(wanted: Provider, graph: &Graph, how: &Tensorrt) -> Vec<ExecutionProviderDispatch> {
    // Its arena grows by what is asked for: doubled, it would take memory that a Jetson's processor shares.
    let arena = ArenaExtendStrategy::SameAsRequested;
    let cuda = || CUDA::default().with_arena_extend_strategy(arena).build().error_on_failure();
    match wanted {
        Provider::Cpu => vec![CPU::default().build().error_on_failure()],
        Provider::Cuda => vec![cuda()],
        Provider::Tensorrt => {
            let cache = graph.engines.display().to_string();
            let mut tensorrt = TensorRT::default()
                .with_fp16(how.fp16)
                .with_int8(how.int8)
                .with_layer_norm_fp32_fallback(how.layer_norm_fp32)
                .with_builder_optimization_level(how.effort)
                .with_profile_min_shapes(&graph.profile)
                .with_profile_opt_shapes(&graph.profile)
                .with_profile_max_shapes(&graph.profile)
                .with_engine_cache(true)
                .with_engine_cache_path(&cache)
                .with_engine_cache_prefix(&graph.digest)
                .with_timing_cache(true)
                .with_timing_cache_path(&cache);
            if let Some(bytes) = usize::try_from(how.workspace_mib << 20).ok().filter(|bytes| *bytes > 0) {
                tensorrt = tensorrt.with_max_workspace_size(bytes);
            }
            vec![tensorrt.build().error_on_failure(), cuda()]
        }
    }
}

/// Which provider the nodes of the graph were given to: the fastest of them, since a few nodes may stay on the
/// processor for good reason.
fn provider_of(nodes: &BTreeMap<String, usize>) -> Result<Provider, String> {
    let known = [("TensorrtExecutionProvider", Provider::Tensorrt), ("CUDAExecutionProvider", Provider::Cuda)];
    let fastest = known.into_iter().find(|(name, _)| nodes.contains_key(*name)).map(|(_, provider)| provider);
    match fastest {
        Some(provider) => Ok(provider),
        None if nodes.contains_key("CPUExecutionProvider") => Ok(Provider::Cpu),
        None => Err(format!("ONNX Runtime assigned the graph to {:?}", nodes.keys())),
    }
}

/// How many nodes each provider was given (`Session_GetEpGraphAssignmentInfo`, which `ort` does not wrap).
#[expect(unsafe_code, reason = "calls the C interface of ONNX Runtime")]
fn assigned(session: &Session) -> Result<BTreeMap<String, usize>, String> {
    let mut parts = ptr::null();
    let mut count = 0;
    // SAFETY: the session lives, the pointers are to our own variables; what comes back belongs to the session.
    unsafe {
        ort::Error::result_from_status(ortsys![Session_GetEpGraphAssignmentInfo](
            session.ptr(),
            &raw mut parts,
            &raw mut count,
        ))
    }
    .map_err(|error| error.to_string())?;
    let mut nodes = BTreeMap::new();
    for index in 0..count {
        let (mut name, mut inside, mut within) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `parts` holds `count` pointers, and a part's name is a C string that lives as long as the session; of its nodes
        // only their number is looked at.
        let name = unsafe {
            let part = *parts.add(index);
            ort::Error::result_from_status(ortsys![EpAssignedSubgraph_GetEpName](part, &raw mut name))
                .and_then(|()| {
                    let told = ortsys![EpAssignedSubgraph_GetNodes](part, &raw mut inside, &raw mut within);
                    ort::Error::result_from_status(told)
                })
                .map_err(|error| error.to_string())?;
            CStr::from_ptr(name)
        };
        *nodes.entry(name.to_string_lossy().into_owned()).or_insert(0) += within;
    }
    Ok(nodes)
}
