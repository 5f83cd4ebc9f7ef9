use super::onnx::{FLOAT, INT64, Model, Node};
use super::*;
use crate::device::cpu;
use crate::experiment::{Experiment, Positions, Tune, Vision};
use crate::run::{Run, Tower, initial};
use ctedge_models::bundle::{self, Manifest, TrustedKeys};
use ctedge_models::spec::Grid;
use data_encoding::HEXLOWER;
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Learned positions come with a class token, as in MONAI.
fn exported_with(positions: Positions) -> VisionGraph {
    let mut experiment =
        Experiment::parse(include_str!("../../../models/catalog/scale-vlp-tiny/experiment.toml")).unwrap();
    experiment.seed = 7;
    experiment.vision = Vision {
        patch: [2, 4, 4],
        dim: 24,
        depth: 2,
        heads: 3,
        mlp_ratio: 2,
        embedding: 10,
        positions,
        class_token: positions == Positions::Learned,
        tune: Tune::Full,
    };
    experiment.input.grid = Grid::Spacing { spacing_mm: [5.0, 2.0, 2.0], size: [4, 8, 12] };
    let weights = initial(&experiment, 64).unwrap().part("vision");
    let tower = Tower::new(&experiment.vision, &experiment.input.grid, &weights, &cpu()).unwrap();
    vision(&tower, &[("labels".into(), "a,b".into())]).unwrap()
}

fn exported() -> VisionGraph {
    exported_with(Positions::Sine)
}

fn decoded() -> Model {
    Model::decode(exported().bytes.as_slice()).unwrap()
}

#[test]
fn the_file_names_its_format_and_operator_set() {
    let model = decoded();
    assert_eq!(model.ir_version, 8);
    assert_eq!(model.opset_import.len(), 1);
    assert_eq!((model.opset_import[0].domain.as_str(), model.opset_import[0].version), ("", 17));
    assert_eq!((model.metadata_props[0].key.as_str(), model.metadata_props[0].value.as_str()), ("labels", "a,b"));
}

#[test]
fn inputs_and_outputs_have_fixed_shapes_and_equal_the_manifests() {
    let graph = exported();
    let decoded = decoded().graph.unwrap();
    let listed = |values: &[onnx::ValueInfo]| -> Vec<(String, Vec<i64>)> {
        values.iter().map(|value| (value.name.clone(), value.shape())).collect()
    };
    let expected = [("embedding", vec![1, 10]), ("logits", vec![1, 18]), ("tokens", vec![1, 12, 24])];
    let mut expected: Vec<(String, Vec<i64>)> = expected.into_iter().map(|(name, s)| (name.into(), s)).collect();
    expected.push(("saliency".into(), vec![1, 12]));
    assert_eq!(listed(&decoded.output), expected);
    assert_eq!(listed(&decoded.input), [("volume".into(), vec![1, 1, 4, 8, 12])]);
    let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["embedding", "logits", "tokens", "saliency"]);
    assert_eq!(graph.outputs[2].shape, [1, 12, 24]);
    assert_eq!(graph.inputs[0].shape, [1, 1, 4, 8, 12]);
}

#[test]
fn every_value_is_made_once_and_before_it_is_read() {
    values_are_made_once(&decoded().graph.unwrap());
    let classed = exported_with(Positions::Learned);
    values_are_made_once(&Model::decode(classed.bytes.as_slice()).unwrap().graph.unwrap());
}

fn values_are_made_once(graph: &onnx::Graph) {
    let mut made: HashSet<&str> = HashSet::new();
    let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    for name in constants.chain(graph.input.iter().map(|input| input.name.as_str())) {
        assert!(made.insert(name), "{name} is defined twice");
    }
    let mut nodes = HashSet::new();
    for node in &graph.node {
        assert!(nodes.insert(&node.name), "two nodes are called {}", node.name);
        for name in &node.input {
            assert!(made.contains(name.as_str()), "{} reads {name}, which nothing has made", node.name);
        }
        for name in &node.output {
            assert!(made.insert(name), "{name} is made twice");
        }
    }
    let read: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let outputs: HashSet<&String> = graph.output.iter().map(|output| &output.name).collect();
    for tensor in &graph.initializer {
        assert!(read.contains(&tensor.name), "{} is never read", tensor.name);
    }
    for name in graph.node.iter().flat_map(|node| &node.output) {
        assert!(read.contains(name) || outputs.contains(name), "{name} is never used");
    }
}

#[test]
fn constants_hold_as_many_bytes_as_their_shapes_ask() {
    for tensor in decoded().graph.unwrap().initializer {
        let count: i64 = tensor.dims.iter().product();
        let size = match tensor.data_type {
            FLOAT => 4,
            INT64 => 8,
            other => panic!("{} has element type {other}", tensor.name),
        };
        assert_eq!(i64::try_from(tensor.raw_data.len()).unwrap(), count * size, "{}", tensor.name);
    }
}

