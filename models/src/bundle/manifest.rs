//! The manifest: what a bundle holds and what it asks for. Its bytes are covered by the bundle's signature.

use super::admission::ms;
use crate::labels::{LABEL_COUNT, Label};
use crate::onnx::CONTROL_FLOW;
use crate::phantom::Recipe;
use crate::spec::PreprocessSpec;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// The format of manifest that this version reads and writes.
pub const SCHEMA: &str = "ctedge-bundle/1";

/// `manifest.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file: `ctedge-bundle/1`.
    pub schema: String,
    /// Model name, `[a-z0-9-]{1,64}`.
    pub name: String,
    /// Model version for people, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// Rises with every release of this name; a device never goes down without an explicit rollback.
    pub serial: u64,
    /// When it was packed, RFC 3339 UTC.
    pub created: String,
    /// From this moment on it is not installed any more; what is installed goes on running. RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_before: Option<String>,
    /// What the device must offer.
    pub requires: Requires,
    /// Every other file in the bundle by its path.
    pub files: BTreeMap<String, FileEntry>,
    /// How a volume becomes the input tensor.
    pub input: PreprocessSpec,
    /// The flags in the order of the `logits` output.
    pub labels: Vec<LabelSpec>,
    /// What thresholds and temperatures were learned from; absent where they were not learned: 0.5 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The volume graph.
    pub vision: Graph,
    /// The report graph, with which volumes are compared with sentences; a bundle without it has flags alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextGraph>,
    /// What the weights were trained on and what is known of their quality.
    pub training: Training,
    /// The device's self-test: a synthetic volume and the outputs that the trainer computed for it.
    pub golden: Golden,
    /// Said in every result.
    pub intended_use: String,
}

/// What a bundle asks of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Lowest ctedge version, `MAJOR.MINOR.PATCH`.
    pub ctedge_min: String,
    /// First ctedge version that no longer runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctedge_below: Option<String>,
    /// Lowest version of ONNX Runtime, `MAJOR.MINOR.PATCH`; absent: any that ctedge takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime_min: Option<String>,
    /// Estimated memory of the inference worker in MiB.
    pub memory_mib: u64,
    /// Kinds of devices that it is for, in the sites' words (`infer.device_class`); absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_class: Vec<String>,
}

/// Size and digest of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSpec {
    /// Which abnormality.
    pub label: Label,
    /// Positive at or above this probability.
    pub threshold: f32,
    /// Calibration: probability = sigmoid(logit / temperature).
    pub temperature: f32,
}

/// Where thresholds and temperatures come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Name of the split whose patients they were learned from, e.g. `validation`.
    pub split: String,
    /// Digest of the corpus.
    pub corpus_sha256: String,
    /// Labels that the patients taught nothing of: their threshold is 0.5 and their temperature 1.
    pub unfitted: Vec<Label>,
}

/// The report graph and what is needed to use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextGraph {
    /// The graph: inputs `ids` `[1, L]` (int64) and `mask` `[1, L]`, output `embedding` `[1, E]`.
    pub graph: Graph,
    /// Path of the tokenizer in the bundle, as Python's `tokenizers` reads it.
    pub tokenizer: String,
    /// What a cosine of two embeddings means.
    pub contrastive: Contrastive,
}

/// Probability that a volume and a sentence belong together: sigmoid(`scale` * cosine + `bias`), SigLIP's form.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// Factor on the cosine.
    pub scale: f32,
    /// Added to it.
    pub bias: f32,
}

/// An ONNX graph and its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Path in the bundle.
    pub file: String,
    /// Weight precision: `f32`, `f16` or `int8`.
    pub precision: String,
    /// ONNX operator set.
    pub opset: i64,
    /// Inputs by name; for the volume graph one, `volume`, `[1, 1, z, y, x]`.
    pub inputs: Vec<TensorIo>,
    /// Outputs by name; for the volume graph `logits` `[1, labels]`, and where it has them `embedding` `[1, E]`, `tokens`
    /// `[1, T, C]`, `saliency` `[1, T]` and `flag_saliency` `[1, labels, T]`.
    pub outputs: Vec<TensorIo>,
    /// Which of `If`, `Loop`, `Scan` and `SequenceMap` the graph may use; absent where it uses none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_flow: Vec<String>,
}

