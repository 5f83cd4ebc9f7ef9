#![expect(clippy::as_conversions, reason = "sizes of small files")]

use super::*;
use crate::labels::Label;
use crate::onnx::proto;
use crate::phantom::Recipe;
use crate::spec::{Grid, Orientation, PreprocessSpec};
use crate::trust::{SigningKey, TrustError, TrustedKeys, keygen, sign, signature_path};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

fn manifest() -> Manifest {
    let io = |name: &str, shape: &[usize]| TensorIo { name: name.to_owned(), shape: shape.to_vec() };
    let spec = |label| LabelSpec { label, threshold: 0.5, temperature: 1.0 };
    Manifest {
        schema: SCHEMA.to_owned(),
        name: "test-model".to_owned(),
        version: "1.2.3".to_owned(),
        serial: 7,
        created: "2026-11-23T00:00:00Z".to_owned(),
        install_before: None,
        requires: Requires {
            ctedge_min: "0.1.0".to_owned(),
            ctedge_below: None,
            onnxruntime_min: None,
            memory_mib: 100,
            device_class: Vec::new(),
        },
        files: BTreeMap::new(),
        input: PreprocessSpec {
            orientation: Orientation::try_from("LPS".to_owned()).unwrap(),
            grid: Grid::Resize { size: [4, 5, 6] },
            window_hu: [-1000.0, 1000.0],
            output_range: [-1.0, 1.0],
            fill_hu: -1000.0,
        },
        labels: Label::all().map(spec).collect(),
        calibration: None,
        vision: Graph {
            file: "vision.onnx".to_owned(),
            precision: "f32".to_owned(),
            opset: 17,
            inputs: vec![io("volume", &[1, 1, 4, 5, 6])],
            outputs: vec![
                io("embedding", &[1, 8]),
                io("logits", &[1, 18]),
                io("tokens", &[1, 2, 3]),
                io("saliency", &[1, 2]),
                io("flag_saliency", &[1, 18, 2]),
            ],
            control_flow: Vec::new(),
        },
        text: None,
        token_grid: None,
        decoder: None,
        evidence: None,
        training: Training {
            trained: false,
            method: "none".to_owned(),
            data: "none".to_owned(),
            experiment_sha256: "0".repeat(64),
            metrics: BTreeMap::new(),
        },
        golden: Golden {
            phantom: Recipe { seed: 1, size: [8, 8, 8], spacing_mm: [40.0; 3], findings: Vec::new() },
            tensor_sha256: "0".repeat(64),
            logits: vec![0.0; 18],
            tolerance: 1e-4,
        },
        intended_use: "tests".to_owned(),
    }
}

/// A signed bundle, its key pair, and a place to unpack.
struct Bench {
    folder: TempDir,
    bundle: PathBuf,
    trusted: TrustedKeys,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("graph"), graph().encode_to_vec()).unwrap();
        fs::write(at("card"), b"a card").unwrap();
        let bundle = at("test-model-1.2.3.ctb");
        let files = [("vision.onnx".to_owned(), at("graph")), ("docs/CARD.md".to_owned(), at("card"))];
        pack(&manifest(), &files, &bundle).unwrap();
        let (secret, public, _) = keygen(folder.path(), "site", None).unwrap();
        let key = SigningKey::load(&secret, None).unwrap();
        sign(&bundle, &key, "test-model 1.2.3").unwrap();
        let trusted = TrustedKeys::load(&public).unwrap();
        fs::create_dir(at("models")).unwrap();
        Self { folder, bundle, trusted, key }
    }

    fn open(&self) -> Result<VerifiedBundle, BundleError> {
        open(&self.bundle, &self.trusted, &self.folder.path().join("models"))
    }

    /// Replaces the bundle by an archive with these entries, signed with the trusted key.
    fn forge(&self, entries: &[(&str, tar::EntryType, &[u8])]) {
        let file = fs::File::create(&self.bundle).unwrap();
        let mut archive = tar::Builder::new(zstd::Encoder::new(file, 1).unwrap());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_entry_type(*kind);
            // Written as bytes: tar's own setter refuses the paths that an attacker would write.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            if *kind != tar::EntryType::Regular {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        sign(&self.bundle, &self.key, "forged").unwrap();
    }

    fn json(&self, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut json = serde_json::to_value(self.open().unwrap().manifest()).unwrap();
        change(&mut json);
        serde_json::to_vec(&json).unwrap()
    }
}

