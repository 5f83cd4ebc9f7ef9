//! A decoder learns after the towers, and drafts the same in ONNX Runtime as in the training framework.

use crate::preset;
use ctedge_tests::progress::say;
use ctedge_tests::{appliance, process, tools};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const TRAINING: &str = "training = { steps = 4, batch = 8, micro_batch = 4, learning_rate = 1e-3, warmup_steps = 2, final_share = 0.1, \
     weight_decay = 0.05, clip_norm = 1.0, validate_every = 4, keep_checkpoints = 2, patience = 0 }";

struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A run whose towers and decoder have learned for a moment.
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let mut experiment = preset::small(TRAINING);
        let decoder = experiment["decoder"].as_table_mut().unwrap();
        for (key, value) in [("steps", 12), ("batch", 6), ("warmup_steps", 2), ("validate_every", 12)] {
            decoder.insert(key.into(), value.into());
        }
        fs::write(desk.at("experiment.toml"), experiment.to_string()).unwrap();
        Desk::told(&["train".as_ref(), &desk.at("experiment.toml"), "--out".as_ref(), &desk.at("run")]);
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command of the trainer says.
    fn told(words: &[&Path]) -> Value {
        let mut command = Command::new(appliance::binary().unwrap().with_file_name("ctedge-trainer"));
        serde_json::from_str(&process::output(command.arg("--json").args(words)).unwrap()).unwrap()
    }

    /// ONNX's checker, and the two graphs in ONNX Runtime beside what the trainer has drafted.
    fn agrees(&self, precision: &str, tolerance: &str) {
        let exported = self.at(precision);
        let words = ["export".as_ref(), &*self.at("run"), "--precision".as_ref(), precision.as_ref()];
        Self::told(&[&words, ["--out".as_ref(), &*exported].as_slice()].concat());
        let said = tools::peer(
            "draft_check.py",
            &["--tolerance".as_ref(), tolerance.as_ref(), &exported, &self.at("phantom"), &self.at("noise")],
        );
        let said = said.unwrap();
        say(&said);
        assert_eq!(said.lines().filter(|line| line.ends_with("passed")).count(), 6, "three checks a trace:\n{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("checker passed")).count(), 2, "{said}");
    }
}

#[test]
fn a_decoder_drafts_the_same_in_onnx_runtime_as_in_the_trainer() {
    let desk = Desk::new();
    let run = desk.at("run");
    let trained = Desk::told(&["train-decoder".as_ref(), &run]);
    assert_eq!((&trained["steps"], &trained["resumed_at"]), (&12.into(), &0.into()), "{trained}");
    let again = Desk::told(&["train-decoder".as_ref(), &run]);
    assert_eq!((&again["resumed_at"], &again["loss"]), (&12.into(), &trained["loss"]), "{again}");

    Desk::told(&["trace".as_ref(), &run, "--draft".as_ref(), "--out".as_ref(), &desk.at("phantom")]);
    let random = ["--random".as_ref(), "5".as_ref()];
    Desk::told(
        &[&["trace".as_ref(), &*run, "--draft".as_ref(), "--out".as_ref(), &desk.at("noise")], random.as_slice()]
            .concat(),
    );
    desk.agrees("f32", "1e-4");
    desk.agrees("f16", "1e-2");

    let evaluated = Desk::told(&["evaluate".as_ref(), &run, "--replicates".as_ref(), "20".as_ref()]);
    let drafts = &evaluated["drafts"];
    assert!(drafts["decoder"]["language"]["bleu_4"]["value"].is_number(), "{drafts}");
    assert!(drafts["decoder"]["findings"]["micro_f1"]["baseline"].is_number(), "{drafts}");
    assert!(drafts["examples"][0]["decoder"].is_string(), "{drafts}");
    let page = fs::read_to_string(run.join("evaluation/evaluation.html")).unwrap();
    assert!(page.contains("<td>Decoder"), "the page shows its row");
}
