//! What a bundle says of a network: its manifest and the properties inside the graphs.

use super::folder::Plan;
use super::onnx::{GraphFile, OPSET};
use super::trained::Evaluated;
use super::{ExportError, Trained};
use crate::eval::Calibration;
use crate::eval::{Checkpoint, ReportDecoder, Run, TokenGrid, Weights};
use crate::experiment::Experiment;
use ctedge_models::bundle::{
    self, Contrastive, Decoder, Golden, Graph, Manifest, Requires, SCHEMA, StepGraph, TextGraph, Training,
};
use ctedge_models::labels::{LABEL_COUNT, Label};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Path of the volume graph in a bundle.
pub const VISION_FILE: &str = "vision.onnx";
/// Path of the report graph.
pub const TEXT_FILE: &str = "text.onnx";
/// Path of the tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Path of the decoder's graph that reads a volume's tokens and flags.
pub const CROSS_FILE: &str = "cross_kv.onnx";
/// Path of the decoder's graph that reads and writes words.
pub const STEP_FILE: &str = "decoder_step.onnx";
/// First ctedge that reads it.
const CTEDGE_MIN: &str = "0.1.0";
/// ONNX Runtime itself with its thread pools.
const RUNTIME_MIB: u64 = 128;
/// The measures that the manifest repeats, by their beginning.
const MAIN_MEASURES: [&str; 3] = ["flags/macro_average/", "retrieval/", "zero_shot/macro_average/"];

/// The graphs of a bundle.
#[derive(Debug)]
pub(super) struct Graphs {
    pub(super) vision: GraphFile,
    pub(super) text: GraphFile,
    pub(super) decoder: Option<DecoderGraphs>,
}

/// The graphs of a decoder.
#[derive(Debug)]
pub(super) struct DecoderGraphs {
    pub(super) cross: GraphFile,
    pub(super) step: GraphFile,
    /// What the manifest says of the latter.
    pub(super) stated: StepGraph,
}

impl DecoderGraphs {
    /// Bytes while a report is drafted: the weights twice, keys and values of the memory and, twice (before a step and after it),
    /// of the longest report.
    fn bytes(&self) -> usize {
        let StepGraph { layers, heads, head_width, memory, max_tokens, .. } = self.stated;
        let kept = 2 * 4 * layers * heads * head_width * (memory + 2 * max_tokens);
        2 * (self.cross.bytes.len() + self.step.bytes.len()) + kept
    }
}

/// What a manifest says of a decoder's step over so many tokens of a volume.
pub(super) fn step(decoder: &ReportDecoder, tokens: usize, plan: &Plan) -> StepGraph {
    let ([vocabulary, dim], [max_tokens, _]) = (decoder.word.weight.dims(), decoder.position.weight.dims());
    let heads = decoder.blocks.first().map_or(1, |block| block.self_attention.heads);
    StepGraph {
        file: STEP_FILE.into(),
        precision: plan.precision.name().into(),
        opset: OPSET,
        layers: decoder.blocks.len(),
        heads,
        head_width: dim / heads.max(1),
        memory: tokens + LABEL_COUNT,
        vocabulary,
        max_tokens,
    }
}

/// The manifest of a run's bundle. Its list of files stays empty: packing fills it.
pub(super) fn manifest(
    trained: &Trained,
    graphs: &Graphs,
    golden: Golden,
    plan: &Plan,
) -> Result<Manifest, ExportError> {
    let Run { experiment, checkpoint } = &trained.run;
    let identity = &experiment.model;
    Ok(Manifest {
        schema: SCHEMA.into(),
        name: identity.name.clone(),
        version: identity.version.clone(),
        serial: identity.serial,
        created: plan.created.clone(),
        install_before: None,
        requires: requires(memory_mib(experiment, graphs)),
        files: BTreeMap::new(),
        input: experiment.input.clone(),
        labels: trained.flags(),
        calibration: trained.calibration.as_ref().map(stated),
        vision: graph(VISION_FILE, plan.vision_precision(), &graphs.vision),
        text: Some(TextGraph {
            graph: graph(TEXT_FILE, plan.precision.name(), &graphs.text),
            tokenizer: TOKENIZER_FILE.into(),
            contrastive: contrastive(&checkpoint.weights)?,
        }),
        token_grid: Some(TokenGrid::new(&experiment.input.grid, experiment.vision.patch).count),
        decoder: graphs.decoder.as_ref().map(|decoder| Decoder {
            cross: graph(CROSS_FILE, plan.precision.name(), &decoder.cross),
            step: decoder.stated.clone(),
            tokenizer: TOKENIZER_FILE.into(),
        }),
        evidence: trained.evidence.as_ref().map(|cases| cases.spec.clone()),
        training: training(checkpoint, trained.evaluated.as_ref()),
        golden,
        intended_use: identity.intended_use.clone(),
    })
}

