use super::int8::{Quantised, measured};
use super::onnx::{Columns, Draft, Steps, cross_kv, decoder_step, text, vision};
use super::*;
use crate::device::cpu;
use crate::eval::{Array, Pair, ReportDecoder, Run, Tower, Weights, initial};
use crate::experiment::{Experiment, Positions, Precision, TINY, Text, TextPool, Tune, Vision};
use crate::fixture;
use ctedge_models::bundle::{self, Manifest, VerifiedBundle};
use ctedge_models::labels::Label;
use ctedge_models::onnx::proto::{FLOAT, FLOAT16, Graph, INT8, INT64, Length, Model, Node, Tensor, ValueInfo};
use ctedge_models::spec::Grid;
use ctedge_models::trust::TrustedKeys;
use data_encoding::HEXLOWER;
use half::f16;
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const VOCABULARY: usize = 64;

/// Towers that compute in a moment. Learned positions come with a class token, as in MONAI.
fn small(positions: Positions, pool: TextPool) -> Experiment {
    let mut experiment = Experiment::parse(TINY).unwrap();
    experiment.seed = 7;
    experiment.vision = Vision {
        patch: if positions == Positions::Learned { [4, 4, 4] } else { [2, 4, 4] },
        dim: 24,
        depth: 2,
        heads: 3,
        mlp_ratio: 2,
        embedding: 10,
        positions,
        class_token: positions == Positions::Learned,
        patch_norm: positions == Positions::Learned,
        densities: (positions == Positions::Learned).then_some([1, 2, 2]),
        stem: (positions == Positions::Learned).then(|| vec![3, 5, 4]),
        places: 3,
        tune: Tune::Full,
    };
    experiment.text = Text { max_tokens: 8, dim: 12, depth: 2, heads: 2, mlp_ratio: 2, pool, ..experiment.text };
    experiment.input.grid = Grid::Spacing { spacing_mm: [5.0, 2.0, 2.0], size: [4, 8, 12] };
    experiment
}

fn pair(positions: Positions, pool: TextPool) -> Pair {
    let experiment = small(positions, pool);
    Pair::new(&experiment, VOCABULARY, &initial(&experiment, VOCABULARY).unwrap(), &cpu()).unwrap()
}

fn plain() -> Pair {
    pair(Positions::Sine, TextPool::Mean)
}

fn properties() -> [(String, String); 1] {
    [("labels".into(), "a,b".into())]
}

fn exported() -> onnx::GraphFile {
    vision(&plain().vision).unwrap().file(&properties())
}

fn model(draft: Draft) -> Model {
    Model::decode(draft.file(&properties()).bytes.as_slice()).unwrap()
}

fn decoded() -> Model {
    model(vision(&plain().vision).unwrap())
}

fn small_steps(tower: &Tower) -> Steps {
    let layers = ["attention/qkv", "attention/out", "mlp/up", "mlp/down"];
    let blocks = 0..tower.blocks.len();
    let name = |block| layers.map(|layer| (format!("blocks.{block}/{layer}"), 0.03));
    blocks.flat_map(name).collect()
}

/// Both graphs of a decoder of two blocks over 12 tokens of width 24.
fn decoders() -> [Draft; 2] {
    let experiment = fixture::experiment(&["decoder.max_tokens = 16"]);
    let run = Run::init(experiment, VOCABULARY).unwrap();
    let decoder: ReportDecoder = run.decoder(&run.untrained_decoder().unwrap(), &cpu()).unwrap();
    let plan = Plan { created: String::new(), precision: Precision::F32, int8: None };
    let stated = manifest::step(&decoder, 12, &plan);
    [cross_kv(&decoder, 12).unwrap(), decoder_step(&decoder, &stated).unwrap()]
}

