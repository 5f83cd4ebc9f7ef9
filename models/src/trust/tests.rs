use super::key::public_key;
use super::*;
use minisign::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Keys by name, root documents, and the two places of a device.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d", "model", "model2"] {
            keygen(folder.path(), name, None).unwrap();
        }
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str) -> PublicKey {
        public_key(&self.at(&format!("{name}.pub"))).unwrap()
    }

    fn secret(&self, name: &str) -> SigningKey {
        SigningKey::load(&self.at(&format!("{name}.key")), None).unwrap()
    }

    /// A root with threshold 2; nothing is signed.
    fn root(&self, version: u64, roots: &[&str], bundles: &[&str]) -> Root {
        let texts = |names: &[&str]| names.iter().map(|name| self.key(name).to_base64()).collect();
        Root {
            schema: SCHEMA.to_owned(),
            version,
            created: "2026-11-27T00:00:00Z".to_owned(),
            threshold: 2,
            root_keys: texts(roots),
            bundle_keys: texts(bundles),
            revoked: BTreeSet::new(),
            floors: BTreeMap::new(),
        }
    }

    /// Writes a document into a folder of its own, signed by these.
    fn written(&self, root: &Root, signers: &[&str]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let path = folder.join("brought.json");
        fs::write(&path, serde_json::to_vec_pretty(root).unwrap()).unwrap();
        for signer in signers {
            sign_beside(&path, &self.secret(signer), "a root").unwrap();
        }
        path
    }

    fn store(&self) -> Result<TrustStore, TrustError> {
        TrustStore::open(&self.at("etc"), &self.at("state"))
    }

    fn accept(&self, root: &Root, signers: &[&str]) -> Result<Accepted, TrustError> {
        let path = self.written(root, signers);
        self.store().unwrap().accept(&path)
    }

    /// Why a document is not taken; the device is as before.
    fn refusal(&self, root: &Root, signers: &[&str]) -> TrustError {
        let before = self.store().unwrap().root().cloned();
        let refused = self.accept(root, signers).unwrap_err();
        assert_eq!(self.store().unwrap().root(), before.as_ref());
        refused
    }

    /// Whose signature of a file counts.
    fn verdict(&self, signer: &str) -> Result<String, &'static str> {
        let file = self.at("model.ctb");
        fs::write(&file, b"a model").unwrap();
        let signature = sign(&file, &self.secret(signer), "x").unwrap();
        self.store().unwrap().keys().verify(&file, &signature).map_err(|error| error.code())
    }

    fn id(&self, name: &str) -> String {
        self.secret(name).id()
    }
}

#[test]
fn a_root_is_pinned_and_followed_by_those_that_old_and_new_keys_sign() {
    let site = Site::new();
    let first = site.root(1, &["a", "b", "c"], &["model"]);
    assert_eq!(site.accept(&first, &["a", "b"]).unwrap(), Accepted::Pinned(1));
    assert_eq!(site.accept(&first, &["a", "b"]).unwrap(), Accepted::Known(1));
    assert_eq!(site.verdict("model").unwrap(), site.id("model"));
    assert_eq!(site.verdict("model2").unwrap_err(), "untrusted_key");
    assert_eq!(site.verdict("a").unwrap_err(), "untrusted_key", "a root key signs roots only");
    // c gives its place to d, and the key for bundles is another one.
    let mut second = site.root(2, &["a", "b", "d"], &["model2"]);
    second.revoked.insert(site.id("model"));
    second.floors.insert("scale-vlp".to_owned(), 3);
    assert_eq!(site.accept(&second, &["a", "b"]).unwrap(), Accepted::Followed(2));
    assert_eq!(site.verdict("model").unwrap_err(), "revoked_key");
    assert_eq!(site.verdict("model2").unwrap(), site.id("model2"));
    let store = site.store().unwrap();
    assert_eq!(store.root().unwrap().version, 2);
    assert_eq!(store.keys().revoked().collect::<Vec<_>>(), [site.id("model")]);
    assert!(site.at("etc/root-1.json").exists() && site.at("state/root-2.json").exists());
}

