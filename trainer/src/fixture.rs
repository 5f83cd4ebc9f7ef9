//! For tests: an experiment that learns in a moment, and its corpus.

use crate::batch::{Cohort, Shards, Split, Tokenizer, learn, seen};
use crate::corpus;
use crate::experiment::Experiment;
use crate::run::Run;
use tempfile::TempDir;
use toml::{Table, Value};

/// What makes the committed preset small.
const SMALL: [&str; 18] = [
    "input.grid.spacing.size = [16, 32, 32]",
    "input.grid.spacing.spacing_mm = [20.0, 12.0, 12.0]",
    "data.test_share = 0.0",
    "vision.patch = [8, 16, 16]",
    "vision.dim = 24",
    "vision.heads = 2",
    "vision.depth = 1",
    "vision.embedding = 16",
    "vision.places = 2",
    "text.dim = 24",
    "text.heads = 2",
    "text.depth = 1",
    "text.vocabulary = 256",
    "decoder.dim = 24",
    "decoder.heads = 2",
    "decoder.depth = 2",
    "decoder.max_tokens = 96",
    "golden = { seed = 18, size = [48, 40, 24], spacing_mm = [8.0, 8.0, 14.0], findings = [] }",
];

/// What the committed preset has and a moment has no time for; a test that is about one of these asks for it.
const LEFT_OUT: [(&str, &str); 3] = [("vision", "stem"), ("loss", "located"), ("training", "restart_at")];

/// The committed preset made small, with further changes: lines of TOML with dotted keys.
pub(crate) fn experiment(changes: &[&str]) -> Experiment {
    Experiment::parse(&small(changes)).unwrap()
}

/// Its text.
pub(crate) fn small(changes: &[&str]) -> String {
    changed(&[&SMALL, changes].concat())
}

/// The text of the committed preset with lines of TOML in the place of its own.
pub(crate) fn changed(lines: &[&str]) -> String {
    let mut preset: Table = crate::experiment::TINY.parse().unwrap();
    for (table, key) in LEFT_OUT {
        preset.get_mut(table).and_then(Value::as_table_mut).unwrap().remove(key);
    }
    for line in lines {
        overlay(&mut preset, line.parse().unwrap());
    }
    preset.to_string()
}

fn overlay(base: &mut Table, change: Table) {
    for (key, value) in change {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(change)) if key != "golden" && key != "corpus" => {
                overlay(below, change);
            }
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// A prepared corpus of an experiment and its vocabulary.
#[derive(Debug)]
pub(crate) struct Classroom {
    pub(crate) folder: TempDir,
    pub(crate) experiment: Experiment,
    pub(crate) shards: Shards,
    pub(crate) tokenizer: Tokenizer,
}

impl Classroom {
    /// Draws and prepares the experiment's phantoms.
    pub(crate) fn new(experiment: Experiment) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("shards");
        let listing = corpus::open(experiment.data.corpus, None, &experiment.input).unwrap();
        corpus::prepare(listing, &experiment, &place, &|_| {}).unwrap();
        let shards = Shards::open(&place, &experiment.input).unwrap();
        let texts = shards.cases().iter().map(|stored| &stored.case.report);
        let texts: Vec<String> = texts.map(|report| seen(&report.findings, &report.impression)).collect();
        let tokenizer = learn(&texts, &experiment.text).unwrap();
        Self { folder, experiment, shards, tokenizer }
    }

    pub(crate) fn cohort(&self, split: Split) -> Cohort<'_> {
        Cohort::new(&self.shards, split, &self.tokenizer, &self.experiment).unwrap()
    }

    /// An untrained run.
    pub(crate) fn run(&self) -> Run {
        Run::init(self.experiment.clone(), self.tokenizer.vocabulary()).unwrap()
    }
}