/// Name and fixed shape of a graph's input or output; f32, but for `ids`, which are int64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorIo {
    /// Name in the graph.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// False for a network with random weights: its flags mean nothing, and every result says so.
    pub trained: bool,
    /// The method, e.g. `SCALE-VLP (reconstruction)`.
    pub method: String,
    /// The data, in words.
    pub data: String,
    /// SHA-256 of the experiment file.
    pub experiment_sha256: String,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// The golden test of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The synthetic volume.
    pub phantom: Recipe,
    /// SHA-256 over the input tensor's f32 values, little endian, C order.
    pub tensor_sha256: String,
    /// Logits that the training framework computed for it.
    pub logits: Vec<f32>,
    /// Largest allowed absolute difference of a logit on the device.
    pub tolerance: f32,
}

/// Number formats of weights.
const PRECISIONS: [&str; 3] = ["f32", "f16", "int8"];
/// Names that the volume graph's outputs may have, in the order of the manifest; it must have [`LOGITS`].
const OUTPUTS: [&str; 5] = ["embedding", "logits", "tokens", "saliency", FLAG_SALIENCY];
const LOGITS: &str = "logits";
/// What each token adds to each flag; for a map of it a reader must know how many tokens there are.
const FLAG_SALIENCY: &str = "flag_saliency";