/// The attacks of TUF's list that concern who may say which keys count; the names are those of `tough`'s fixtures.
#[test]
fn roots_that_do_not_follow_are_refused() {
    let site = Site::new();
    let first = site.root(1, &["a", "b", "c"], &["model"]);
    let code = |root: &Root, signers: &[&str]| site.refusal(root, signers).code();
    assert_eq!(code(&first, &["a"]), "root_threshold", "too few of its own");
    site.accept(&first, &["a", "b"]).unwrap();

    let second = site.root(2, &["c", "d"], &["model"]);
    assert_eq!(code(&site.root(3, &["a", "b"], &["model"]), &["a", "b"]), "root_version", "a root is skipped");
    assert_eq!(code(&site.root(u64::MAX, &["a", "b"], &["model"]), &["a", "b"]), "root_version", "fast-forward");
    assert_eq!(code(&site.root(1, &["a", "b"], &["model2"]), &["a", "b"]), "root_version", "rollback");
    for (signers, of, have) in
        [(["c", "d"].as_slice(), 1, 1), (&["a", "b"], 2, 0), (&[], 1, 0), (&["d", "model"], 1, 0)]
    {
        let said = format!("root 2 is signed by {have} of the keys of root {of}, and 2 are needed");
        assert_eq!(site.refusal(&second, signers).to_string(), said, "{signers:?}");
    }
    let mut weaker = second.clone();
    weaker.threshold = 1;
    assert_eq!(code(&weaker, &["d"]), "root_threshold", "its own threshold is not the one before");

    // One key counts once, however often it signs and under whatever names.
    let path = site.written(&second, &["c"]);
    let signature = path.with_file_name(format!("brought.json.{}.minisig", site.id("c")));
    for copy in ["0", "1", "2"] {
        fs::copy(&signature, path.with_file_name(format!("brought.json.{copy}.minisig"))).unwrap();
    }
    assert_eq!(site.store().unwrap().accept(&path).unwrap_err().code(), "root_threshold");
    // Changed after it was signed.
    let path = site.written(&site.root(2, &["a", "b"], &["model"]), &["a", "b"]);
    let text = fs::read_to_string(&path).unwrap().replace("2026-11-27", "2026-11-28");
    fs::write(&path, text).unwrap();
    assert_eq!(site.store().unwrap().accept(&path).unwrap_err().code(), "root_threshold");

    assert_eq!(site.accept(&second, &["a", "b", "c", "d"]).unwrap(), Accepted::Followed(2), "a good one is taken");
}

#[test]
fn documents_that_contradict_themselves_are_refused() {
    let site = Site::new();
    let good = site.root(1, &["a", "b"], &["model"]);
    let reason = |change: &dyn Fn(&mut Root)| {
        let mut root = good.clone();
        change(&mut root);
        let refused = site.refusal(&root, &["a", "b", "c"]);
        assert_eq!(refused.code(), "bad_root", "{refused}");
        refused.to_string()
    };
    assert!(reason(&|root| root.root_keys.push(site.key("a").to_base64())).contains("twice"));
    assert!(reason(&|root| root.bundle_keys.push(site.key("a").to_base64())).contains("twice"), "two roles");
    assert!(reason(&|root| root.threshold = 0).contains("threshold"));
    assert!(reason(&|root| root.threshold = 3).contains("threshold"));
    assert!(reason(&|root| root.version = 0).contains("begin"));
    assert!(reason(&|root| root.schema = "ctedge-root/2".to_owned()).contains("schema"));
    assert!(reason(&|root| root.created = "yesterday".to_owned()).contains("created"));
    assert!(reason(&|root| root.bundle_keys = vec!["RWQnothing".to_owned()]).contains("no public key"));
    assert!(reason(&|root| root.revoked.extend([site.id("model")])).contains("revoked at once"));
    let lower = |root: &mut Root| root.revoked.extend([format!("{}a", &site.id("model2")[1..])]);
    assert!(reason(&lower).contains("no id"), "it would revoke nobody");
    assert!(reason(&|root| root.floors.extend((0..5000).map(|n| (format!("model-{n}"), n)))).contains("bytes"));
    assert_eq!(site.accept(&good, &["a", "b"]).unwrap(), Accepted::Pinned(1));

    let mut second = site.root(2, &["a", "b"], &["model2"]);
    second.revoked.insert(site.id("model"));
    second.floors.insert("scale-vlp".to_owned(), 3);
    site.accept(&second, &["a", "b"]).unwrap();
    let mut third = Root { version: 3, ..second.clone() };
    third.revoked.clear();
    assert!(site.refusal(&third, &["a", "b"]).to_string().contains("forgets"));
    let mut third = Root { version: 3, ..second };
    third.floors.insert("scale-vlp".to_owned(), 2);
    assert!(site.refusal(&third, &["a", "b"]).to_string().contains("lowers"));
}

