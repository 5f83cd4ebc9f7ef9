//! What the types of a manifest cannot say.

use super::{Graph, Manifest, Requires, SCHEMA, TextGraph};
use crate::bundle::admission::ms;
use crate::labels::{LABEL_COUNT, Label};
use crate::onnx::CONTROL_FLOW;
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Most tokens along an axis; beyond, a product might not fit.
const MOST_TOKENS: usize = 1 << 16;
/// Number formats of weights.
pub(super) const PRECISIONS: [&str; 3] = ["f32", "f16", "int8"];
/// Names that the volume graph's outputs may have, in the order of the manifest; it must have [`LOGITS`].
const OUTPUTS: [&str; 5] = ["embedding", "logits", "tokens", "saliency", "flag_saliency"];
const LOGITS: &str = "logits";

impl Manifest {
    /// Checks what the types cannot say. Returns the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.check_identity()?;
        self.input.check().map_err(|error| error.to_string())?;
        self.check_labels()?;
        self.check_vision()?;
        self.check_golden()?;
        self.check_text()?;
        self.check_tokens()?;
        self.check_decoder()?;
        self.check_evidence()?;
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
        self.check_file(&format!("{which} graph"), &graph.file)?;
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
        self.check_file("tokenizer", tokenizer)?;
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

    /// Shape of an output of the volume graph, without its batch of one.
    fn output(&self, name: &str) -> Option<&[usize]> {
        let output = self.vision.outputs.iter().find(|output| output.name == name)?;
        output.shape.split_first().filter(|(batch, _)| **batch == 1).map(|(_, shape)| shape)
    }

    /// Number of tokens of the volume graph, as each of its outputs says that tells of them.
    fn tokens(&self) -> BTreeSet<usize> {
        let counts = [("tokens", 0), ("saliency", 0), ("flag_saliency", 1)];
        counts.into_iter().filter_map(|(name, axis)| self.output(name)?.get(axis).copied()).collect()
    }

    fn check_tokens(&self) -> Result<(), String> {
        let labels = self.labels.len();
        let others = ["tokens", "saliency"].map(|name| self.output(name).and_then(|shape| shape.first().copied()));
        let fits =
            |shape: &[usize]| matches!(shape, [rows, count] if *rows == labels && others.contains(&Some(*count)));
        let ranks = [("tokens", 2), ("saliency", 1)];
        let is_flat = ranks.iter().all(|(name, rank)| self.output(name).is_none_or(|shape| shape.len() == *rank));
        if !is_flat || self.tokens().len() > 1 || !self.output("flag_saliency").is_none_or(fits) {
            return Err(format!("`flag_saliency` must be [1, {labels}, T] with the T of `saliency` and `tokens`"));
        }
        let Some(grid) = self.token_grid else { return Ok(()) };
        let divides = self.input.grid.size().iter().zip(grid).all(|(edge, count)| count > 0 && edge % count == 0);
        let count: usize = grid.iter().map(|count| (*count).min(MOST_TOKENS)).product();
        if !divides || !self.tokens().contains(&count) {
            return Err(format!("token_grid {grid:?} must divide the tensor, one part a token"));
        }
        Ok(())
    }

    fn check_decoder(&self) -> Result<(), String> {
        let Some(decoder) = &self.decoder else { return Ok(()) };
        self.check_graph("decoder's cross", &decoder.cross)?;
        self.check_file("decoder's step graph", &decoder.step.file)?;
        self.check_file("decoder's tokenizer", &decoder.tokenizer)?;
        decoder.check(self.labels.len(), self.output("tokens"))
    }

    fn check_evidence(&self) -> Result<(), String> {
        let Some(evidence) = &self.evidence else { return Ok(()) };
        for file in [&evidence.reports, &evidence.volumes, &evidence.cases] {
            self.check_file("evidence", file)?;
        }
        let Some(&[width]) = self.output("embedding") else {
            return Err("evidence needs a volume graph with an output `embedding` [1, E]".to_owned());
        };
        let bytes = |file: &String| self.files.get(file).map(|entry| entry.bytes);
        let expected = evidence.bytes(width);
        if expected.is_none() || [&evidence.reports, &evidence.volumes].map(bytes) != [expected; 2] {
            return Err(format!("evidence: the embeddings are not {} rows of {width} 16-bit floats", evidence.count));
        }
        evidence.novelty.as_ref().map_or(Ok(()), |novelty| novelty.check(evidence.count))
    }

    fn check_file(&self, which: &str, file: &str) -> Result<(), String> {
        if self.files.contains_key(file) {
            return Ok(());
        }
        Err(format!("the {which} {file:?} is not among the files"))
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
pub(in crate::bundle) fn version_of(text: &str) -> Option<[u32; 3]> {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}
