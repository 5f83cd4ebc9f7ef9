//! What a bundle says of a network: its manifest, its golden test and the properties inside the graph.

use super::onnx::OPSET;
use super::vision::VisionGraph;
use crate::experiment::Experiment;
use crate::run::{Checkpoint, Run};
use ctedge_models::bundle::{Golden, Graph, LabelSpec, Manifest, Requires, SCHEMA, Training};
use ctedge_models::labels::Label;
use std::collections::BTreeMap;

/// Path of the volume graph in a bundle.
pub const VISION_FILE: &str = "vision.onnx";
/// First ctedge that reads it.
const CTEDGE_MIN: &str = "0.1.0";
/// ONNX Runtime itself with its thread pools.
const RUNTIME_MIB: u64 = 128;
/// Probability at which an uncalibrated flag is raised.
const UNCALIBRATED_THRESHOLD: f32 = 0.5;

/// The manifest of a run's bundle. Its list of files stays empty: packing fills it.
pub fn manifest(run: &Run, graph: &VisionGraph, golden: Golden, created: String) -> Manifest {
    let Run { experiment, checkpoint } = run;
    let identity = &experiment.model;
    let flag = |label| LabelSpec { label, threshold: UNCALIBRATED_THRESHOLD, temperature: 1.0 };
    Manifest {
        schema: SCHEMA.into(),
        name: identity.name.clone(),
        version: identity.version.clone(),
        serial: identity.serial,
        created,
        expires: None,
        requires: Requires {
            ctedge_min: CTEDGE_MIN.into(),
            ctedge_below: None,
            memory_mib: memory_mib(experiment, graph),
        },
        files: BTreeMap::new(),
        input: experiment.input.clone(),
        labels: Label::all().map(flag).collect(),
        vision: Graph {
            file: VISION_FILE.into(),
            precision: experiment.export.precision.name().into(),
            opset: OPSET,
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
        },
        training: training(checkpoint),
        golden,
        intended_use: identity.intended_use.clone(),
    }
}

/// Properties for the graph's own metadata, so that a loose `vision.onnx` still says what it is.
pub fn properties(run: &Run) -> Vec<(String, String)> {
    let Run { experiment, checkpoint } = run;
    let names: Vec<&str> = Label::all().map(Label::name).collect();
    let pairs = [
        ("ctedge.model", format!("{} {}", experiment.model.name, experiment.model.version)),
        ("ctedge.trained", (checkpoint.steps > 0).to_string()),
        ("ctedge.intended_use", experiment.model.intended_use.clone()),
        ("ctedge.experiment_sha256", checkpoint.experiment_sha256.clone()),
        ("ctedge.weights_sha256", checkpoint.weights.sha256()),
        ("ctedge.input_sha256", experiment.input.digest()),
        ("ctedge.labels", names.join(",")),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

fn training(checkpoint: &Checkpoint) -> Training {
    let trained = checkpoint.steps > 0;
    let state = if trained { "" } else { ", random weights" };
    Training {
        trained,
        method: format!("SCALE-VLP volume tower (reconstruction){state}"),
        data: checkpoint.data.clone(),
        experiment_sha256: checkpoint.experiment_sha256.clone(),
        metrics: BTreeMap::new(),
    }
}

/// The runtime, the weights twice (file and packed for the processor), the input twice, and the attention scores of one
/// block before and after softmax, which are the largest values in between.
fn memory_mib(experiment: &Experiment, graph: &VisionGraph) -> u64 {
    let input: usize = experiment.input.grid.size().iter().product();
    let saliency = graph.outputs.iter().find(|output| output.name == "saliency");
    let tokens: usize = saliency.map_or(0, |output| output.shape.iter().product());
    let scores = tokens * tokens * experiment.vision.heads;
    let bytes = 2 * graph.bytes.len() + 2 * 4 * input + 2 * 4 * scores;
    RUNTIME_MIB + u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(1 << 20)
}
