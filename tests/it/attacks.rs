//! What somebody might try who wants another model on a device: each is refused with a reason of its own, and the model that
//! runs is untouched. The names of the kinds are those of TUF's threat list, as far as it has one.

use crate::commands::{ended, publish, request};
use crate::models::{Site, digest};
use ctedge_models::bundle::{Manifest, file_digest};
use ctedge_models::onnx::proto::{self, Attribute, FLOAT, Node, StringPair, Tensor};
use ctedge_models::trust::{self, SigningKey, TrustedKeys};
use ctedge_tests::place;
use ctedge_tests::variant::{KEY, Strange};
use prost::Message;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A device with a pinned root document, and whoever wants it to run something else.
struct Attacker {
    site: Site,
    tried: usize,
}

/// What the device has at the beginning.
const SERIAL: u64 = 3;

impl Attacker {
    fn new() -> Self {
        let mut site = Site::waiting(&["infer.device_class = \"jetson-orin\""]);
        let at = |name: &str| site.workshop.at(name);
        for name in ["ann", "bea", "stolen", "stranger"] {
            trust::keygen(&at(""), name, None).unwrap();
        }
        let text = |path: &Path| trust::key_text(path).unwrap();
        let public = |name: &str| text(&at(&format!("{name}.pub")));
        let stolen = TrustedKeys::load(&at("stolen.pub")).unwrap().ids();
        let root = json!({
            "schema": trust::SCHEMA, "version": 1, "created": "2026-11-27T00:00:00Z", "threshold": 2,
            "root_keys": [public("ann"), public("bea")],
            "bundle_keys": [public(KEY), text(&place::reference_key().unwrap())],
            "revoked": stolen, "floors": {"scale-vlp-tiny": SERIAL - 1},
        });
        let pinned = site.scene.appliance.path("trust").join("root-1.json");
        fs::write(&pinned, root.to_string()).unwrap();
        for name in ["ann", "bea"] {
            trust::sign_beside(&pinned, &key(&site, name), "a root").unwrap();
        }
        site.scene.appliance.start().unwrap();
        site.state("a", "active");
        Self { site, tried: 0 }
    }

    /// Offers what lies at `path` over the broker, with changes to the offer, and returns why it is refused.
    fn offered(&mut self, path: &Path, signature: &str, changes: &Value) -> String {
        self.tried += 1;
        let name = format!("attack-{}.ctb", self.tried);
        let target = self.site.scene.appliance.path("stick").join(&name);
        fs::rename(path, &target).unwrap();
        let digest = file_digest(&target).map_or_else(|_link| "0".repeat(64), |(_, digest)| digest);
        let mut params =
            json!({"digest": digest, "bytes": 1, "signature": signature, "source": {"file": name}, "mode": "stage"});
        for (key, value) in changes.as_object().unwrap() {
            params[key] = value.clone();
        }
        let id = format!("a{}", self.tried);
        let payload = request(&id, &params, &json!({})).to_string();
        publish(&self.site.scene, &format!("cmd/model_update/{id}/request"), &payload, &[]);
        let told = ended(&self.site.scene, "model_update", &id);
        told["reason_code"].as_str().unwrap_or_else(|| panic!("{} was taken: {told}", self.tried)).to_owned()
    }

    /// Offers a bundle with the signature beside it.
    fn tries(&mut self, bundle: &Path, changes: &Value) -> String {
        let signature = fs::read_to_string(trust::signature_path(bundle)).unwrap();
        self.offered(bundle, &signature, changes)
    }

    fn release(&self, change: impl FnOnce(&mut Manifest)) -> PathBuf {
        self.site.workshop.release(1, Strange::No, change).unwrap()
    }

    /// A good release but for this.
    fn changed(&mut self, change: impl FnOnce(&mut Manifest)) -> String {
        let bundle = self.release(change);
        self.tries(&bundle, &json!({}))
    }

    /// A good release but for who signs it.
    fn signed_by(&mut self, name: &str) -> String {
        let bundle = self.release(|_manifest| {});
        trust::sign(&bundle, &key(&self.site, name), "x").unwrap();
        self.tries(&bundle, &json!({}))
    }

    /// A good release but for its archive, signed.
    fn forged(&mut self, change: impl FnOnce(&mut Vec<Item>)) -> String {
        let good = self.release(|_manifest| {});
        let mut items = unpacked(&good);
        change(&mut items);
        let bundle = self.site.workshop.at("forged.ctb");
        pack(&items, &bundle);
        self.site.workshop.sign(&bundle).unwrap();
        self.tries(&bundle, &json!({}))
    }

