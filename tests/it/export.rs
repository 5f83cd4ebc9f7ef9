//! The exported graphs say the same in ONNX Runtime as the networks do in the training framework.

use ctedge_tests::process;
use ctedge_tests::progress::say;
use ctedge_tests::{appliance, place, tools};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The catalog's networks, exported into a folder by the trainer's own commands.
struct Bench {
    folder: TempDir,
    trainer: PathBuf,
}

/// Reports as radiologists write them, and none.
const REPORTS: [(&str, &str); 3] = [
    ("effusion", "Large left pleural effusion with adjacent atelectasis. No pneumothorax."),
    ("normal", "The lungs are clear. No pleural or pericardial effusion. The heart is normal in size."),
    ("nothing", ""),
];

impl Bench {
    /// Writes the graphs into `exported`, by these further words of the command.
    fn new(options: &[&str]) -> Self {
        let trainer = appliance::binary().unwrap().with_file_name("ctedge-trainer");
        assert!(trainer.is_file(), "{} is missing: cargo build -p ctedge-trainer", trainer.display());
        let bench = Self { folder: tempfile::tempdir().unwrap(), trainer };
        let experiment = place::root().join("models/catalog/scale-vlp-tiny/experiment.toml");
        bench.command(&["init".as_ref(), experiment.as_os_str()], "run");
        let run = bench.at("run");
        let words = ["export".as_ref(), run.as_os_str()].into_iter().chain(options.iter().map(OsStr::new));
        bench.command(&words.collect::<Vec<_>>(), "exported");
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&OsStr], out: &str) {
        let mut command = Command::new(&self.trainer);
        command.args(words).args(["--out".as_ref(), self.at(out).as_os_str()]);
        process::output(&mut command).unwrap();
    }

    /// Writes down what the training framework makes of an input that these words name.
    fn trace(&self, name: &str, words: &[&OsStr]) -> PathBuf {
        let run = self.at("run");
        let words: Vec<&OsStr> = ["trace".as_ref(), run.as_os_str()].into_iter().chain(words.iter().copied()).collect();
        self.command(&words, name);
        self.at(name)
    }

    /// Traces of the experiment's phantom and, where the data are, of real chests.
    fn volumes(&self, options: &[&str]) -> Vec<PathBuf> {
        let scans = [
            ("angiography", "totalsegmentator/chest_cta_1p5mm.nii.gz"),
            ("soft_kernel", "lung_pet_ct_dx_A0002/B40f"),
            ("sharp_kernel", "lung_pet_ct_dx_A0002/B70f"),
        ];
        let options: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
        let mut traces = vec![self.trace("phantom", &options)];
        for (name, path) in scans {
            if let Some(path) = place::data(path) {
                traces.push(self.trace(name, &[&[path.as_os_str()], options.as_slice()].concat()));
            }
        }
        traces
    }

    fn reports(&self) -> Vec<PathBuf> {
        REPORTS.map(|(name, report)| self.trace(name, &["--text".as_ref(), report.as_ref()])).into()
    }

    /// ONNX's checker, and ONNX Runtime on every trace; the largest differences.
    fn check(&self, graph: &str, tolerance: &str, traces: &[PathBuf]) -> anyhow::Result<String> {
        let graph = self.at("exported").join(graph);
        let words = [Path::new("--tolerance"), Path::new(tolerance), &graph];
        let arguments: Vec<&Path> = words.into_iter().chain(traces.iter().map(PathBuf::as_path)).collect();
        tools::peer("onnx_check.py", &arguments)
    }

    /// Checks a graph, and that each output of each trace was compared.
    fn agrees(&self, graph: &str, tolerance: &str, traces: &[PathBuf]) {
        let outputs = if graph == "text.onnx" { 1 } else { 5 };
        let said = self.check(graph, tolerance, traces).unwrap();
        say(&said);
        let compared = said.lines().filter(|line| line.contains("largest difference") && line.ends_with("passed"));
        assert_eq!(compared.count(), outputs * traces.len(), "{outputs} outputs a trace:\n{said}");
        assert!(said.contains("checker passed: IR 8, ai.onnx 17"), "{said}");
    }
}

#[test]
fn graphs_and_networks_agree_on_phantom_real_chests_and_reports() {
    let bench = Bench::new(&[]);
    bench.agrees("vision.onnx", "1e-4", &bench.volumes(&[]));
    bench.agrees("text.onnx", "1e-4", &bench.reports());
}

#[test]
fn sixteen_bits_change_no_output_by_more_than_a_hundredth() {
    let bench = Bench::new(&["--precision", "f16"]);
    bench.agrees("vision.onnx", "1e-2", &bench.volumes(&[]));
    bench.agrees("text.onnx", "1e-2", &bench.reports());
}

/// A token may differ by a step of the last layer's input, where rounding of a sum tips it over.
#[test]
fn the_8_bit_graph_computes_what_the_trainer_simulates() {
    let int8 = ["--quantize", "int8"];
    let bench = Bench::new(&[int8.as_slice(), &["--cases", "2"]].concat());
    bench.agrees("vision.onnx", "0.05", &bench.volumes(&int8));
}

#[test]
fn a_planted_difference_is_caught() {
    let bench = Bench::new(&[]);
    let phantom = bench.trace("phantom", &[]);
    let path = phantom.join("tokens.f32");
    let mut bytes = std::fs::read(&path).unwrap();
    let (numbers, _) = bytes.as_chunks_mut::<4>();
    let last = numbers.last_mut().unwrap();
    *last = (f32::from_le_bytes(*last) + 2e-4).to_le_bytes();
    std::fs::write(&path, bytes).unwrap();
    let complaint = format!("{:#}", bench.check("vision.onnx", "1e-4", &[phantom]).unwrap_err());
    assert!(complaint.contains("phantom tokens") && complaint.contains("ABOVE 0.0001"), "{complaint}");
    assert!(!complaint.contains("phantom logits"), "{complaint}");
}
