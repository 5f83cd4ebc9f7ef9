//! For tests: an experiment that learns in a moment, and its corpus.

use crate::batch::{Cohort, Shards, Split, Tokenizer, seen};
use crate::corpus;
use crate::experiment::Experiment;
use crate::run::Run;
use tempfile::TempDir;

/// The committed preset made small, with further changes of its text.
pub(crate) fn experiment(changes: &[(&str, &str)]) -> Experiment {
    Experiment::parse(&small(changes)).unwrap()
}

/// Its text.
pub(crate) fn small(changes: &[(&str, &str)]) -> String {
    let smaller = [
        ("size = [64, 80, 80]", "size = [16, 32, 32]"),
        ("spacing_mm = [5.0, 4.0, 4.0]", "spacing_mm = [20.0, 12.0, 12.0]"),
        ("patch = [8, 10, 10]", "patch = [8, 16, 16]"),
        ("dim = 128", "dim = 24"),
        ("heads = 4", "heads = 2"),
        ("depth = 4", "depth = 1"),
        ("depth = 2", "depth = 1"),
        ("embedding = 128", "embedding = 16"),
        ("vocabulary = 1024", "vocabulary = 256"),
        ("size = [160, 128, 72]", "size = [48, 40, 24]"),
        ("spacing_mm = [2.4, 2.4, 4.8]", "spacing_mm = [8.0, 8.0, 14.0]"),
    ];
    smaller.iter().chain(changes).fold(crate::experiment::TINY.to_owned(), |text, (was, is)| {
        assert!(text.contains(was), "{was} is not in the preset");
        text.replace(was, is)
    })
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
        let tokenizer = Tokenizer::train(&texts, &experiment.text).unwrap();
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
