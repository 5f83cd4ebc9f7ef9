//! What README.md tells about new models in the field, done line by line as it stands there: from another seed to a model that
//! counts on a device, and back.

use crate::models::{Site, digest};
use crate::preset;
use crate::scene::read;
use ctedge_tests::appliance;
use ctedge_tests::place;
use ctedge_tests::process;
use ctedge_tests::subscriber::Message;
use ctedge_tests::variant::KEY;
use serde_json::json;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// How the small experiment is trained: a minute must do. Seed, version and serial are for the document to change.
const TRAINING: &str = "training = { steps = 12, batch = 8, micro_batch = 4, learning_rate = 1e-3, warmup_steps = 2, final_share = 0.1, \
     weight_decay = 0.05, clip_norm = 1.0, validate_every = 6, keep_checkpoints = 2, patience = 0 }";

/// A workstation beside a device: its folder has what the document takes to be there.
struct Desk {
    folder: TempDir,
    site: Site,
    /// The model that counts when it begins.
    before: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("models/catalog/scale-vlp-tiny")).unwrap();
        let experiment = preset::small(TRAINING).to_string();
        fs::write(at("models/catalog/scale-vlp-tiny/experiment.toml"), experiment).unwrap();
        let mut site = Site::waiting(&[]);
        site.scene.appliance.environment("CTEDGE__MQTT__DEVICE", "ct-1");
        let site = site.started();
        fs::create_dir(at("keys")).unwrap();
        fs::copy(site.workshop.at(&format!("{KEY}.key")), at("keys/site.key")).unwrap();
        Self { before: site.counts(), folder, site }
    }

    /// Does a line of the document. Only the broker is another one.
    fn does(&self, line: &str) -> String {
        let broker = format!("127.0.0.1:{}", self.site.scene.broker.port());
        let programs = appliance::binary().unwrap().parent().unwrap().to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &line.replace("mqtt.site", &broker)]).env("PATH", path).current_dir(self.folder.path());
        process::output(&mut shell).unwrap_or_else(|error| panic!("{line}: {error:#}"))
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("scale-vlp-tiny-0.6.0.ctb")
    }

    /// A patient comes; the result has to name this model.
    fn reads(&self, number: usize, model: &str) {
        let result = self.site.patient(number);
        assert!(read(&result) && result.payload["model"]["digest"] == model, "{}", result.payload);
    }

    /// Holds what the document promises after a line.
    fn holds(&self, command: &str, said: &str) {
        match command {
            "sign" => assert_ne!(digest(&self.bundle()), self.before),
            "publish" => {
                let shadow = self.site.state("b", "shadow");
                assert_eq!(shadow["model"]["digest"], json!(digest(&self.bundle())));
                self.reads(1, &self.before);
                self.reads(2, &self.before);
                let compared = |message: &Message| {
                    message.topic.ends_with("/model/b") && message.payload["shadow"]["series"] == json!(2)
                };
                let told = self.site.scene.wait(1, compared).remove(0).payload;
                assert_eq!(told["shadow"]["against"], json!(self.before), "{told}");
                assert!((0.0..=1.0).contains(&told["shadow"]["agreement"].as_f64().unwrap()), "{told}");
            }
            "fleet" => {
                let row = said.lines().find(|line| line.contains("ct-1")).unwrap_or_else(|| panic!("{said}"));
                assert!(row.contains("scale-vlp-tiny 0.6.0 shadow") && row.contains("% of 2 series"), "{said}");
            }
            "activate" => {
                self.site.state("b", "probation");
                self.reads(3, &digest(&self.bundle()));
            }
            "rollback" => {
                assert_eq!(self.site.state("b", "failed")["reason_code"], "rolled_back");
                self.reads(4, &self.before);
                self.site.state("a", "active");
                assert_eq!(self.site.counts(), self.before);
            }
            _ => {}
        }
    }
}

/// The lines of README.md's block that begins with a copy of the experiment.
fn walk() -> Vec<String> {
    let text = fs::read_to_string(place::root().join("README.md")).unwrap();
    let (_, block) = text.split_once("```\ncp models/catalog/scale-vlp-tiny/experiment.toml").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    format!("cp models/catalog/scale-vlp-tiny/experiment.toml{block}").lines().map(str::to_owned).collect()
}

/// What a line runs: a program, or the trainer's command.
fn command(line: &str) -> &str {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    if program == "ctedge-trainer" { words.next().unwrap() } else { program }
}

#[test]
fn from_another_seed_to_a_model_that_counts_and_back_as_the_document_says() {
    let desk = Desk::new();
    let lines = walk();
    for line in &lines {
        let said = desk.does(line);
        desk.holds(command(line), &said);
    }
    let done: Vec<&str> = lines.iter().map(|line| command(line)).collect();
    let whole = ["cp", "sed", "prepare", "train", "export", "pack", "sign", "publish", "fleet", "activate", "rollback"];
    assert_eq!(done, whole);
    let next: toml::Table = fs::read_to_string(desk.folder.path().join("next.toml")).unwrap().parse().unwrap();
    let old = preset::small(TRAINING);
    assert_ne!(next["seed"], old["seed"]);
    assert!(next["model"]["serial"].as_integer() > old["model"]["serial"].as_integer());
    desk.site.scene.balanced(4);
}