/// A graph that keeps the manifest's promises and computes nothing.
fn graph() -> proto::Model {
    let Graph { inputs, outputs, opset, .. } = manifest().vision;
    let declared = |io: &TensorIo| {
        let shape: Vec<i64> = io.shape.iter().map(|&length| i64::try_from(length).unwrap()).collect();
        proto::ValueInfo::tensor(&io.name, &shape, proto::FLOAT)
    };
    let constant = |output: &proto::ValueInfo| {
        let (name, dims) = (format!("{}/constant", output.name), output.shape().unwrap());
        let bytes = vec![0; 4 * usize::try_from(dims.iter().product::<i64>()).unwrap()];
        proto::Tensor { dims, data_type: proto::FLOAT, name, raw_data: bytes.into(), ..Default::default() }
    };
    let copy = |output: &proto::ValueInfo| proto::Node {
        input: vec![format!("{}/constant", output.name)],
        output: vec![output.name.clone()],
        op_type: "Identity".to_owned(),
        ..Default::default()
    };
    let output: Vec<proto::ValueInfo> = outputs.iter().map(declared).collect();
    let graph = proto::Graph {
        node: output.iter().map(copy).collect(),
        initializer: output.iter().map(constant).collect(),
        input: inputs.iter().map(declared).collect(),
        output,
        ..Default::default()
    };
    let opset_import = vec![proto::OperatorSet { domain: String::new(), version: opset }];
    proto::Model { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }
}

const CARD: &[u8] = b"a card";
const FILE: tar::EntryType = tar::EntryType::Regular;

#[test]
fn a_good_bundle_opens_twice_and_the_second_time_from_what_is_unpacked() {
    let bench = Bench::new();
    let bundle = bench.open().unwrap();
    assert_eq!(bundle.manifest().files.len(), 2);
    assert_eq!(fs::read(bundle.path("vision.onnx").unwrap()).unwrap(), graph().encode_to_vec());
    assert_eq!(bundle.path("other"), None);
    assert_eq!(bundle.signer(), bench.key.id());
    fs::write(bundle.folder().join("docs/CARD.md"), b"tampered").unwrap();
    let again = bench.open().unwrap();
    assert_eq!(fs::read(again.path("docs/CARD.md").unwrap()).unwrap(), CARD, "what no longer fits is unpacked anew");
    assert_eq!(manifest_of(&bench.bundle).unwrap(), *again.manifest());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (a, b) = (Bench::new(), Bench::new());
    assert_eq!(BundleDigest::of(&a.bundle).unwrap(), BundleDigest::of(&b.bundle).unwrap());
}

#[test]
fn minisign_itself_verifies_the_signature() {
    let bench = Bench::new();
    let verify = |file: &Path| {
        Command::new("minisign")
            .args(["-V", "-p"])
            .arg(bench.folder.path().join("site.pub"))
            .arg("-m")
            .arg(file)
            .output()
            .expect("minisign is missing; install it with: apt-get install minisign")
    };
    let output = verify(&bench.bundle);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("test-model 1.2.3"));
    let mut bytes = fs::read(&bench.bundle).unwrap();
    bytes[40] ^= 1;
    fs::write(&bench.bundle, bytes).unwrap();
    assert!(!verify(&bench.bundle).status.success());
}

#[test]
fn what_a_device_lacks_is_said_before_anything_is_unpacked() {
    let bench = Bench::new();
    let device = |memory_mib| Device {
        ctedge: "0.1.0".to_owned(),
        onnxruntime: "1.28.0".to_owned(),
        memory_mib,
        class: "x86_64".to_owned(),
    };
    let models = bench.folder.path().join("models");
    let open = |memory_mib| open_on(&device(memory_mib), &bench.bundle, &bench.trusted, &models);
    assert_eq!(open(99).unwrap_err().code(), "needs_memory");
    assert_eq!(fs::read_dir(&models).unwrap().count(), 0);
    open(100).unwrap();
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let (secret, _, _) = keygen(folder.path(), "stranger", None).unwrap();
    sign(&bench.bundle, &SigningKey::load(&secret, None).unwrap(), "x").unwrap();
    assert!(matches!(bench.open(), Err(BundleError::Trust(TrustError::UntrustedKey { .. }))));
    fs::write(signature_path(&bench.bundle), "nonsense").unwrap();
    assert!(matches!(bench.open(), Err(BundleError::Trust(TrustError::BadSignatureFile { .. }))));
    fs::remove_file(signature_path(&bench.bundle)).unwrap();
    assert!(matches!(bench.open(), Err(BundleError::Trust(TrustError::Unsigned { .. }))));
}