/// An id is eight bytes that anybody can write before a key of theirs.
#[test]
fn a_copied_key_id_proves_nothing() {
    let site = Site::new();
    let disguised = |whose: &str, as_whom: &str| {
        let mut bytes = site.key(whose).to_bytes();
        bytes[2..10].copy_from_slice(site.key(as_whom).keynum());
        PublicKey::from_bytes(&bytes).unwrap().to_base64()
    };
    let mut root = site.root(1, &["a", "b"], &["model"]);
    root.bundle_keys.push(disguised("model2", "model"));
    site.accept(&root, &["a", "b"]).unwrap();
    assert_eq!(site.verdict("model").unwrap(), site.id("model"), "whichever of the two it is");
    // b's key under a's id is another key, and has not signed.
    let mut root = site.root(2, &["a", "b"], &["model"]);
    root.root_keys = vec![site.key("a").to_base64(), disguised("b", "a")];
    assert_eq!(site.refusal(&root, &["a", "b"]).code(), "root_threshold");
}

#[test]
fn a_device_may_revoke_by_itself_and_keeps_that() {
    let site = Site::new();
    fs::create_dir(site.at("etc")).unwrap();
    fs::copy(site.at("model.pub"), site.at("etc/model.pub")).unwrap();
    assert!(site.store().unwrap().root().is_none(), "plain keys are enough for a site that replaces them by hand");
    assert!(site.verdict("model").is_ok());
    site.store().unwrap().revoke(&site.id("model")).unwrap();
    assert_eq!(site.verdict("model").unwrap_err(), "revoked_key");
    // A root that names it does not bring it back here.
    let root = site.root(1, &["a", "b"], &["model", "model2"]);
    site.accept(&root, &["a", "b"]).unwrap();
    assert_eq!(site.verdict("model").unwrap_err(), "revoked_key");
    assert!(site.verdict("model2").is_ok());
}

#[test]
fn what_is_damaged_or_half_there_is_not_taken_for_the_whole() {
    let site = Site::new();
    site.accept(&site.root(1, &["a", "b"], &["model"]), &["a", "b"]).unwrap();
    let path = site.written(&site.root(2, &["a", "b"], &["model2"]), &["a", "b"]);
    // Switched off after the signatures: the old root counts.
    fs::create_dir(site.at("state")).unwrap();
    for name in ["a", "b"] {
        let ending = format!("{}.minisig", site.id(name));
        fs::copy(
            path.with_file_name(format!("brought.json.{ending}")),
            site.at(&format!("state/root-2.json.{ending}")),
        )
        .unwrap();
    }
    fs::write(site.at("state/root-2.partial"), "{").unwrap();
    assert_eq!(site.store().unwrap().root().unwrap().version, 1);
    assert_eq!(site.store().unwrap().accept(&path).unwrap(), Accepted::Followed(2));
    // A root that is damaged is no reason to trust the keys before it.
    let document = site.at("state/root-2.json");
    let whole = fs::read(&document).unwrap();
    fs::write(&document, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(site.store().unwrap_err().code(), "bad_root");
    fs::write(&document, whole).unwrap();
    // The site brings a newer one by hand: what the device had accepted before does not matter any more.
    let third = site.written(&site.root(3, &["c", "d"], &["model"]), &["c", "d"]);
    fs::remove_file(site.at("etc/root-1.json")).unwrap();
    fs::copy(&third, site.at("etc/root-3.json")).unwrap();
    for name in ["c", "d"] {
        let ending = format!("{}.minisig", site.id(name));
        fs::copy(third.with_file_name(format!("brought.json.{ending}")), site.at(&format!("etc/root-3.json.{ending}")))
            .unwrap();
    }
    assert_eq!(site.store().unwrap().root().unwrap().version, 3);
}

#[test]
fn minisign_itself_verifies_each_signature_of_a_root() {
    let site = Site::new();
    let path = site.written(&site.root(1, &["a", "b"], &["model"]), &["a", "b"]);
    let verified = |path: &Path, name: &str| {
        let signature = path.with_file_name(format!("brought.json.{}.minisig", site.id(name)));
        let mut minisign = Command::new("minisign");
        minisign.args(["-V", "-P", &site.key(name).to_base64(), "-m"]).arg(path).arg("-x").arg(signature);
        minisign.output().expect("minisign is missing; install it with: apt-get install minisign").status.success()
    };
    assert!(verified(&path, "a") && verified(&path, "b"));
    fs::write(&path, "{}").unwrap();
    assert!(!verified(&path, "a"));
}

/// A permit as a file, signed by one of the site's keys.
fn permit(site: &Site, signer: &str) -> (PathBuf, Permit) {
    let expires = "2026-12-04T00:00:00Z".parse().unwrap();
    let permit = Permit::new("ct-1", &"0a".repeat(32), [7; 16], expires).unwrap();
    let path = site.at("permit.json");
    fs::write(&path, serde_json::to_vec_pretty(&permit).unwrap()).unwrap();
    sign(&path, &site.secret(signer), &permit.comment()).unwrap();
    (path, permit)
}

/// What a device that trusts `model`, and once trusted `model2`, makes of the file and its signature.
fn permitted(site: &Site, path: &Path) -> Result<Permit, &'static str> {
    let mut root = site.root(1, &["a", "b"], &["model"]);
    root.revoked.insert(site.id("model2"));
    let signature = fs::read_to_string(signature_path(path)).unwrap();
    Permit::read(&fs::read(path).unwrap(), &signature, &root.keys()).map_err(|error| error.code())
}

