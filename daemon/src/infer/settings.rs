//! Which model, and where it runs.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The model and where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The model bundle (`.ctb`, its `.minisig` beside it).
    pub(crate) bundle: PathBuf,
    /// The public key that bundles must be signed with, or a folder of such keys.
    pub(crate) trust: PathBuf,
    /// What kind of device this is, since bundles may be for some kinds only; the processor's architecture if not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_class: Option<String>,
    /// ONNX Runtime's library. Without it the usual places are searched; `ctedge doctor` shows which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) library: Option<PathBuf>,
    /// Execution providers in the order in which they are tried. The one that really ran stands in every result.
    pub(crate) providers: Vec<Provider>,
    /// What is done where the first of them does not run the model.
    pub(crate) policy: ProviderPolicy,
    /// Threads of the processor; 0 for all cores.
    pub(crate) threads: usize,
    /// MiB of memory that the inference worker may hold, the volume included; 0 for as many as there are.
    pub(crate) memory_mib: u64,
    /// MiB of engines that are kept on disk; they are built again where they are missing.
    pub(crate) engines_mib: u64,
    /// How TensorRT builds them.
    pub(crate) tensorrt: Tensorrt,
    /// Reference cases of the bundle that a result names, the nearest ones; 0 for none.
    pub(crate) neighbours: usize,
    /// Seconds after which a run counts as hung.
    pub(crate) run_s: f64,
    /// Seconds after which loading counts as hung. TensorRT builds an engine for minutes when a model is new.
    pub(crate) load_s: f64,
    /// The command that restarts the machine where no provider is left that does not hang; without words it never is.
    pub(crate) reboot: Vec<String>,
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

/// `[infer.tensorrt]`: how engines are built. Another value of any of it is another engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tensorrt {
    /// Whether a graph in 32 bits may be computed in 16.
    pub(crate) fp16: bool,
    /// Whether a graph that carries the scales of its 8 bits may be computed in them.
    pub(crate) int8: bool,
    /// Whether normalisations stay in 32 bits.
    pub(crate) layer_norm_fp32: bool,
    /// MiB that the builder may use; 0 for as many as there are.
    pub(crate) workspace_mib: u64,
    /// How hard the builder looks for faster kernels, 0 to 5.
    pub(crate) effort: u8,
}

impl Default for Tensorrt {
    fn default() -> Self {
        Self { fp16: false, int8: false, layer_norm_fp32: true, workspace_mib: 1024, effort: 3 }
    }
}

/// What is done where the first execution provider does not run the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProviderPolicy {
    /// The next one runs it, and health says so.
    Degrade,
    /// None runs it: series wait, and health says why.
    Fail,
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

/// TensorRT's highest optimisation level of its builder.
const MOST_EFFORT: u8 = 5;
/// More would not fit the budget of a result.
const MOST_NEIGHBOURS: usize = 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            bundle: "/var/lib/ctedge/model.ctb".into(),
            trust: "/etc/ctedge/trust".into(),
            device_class: None,
            library: None,
            providers: vec![Provider::Tensorrt, Provider::Cuda, Provider::Cpu],
            policy: ProviderPolicy::Degrade,
            threads: 0,
            memory_mib: 0,
            engines_mib: 2048,
            tensorrt: Tensorrt::default(),
            neighbours: 5,
            run_s: 120.0,
            load_s: 1800.0,
            reboot: Vec::new(),
        }
    }
}

impl Settings {
    /// Execution providers that may run the model, in the order in which they are tried.
    pub(crate) fn chain(&self) -> &[Provider] {
        match (self.policy, self.providers.as_slice()) {
            (ProviderPolicy::Fail, [first, ..]) => std::slice::from_ref(first),
            (_, all) => all,
        }
    }

    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.providers.is_empty() {
            problems.push("infer.providers is empty: name at least one of tensorrt, cuda and cpu".to_owned());
        }
        if self.neighbours > MOST_NEIGHBOURS {
            problems.push(format!("infer.neighbours = {}: must be at most {MOST_NEIGHBOURS}", self.neighbours));
        }
        if self.tensorrt.effort > MOST_EFFORT {
            problems.push(format!("infer.tensorrt.effort = {}: must be at most {MOST_EFFORT}", self.tensorrt.effort));
        }
        for (name, seconds) in [("run_s", self.run_s), ("load_s", self.load_s)] {
            if !(1.0..=86_400.0).contains(&seconds) {
                problems.push(format!("infer.{name} = {seconds}: must lie between 1 and 86400 seconds"));
            }
        }
        problems
    }
}