/// Every graph that is written of small towers.
fn graphs() -> Vec<Graph> {
    let (plain, classed) = (plain(), pair(Positions::Learned, TextPool::Class));
    let steps = small_steps(&plain.vision);
    let drafts = [
        vision(&plain.vision).unwrap(),
        vision(&classed.vision).unwrap(),
        text(&plain.text).unwrap(),
        text(&classed.text).unwrap(),
    ];
    let drafts = [&drafts[..], &decoders()].concat();
    let halves: Vec<Draft> = drafts.iter().map(|draft| draft.clone().halved().unwrap()).collect();
    let quantised = [&plain, &classed].map(|pair| vision(&pair.vision).unwrap().quantised(&steps).unwrap());
    drafts.into_iter().chain(halves).chain(quantised).map(|draft| model(draft).graph.unwrap()).collect()
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
    let listed = |values: &[ValueInfo]| -> Vec<(String, Vec<i64>)> {
        values.iter().map(|value| (value.name.clone(), value.shape().unwrap())).collect()
    };
    let expected = [("embedding", vec![1, 10]), ("logits", vec![1, 18]), ("tokens", vec![1, 12, 24])];
    let mut expected: Vec<(String, Vec<i64>)> = expected.into_iter().map(|(name, s)| (name.into(), s)).collect();
    expected.push(("saliency".into(), vec![1, 12]));
    expected.push(("flag_saliency".into(), vec![1, 18, 12]));
    assert_eq!(listed(&decoded.output), expected);
    assert_eq!(listed(&decoded.input), [("volume".into(), vec![1, 1, 4, 8, 12])]);
    let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["embedding", "logits", "tokens", "saliency", "flag_saliency"]);
    assert_eq!(graph.outputs[2].shape, [1, 12, 24]);
    assert_eq!(graph.inputs[0].shape, [1, 1, 4, 8, 12]);
}

#[test]
fn every_value_is_made_once_and_before_it_is_read() {
    graphs().iter().for_each(values_are_made_once);
}

fn values_are_made_once(graph: &Graph) {
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
    for tensor in graphs().into_iter().flat_map(|graph| graph.initializer) {
        let count: i64 = tensor.dims.iter().product();
        let size = match tensor.data_type {
            INT8 => 1,
            FLOAT16 => 2,
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
        "Cast",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Div",
        "Erf",
        "Gather",
        "LayerNormalization",
        "MatMul",
        "Max",
        "Mul",
        "Neg",
        "QuantizeLinear",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Slice",
        "Softmax",
        "Split",
        "Transpose",
    ];
    let graphs = graphs();
    let used: HashSet<&str> = graphs.iter().flat_map(|graph| &graph.node).map(|node| node.op_type.as_str()).collect();
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
    assert_eq!(digest, "68452eacf8e68d03e4748c985bf468524ad7d6c85d32fd2b8aa7fad9eee545f7");
}

#[test]
fn a_halved_graph_keeps_its_islands_and_its_ends_in_32_bits() {
    let graph = model(vision(&plain().vision).unwrap().halved().unwrap()).graph.unwrap();
    let tensor = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name).unwrap().data_type;
    for name in ["blocks.0.attention.qkv.weight", "blocks.1.mlp.down.bias", "positions", "flags.weight"] {
        assert_eq!(tensor(name), FLOAT16, "{name}");
    }
    for name in ["norm.gamma", "blocks.0/mlp/gelu/root_two", "embedding/shortest"] {
        assert_eq!(tensor(name), FLOAT, "{name}");
    }
    let node = |name: &str| graph.node.iter().find(|node| node.name == name).unwrap();
    assert_eq!(node("blocks.0/attention/scores/f32").op_type, "Cast");
    assert_eq!(node("blocks.0/attention/weights").input, ["blocks.0/attention/scores/f32"]);
    assert_eq!(node("logits").input, ["logits/f16"]);
    assert_eq!(node("saliency").input[0], "pool/weights", "what is only moved is not cast");
    assert!(graph.input.iter().chain(&graph.output).all(|end| end.kind() == FLOAT));
}

