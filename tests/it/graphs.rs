//! Signed bundles whose graphs are hostile: each is refused with its own code, and harmless ones of the same kinds pass.

use ctedge_models::bundle::{self, BundleError, Manifest};
use ctedge_models::onnx::proto::ValueInfo;
use ctedge_models::onnx::{self, CONTROL_FLOW, Contract};
use ctedge_models::trust::{self, SigningKey, TrustedKeys};
use ctedge_tests::progress::say;
use ctedge_tests::{gauge, place, tools};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// Somebody whose key a device trusts, and the catalog's model to begin with.
struct Bench {
    folder: TempDir,
    manifest: Manifest,
    graph: PathBuf,
    trusted: TrustedKeys,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = TrustedKeys::load(&place::reference_key().unwrap()).unwrap();
        let opened =
            bundle::open(&place::reference_bundle().unwrap(), &trusted, &folder.path().join("opened")).unwrap();
        let (secret, public, _) = trust::keygen(folder.path(), "hostile", None).unwrap();
        Self {
            manifest: Manifest { text: None, decoder: None, evidence: None, ..opened.manifest().clone() },
            graph: opened.path(&opened.manifest().vision.file).unwrap(),
            trusted: TrustedKeys::load(&public).unwrap(),
            key: SigningKey::load(&secret, None).unwrap(),
            folder,
        }
    }

    /// What a device says of a bundle of the files in a folder; nothing of it may stay if that is a refusal.
    fn code(&self, files: &Path, control_flow: &str) -> String {
        let mut manifest = self.manifest.clone();
        manifest.vision.control_flow = control_flow.split(',').filter(|name| *name != "-").map(str::to_owned).collect();
        let files = fs::read_dir(files).unwrap().map(|entry| entry.unwrap());
        let files: Vec<(String, PathBuf)> =
            files.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
        let packed = self.folder.path().join("hostile.ctb");
        bundle::pack(&manifest, &files, &packed).unwrap();
        trust::sign(&packed, &self.key, "hostile").unwrap();
        let models = tempfile::tempdir_in(self.folder.path()).unwrap();
        match bundle::open(&packed, &self.trusted, models.path()) {
            Ok(_) => "fine".to_owned(),
            Err(BundleError::Onnx { refusal, .. }) => {
                say(&format!("  {}: {refusal}", refusal.code()));
                assert_eq!(fs::read_dir(models.path()).unwrap().count(), 0, "something is left behind");
                refusal.code().to_owned()
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_hostile_graph_is_refused_with_its_code_and_harmless_ones_pass() {
    let bench = Bench::new();
    let cases = bench.folder.path().join("cases");
    let told = tools::peer("hostile_graphs.py", &[&bench.graph, &cases]).unwrap();
    let (mut wrong, mut codes, started) = (Vec::new(), BTreeSet::new(), Instant::now());
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, expected, control_flow] = words[..] else { panic!("{line}") };
        let code = bench.code(&cases.join(name), control_flow);
        if code != expected {
            wrong.push(format!("{name}: {code}, not {expected}"));
        }
        codes.insert(code);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(told.lines().count() >= 40 && codes.len() == 10, "{} cases, {codes:?}", told.lines().count());
    say(&format!("{} graphs in {:?}", told.lines().count(), started.elapsed()));
}

/// What the checks are for: the runtime by itself would try to make the 16 GB, and looks for no reason not to.
#[test]
fn onnx_runtime_itself_takes_what_the_checks_refuse() {
    let bench = Bench::new();
    let cases = bench.folder.path().join("cases");
    tools::peer("hostile_graphs.py", &[&bench.graph, &cases]).unwrap();
    let load = |name: &str| {
        tools::peer("hostile_graphs.py", &[Path::new("--load"), &cases.join(name).join("vision.onnx")]).unwrap()
    };
    assert_eq!(load("small_shapes").trim(), "runs");
    let said = load("constant_of_16_gigabytes");
    assert!(said.contains("ConstantOfShape") && said.contains("Failed to allocate memory"), "{said}");
}

/// The whole reference bundle, its report graph as well, passes; damaged anywhere, its graphs are taken or refused.
#[test]
fn the_reference_bundle_passes_and_its_damaged_graph_brings_nobody_down() {
    let bench = Bench::new();
    let sound = fs::read(&bench.graph).unwrap();
    let folder = bench.folder.path().join("damaged");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("vision.onnx");
    let files = [("vision.onnx".to_owned(), file.clone())].into();
    let mut refused = 0;
    for round in 0..200_usize {
        let mut bytes = sound.clone();
        // Names and shapes stand at the beginning, and after the weights at the end.
        let place = if round % 2 == 0 { round * 131 } else { bytes.len() - 1 - round * 37 };
        bytes[place] ^= 1 << (round % 8);
        fs::write(&file, bytes).unwrap();
        match bundle::preflight(&bench.manifest, &files) {
            Ok(()) => {}
            Err(BundleError::Onnx { .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    say(&format!("{refused} of 200 damaged graphs were refused for what they say"));
    assert!(refused >= 20, "{refused}");
}

/// An example of ONNX's own, as `onnx_examples.py` tells it.
#[derive(serde::Deserialize)]
struct Example {
    path: PathBuf,
    opset: i64,
    inputs: Vec<(String, i32, Vec<i64>)>,
    outputs: Vec<(String, i32, Vec<i64>)>,
}

/// The checks refuse what is hostile, not what is unusual.
#[test]
fn onnxs_own_examples_of_every_operator_pass() {
    let folder = tempfile::tempdir().unwrap();
    let told = tools::peer("onnx_examples.py", &[&folder.path().join("examples")]).unwrap();
    let examples: Vec<Example> = serde_json::from_str(&told).unwrap();
    let ports = |of: &[(String, i32, Vec<i64>)]| {
        of.iter().map(|(name, kind, shape)| ValueInfo::tensor(name, shape, *kind)).collect()
    };
    let control_flow = CONTROL_FLOW.map(str::to_owned);
    let mut refused = Vec::new();
    for example in &examples {
        let contract = Contract {
            opset: example.opset,
            inputs: ports(&example.inputs),
            outputs: ports(&example.outputs),
            control_flow: &control_flow,
            memory_bytes: 1 << 30,
            files: BTreeMap::new(),
        };
        if let Err(refusal) = onnx::check(fs::read(&example.path).unwrap(), &contract) {
            refused.push(format!("{}: {refusal}", example.path.display()));
        }
    }
    say(&format!("{} examples", examples.len()));
    assert!(refused.is_empty() && examples.len() > 1800, "{} of {}: {refused:#?}", refused.len(), examples.len());
}

/// Two bytes of such a file stand for a message of some hundreds.
#[test]
fn a_file_of_empty_messages_costs_no_more_memory_than_the_manifest_asks_for() {
    let memory_bytes = 400 << 20;
    let contract = Contract {
        opset: 17,
        inputs: Vec::new(),
        outputs: Vec::new(),
        control_flow: &[],
        memory_bytes,
        files: BTreeMap::new(),
    };
    // Of a graph: nodes, constants, inputs, sparse constants; of a model: functions.
    for (tag, within) in [(0x0a, true), (0x2a, true), (0x5a, true), (0x7a, true), (0xca, false)] {
        let pair: &[u8] = if within { &[tag, 0] } else { &[tag, 1, 0] };
        let parts = pair.repeat(8 << 20);
        // A graph of 2^24 bytes, as a varint.
        let head: &[u8] = if within { &[0x3a, 0x80, 0x80, 0x80, 0x08] } else { &[] };
        let bytes = [head, &parts].concat();
        drop(parts);
        let before = gauge::forget_peak().unwrap();
        let refusal = onnx::check(bytes, &contract).unwrap_err();
        let held_kb = gauge::peak_resident_kb().saturating_sub(before);
        say(&format!("  tag {tag:#x}: {held_kb} kB; {refusal}"));
        assert_eq!(refusal.code(), "onnx_complex");
        assert!(held_kb <= memory_bytes >> 10, "tag {tag:#x}: {held_kb} kB");
    }
}
