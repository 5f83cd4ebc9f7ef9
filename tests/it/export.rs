//! The exported graph says the same in ONNX Runtime as the network does in the training framework.

use ctedge_models::{preprocess, scan};
use ctedge_tests::progress::say;
use ctedge_tests::{place, tools};
use ctedge_trainer::device;
use ctedge_trainer::experiment::Experiment;
use ctedge_trainer::export::{self, Exported, Trace};
use ctedge_trainer::net::Tower;
use ctedge_trainer::run::Run;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The catalog's network, exported into a folder.
struct Bench {
    folder: TempDir,
    run: Run,
    tower: Tower,
}

impl Bench {
    fn new() -> Self {
        let experiment = place::root().join("models/catalog/scale-vlp-tiny/experiment.toml");
        let run = Run::init(Experiment::read(&experiment).unwrap()).unwrap();
        let tower = run.tower(&device::cpu()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let exported = Exported::of(&run, "2026-01-01T00:00:00Z".to_owned()).unwrap();
        export::write(&exported, folder.path()).unwrap();
        Self { folder, run, tower }
    }

    /// Runs the network in the training framework and writes down its input and outputs.
    fn trace(&self, name: &str, tensor: preprocess::Tensor) -> PathBuf {
        let trace = Trace::of(&self.tower, tensor.into_values().into_iter().collect(), &device::cpu()).unwrap();
        let folder = self.folder.path().join(name);
        trace.write(&folder).unwrap();
        folder
    }

    fn scan(&self, path: &Path) -> preprocess::Tensor {
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
        }
        let scan = scan::read(&files, &scan::Limits::default()).unwrap();
        preprocess::tensor(&scan.volume, &self.run.experiment.input)
    }

    fn phantom(&self) -> PathBuf {
        self.trace("phantom", export::phantom_tensor(&self.run.experiment).unwrap())
    }

    /// ONNX's checker, and ONNX Runtime on every trace; prints the largest differences.
    fn check(&self, traces: &[PathBuf]) -> anyhow::Result<String> {
        let graph = self.folder.path().join(export::VISION_FILE);
        let arguments: Vec<&Path> = std::iter::once(&graph).chain(traces).map(PathBuf::as_path).collect();
        tools::peer("onnx_check.py", &arguments)
    }
}

#[test]
fn graph_and_network_agree_on_a_phantom_and_on_real_chests() {
    let bench = Bench::new();
    let mut traces = vec![bench.phantom()];
    let scans = [
        ("angiography", "totalsegmentator/chest_cta_1p5mm.nii.gz"),
        ("soft_kernel", "lung_pet_ct_dx_A0002/B40f"),
        ("sharp_kernel", "lung_pet_ct_dx_A0002/B70f"),
    ];
    for (name, path) in scans {
        if let Some(path) = place::data(path) {
            traces.push(bench.trace(name, bench.scan(&path)));
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
    let phantom = bench.phantom();
    let path = phantom.join("tokens.f32");
    let mut bytes = std::fs::read(&path).unwrap();
    let (last, _) = bytes.as_chunks_mut::<4>();
    let last = last.last_mut().unwrap();
    *last = (f32::from_le_bytes(*last) + 2e-4).to_le_bytes();
    std::fs::write(&path, bytes).unwrap();
    let complaint = format!("{:#}", bench.check(&[phantom]).unwrap_err());
    assert!(complaint.contains("phantom tokens") && complaint.contains("ABOVE 0.0001"), "{complaint}");
    assert!(!complaint.contains("phantom logits"), "{complaint}");
}