#[test]
fn only_operators_that_old_tensorrt_parses_are_used() {
    let allowed = [
        "Add",
        "Concat",
        "Div",
        "Erf",
        "LayerNormalization",
        "MatMul",
        "Max",
        "Mul",
        "ReduceL2",
        "Reshape",
        "Slice",
        "Softmax",
        "Split",
        "Transpose",
    ];
    let classed = exported_with(Positions::Learned);
    let graph = Model::decode(classed.bytes.as_slice()).unwrap().graph.unwrap();
    let used: HashSet<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
    assert!(used.iter().all(|operator| allowed.contains(operator)), "{used:?}");
}

#[test]
fn queries_are_scaled_before_they_meet_the_keys() {
    let graph = decoded().graph.unwrap();
    let find = |name: &str| -> Node { graph.node.iter().find(|node| node.name == name).unwrap().clone() };
    let scores = find("blocks.1/attention/scores");
    assert_eq!(scores.input, ["blocks.1/attention/query/scaled", "blocks.1/attention/key/turned"]);
    let weights = find("blocks.1/attention/weights");
    assert_eq!((weights.op_type.as_str(), weights.input), ("Softmax", scores.output));
}

#[test]
fn the_same_network_is_the_same_file() {
    let digest = HEXLOWER.encode(&Sha256::digest(exported().bytes));
    assert_eq!(digest, HEXLOWER.encode(&Sha256::digest(exported().bytes)));
    assert_eq!(digest, "c82e84593fd93178d491b7f931c77eaae67c95f1a6435225aec8ea93c347bb7b");
}

/// The committed demonstration bundle.
struct Catalog {
    folder: PathBuf,
    bundle: PathBuf,
    manifest: Manifest,
}

impl Catalog {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/catalog/scale-vlp-tiny");
        let bundle = folder.join("scale-vlp-tiny-0.1.0.ctb");
        let manifest = bundle::manifest_of(&bundle).unwrap();
        Self { folder, bundle, manifest }
    }

    fn run(&self) -> Run {
        Run::init(Experiment::read(&self.folder.join("experiment.toml")).unwrap(), 64).unwrap()
    }
}

/// What to do when one of the tests below fails on purpose.
const REMAKE: &str =
    "if that is meant, make the bundle again: models/catalog/scale-vlp-tiny/CARD.md, 'How it was made'";

#[test]
fn a_device_that_trusts_the_committed_key_opens_the_committed_bundle() {
    let catalog = Catalog::open();
    let trusted = TrustedKeys::load(&catalog.folder).unwrap();
    let place = tempfile::tempdir().unwrap();
    let opened = bundle::open(&catalog.bundle, &trusted, place.path()).unwrap();
    assert_eq!(trusted.ids(), [opened.signer()], "one committed key, and it signed the bundle");
    assert!(!opened.manifest().training.trained);
    let card = std::fs::read_to_string(catalog.folder.join("CARD.md")).unwrap();
    for fact in [opened.digest().as_str(), opened.signer(), &catalog.manifest.files[VISION_FILE].sha256] {
        assert!(card.contains(fact), "CARD.md does not state {fact}; {REMAKE}");
    }
    let bytes = std::fs::metadata(&catalog.bundle).unwrap().len();
    assert!(bytes < 3 << 20, "{bytes} bytes are much for a repository");
}

#[test]
fn the_committed_graph_follows_from_the_seed() {
    let catalog = Catalog::open();
    let run = catalog.run();
    let graph = vision(&run.tower(&cpu()).unwrap(), &properties(&run)).unwrap();
    let digest = HEXLOWER.encode(&Sha256::digest(&graph.bytes));
    assert_eq!(digest, catalog.manifest.files[VISION_FILE].sha256, "the graph changed; {REMAKE}");
}

#[test]
fn the_committed_golden_test_still_holds() {
    let catalog = Catalog::open();
    let run = catalog.run();
    let golden = &catalog.manifest.golden;
    let tensor = phantom_tensor(&run.experiment).unwrap();
    assert_eq!(tensor.sha256(), golden.tensor_sha256, "phantom or preprocessing changed; {REMAKE}");
    let trace = Trace::of(&run.tower(&cpu()).unwrap(), tensor.into_values().into_iter().collect(), &cpu()).unwrap();
    for (committed, now) in golden.logits.iter().zip(&trace.logits) {
        assert!((committed - now).abs() < 1e-4, "{committed} became {now}; {REMAKE}");
    }
}

#[test]
fn the_committed_manifest_is_what_export_writes_today() {
    let catalog = Catalog::open();
    let mut today = Exported::of(&catalog.run(), catalog.manifest.created.clone()).unwrap().manifest;
    // The file table is packing's; the logits may differ in the last bits between processors.
    today.files.clone_from(&catalog.manifest.files);
    today.golden.logits.clone_from(&catalog.manifest.golden.logits);
    assert_eq!(today, catalog.manifest, "the manifest changed; {REMAKE}");
}