    /// A good release but for its graph, signed.
    fn graph(&mut self, change: impl FnOnce(&mut proto::Graph)) -> String {
        self.forged(|items| {
            let place = items.iter().position(|item| item.path == "vision.onnx").unwrap();
            let mut model = proto::Model::decode(items[place].bytes.as_slice()).unwrap();
            change(model.graph.as_mut().unwrap());
            items[place].bytes = model.encode_to_vec();
            let mut manifest: Value = serde_json::from_slice(&items[0].bytes).unwrap();
            let sum = sha256(&items[place].bytes);
            manifest["files"]["vision.onnx"] = json!({"bytes": items[place].bytes.len(), "sha256": sum});
            items[0].bytes = serde_json::to_vec(&manifest).unwrap();
        })
    }

    /// A permit with changes, and how it is signed.
    fn permit(&self, bundle: &Path, changes: &Value, signer: &str) -> Value {
        let mut permit = json!({
            "schema": "ctedge-permit/1", "device": "test", "digest": digest(bundle), "nonce": "0".repeat(32),
            "expires": "2100-01-01T00:00:00Z",
        });
        for (key, value) in changes.as_object().unwrap() {
            permit[key] = value.clone();
        }
        let path = self.site.workshop.at("permit.json");
        fs::write(&path, permit.to_string()).unwrap();
        trust::sign(&path, &key(&self.site, signer), "permit for a test").unwrap();
        let signature = fs::read_to_string(trust::signature_path(&path)).unwrap();
        json!({"permit": {"document": permit.to_string(), "signature": signature}})
    }

    fn key_command(&self, document: &Path) -> String {
        let path = document.display().to_string();
        let done = self.site.scene.appliance.command(&["key", "trust", &path]).output().unwrap();
        assert!(!done.status.success());
        String::from_utf8(done.stderr).unwrap()
    }
}

fn key(site: &Site, name: &str) -> SigningKey {
    SigningKey::load(&site.workshop.at(&format!("{name}.key")), None).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file_digest(file.path()).unwrap().1
}

/// An entry of an archive.
struct Item {
    path: String,
    kind: tar::EntryType,
    bytes: Vec<u8>,
}

fn unpacked(bundle: &Path) -> Vec<Item> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(bundle).unwrap()).unwrap());
    let items = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        Item { path: entry.path().unwrap().display().to_string(), kind: entry.header().entry_type(), bytes }
    });
    items.collect()
}

