//! Keys of models on a device: pinned, followed by what old and new keys sign, revoked; each by the operator's command.

use crate::evidence::{entries, told};
use crate::scene::Scene;
use ctedge_models::trust::{self, Root, SigningKey, TrustedKeys};
use ctedge_tests::place;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// A site with keys by name, and its device.
struct Site {
    scene: Scene,
}

impl Site {
    fn new() -> Self {
        let mut scene = Scene::waiting(|_setup| {});
        let bundle = scene.appliance.path("signed.ctb");
        fs::copy(place::reference_bundle().unwrap(), &bundle).unwrap();
        fs::copy(trust::signature_path(&place::reference_bundle().unwrap()), trust::signature_path(&bundle)).unwrap();
        scene.appliance.environment("CTEDGE__INFER__BUNDLE", bundle);
        let site = Self { scene };
        for name in ["ann", "bea", "models", "new"] {
            trust::keygen(&site.at(""), name, None).unwrap();
        }
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scene.appliance.path(name)
    }

    fn key(&self, name: &str) -> SigningKey {
        SigningKey::load(&self.at(&format!("{name}.key")), None).unwrap()
    }

    /// A root with both root keys and one for bundles, signed by these.
    fn root(&self, version: u64, bundle_key: &str, signers: &[&str]) -> String {
        let text = |name: &str| trust::key_text(&self.at(&format!("{name}.pub"))).unwrap();
        let root = json!({
            "schema": trust::SCHEMA, "version": version, "created": "2026-11-27T00:00:00Z", "threshold": 2,
            "root_keys": [text("ann"), text("bea")], "bundle_keys": [text(bundle_key)],
        });
        let path = self.at(&format!("brought-{version}.json"));
        fs::write(&path, root.to_string()).unwrap();
        Root::read(&path).unwrap();
        for signer in signers {
            trust::sign_beside(&path, &self.key(signer), "a root").unwrap();
        }
        path.display().to_string()
    }

    fn sign(&self, key: &str) {
        trust::sign(&self.at("signed.ctb"), &self.key(key), "signed again").unwrap();
    }

    /// What `ctedge doctor` says of the model.
    fn model(&self) -> (bool, String) {
        let told: Value =
            serde_json::from_str(told(&self.scene, &["doctor", "--json"]).1.lines().next().unwrap()).unwrap();
        let row = told["checks"].as_array().unwrap().iter().find(|row| row["check"] == "model").unwrap();
        (row["ok"] == true, row["detail"].as_str().unwrap().to_owned())
    }

    fn list(&self) -> Value {
        let (code, text) = told(&self.scene, &["key", "list", "--json"]);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn keys_of_models_are_pinned_followed_and_revoked() {
    let site = Site::new();
    let reference = TrustedKeys::load(&place::reference_key().unwrap()).unwrap().ids();
    assert_eq!((&site.list()["root"], &site.list()["models"]), (&Value::Null, &json!(reference)));
    assert!(site.model().0);

    let first = site.root(1, "models", &["ann"]);
    let (code, text) = told(&site.scene, &["key", "trust", &first]);
    assert!(code == 1 && text.contains("1 of the keys of root 1, and 2 are needed"), "{text}");
    assert!(site.model().0, "nothing has changed");
    let first = site.root(1, "models", &["ann", "bea"]);
    let (code, text) = told(&site.scene, &["key", "trust", &first]);
    assert!(code == 0 && text.contains("pinned") && text.contains("do not count any more"), "{text}");
    assert_eq!(
        (&site.list()["root"]["version"], &site.list()["models"]),
        (&json!(1), &json!([site.key("models").id()]))
    );
    assert!(site.model().1.contains("not trusted here"), "{}", site.model().1);
    site.sign("models");
    assert!(site.model().1.contains(&format!("signed by {}", site.key("models").id())), "{}", site.model().1);

    let second = site.root(2, "new", &["ann"]);
    assert_eq!(told(&site.scene, &["key", "trust", &second]).0, 1);
    let second = site.root(2, "new", &["ann", "bea"]);
    assert_eq!(told(&site.scene, &["key", "trust", &second]).0, 0);
    assert_eq!(told(&site.scene, &["key", "trust", &first]).0, 1, "there is no way back");
    assert!(site.model().1.contains("not trusted here"), "{}", site.model().1);
    site.sign("new");
    assert!(site.model().0);

    assert_eq!(told(&site.scene, &["key", "revoke", "new"]).0, 1, "no id");
    let id = site.key("new").id();
    assert_eq!(told(&site.scene, &["key", "revoke", &id.to_lowercase()]).0, 0);
    assert_eq!(site.list()["revoked"], json!([id]));
    assert!(site.model().1.contains("was revoked"), "{}", site.model().1);
}

#[test]
fn the_audit_log_tells_that_keys_have_changed() {
    let mut site = Site::new();
    let said = |site: &Site| {
        let of_trust = |entry: &Value| entry["objects"][0]["kind"] == "trust";
        entries(&site.scene).iter().filter(|entry| of_trust(entry)).count()
    };
    let started = |site: &mut Site, times: usize| {
        site.scene.appliance.start().unwrap();
        site.scene.wait(times, |message| message.topic.ends_with("/status") && message.text("state") == "online");
    };
    started(&mut site, 1);
    assert_eq!(said(&site), 0);
    site.scene.appliance.stop().unwrap();
    assert_eq!(told(&site.scene, &["key", "revoke", &site.key("new").id()]).0, 0);
    started(&mut site, 2);
    assert_eq!(said(&site), 1);
}