#[test]
fn a_signed_archive_that_breaks_the_rules_is_refused() {
    let bench = Bench::new();
    let good = bench.json(|_| ());
    let check = |entries: &[(&str, tar::EntryType, &[u8])], expect: &str| {
        bench.forge(entries);
        let error = bench.open().map(|_| ()).unwrap_err();
        let name = format!("{error:?}");
        assert!(name.starts_with(expect), "{expect} expected, got {name}");
        assert_eq!(fs::read_dir(bench.folder.path().join("models")).unwrap().count(), 1, "nothing is left behind");
    };
    let manifest = ("manifest.json", FILE, good.as_slice());
    let sound = self::graph().encode_to_vec();
    let (mut changed, mut longer) = (sound.clone(), sound.clone());
    changed[1] ^= 1;
    longer.push(0);
    let (graph, card) = (("vision.onnx", FILE, sound.as_slice()), ("docs/CARD.md", FILE, CARD));
    check(&[manifest, graph], "Missing");
    check(&[manifest, graph, card, ("extra", FILE, b"x")], "Unlisted");
    check(&[manifest, graph, card, card], "Unlisted");
    check(&[manifest, ("vision.onnx", FILE, &changed), card], "WrongDigest");
    check(&[manifest, ("vision.onnx", FILE, &longer), card], "WrongDigest");
    check(&[manifest, ("../vision.onnx", FILE, &sound), card], "UnsafeEntry");
    check(&[manifest, ("/tmp/vision.onnx", FILE, &sound), card], "UnsafeEntry");
    check(&[manifest, ("vision.onnx", tar::EntryType::Symlink, b""), card], "UnsafeEntry");
    check(&[manifest, ("vision.onnx", tar::EntryType::Link, b""), card], "UnsafeEntry");
    check(&[graph, manifest, card], "NoManifest");
    check(&[("manifest.json", FILE, b"{}"), graph, card], "BadManifest");
    let changes: [fn(&mut serde_json::Value); 8] = [
        |json| json["schema"] = "ctedge-bundle/0".into(),
        |json| json["surprise"] = 1.into(),
        |json| json["labels"][1] = json["labels"][0].clone(),
        |json| json["labels"][0]["threshold"] = 1.5.into(),
        |json| json["labels"][0]["temperature"] = 0.0.into(),
        |json| json["vision"]["inputs"][0]["shape"] = serde_json::json!([1, 1, 4, 5, 7]),
        |json| json["version"] = "1.2".into(),
        |json| json["input"]["window_hu"] = serde_json::json!([5.0, 5.0]),
    ];
    for change in changes {
        let mut json = serde_json::from_slice(&good).unwrap();
        change(&mut json);
        let json = serde_json::to_vec(&json).unwrap();
        check(&[("manifest.json", FILE, &json), graph, card], "BadManifest");
    }
}