/// What every bundle of ours asks of a device, and this much memory.
pub(super) fn requires(memory_mib: u64) -> Requires {
    Requires {
        ctedge_min: CTEDGE_MIN.into(),
        ctedge_below: None,
        onnxruntime_min: None,
        device_class: Vec::new(),
        memory_mib,
    }
}

fn graph(file: &str, precision: &str, GraphFile { inputs, outputs, .. }: &GraphFile) -> Graph {
    Graph {
        file: file.into(),
        precision: precision.into(),
        opset: OPSET,
        inputs: inputs.clone(),
        outputs: outputs.clone(),
        control_flow: Vec::new(),
    }
}

/// What a manifest says of a calibration.
fn stated(calibration: &Calibration) -> bundle::Calibration {
    let unfitted = calibration.labels.iter().filter(|of| !of.fitted).map(|of| of.label).collect();
    bundle::Calibration { split: calibration.split.clone(), corpus_sha256: calibration.corpus_sha256.clone(), unfitted }
}

/// Properties for a graph's own metadata, so that a loose `.onnx` file still says what it is.
fn properties(run: &Run) -> Vec<(String, String)> {
    let Run { experiment, checkpoint } = run;
    let pairs = [
        ("ctedge.model", format!("{} {}", experiment.model.name, experiment.model.version)),
        ("ctedge.trained", (checkpoint.steps > 0).to_string()),
        ("ctedge.intended_use", experiment.model.intended_use.clone()),
        ("ctedge.experiment_sha256", checkpoint.experiment_sha256.clone()),
        ("ctedge.weights_sha256", checkpoint.weights.sha256()),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Properties of the volume graph.
pub(super) fn vision_properties(run: &Run) -> Vec<(String, String)> {
    let names: Vec<&str> = Label::all().map(Label::name).collect();
    let mut pairs = properties(run);
    pairs.push(("ctedge.input_sha256".into(), run.experiment.input.digest()));
    pairs.push(("ctedge.labels".into(), names.join(",")));
    pairs
}

/// Properties of the report graph.
pub(super) fn text_properties(trained: &Trained) -> Vec<(String, String)> {
    let mut pairs = properties(&trained.run);
    pairs.push(("ctedge.tokenizer_sha256".into(), HEXLOWER.encode(&Sha256::digest(&trained.tokenizer))));
    pairs
}

/// What the loss has learned of cosines.
fn contrastive(weights: &Weights) -> Result<Contrastive, ExportError> {
    let number = |name: &str| {
        let value = weights.0.get(name).and_then(|array| array.values.first()).copied();
        value.ok_or_else(|| ExportError::Missing { name: name.into() })
    };
    Ok(Contrastive { scale: number("log_scale")?.exp(), bias: number("bias")? })
}

fn training(checkpoint: &Checkpoint, evaluated: Option<&Evaluated>) -> Training {
    let trained = checkpoint.steps > 0;
    let state = if trained { "" } else { ", random weights" };
    let measures = evaluated.into_iter().flat_map(|evaluated| &evaluated.measures);
    let main = measures.filter(|(name, _)| MAIN_MEASURES.iter().any(|main| name.starts_with(main)));
    Training {
        trained,
        method: format!("SCALE-VLP (reconstruction){state}"),
        data: checkpoint.data.clone(),
        experiment_sha256: checkpoint.experiment_sha256.clone(),
        metrics: main.map(|(name, measure)| (name.clone(), measure.value)).collect(),
    }
}

/// The runtime, the weights twice (file and packed for the processor), the input twice, the largest values in between twice (the
/// attention scores of one block, before and after softmax, or the first map of a stem), and what a
/// decoder adds.
fn memory_mib(experiment: &Experiment, graphs: &Graphs) -> u64 {
    let graph = &graphs.vision;
    let input: usize = experiment.input.grid.size().iter().product();
    let saliency = graph.outputs.iter().find(|output| output.name == "saliency");
    let tokens: usize = saliency.map_or(0, |output| output.shape.iter().product());
    let scores = tokens * tokens * experiment.vision.heads;
    // Halved along each axis.
    let map = experiment.vision.stem.as_ref().and_then(|widths| widths.first()).map_or(0, |width| input / 8 * width);
    let largest = map.max(scores);
    let decoder = graphs.decoder.as_ref().map_or(0, DecoderGraphs::bytes);
    let bytes = 2 * graph.bytes.len() + 2 * 4 * input + 2 * 4 * largest + decoder;
    RUNTIME_MIB + u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(1 << 20)
}
