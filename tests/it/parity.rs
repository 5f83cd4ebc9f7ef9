//! Published weights give the same numbers in our towers as in other people's code.

use crate::preset;
use ctedge_tests::progress::say;
use ctedge_tests::{appliance, process, tools};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The shapes that `tests/peers/parity.py` writes.
const SHAPES: [&str; 15] = [
    "input.grid.spacing.size = [8, 12, 16]",
    "augment.shift = [0, 0, 0]",
    "vision.patch = [4, 6, 4]",
    "vision.dim = 24",
    "vision.depth = 2",
    "vision.heads = 3",
    "vision.mlp_ratio = 4",
    "vision.positions = \"learned\"",
    "vision.class_token = true",
    "text.max_tokens = 16",
    "text.dim = 24",
    "text.depth = 2",
    "text.heads = 3",
    "text.mlp_ratio = 4",
    "text.pool = \"mean\"",
];

/// A folder in which the peers write, and the trainer's own commands.
struct Bench {
    folder: TempDir,
    trainer: PathBuf,
}

impl Bench {
    /// With a run that holds the peers' random weights.
    fn imported() -> Self {
        let trainer = appliance::binary().unwrap().with_file_name("ctedge-trainer");
        assert!(trainer.is_file(), "{} is missing: cargo build -p ctedge-trainer", trainer.display());
        let bench = Self { folder: tempfile::tempdir().unwrap(), trainer };
        tools::peer("parity.py", &[Path::new("make"), bench.folder.path()]).unwrap();
        std::fs::write(bench.at("experiment.toml"), experiment()).unwrap();
        bench.command(&["init", "@experiment.toml", "--out", "@run"]);
        for (kind, file) in [("--bert", "@bert"), ("--m3d-clip", "@m3d_clip/model.safetensors")] {
            say(&bench.command(&["import", "@run", kind, file]));
        }
        bench.command(&["trace", "@run", "--ids", "@ids.json", "--out", "@report"]);
        bench.command(&["trace", "@run", "--random", "5", "--out", "@volume"]);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command; words that begin with `@` are names in the folder.
    fn command(&self, words: &[&str]) -> String {
        let words = words.iter().map(|word| match word.strip_prefix('@') {
            Some(name) => self.at(name).into_os_string(),
            None => OsStr::new(word).to_owned(),
        });
        process::output(Command::new(&self.trainer).args(words)).unwrap()
    }

    fn compare(&self) -> anyhow::Result<String> {
        tools::peer("parity.py", &[Path::new("check"), self.folder.path()])
    }
}

/// The catalog's experiment in the peers' shapes.
fn experiment() -> String {
    let mut table = preset::changed(&SHAPES);
    // What their networks do not have.
    let vision = table["vision"].as_table_mut().unwrap();
    for key in ["densities", "stem"] {
        vision.remove(key);
    }
    vision.extend([("patch_norm".to_owned(), false.into()), ("places".to_owned(), 0.into())]);
    table.to_string()
}

#[test]
fn imported_towers_compute_what_their_publishers_code_does() {
    let bench = Bench::imported();
    let said = bench.compare().unwrap();
    say(&said);
    assert_eq!(said.lines().filter(|line| line.ends_with("passed")).count(), 7, "{said}");

    // The exported graph has the class token, too.
    bench.command(&["export", "@run", "--out", "@exported"]);
    let said = tools::peer("onnx_check.py", &[&bench.at("exported/vision.onnx"), &bench.at("volume")]).unwrap();
    say(&said);
    let compared = said.lines().filter(|line| line.contains("largest difference") && line.ends_with("passed"));
    assert_eq!(compared.count(), 5, "{said}");
}

#[test]
fn a_planted_difference_between_towers_is_caught() {
    let bench = Bench::imported();
    let path = bench.at("report/tokens.f32");
    let mut bytes = std::fs::read(&path).unwrap();
    let (numbers, _) = bytes.as_chunks_mut::<4>();
    let first = numbers.first_mut().unwrap();
    *first = (f32::from_le_bytes(*first) + 2e-4).to_le_bytes();
    std::fs::write(&path, bytes).unwrap();
    let complaint = format!("{:#}", bench.compare().unwrap_err());
    assert!(complaint.contains("report tokens") && complaint.contains("ABOVE 0.0001"), "{complaint}");
}