#[test]
fn a_graph_that_may_not_be_loaded_is_refused_and_nothing_is_left() {
    let bench = Bench::new();
    let pack_with = |graph: &proto::Model, control_flow: &[&str]| {
        fs::write(bench.folder.path().join("graph"), graph.encode_to_vec()).unwrap();
        let mut manifest = manifest();
        manifest.vision.control_flow = control_flow.iter().map(|name| (*name).to_owned()).collect();
        pack(&manifest, &[("vision.onnx".to_owned(), bench.folder.path().join("graph"))], &bench.bundle).unwrap();
        sign(&bench.bundle, &bench.key, "another graph").unwrap();
        bench.open()
    };
    let mut model = graph();
    let node = &mut model.graph.as_mut().unwrap().node[0];
    node.op_type = "Loop".to_owned();
    let error = pack_with(&model, &[]).unwrap_err();
    assert!(error.to_string().contains("\"vision.onnx\" is refused (onnx_control_flow)"), "{error}");
    assert_eq!(error.code(), "onnx_control_flow");
    assert_eq!(fs::read_dir(bench.folder.path().join("models")).unwrap().count(), 0, "nothing is left behind");
    let unpacked = bench.folder.path().join("models").join(BundleDigest::of(&bench.bundle).unwrap().as_str());
    fs::create_dir(&unpacked).unwrap();
    fs::write(unpacked.join("vision.onnx"), model.encode_to_vec()).unwrap();
    let json = serde_json::to_vec(&manifest_of(&bench.bundle).unwrap()).unwrap();
    fs::write(unpacked.join("manifest.json"), json).unwrap();
    assert!(matches!(bench.open(), Err(BundleError::Onnx { .. })), "unpacked by a version that did not look");
    assert!(!unpacked.exists());
    let opened = pack_with(&model, &["If", "Loop"]).unwrap();
    assert_eq!(opened.manifest().vision.control_flow, ["If", "Loop"]);
    for control_flow in [["Loop", "Loop"], ["Loop", "While"]] {
        let mut manifest = with_text();
        manifest.vision.control_flow = control_flow.map(str::to_owned).into();
        assert!(manifest.check().unwrap_err().contains("control_flow"));
    }
}

/// A manifest of flags and reports, as the trainer writes it.
fn with_text() -> Manifest {
    let io = |name: &str, shape: &[usize]| TensorIo { name: name.to_owned(), shape: shape.to_vec() };
    let mut manifest = manifest();
    manifest.calibration =
        Some(Calibration { split: "validation".into(), corpus_sha256: "0".repeat(64), unfitted: Vec::new() });
    manifest.text = Some(TextGraph {
        graph: Graph {
            file: "text.onnx".to_owned(),
            precision: "f16".to_owned(),
            opset: 17,
            inputs: vec![io("ids", &[1, 16]), io("mask", &[1, 16])],
            outputs: vec![io("embedding", &[1, 8])],
            control_flow: Vec::new(),
        },
        tokenizer: "tokenizer.json".to_owned(),
        contrastive: Contrastive { scale: 10.0, bias: -10.0 },
    });
    for name in ["vision.onnx", "text.onnx", "tokenizer.json"] {
        manifest.files.insert(name.to_owned(), FileEntry { bytes: 1, sha256: "0".repeat(64) });
    }
    manifest
}

#[test]
fn shares_of_flags_have_a_row_a_label_and_a_column_a_token() {
    type Change = fn(&mut Vec<TensorIo>);
    let with = |change: Change| {
        let mut manifest = with_text();
        change(&mut manifest.vision.outputs);
        manifest.check()
    };
    let sound: [Change; 4] = [
        |_| {},
        |outputs| drop(outputs.remove(4)),
        |outputs| drop(outputs.remove(3)),
        |outputs| drop(outputs.remove(2)),
    ];
    for change in sound {
        with(change).unwrap();
    }
    let changes: [Change; 6] = [
        |outputs| outputs[4].shape = vec![1, 17, 2],
        |outputs| outputs[4].shape = vec![1, 18, 3],
        |outputs| outputs[4].shape = vec![1, 18],
        |outputs| outputs[3].shape = vec![1, 3],
        |outputs| outputs[3].shape = vec![1],
        |outputs| drop(outputs.drain(2..4)),
    ];
    for change in changes {
        assert!(with(change).unwrap_err().contains("flag_saliency"));
    }
}

#[test]
fn a_report_graph_that_does_not_fit_is_refused() {
    type Change = fn(&mut Manifest, &mut TextGraph);
    let changes: [(Change, &str); 7] = [
        (|manifest, _| drop(manifest.files.remove("text.onnx")), "\"text.onnx\" is not among"),
        (|manifest, _| drop(manifest.files.remove("tokenizer.json")), "\"tokenizer.json\" is not among"),
        (|_, text| text.graph.inputs[1].shape = vec![1, 15], "`ids` and `mask`"),
        (|_, text| text.graph.inputs[0].name = "tokens".into(), "`ids` and `mask`"),
        (|_, text| text.graph.outputs[0].shape = vec![1, 9], "as wide as"),
        (|_, text| text.graph.precision = "f64".into(), "f64"),
        (|_, text| text.contrastive.scale = 0.0, "scale must be positive"),
    ];
    with_text().check().unwrap();
    for (change, complaint) in changes {
        let mut manifest = with_text();
        let mut text = manifest.text.take().unwrap();
        change(&mut manifest, &mut text);
        manifest.text = Some(text);
        let refusal = manifest.check().unwrap_err();
        assert!(refusal.contains(complaint), "{refusal}");
    }
}

