//! What a manifest says of the graphs that draft a report.
//!
//! A transformer decoder in two graphs, so that what does not change from word to word is computed once a series: `cross` makes
//! the keys and values that every step looks at, `step` goes on by some tokens, given the keys and values of those before.

use super::Graph;
use super::check::PRECISIONS;
use crate::onnx::proto::{FLOAT, INT64, Length, ValueInfo};
use serde::{Deserialize, Serialize};

/// The decoder of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Run once a series: inputs `tokens` `[1, T, C]` as the volume graph gives them and `flags` `[1, labels]` (1 for a finding
    /// that is there, -1 for one that is not, 0 for one that is not told); outputs `cross_k_0`, `cross_v_0`, ... `[1, H, M, D]`.
    pub cross: Graph,
    /// One step.
    pub step: StepGraph,
    /// Path of the tokenizer in the bundle. A report is `[CLS] findings [SEP] impression [SEP]`.
    pub tokenizer: String,
}

/// The graph of one step, by the numbers that make its inputs and outputs: see [`StepGraph::ports`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepGraph {
    /// Path in the bundle.
    pub file: String,
    /// Weight precision: `f32` or `f16`.
    pub precision: String,
    /// ONNX operator set.
    pub opset: i64,
    /// Blocks: pairs of keys and values.
    pub layers: usize,
    /// Attention heads H.
    pub heads: usize,
    /// Width of a head D.
    pub head_width: usize,
    /// Rows M that a step looks at: visual tokens and flags.
    pub memory: usize,
    /// Pieces that the tokenizer knows: logits of a token.
    pub vocabulary: usize,
    /// Longest report in tokens, marks included.
    pub max_tokens: usize,
}

/// Names of the lengths that change from run to run: new tokens, tokens before, and both.
const NEW: &str = "new";
const PAST: &str = "past";
const ALL: &str = "all";

/// Bounds that keep every product within what a device could hold.
const MOST: [(&str, usize); 6] = [
    ("layers", 128),
    ("heads", 1024),
    ("head_width", 4096),
    ("memory", 65_536),
    ("vocabulary", 1 << 20),
    ("max_tokens", 4096),
];

impl Decoder {
    /// What is wrong with it, for a volume graph with tokens of that shape `[T, C]`.
    pub(super) fn check(&self, labels: usize, tokens: Option<&[usize]>) -> Result<(), String> {
        let step = &self.step;
        let numbers = [step.layers, step.heads, step.head_width, step.memory, step.vocabulary, step.max_tokens];
        if let Some((value, (name, most))) =
            numbers.into_iter().zip(MOST).find(|(value, (_, most))| !(1..=*most).contains(value))
        {
            return Err(format!("the decoder's {name} is {value}, not 1 to {most}"));
        }
        if !PRECISIONS.contains(&step.precision.as_str()) {
            return Err(format!("the decoder's precision {:?} is none of {PRECISIONS:?}", step.precision));
        }
        let Some(&[count, width]) = tokens else {
            return Err("a decoder needs a volume graph with an output `tokens` [1, T, C]".to_owned());
        };
        let takes = |name: &str, shape: &[usize]| {
            self.cross.inputs.iter().any(|input| input.name == name && input.shape == shape)
        };
        if self.cross.inputs.len() != 2 || !takes("tokens", &[1, count, width]) || !takes("flags", &[1, labels]) {
            return Err(format!(
                "the decoder's cross graph must have two inputs, `tokens` [1, {count}, {width}] and `flags` [1, {labels}]"
            ));
        }
        let shape = [1, step.heads, step.memory, step.head_width];
        let gives = self.cross.outputs.iter().map(|output| (output.name.clone(), output.shape.as_slice()));
        if !gives.eq(step.caches("cross").map(|name| (name, shape.as_slice()))) {
            return Err(format!("the decoder's cross graph must give cross_k_0, cross_v_0, ... of {shape:?}"));
        }
        Ok(())
    }
}

impl StepGraph {
    /// Names of the keys and values of all layers: `past_k_0`, `past_v_0`, `past_k_1`, ...
    pub fn caches<'a>(&self, which: &'a str) -> impl Iterator<Item = String> + use<'a> {
        (0..self.layers).flat_map(move |layer| ["k", "v"].map(|part| format!("{which}_{part}_{layer}")))
    }

    /// Inputs and outputs of the graph in their order. With S new tokens after P:
    ///
    /// `input_ids` and `position_ids` `[1, S]` (int64), `mask` `[1, 1, S, P + S]` (added to the scores: 0, or a large negative
    /// number for what a token may not see), `past_*` `[1, H, P, D]`, `cross_*` `[1, H, M, D]`; `logits` `[1, S, V]`, `present_*`
    /// `[1, H, P + S, D]`. P is 0 at the beginning.
    pub fn ports(&self) -> (Vec<ValueInfo>, Vec<ValueInfo>) {
        let (heads, width, memory) = (fixed(self.heads), fixed(self.head_width), fixed(self.memory));
        let caches = |which, rows: &Length| {
            let shape = [fixed(1), heads.clone(), rows.clone(), width.clone()];
            self.caches(which).map(|name| port(&name, &shape, FLOAT)).collect::<Vec<_>>()
        };
        let mut inputs = vec![
            port("input_ids", &[fixed(1), named(NEW)], INT64),
            port("position_ids", &[fixed(1), named(NEW)], INT64),
            port("mask", &[fixed(1), fixed(1), named(NEW), named(ALL)], FLOAT),
        ];
        inputs.extend(caches("past", &named(PAST)));
        inputs.extend(caches("cross", &memory));
        let mut outputs = vec![port("logits", &[fixed(1), named(NEW), fixed(self.vocabulary)], FLOAT)];
        outputs.extend(caches("present", &named(ALL)));
        (inputs, outputs)
    }
}

fn fixed(length: usize) -> Length {
    Length::Fixed(i64::try_from(length).unwrap_or(i64::MAX))
}

fn named(name: &str) -> Length {
    Length::Named(name.to_owned())
}

fn port(name: &str, shape: &[Length], kind: i32) -> ValueInfo {
    ValueInfo::of(name, shape.iter().cloned(), kind)
}
