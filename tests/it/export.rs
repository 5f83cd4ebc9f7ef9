//! The exported graph says the same in ONNX Runtime as the network does in the training framework.

use ctedge_tests::process;
use ctedge_tests::progress::say;
use ctedge_tests::{appliance, place, tools};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The catalog's network, exported into a folder by the trainer's own commands.
struct Bench {
    folder: TempDir,
    trainer: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let trainer = appliance::binary().unwrap().with_file_name("ctedge-trainer");
        assert!(trainer.is_file(), "{} is missing: cargo build -p ctedge-trainer", trainer.display());
        let bench = Self { folder: tempfile::tempdir().unwrap(), trainer };
        let experiment = place::root().join("models/catalog/scale-vlp-tiny/experiment.toml");
        bench.command("init", &[&experiment], "run");
        bench.command("export", &[&bench.at("run")], "exported");
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str, inputs: &[&Path], out: &str) {
        let mut command = Command::new(&self.trainer);
        command.arg(name).args(inputs).args([OsStr::new("--out"), self.at(out).as_os_str()]);
        process::output(&mut command).unwrap();
    }

    /// Writes down what the training framework makes of a scan, or of the experiment's phantom.
    fn trace(&self, name: &str, scan: Option<&Path>) -> PathBuf {
        let run = self.at("run");
        let inputs: Vec<&Path> = std::iter::once(run.as_path()).chain(scan).collect();
        self.command("trace", &inputs, name);
        self.at(name)
    }

    /// ONNX's checker, and ONNX Runtime on every trace; the largest differences.
    fn check(&self, traces: &[PathBuf]) -> anyhow::Result<String> {
        let graph = self.at("exported/vision.onnx");
        let arguments: Vec<&Path> = std::iter::once(&graph).chain(traces).map(PathBuf::as_path).collect();
        tools::peer("onnx_check.py", &arguments)
    }
}

#[test]
fn graph_and_network_agree_on_a_phantom_and_on_real_chests() {
    let bench = Bench::new();
    let mut traces = vec![bench.trace("phantom", None)];
    let scans = [
        ("angiography", "totalsegmentator/chest_cta_1p5mm.nii.gz"),
        ("soft_kernel", "lung_pet_ct_dx_A0002/B40f"),
        ("sharp_kernel", "lung_pet_ct_dx_A0002/B70f"),
    ];
    for (name, path) in scans {
        if let Some(path) = place::data(path) {
            traces.push(bench.trace(name, Some(&path)));
        }
    }
    let said = bench.check(&traces).unwrap();
    say(&said);
    let compared = said.lines().filter(|line| line.contains("largest difference") && line.ends_with("passed")).count();
    assert_eq!(compared, 4 * traces.len(), "four outputs a volume:\n{said}");
    assert!(said.contains("checker passed: IR 8, ai.onnx 17"), "{said}");
}

#[test]
fn a_planted_difference_is_caught() {
    let bench = Bench::new();
    let phantom = bench.trace("phantom", None);
    let path = phantom.join("tokens.f32");
    let mut bytes = std::fs::read(&path).unwrap();
    let (numbers, _) = bytes.as_chunks_mut::<4>();
    let last = numbers.last_mut().unwrap();
    *last = (f32::from_le_bytes(*last) + 2e-4).to_le_bytes();
    std::fs::write(&path, bytes).unwrap();
    let complaint = format!("{:#}", bench.check(&[phantom]).unwrap_err());
    assert!(complaint.contains("phantom tokens") && complaint.contains("ABOVE 0.0001"), "{complaint}");
    assert!(!complaint.contains("phantom logits"), "{complaint}");
}