#[test]
fn a_weight_beyond_16_bits_is_refused() {
    let experiment = small(Positions::Sine, TextPool::Mean);
    let mut weights = initial(&experiment, VOCABULARY).unwrap();
    weights.0.get_mut("vision.patch.bias").unwrap().values[3] = 70_000.0;
    let tower = Pair::new(&experiment, VOCABULARY, &weights, &cpu()).unwrap().vision;
    let refusal = vision(&tower).unwrap().halved().unwrap_err().to_string();
    assert!(refusal.contains("patch.bias") && refusal.contains("--precision f32"), "{refusal}");
}

#[test]
fn a_matrix_is_rounded_to_half_a_step_of_its_column() {
    let matrix = Array { shape: vec![3, 2], values: vec![1.0, 0.0, -2.0, 0.0, 0.013, 0.0] };
    let columns = Columns::of(&matrix);
    assert_eq!(columns.codes, [64, 0, -127, 0, 1, 0], "63.5 goes to the even one");
    assert_eq!(columns.steps, [2.0 / 127.0, 1.0]);
    for (value, restored) in matrix.values.iter().zip(columns.restored().values) {
        assert!((value - restored).abs() <= 1.0 / 127.0 + 1e-6, "{value} became {restored}");
    }
}

#[test]
fn a_quantised_product_reads_restored_codes() {
    let tower = plain().vision;
    let graph = model(vision(&tower).unwrap().quantised(&small_steps(&tower)).unwrap()).graph.unwrap();
    let node = |name: &str| graph.node.iter().find(|node| node.name == name).unwrap();
    let product = node("blocks.1/mlp/up/product");
    assert_eq!(product.input, ["blocks.1/mlp/up/input/restored", "blocks.1.mlp.up.weight/restored"]);
    let restored = node("blocks.1.mlp.up.weight/restored");
    assert_eq!((restored.op_type.as_str(), restored.attribute[0].i), ("DequantizeLinear", 1));
    let tensor = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name).unwrap();
    assert_eq!(
        (tensor("blocks.1.mlp.up.weight").data_type, &tensor("blocks.1.mlp.up.weight").dims),
        (INT8, &vec![24, 48])
    );
    assert_eq!(tensor("blocks.1.mlp.up.weight/step").dims, [48]);
    assert_eq!(node("patch/product").input[1], "patch.weight", "the patch embedding keeps its floats");
    let unknown = Steps::from([("blocks.9/mlp/up".to_owned(), 1.0)]);
    assert!(matches!(vision(&tower).unwrap().quantised(&unknown), Err(ExportError::Missing { .. })));
}

/// A volume for the small towers.
fn volume() -> Vec<f32> {
    (0..4 * 8 * 12_u16).map(|index| f32::from(index * 37 % 101) / 50.0 - 1.0).collect()
}

#[test]
fn the_simulation_without_steps_is_the_tower_itself() {
    for tower in [plain().vision, pair(Positions::Learned, TextPool::Mean).vision] {
        let quantised = Quantised::new(&tower, Steps::new()).unwrap();
        assert_eq!(quantised.trace(volume(), &cpu()).unwrap(), Trace::of(&tower, volume(), &cpu()).unwrap());
    }
}