fn pack(items: &[Item], out: &Path) {
    let mut archive = tar::Builder::new(zstd::Encoder::new(File::create(out).unwrap(), 1).unwrap());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_size(item.bytes.len() as u64);
        header.set_entry_type(item.kind);
        // Written as bytes: tar's own setter refuses the paths that an attacker would write.
        header.as_mut_bytes()[..item.path.len()].copy_from_slice(item.path.as_bytes());
        if item.kind != tar::EntryType::Regular {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, item.bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}

fn item(path: &str, kind: tar::EntryType) -> Item {
    Item { path: path.to_owned(), kind, bytes: Vec::new() }
}

/// Whose word counts, and for which file.
fn on_trust(attacker: &mut Attacker) {
    assert_eq!(attacker.signed_by("stranger"), "untrusted_key", "arbitrary software");
    assert_eq!(attacker.signed_by("ann"), "untrusted_key", "a root key signs no bundles");
    assert_eq!(attacker.signed_by("stolen"), "revoked_key", "key compromise");
    let good = attacker.release(|_manifest| {});
    assert_eq!(attacker.offered(&good, "no signature", &json!({})), "bad_signature_file");
    let (one, other) = (attacker.release(|_manifest| {}), attacker.site.workshop.at("other.ctb"));
    let signature = fs::read_to_string(trust::signature_path(&one)).unwrap();
    fs::write(&other, b"other").unwrap();
    assert_eq!(attacker.offered(&other, &signature, &json!({})), "wrong_signature", "mix and match");
    let mut bytes = fs::read(&one).unwrap();
    let half = bytes.len() / 2;
    fs::write(&other, &bytes[..half]).unwrap();
    assert_eq!(attacker.offered(&other, &signature, &json!({})), "wrong_signature", "truncated");
    bytes.extend(vec![0; 1 << 20]);
    fs::write(&other, &bytes).unwrap();
    assert_eq!(attacker.offered(&other, &signature, &json!({})), "wrong_signature", "endless data");
    assert_eq!(attacker.tries(&one, &json!({"digest": "0".repeat(64)})), "other_bundle");
    let good = attacker.release(|_manifest| {});
    assert_eq!(attacker.tries(&good, &json!({"name": "another"})), "other_bundle", "mix and match");
    let good = attacker.release(|_manifest| {});
    assert_eq!(attacker.tries(&good, &json!({"serial": 9})), "other_bundle", "fast forward");
}

/// Old releases, times, and devices.
fn on_fitness(attacker: &mut Attacker) {
    assert_eq!(attacker.changed(|manifest| manifest.serial = SERIAL - 1), "older", "rollback");
    assert_eq!(attacker.changed(|manifest| manifest.serial = SERIAL), "older", "a twin of the same serial");
    assert_eq!(attacker.changed(|manifest| manifest.serial = SERIAL - 2), "below_floor", "rollback below the floor");
    let long_ago = |manifest: &mut Manifest| manifest.install_before = Some("2026-01-01T00:00:00Z".to_owned());
    assert_eq!(attacker.changed(long_ago), "too_late", "freeze");
    let class = |manifest: &mut Manifest| manifest.requires.device_class = vec!["x86_64".to_owned()];
    assert_eq!(attacker.changed(class), "other_device_class", "wrong software");
    assert_eq!(attacker.changed(|it| "99.0.0".clone_into(&mut it.requires.ctedge_min)), "needs_ctedge");
    assert_eq!(attacker.changed(|it| it.requires.onnxruntime_min = Some("99.0.0".to_owned())), "needs_onnxruntime");
    assert_eq!(attacker.changed(|it| it.requires.memory_mib = 1 << 40), "needs_memory");
    assert_eq!(attacker.changed(|it| it.golden.logits[0] += 5.0), "golden", "another network than the trainer's");
}

/// What archive and graph hold.
fn on_content(attacker: &mut Attacker) {
    let regular = tar::EntryType::Regular;
    assert_eq!(attacker.forged(|items| items.push(item("../../evil", regular))), "unsafe_entry", "traversal");
    assert_eq!(attacker.forged(|items| items.push(item("/etc/evil", regular))), "unsafe_entry", "traversal");
    assert_eq!(attacker.forged(|items| items[1].kind = tar::EntryType::Symlink), "unsafe_entry", "soft link");
    assert_eq!(attacker.forged(|items| items[1].kind = tar::EntryType::Link), "unsafe_entry", "hard link");
    assert_eq!(attacker.forged(|items| items.push(item("engine.trt", regular))), "unlisted_file", "an engine");
    assert_eq!(attacker.forged(|items| drop(items.pop())), "missing_file");
    assert_eq!(attacker.forged(|items| items[1].bytes.push(0)), "wrong_digest", "endless data");
    assert_eq!(attacker.forged(|items| items[0].bytes = vec![b' '; 2 << 20]), "no_manifest", "endless data");
    assert_eq!(attacker.forged(|items| items[0].bytes = b"{}".to_vec()), "bad_manifest");
    assert_eq!(attacker.forged(|items| drop(items.remove(0))), "no_manifest");
    let engine = |graph: &mut proto::Graph| {
        let (op_type, domain) = ("EPContext".to_owned(), "com.microsoft".to_owned());
        graph.node.push(Node { op_type, domain, output: vec!["x".to_owned()], ..Node::default() });
    };
    assert_eq!(attacker.graph(engine), "onnx_domain", "an engine from outside");
    let outside = |graph: &mut proto::Graph| {
        let location = StringPair { key: "location".to_owned(), value: "../../../etc/passwd".to_owned() };
        let tensor = &mut graph.initializer[0];
        (tensor.raw_data, tensor.data_location, tensor.external_data) = (Vec::new().into(), 1, vec![location]);
    };
    assert_eq!(attacker.graph(outside), "onnx_external_data");
    let endless = |graph: &mut proto::Graph| {
        let body = Attribute { name: "body".into(), r#type: 5, g: Some(Box::default()), ..Attribute::default() };
        graph.node.push(Node { op_type: "Loop".into(), attribute: vec![body], ..Node::default() });
    };
    assert_eq!(attacker.graph(endless), "onnx_control_flow");
    let huge = |graph: &mut proto::Graph| {
        graph.initializer.push(Tensor { dims: vec![1 << 32], data_type: FLOAT, name: "x".into(), ..Tensor::default() });
    };
    let refused = attacker.graph(huge);
    assert!(["onnx_size", "onnx_malformed"].contains(&refused.as_str()), "{refused}");
    assert_eq!(attacker.graph(|graph| drop(graph.output.pop())), "onnx_shape");
}

/// Leave to go back.
fn on_permits(attacker: &mut Attacker) {
    let old = attacker.site.workshop.release(7, Strange::No, |manifest| manifest.serial = SERIAL - 1);
    let bundle = old.unwrap();
    for (changes, signer, code) in [
        (json!({"device": "another"}), KEY, "other_permit"),
        (json!({"digest": "0".repeat(64)}), KEY, "other_permit"),
        (json!({"expires": "2026-01-01T00:00:00Z"}), KEY, "expired_permit"),
        (json!({"nonce": "short"}), KEY, "bad_permit"),
        (json!({}), "stranger", "untrusted_key"),
        (json!({}), "stolen", "revoked_key"),
    ] {
        let permit = attacker.permit(&bundle, &changes, signer);
        let copy = attacker.site.workshop.at("copy.ctb");
        fs::copy(&bundle, &copy).unwrap();
        fs::copy(trust::signature_path(&bundle), trust::signature_path(&copy)).unwrap();
        assert_eq!(attacker.tries(&copy, &permit), code, "{changes} by {signer}");
    }
    let below = attacker.release(|manifest| manifest.serial = SERIAL - 2);
    let permit = attacker.permit(&below, &json!({}), KEY);
    assert_eq!(attacker.tries(&below, &permit), "below_floor", "no permit leads below the floor");

    // A good one works once: it is staged, replaced by another, and not taken again.
    let permit = attacker.permit(&bundle, &json!({"nonce": "1".repeat(32)}), KEY);
    let path = attacker.site.workshop.at("permit.json").display().to_string();
    let told = attacker.site.install(&bundle, &["--mode", "stage", "--permit", &path]);
    assert_eq!(told["result"]["state"], "staged", "{told}");
    let next = attacker.site.workshop.release(5, Strange::No, |manifest| {
        "2050-01-01T00:00:00Z".clone_into(&mut manifest.created);
    });
    assert_eq!(attacker.site.install(&next.unwrap(), &["--mode", "stage"])["result"]["state"], "staged");
    assert_eq!(attacker.tries(&bundle, &permit), "used_permit", "a replayed permit");
    let before_that = |manifest: &mut Manifest| manifest.install_before = Some("2040-01-01T00:00:00Z".to_owned());
    assert_eq!(attacker.changed(before_that), "too_late", "a clock that was set back: a signature has seen later");
}

/// Roots that do not follow.
fn on_roots(attacker: &Attacker) {
    let text = fs::read_to_string(attacker.site.scene.appliance.path("trust").join("root-1.json")).unwrap();
    let write = |version: u64, signers: &[&str]| {
        let mut root: Value = serde_json::from_str(&text).unwrap();
        root["version"] = json!(version);
        let path = attacker.site.workshop.at(&format!("brought-{version}-{}.json", signers.len()));
        fs::write(&path, root.to_string()).unwrap();
        for signer in signers {
            trust::sign_beside(&path, &key(&attacker.site, signer), "x").unwrap();
        }
        path
    };
    let skip = attacker.key_command(&write(3, &["ann", "bea"]));
    assert!(skip.contains("cannot follow"), "{skip}");
    let few = write(2, &["ann"]);
    assert!(attacker.key_command(&few).contains("signed by 1"));
    // The same key under another name is still one key.
    let signature = fs::read_dir(attacker.site.workshop.at("")).unwrap().flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("brought-2-1.json.") && name.ends_with(".minisig")
    });
    let again = few.with_file_name("brought-2-1.json.0000000000000000.minisig");
    fs::copy(signature.unwrap().path(), again).unwrap();
    let twice = attacker.key_command(&few);
    assert!(twice.contains("signed by 1") || twice.contains("minisig"), "{twice}");
}