#[test]
fn a_bundle_from_before_there_were_report_graphs_still_reads() {
    let old = serde_json::to_value(manifest()).unwrap();
    assert!(old.get("text").is_none() && old.get("calibration").is_none());
    assert!(old["vision"].get("control_flow").is_none());
    assert_eq!(serde_json::from_value::<Manifest>(old).unwrap(), manifest());
    let new = serde_json::to_value(with_text()).unwrap();
    assert_eq!(serde_json::from_value::<Manifest>(new).unwrap(), with_text());
}

#[test]
fn the_examples_in_the_document_are_a_manifest_a_root_and_a_permit() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/BUNDLE.md")).unwrap();
    let example = |number: usize| document.split("```json").nth(number).unwrap().split("```").next().unwrap();
    let manifest: Manifest = serde_json::from_str(example(1)).unwrap();
    manifest.check().unwrap();
    let decoder: Decoder = serde_json::from_str(example(2)).unwrap();
    let evidence: Evidence = serde_json::from_str(example(3)).unwrap();
    let bytes = evidence.bytes(128).unwrap();
    let mut whole = Manifest { decoder: Some(decoder), evidence: Some(evidence), ..manifest };
    let embeddings = ["evidence/reports.f16", "evidence/volumes.f16"].map(|name| (name, bytes));
    let others = ["cross_kv.onnx", "decoder_step.onnx", "evidence/cases.jsonl"].map(|name| (name, 1));
    for (name, bytes) in embeddings.into_iter().chain(others) {
        whole.files.insert(name.into(), FileEntry { bytes, sha256: "0".repeat(64) });
    }
    whole.check().unwrap();
    let root: crate::trust::Root = serde_json::from_str(example(4)).unwrap();
    root.check().unwrap();
    let _: crate::trust::Permit = serde_json::from_str(example(5)).unwrap();
}

/// One good bundle for all mutants, and its bytes.
static MUTATED: LazyLock<(Bench, Vec<u8>)> = LazyLock::new(|| {
    let bench = Bench::new();
    let bytes = fs::read(&bench.bundle).unwrap();
    (bench, bytes)
});

/// How a bundle is damaged.
#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Cut,
    Insert(Vec<u8>),
    Remove(usize),
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (1u8..).prop_map(Damage::Flip),
        Just(Damage::Cut),
        prop::collection::vec(any::<u8>(), 1..64).prop_map(Damage::Insert),
        (1usize..64).prop_map(Damage::Remove),
        (1usize..64).prop_map(Damage::Repeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any damage to the file is caught by the signature, and nothing is unpacked.
    #[test]
    fn a_damaged_bundle_is_refused(place in any::<prop::sample::Index>(), damage in damage()) {
        let (bench, good) = &*MUTATED;
        let mut bytes = good.clone();
        let place = place.index(bytes.len());
        let to = |length: usize| (place + length).min(good.len());
        match damage {
            Damage::Flip(bits) => bytes[place] ^= bits,
            Damage::Cut => bytes.truncate(place),
            Damage::Insert(more) => drop(bytes.splice(place..place, more)),
            Damage::Remove(length) => drop(bytes.drain(place..to(length))),
            Damage::Repeat(length) => drop(bytes.splice(place..place, good[place..to(length)].to_vec())),
        }
        prop_assume!(bytes != *good);
        fs::write(&bench.bundle, bytes).unwrap();
        let refused = matches!(bench.open(), Err(BundleError::Trust(TrustError::WrongSignature { .. })));
        prop_assert!(refused);
        prop_assert_eq!(fs::read_dir(bench.folder.path().join("models")).unwrap().count(), 0);
    }
}

#[test]
fn every_code_is_explained() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/BUNDLE.md")).unwrap();
    let explained = |code: &&str| document.contains(&format!("`{code}`"));
    let silent: Vec<&str> = CODES.into_iter().chain(crate::onnx::CODES).filter(|code| !explained(code)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