#[test]
fn a_permit_counts_only_as_a_trusted_key_has_signed_it() {
    let site = Site::new();
    let (path, permit) = permit(&site, "model");
    assert_eq!(permitted(&site, &path).unwrap(), permit);
    for (signer, code) in [("a", "untrusted_key"), ("c", "untrusted_key"), ("model2", "revoked_key")] {
        assert_eq!(permitted(&site, &self::permit(&site, signer).0).unwrap_err(), code, "{signer}");
    }
    let (path, _) = self::permit(&site, "model");
    let good = fs::read(&path).unwrap();
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(permitted(&site, &path).unwrap_err(), "wrong_signature", "byte {place}");
    }
    fs::write(&path, &good).unwrap();
    fs::write(signature_path(&path), "nonsense").unwrap();
    assert_eq!(permitted(&site, &path).unwrap_err(), "bad_signature_file");
}

#[test]
fn what_was_signed_as_something_else_is_no_permit() {
    let site = Site::new();
    let (path, permit) = permit(&site, "model");
    let reads = |text: &str, comment: &str| {
        fs::write(&path, text).unwrap();
        sign(&path, &site.secret("model"), comment).unwrap();
        permitted(&site, &path).map(|_| ())
    };
    let text = serde_json::to_string(&permit).unwrap();
    reads(&text, "permit").unwrap();
    assert_eq!(reads(&text, "scale-vlp-tiny 0.2.0 serial 3").unwrap_err(), "bad_permit", "signed as a bundle");
    assert_eq!(reads(&text, "permits").unwrap_err(), "bad_permit");
    let root = serde_json::to_string(&site.root(1, &["a", "b"], &["model"])).unwrap();
    for changed in [
        root,
        "{}".to_owned(),
        text.replace("permit/1", "permit/2"),
        text.replace('{', "{\"surprise\":1,"),
        text.replace('{', "{\"device\":\"ct-2\","),
        text.replace("0a0a", "0A0A"),
        text.replace("07070707", "0707"),
        text.replace("ct-1", ""),
        text.replace("2026-12-04T00", "2026-12-04 at 00"),
        text.replace('}', &format!("}}{}", " ".repeat(PERMIT_BYTES))),
    ] {
        assert_eq!(reads(&changed, "permit").unwrap_err(), "bad_permit", "{changed}");
    }
}

#[test]
fn minisign_itself_verifies_a_permit_and_makes_one() {
    let site = Site::new();
    let (path, _) = permit(&site, "model");
    let minisign = |words: &[&str]| {
        let mut minisign = Command::new("minisign");
        minisign
            .args(words)
            .arg("-m")
            .arg(&path)
            .output()
            .expect("minisign is missing; install it with: apt-get install minisign")
    };
    let public = site.key("model").to_base64();
    let said = minisign(&["-V", "-P", &public]);
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("permit 0a0a"), "{said:?}");
    fs::remove_file(signature_path(&path)).unwrap();
    let key = site.at("model.key");
    let made = minisign(&["-S", "-t", "permit by hand", "-s", key.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    permitted(&site, &path).unwrap();
}

#[test]
fn secret_keys_are_private_and_passwords_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, _, _) = keygen(folder.path(), "locked", Some("open sesame".to_owned())).unwrap();
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(SigningKey::load(&secret, None).is_err());
    assert!(SigningKey::load(&secret, Some("guess".to_owned())).is_err());
    assert!(SigningKey::load(&secret, Some("open sesame".to_owned())).is_ok());
    assert!(matches!(keygen(folder.path(), "locked", None), Err(TrustError::Io { .. })), "keys are never overwritten");
}