#[test]
fn eight_bits_change_little_and_two_much() {
    let tower = plain().vision;
    let experiment = small(Positions::Sine, TextPool::Mean);
    let steps = measured(&tower, &experiment.input, &cpu()).unwrap();
    assert_eq!(steps.keys().collect::<Vec<_>>(), small_steps(&tower).keys().collect::<Vec<_>>());
    let exact = Trace::of(&tower, volume(), &cpu()).unwrap();
    let apart = |factor: f32| {
        let steps = steps.iter().map(|(layer, step)| (layer.clone(), step * factor)).collect();
        let rounded = Quantised::new(&tower, steps).unwrap().trace(volume(), &cpu()).unwrap();
        exact.logits.iter().zip(&rounded.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let (fine, coarse) = (apart(1.0), apart(64.0));
    assert!(fine > 0.0 && fine < 0.1 && coarse > 3.0 * fine, "{fine} {coarse}");
}

/// A run folder of small towers.
fn run_folder() -> (TempDir, Run) {
    let folder = tempfile::tempdir().unwrap();
    let text = fixture::small(&["text.max_tokens = 16"]);
    let run = Run::init(Experiment::parse(&text).unwrap(), VOCABULARY).unwrap();
    run.create(folder.path(), "{}").unwrap();
    (folder, run)
}

fn plan(precision: Precision) -> Plan {
    Plan { created: "2026-11-25T00:00:00Z".into(), precision, int8: None }
}

/// A calibration of these weights, with a label that nothing was learned of.
fn calibration(weights: &str) -> String {
    let label = |(index, label): (usize, Label)| {
        serde_json::json!({
            "label": label, "temperature": 1.5, "threshold": if index == 0 { 0.5 } else { 0.25 },
            "positives": 3, "negatives": 9, "fitted": index != 0,
        })
    };
    let labels: Vec<_> = Label::all().enumerate().map(label).collect();
    let corpus = "c".repeat(64);
    serde_json::json!({
        "weights_sha256": weights, "corpus_sha256": corpus, "split": "validation", "labels": labels
    })
    .to_string()
}

#[test]
fn an_uncalibrated_run_says_so_in_manifest_and_card() {
    let (folder, run) = run_folder();
    let Exported { manifest, files } =
        Exported::of(&Trained::open(folder.path()).unwrap(), &plan(Precision::F16)).unwrap();
    assert_eq!(manifest.calibration, None);
    assert!(manifest.labels.iter().all(|spec| spec.threshold.to_string() == "0.5"));
    assert_eq!(files.keys().copied().collect::<Vec<_>>(), ["CARD.md", "text.onnx", "tokenizer.json", "vision.onnx"]);
    let text = manifest.text.unwrap();
    assert_eq!((text.graph.precision.as_str(), text.graph.inputs[0].shape.as_slice()), ("f16", [1, 16].as_slice()));
    assert!((text.contrastive.scale - 10.0).abs() < 1e-4 && (text.contrastive.bias + 2.7).abs() < 1e-4);
    let card = String::from_utf8(files["CARD.md"].clone()).unwrap();
    for fact in ["Not calibrated", "not evaluated", "mean nothing", &run.checkpoint.weights.sha256()] {
        assert!(card.contains(fact), "the card does not say {fact:?}:\n{card}");
    }
    for name in ["vision.onnx", "text.onnx", "tokenizer.json"] {
        assert!(card.contains(&HEXLOWER.encode(&Sha256::digest(&files[name]))), "{name}");
    }
    assert!(!card.contains("{{") && !card.contains("}}"), "{card}");
}

#[test]
fn calibration_and_evaluation_reach_manifest_and_card() {
    let (folder, run) = run_folder();
    let weights = run.checkpoint.weights.sha256();
    fs::write(folder.path().join("calibration.json"), calibration(&weights)).unwrap();
    fs::create_dir(folder.path().join("evaluation")).unwrap();
    let measure = |value: f64| serde_json::json!({ "value": value, "low": 0.7, "high": 0.9, "baseline": 0.5 });
    let evaluation = serde_json::json!({
        "model": { "weights_sha256": weights, "steps": 3 },
        "patients": { "split": "test", "cases": 40, "patients": 40, "synthetic": true, "chosen_on": true },
        "flags": {
            "macro_average": { "auroc": measure(0.8125), "f1": { "value": null, "low": null, "high": null, "baseline": null } },
            "labels": [{ "label": "emphysema", "measures": { "auroc": measure(0.625) }, "roc": [[0.0, 1.0]] }],
        },
        "retrieval": [{
            "direction": "volume_to_report", "truth": "equal", "pool": 100, "whole": false,
            "measures": { "recall_at_1": measure(0.375) },
        }],
    });
    fs::write(folder.path().join("evaluation/evaluation.json"), evaluation.to_string()).unwrap();
    let Exported { manifest, files } =
        Exported::of(&Trained::open(folder.path()).unwrap(), &plan(Precision::F32)).unwrap();
    assert_eq!(manifest.calibration.unwrap().unfitted, [Label::all().next().unwrap()]);
    assert!((manifest.labels[1].threshold - 0.25).abs() < 1e-6 && (manifest.labels[1].temperature - 1.5).abs() < 1e-6);
    let metrics: Vec<(String, f64)> = manifest.training.metrics.into_iter().collect();
    let recall = "retrieval/volume_to_report/equal/100/recall_at_1".to_owned();
    assert_eq!(metrics, [("flags/macro_average/auroc".to_owned(), 0.8125), (recall, 0.375)]);
    let card = String::from_utf8(files["CARD.md"].clone()).unwrap();
    for fact in [
        "| flags/macro_average/auroc | 0.812 | 0.700 to 0.900 | 0.500 |",
        "| emphysema | 0.2500 | 1.5000 | 0.625 | 0.700 to 0.900 |",
        "On the 40 synthetic cases of the test split. **Thresholds",
        "Too few cases to learn from: medical_material",
    ] {
        assert!(card.contains(fact), "{fact:?} is not in the card:\n{card}");
    }
}

#[test]
fn thresholds_of_other_weights_are_refused() {
    let (folder, _) = run_folder();
    let path = folder.path().join("calibration.json");
    let refusal = || Trained::open(folder.path()).unwrap_err();
    fs::write(&path, calibration(&"0".repeat(64))).unwrap();
    assert!(refusal().to_string().contains("ctedge-trainer evaluate"), "{}", refusal());
    assert!(matches!(refusal(), ExportError::Calibration { .. }));
    fs::write(&path, "{}").unwrap();
    assert!(matches!(refusal(), ExportError::Calibration { .. }));
}

/// The committed demonstration bundle, opened by somebody who trusts the committed key.
struct Catalog {
    folder: PathBuf,
    experiment: Experiment,
    bundle: PathBuf,
    opened: VerifiedBundle,
    _place: TempDir,
}

impl Catalog {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/catalog/scale-vlp-tiny");
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let bundle = files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "ctb")).unwrap();
        let experiment = Experiment::read(&folder.join("experiment.toml")).unwrap();
        let name = format!("{}-{}.ctb", experiment.model.name, experiment.model.version);
        assert_eq!(bundle.file_name().unwrap(), name.as_str());
        let trusted = TrustedKeys::load(&folder).unwrap();
        let place = tempfile::tempdir().unwrap();
        let opened = bundle::open(&bundle, &trusted, place.path()).unwrap_or_else(|error| panic!("{error}; {REMAKE}"));
        assert_eq!(trusted.ids(), [opened.signer()], "one committed key, and it signed the bundle");
        Self { folder, experiment, bundle, opened, _place: place }
    }

    fn manifest(&self) -> &Manifest {
        self.opened.manifest()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.opened.path(name).unwrap()).unwrap()
    }
}