impl Manifest {
    /// Checks what the types cannot say. Returns the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.check_identity()?;
        self.input.check().map_err(|error| error.to_string())?;
        self.check_labels()?;
        self.check_vision()?;
        self.check_golden()?;
        self.check_text()?;
        for path in self.files.keys() {
            let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || path == "manifest.json" || path.contains('\\') {
                return Err(format!("{path:?} is no path for a file of a bundle"));
            }
        }
        Ok(())
    }

    fn check_identity(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {:?} is not {SCHEMA:?}, the one this version reads", self.schema));
        }
        let name_ok = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !name_ok {
            return Err(format!("name {:?} must be 1 to 64 of a-z, 0-9 and -", self.name));
        }
        if [Some(&self.created), self.install_before.as_ref()].into_iter().flatten().any(|time| ms(time).is_none()) {
            return Err("created and install_before must be times as in RFC 3339".to_owned());
        }
        let Requires { ctedge_min, ctedge_below, onnxruntime_min, .. } = &self.requires;
        let versions = [Some(&self.version), Some(ctedge_min), ctedge_below.as_ref(), onnxruntime_min.as_ref()];
        match versions.into_iter().flatten().find(|version| version_of(version).is_none()) {
            Some(version) => Err(format!("version {version:?} must be MAJOR.MINOR.PATCH")),
            None => Ok(()),
        }
    }

    fn check_labels(&self) -> Result<(), String> {
        let unique: BTreeSet<Label> = self.labels.iter().map(|spec| spec.label).collect();
        if unique.len() != self.labels.len() || self.labels.is_empty() || self.labels.len() > LABEL_COUNT {
            return Err("labels must be 1 to 18 different ones".to_owned());
        }
        for spec in &self.labels {
            let sound = spec.threshold > 0.0 && spec.threshold <= 1.0 && spec.temperature > 0.0;
            if !sound || !spec.temperature.is_finite() {
                return Err(format!("{}: threshold must lie in (0, 1], temperature be positive", spec.label.name()));
            }
        }
        Ok(())
    }

    fn check_graph(&self, which: &str, graph: &Graph) -> Result<(), String> {
        if !self.files.contains_key(&graph.file) {
            return Err(format!("the {which} graph {:?} is not among the files", graph.file));
        }
        if !PRECISIONS.contains(&graph.precision.as_str()) {
            return Err(format!("the {which} graph's precision {:?} is none of {PRECISIONS:?}", graph.precision));
        }
        let declared: BTreeSet<&str> = graph.control_flow.iter().map(String::as_str).collect();
        if declared.len() != graph.control_flow.len() || !declared.iter().all(|name| CONTROL_FLOW.contains(name)) {
            return Err(format!("the {which} graph's control_flow must be different ones of {CONTROL_FLOW:?}"));
        }
        Ok(())
    }

    fn check_text(&self) -> Result<(), String> {
        let Some(TextGraph { graph, tokenizer, contrastive }) = &self.text else { return Ok(()) };
        self.check_graph("report", graph)?;
        if !self.files.contains_key(tokenizer) {
            return Err(format!("the tokenizer {tokenizer:?} is not among the files"));
        }
        let reads = match graph.inputs.as_slice() {
            [ids, mask] => ids.name == "ids" && mask.name == "mask" && ids.shape == mask.shape && ids.shape.len() == 2,
            _ => false,
        };
        if !reads {
            return Err("the report graph must have two inputs, `ids` and `mask`, both [1, L]".to_owned());
        }
        let says = matches!(graph.outputs.as_slice(), [output] if output.name == "embedding");
        if !says || width(graph) != width(&self.vision) {
            return Err("the report graph must have one output, `embedding`, as wide as the volume graph's".to_owned());
        }
        if !(contrastive.scale > 0.0 && contrastive.scale.is_finite() && contrastive.bias.is_finite()) {
            return Err("contrastive: scale must be positive, bias finite".to_owned());
        }
        Ok(())
    }

    fn check_vision(&self) -> Result<(), String> {
        self.check_graph("volume", &self.vision)?;
        let [z, y, x] = self.input.grid.size();
        let fits = matches!(self.vision.inputs.as_slice(), [input] if input.name == "volume" && input.shape == [1, 1, z, y, x]);
        if !fits {
            return Err(format!("the volume graph must have one input `volume` of [1, 1, {z}, {y}, {x}]"));
        }
        let mut known = OUTPUTS.iter();
        let is_in_order = self.vision.outputs.iter().all(|output| known.any(|name| *name == output.name));
        let logits = self.vision.outputs.iter().find(|output| output.name == LOGITS);
        if !is_in_order || logits.is_none() {
            return Err(format!(
                "the volume graph's outputs must be {LOGITS:?} and any others of {OUTPUTS:?}, in this order"
            ));
        }
        if logits.is_none_or(|output| output.shape != [1, self.labels.len()]) {
            return Err(format!("`logits` must be [1, {}], one a label", self.labels.len()));
        }
        self.check_flag_saliency()
    }

    /// `flag_saliency`, where it is, has a row a label and a column a token of `saliency` and `tokens`, one of which must be
    /// there.
    fn check_flag_saliency(&self) -> Result<(), String> {
        let shape_of = |name: &str| {
            let output = self.vision.outputs.iter().find(|output| output.name == name);
            output.map(|output| output.shape.as_slice())
        };
        let Some(shape) = shape_of(FLAG_SALIENCY) else { return Ok(()) };
        let fits = |tokens: Option<&usize>| tokens.is_some_and(|tokens| *shape == [1, self.labels.len(), *tokens]);
        let others: Vec<&[usize]> = ["saliency", "tokens"].into_iter().filter_map(shape_of).collect();
        if others.is_empty() || !others.iter().all(|other| fits(other.get(1))) {
            let labels = self.labels.len();
            return Err(format!("`flag_saliency` must be [1, {labels}, T] with the T of `saliency` and `tokens`"));
        }
        Ok(())
    }

    fn check_golden(&self) -> Result<(), String> {
        let golden = &self.golden;
        let finite = golden.logits.iter().all(|logit| logit.is_finite());
        if golden.logits.len() != self.labels.len() || !finite || !(golden.tolerance > 0.0 && golden.tolerance <= 1.0) {
            return Err("golden: one finite logit a label, and a tolerance in (0, 1]".to_owned());
        }
        Ok(())
    }
}

/// Width of a graph's embeddings.
fn width(graph: &Graph) -> Option<&Vec<usize>> {
    graph.outputs.iter().find(|output| output.name == "embedding").map(|output| &output.shape)
}

/// `MAJOR.MINOR.PATCH` as numbers.
pub(super) fn version_of(text: &str) -> Option<[u32; 3]> {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}