#[test]
fn no_attack_gets_another_model_onto_the_device() {
    let mut attacker = Attacker::new();
    let before = attacker.site.counts();
    on_trust(&mut attacker);
    on_fitness(&mut attacker);
    on_content(&mut attacker);
    on_permits(&mut attacker);
    on_roots(&attacker);
    let stick = attacker.site.scene.appliance.path("stick");
    let good = attacker.release(|_manifest| {});
    let signature = fs::read_to_string(trust::signature_path(&good)).unwrap();
    for link in [
        |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to),
        |from: &Path, to: &Path| fs::hard_link(from, to),
    ] {
        let path = attacker.site.workshop.at("link.ctb");
        link(&good, &path).unwrap();
        let offer = json!({"digest": digest(&good)});
        assert_eq!(attacker.offered(&path, &signature, &offer), "unsafe_file", "links are not followed");
    }
    assert!(attacker.tried >= 40, "{} attacks", attacker.tried);
    assert_eq!(attacker.site.counts(), before, "the model that runs is another one");
    let folders = fs::read_dir(attacker.site.scene.appliance.path("state/models")).unwrap().flatten();
    let kept: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(kept.iter().filter(|name| name.len() == 64).count() <= 2, "what was refused is left: {kept:?}");
    assert!(stick.exists());
    assert_eq!(attacker.site.patient(1).payload["model"]["digest"], json!(before));
}