/// What to do when one of the tests below fails on purpose.
const REMAKE: &str =
    "if that is meant, make the bundle again: models/catalog/scale-vlp-tiny/CARD.md, 'How it was made'";

#[test]
fn the_committed_bundle_is_the_committed_experiments() {
    let catalog = Catalog::open();
    let manifest = catalog.manifest();
    assert!(manifest.training.trained);
    assert_eq!(manifest.training.experiment_sha256, catalog.experiment.sha256(), "the experiment changed; {REMAKE}");
    assert!(manifest.calibration.is_some() && !manifest.training.metrics.is_empty());
    let bytes = fs::metadata(&catalog.bundle).unwrap().len();
    assert!(bytes < 12 << 20, "{bytes} bytes are much for a repository");
}

#[test]
fn the_committed_cards_state_what_the_bundle_holds() {
    let catalog = Catalog::open();
    let manifest = catalog.manifest();
    let outside = fs::read_to_string(catalog.folder.join("CARD.md")).unwrap();
    let inside = String::from_utf8(catalog.read("CARD.md")).unwrap();
    for name in [VISION_FILE, TEXT_FILE] {
        let digest = &manifest.files[name].sha256;
        assert!(outside.contains(digest) && inside.contains(digest), "a card does not state {name}; {REMAKE}");
    }
    for fact in [catalog.opened.digest().as_str(), catalog.opened.signer()] {
        assert!(outside.contains(fact), "CARD.md does not state {fact}; {REMAKE}");
    }
}

