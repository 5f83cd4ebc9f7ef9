//! A training that is killed, or whose disk is full, is none the worse for it.

use crate::preset;
use ctedge_tests::appliance;
use ctedge_tests::arrival::Dice;
use ctedge_tests::process::{self, Running};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Steps of the training; every second one leaves a checkpoint.
const STEPS: usize = 60;
/// Kills at least; more until one has met a training that had left a checkpoint.
const KILLS: usize = 10;
const MOST_KILLS: usize = 60;

/// How the small experiment is trained.
const TRAINING: &str = "training = { steps = 60, batch = 8, micro_batch = 4, learning_rate = 1e-3, warmup_steps = 5, final_share = 0.1, \
     weight_decay = 0.05, clip_norm = 1.0, validate_every = 2, keep_checkpoints = 2, patience = 0 }";

/// A folder with an experiment.
struct School {
    folder: TempDir,
}

impl School {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("experiment.toml"), preset::small(TRAINING).to_string()).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that trains a run, or goes on with it. No file may grow beyond `limit_kib`.
    fn train(&self, run: &str, limit_kib: Option<u32>) -> Command {
        let trainer = appliance::binary().unwrap().with_file_name("ctedge-trainer");
        // A full disk is an error of the writing call; so is this limit once its signal is ignored.
        let limit = limit_kib.map_or_else(String::new, |kib| format!("trap '' XFSZ; ulimit -f {};", 2 * kib));
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limit} exec \"$@\"")).arg("sh").arg(trainer);
        command.arg("--json").arg("train").arg(self.at("experiment.toml")).arg("--out").arg(self.at(run));
        command.arg("--shards").arg(self.at("shards"));
        command
    }

    /// Trains to the end.
    fn trained(&self, run: &str) -> Value {
        serde_json::from_str(&process::output(&mut self.train(run, None)).unwrap()).unwrap()
    }

    /// Lets a training run for a while, and kills it (SIGKILL).
    fn cut(&self, run: &str, after: Duration) {
        let mut command = self.train(run, None);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
        std::thread::sleep(after);
        running.kill().unwrap();
    }

    /// Whether a run has a checkpoint beyond the one that it begins with.
    fn has_advanced(&self, run: &str) -> bool {
        let Ok(files) = self.at(run).join("checkpoints").read_dir() else { return false };
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.into_iter().any(|name| name.ends_with(".safetensors") && name != "step-00000000.safetensors")
    }

    /// What a run leaves: its weights, and its tables without the times.
    fn left(&self, run: &str) -> (Vec<u8>, Vec<String>) {
        let weights = fs::read(self.at(run).join("weights.safetensors")).unwrap();
        let steps = fs::read_to_string(self.at(run).join("steps.csv")).unwrap();
        let looks = fs::read_to_string(self.at(run).join("looks.csv")).unwrap();
        let timeless = steps.lines().map(|line| line.rsplitn(3, ',').nth(2).unwrap().to_owned());
        (weights, timeless.chain(looks.lines().map(str::to_owned)).collect())
    }
}

#[test]
fn a_training_killed_at_many_moments_ends_with_the_same_bits() {
    let school = School::new();
    let whole = school.trained("whole");
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    // From the first file of the run to its last step.
    for kill in 0..MOST_KILLS {
        if kill >= KILLS && school.has_advanced("cut") {
            break;
        }
        school.cut("cut", Duration::from_millis(dice.below(2500)));
    }
    let resumed = school.trained("cut");
    assert!(resumed["resumed_at"].as_u64().unwrap() > 0, "{resumed}");
    assert_eq!(resumed["corpus_sha256"], whole["corpus_sha256"]);
    assert_eq!(resumed["best_step"], whole["best_step"]);
    let ((weights, tables), (expected, told)) = (school.left("cut"), school.left("whole"));
    assert_eq!(tables, told);
    assert!(weights == expected, "the weights differ");
    assert_eq!(told.len(), 1 + STEPS + 1 + STEPS / 2);
}

#[test]
fn a_full_disk_ends_a_training_with_the_files_name_and_costs_nothing() {
    let school = School::new();
    let whole = school.trained("whole");
    let running = Running::start(school.train("full", None).stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
    assert!(process::wait_until(Duration::from_mins(2), || Ok(school.has_advanced("full"))).unwrap());
    running.kill().unwrap();
    let full = school.train("full", Some(200)).output().unwrap();
    let said: Value = serde_json::from_slice(&full.stdout).unwrap();
    let chain = said["error"].to_string();
    assert_eq!(full.status.code(), Some(1), "{chain}");
    let named =
        chain.contains("full/weights.safetensors cannot be written") || chain.contains("full/checkpoints/step-");
    assert!(named && chain.contains("File too large"), "{chain}");
    let resumed = school.trained("full");
    assert_eq!(resumed["best_step"], whole["best_step"]);
    assert_eq!(school.left("full"), school.left("whole"));
}