/// The parameters of a tower as its graph holds them, in 32 bits or in 16.
fn imported(graph: &[u8], expected: &Weights) -> Weights {
    let graph = Model::decode(graph).unwrap().graph.unwrap();
    let halves = |tensor: &Tensor| {
        assert_eq!(tensor.data_type, FLOAT16, "{}", tensor.name);
        tensor.raw_data.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect()
    };
    let array = |tensor: &Tensor| Array {
        shape: tensor.dims.iter().map(|&length| usize::try_from(length).unwrap()).collect(),
        values: tensor.floats().unwrap_or_else(|| halves(tensor)),
    };
    let parameters = graph.initializer.iter().filter(|tensor| expected.0.contains_key(&tensor.name));
    Weights(parameters.map(|tensor| (tensor.name.clone(), array(tensor))).collect())
}

/// The messages lose nothing of a file of ours, and write it again as it was when it was made.
#[test]
fn the_committed_graphs_are_written_as_they_were() {
    let catalog = Catalog::open();
    for name in [VISION_FILE, TEXT_FILE] {
        let bytes = catalog.read(name);
        assert!(Model::decode(bytes.as_slice()).unwrap().encode_to_vec() == bytes, "{name} comes out differently");
    }
}

#[test]
fn a_towers_graph_holds_all_of_its_parameters() {
    let experiment = small(Positions::Sine, TextPool::Mean);
    let weights = initial(&experiment, VOCABULARY).unwrap();
    assert_eq!(imported(&exported().bytes, &weights.part("vision")), weights.part("vision"));
}

#[test]
fn the_committed_graph_answers_the_golden_test_in_todays_code() {
    let catalog = Catalog::open();
    let golden = &catalog.manifest().golden;
    let tensor = phantom_tensor(&catalog.experiment).unwrap();
    assert_eq!(tensor.sha256(), golden.tensor_sha256, "phantom or preprocessing changed; {REMAKE}");
    let expected = initial(&catalog.experiment, VOCABULARY).unwrap().part("vision");
    let weights = imported(&catalog.read(VISION_FILE), &expected);
    let tower = Tower::new(&catalog.experiment.vision, &catalog.experiment.input.grid, &weights, &cpu()).unwrap();
    let trace = Trace::of(&tower, tensor.into_values().into_iter().collect(), &cpu()).unwrap();
    for (committed, now) in golden.logits.iter().zip(&trace.logits) {
        assert!((committed - now).abs() < golden.tolerance, "{committed} became {now}; {REMAKE}");
    }
}

#[test]
fn the_graphs_of_a_decoder_have_three_open_axes_and_keep_what_is_kept() {
    let [cross, step] = decoders().map(|draft| model(draft).graph.unwrap());
    let length = |length: &Length| match length {
        Length::Fixed(length) => length.to_string(),
        Length::Named(name) => name.clone(),
    };
    let shapes = |ports: &[ValueInfo]| -> Vec<String> {
        let shape = |port: &ValueInfo| port.axes().unwrap().iter().map(length).collect::<Vec<_>>().join(",");
        ports.iter().map(|port| format!("{} {}", port.name, shape(port))).collect()
    };
    let kept = |name: &str, length: &str| -> Vec<String> {
        let both = |index| ["k", "v"].map(|part| format!("{name}_{part}_{index} 1,2,{length},12"));
        (0..2).flat_map(both).collect()
    };
    assert_eq!(shapes(&cross.input), ["tokens 1,12,24", "flags 1,18"]);
    assert_eq!(shapes(&cross.output), kept("cross", "30"));
    let told = ["input_ids 1,new", "position_ids 1,new", "mask 1,1,new,all"].map(str::to_owned).to_vec();
    assert_eq!(shapes(&step.input), [told, kept("past", "past"), kept("cross", "30")].concat());
    assert_eq!(shapes(&step.output), [vec!["logits 1,new,64".to_owned()], kept("present", "all")].concat());
}
