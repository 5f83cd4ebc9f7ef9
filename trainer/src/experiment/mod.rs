//! The experiment: one TOML file that says everything about a model but where its data lie.
//!
//! Every key is documented here and in `models/catalog/*/experiment.toml`. An unknown key is an error; wrong values are
//! reported all at once, each under its key. The digest of the file travels with every weight and bundle made from it.

mod data;
mod decoder;
mod learning;
mod towers;

pub use data::{Augment, Corpus, Data};
pub use decoder::Decoder;
pub use learning::{Duplicates, Knowledge, KnowledgeSource, Loss, Pairs, Rate, Spatial, Training};
pub use towers::{Positions, Text, TextPool, Tune, Vision};
pub(crate) use towers::{STEM_CELL, STEM_HALVING};

use ctedge_models::phantom::Recipe;
use ctedge_models::spec::PreprocessSpec;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};

/// Value of `schema` in the files that this version reads.
pub const SCHEMA: &str = "ctedge-experiment/2";

/// Tells whether a value may stand: if not, its key and what is wrong.
pub(crate) type Expect<'a> = dyn FnMut(bool, &'static str, String) + 'a;

/// Everything that determines a model but where its data lie.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Format of the file, [`SCHEMA`].
    pub schema: String,
    /// Seed of the initial weights, of the order of patients and of what is done to their volumes.
    pub seed: u64,
    /// Who the model is.
    pub model: Identity,
    /// How a volume becomes the input tensor; the same contract that the bundle carries to the appliance.
    pub input: PreprocessSpec,
    /// What it learns from.
    pub data: Data,
    /// What is done to a volume each time it is seen.
    pub augment: Augment,
    /// The volume tower.
    pub vision: Vision,
    /// The report tower.
    pub text: Text,
    /// What is minimised.
    pub loss: Loss,
    /// How.
    pub training: Training,
    /// The decoder that drafts reports; without this table there is none.
    #[serde(default)]
    pub decoder: Option<Decoder>,
    /// How the weights are written.
    pub export: Export,
    /// The synthetic volume of the bundle's self-test.
    pub golden: Recipe,
    #[serde(skip)]
    source: String,
}

/// `[model]`: name and number of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name, `[a-z0-9-]{1,64}`.
    pub name: String,
    /// Version for people, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// Rises with every release of this name, from 1.
    pub serial: u64,
    /// One sentence that every result repeats.
    pub intended_use: String,
}

/// `[export]`: how the weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Number format of the exported weights.
    pub precision: Precision,
}

/// Number format of exported weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; layer normalisation, softmax and lengths are computed in 32 bits.
    F16,
}

impl Precision {
    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// A wrong value under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key.
    pub key: &'static str,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.key, self.message)
    }
}

/// Why a file is no experiment.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file could not be read.
    #[error("the experiment {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, a key that does not exist, a missing key or a value of the wrong kind.
    #[error("the experiment does not follow {SCHEMA}")]
    Parse {
        /// Line, key and what was expected.
        #[source]
        source: toml::de::Error,
    },
    /// Values that cannot be meant, all of them.
    #[error("the experiment has {} wrong values:{}", problems.len(), list(problems))]
    Invalid {
        /// Each with its key.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    lines.concat()
}

impl Experiment {
    /// Reads and checks an experiment file.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| ExperimentError::Read { path: path.into(), source })?)
    }

    /// Checks the text of an experiment file.
    pub fn parse(text: &str) -> Result<Self, ExperimentError> {
        let mut experiment: Self = toml::from_str(text).map_err(|source| ExperimentError::Parse { source })?;
        text.clone_into(&mut experiment.source);
        let problems = experiment.problems();
        if problems.is_empty() { Ok(experiment) } else { Err(ExperimentError::Invalid { problems }) }
    }

    /// The file's text, byte for byte.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether its patients are phantoms.
    pub fn is_synthetic(&self) -> bool {
        matches!(self.data.corpus, Corpus::Phantoms { .. })
    }

    /// SHA-256 of the file, lower-case hex, as `sha256sum` prints it.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.source))
    }

    fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, key: &'static str, message: String| {
            if !holds {
                found.push(Problem { key, message });
            }
        };
        expect(self.schema == SCHEMA, "schema", format!("{:?} is not {SCHEMA:?}", self.schema));
        self.model.check(&mut expect);
        check_input(&self.input, &mut expect);
        self.data.check(&mut expect);
        self.augment.check(self.input.grid.size(), &mut expect);
        self.vision.check(&self.input.grid, &mut expect);
        self.text.check(&mut expect);
        self.loss.check(&mut expect);
        self.training.check(&mut expect);
        if let Some(decoder) = &self.decoder {
            decoder.check(&mut expect);
        }
        check_golden(&self.golden, &mut expect);
        found
    }
}

impl Identity {
    fn check(&self, expect: &mut Expect<'_>) {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let named = (1..=64).contains(&self.name.len()) && self.name.chars().all(plain);
        expect(named, "model.name", format!("{:?} is not 1 to 64 of a-z, 0-9 and -", self.name));
        let numbers: Vec<&str> = self.version.split('.').collect();
        let version = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
        expect(version, "model.version", format!("{:?} is not MAJOR.MINOR.PATCH", self.version));
        expect(self.serial > 0, "model.serial", "0 is below the first serial, 1".into());
        let spoken = !self.intended_use.trim().is_empty();
        expect(spoken, "model.intended_use", "an empty sentence; every result repeats it".into());
    }
}

fn check_input(input: &PreprocessSpec, expect: &mut Expect<'_>) {
    for problem in input.check().err().map(|error| error.problems).unwrap_or_default() {
        expect(false, "input", problem);
    }
}

fn check_golden(golden: &Recipe, expect: &mut Expect<'_>) {
    let size = golden.size;
    let sized = size.iter().all(|edge| (16..=1024).contains(edge));
    expect(sized, "golden.size", format!("{size:?} is not 16 to 1024 voxels along each axis"));
    let spacing = golden.spacing_mm;
    let spaced = spacing.iter().all(|step| (0.1..=20.0).contains(step));
    expect(spaced, "golden.spacing_mm", format!("{spacing:?} is not 0.1 to 20 mm along each axis"));
    let visible = golden.findings.iter().all(|finding| finding.size_mm.is_finite() && finding.size_mm > 0.0);
    expect(visible, "golden.findings", "a finding's size_mm is not positive".into());
}

/// The committed preset, for tests.
#[cfg(test)]
pub(crate) const TINY: &str = include_str!("../../../models/catalog/scale-vlp-tiny/experiment.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::changed;

    #[test]
    fn the_larger_presets_are_valid_experiments_of_their_own_shape() {
        let small = Experiment::parse(include_str!("../../../models/catalog/scale-vlp-small/experiment.toml")).unwrap();
        let base = Experiment::parse(include_str!("../../../models/catalog/scale-vlp-base/experiment.toml")).unwrap();
        let tokens = |experiment: &Experiment| {
            let edges = experiment.input.grid.size().into_iter().zip(experiment.vision.patch);
            edges.map(|(edge, step)| edge / step).product::<usize>()
        };
        assert_eq!([&small, &base].map(tokens), [1024, 512]);
        assert_eq!([small.vision.dim, base.vision.dim, base.text.dim], [384, 768, 768]);
        assert_eq!([&small, &base].map(|experiment| experiment.data.corpus == Corpus::CtRate), [false, true]);
    }

    #[test]
    fn the_committed_preset_is_a_valid_experiment() {
        let experiment = Experiment::parse(TINY).unwrap();
        assert_eq!(experiment.model.name, "scale-vlp-tiny");
        assert_eq!(experiment.source(), TINY);
        assert_eq!(experiment.sha256().len(), 64);
        assert_ne!(experiment.sha256(), Experiment::parse(&format!("{TINY}\n")).unwrap().sha256());
    }

    #[test]
    fn all_wrong_values_are_told_at_once_with_their_keys() {
        let text = changed(&[
            "model.name = \"Scale VLP\"",
            "model.version = \"1.0\"",
            "model.serial = 0",
            "input.window_hu = [100.0, 100.0]",
            "vision.patch = [8, 17, 16]",
            "vision.stem = [12, 24, 32]",
            "vision.heads = 7",
            "vision.depth = 90",
        ]);
        let error = Experiment::parse(&text).unwrap_err();
        let ExperimentError::Invalid { problems } = &error else { panic!("{error}") };
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key).collect();
        let expected = ["model.name", "model.version", "model.serial", "input", "vision.patch"];
        let of_vision = ["vision.heads", "vision.depth", "vision.densities", "vision.stem"];
        assert_eq!(keys, [&expected[..], &of_vision].concat());
        assert!(expected.iter().all(|key| error.to_string().contains(key)), "{error}");
        assert!(error.to_string().contains("window_hu"), "{error}");
    }

    #[test]
    fn a_decoder_may_be_left_out_and_its_values_are_checked() {
        let text =
            changed(&["decoder.tune = \"full\"", "decoder.heads = 5", "decoder.drop_flags = 2.0", "decoder.batch = 0"]);
        let ExperimentError::Invalid { problems } = Experiment::parse(&text).unwrap_err() else { panic!("{text}") };
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["decoder.heads", "decoder.tune", "decoder.drop_flags", "decoder.batch"]);
        let mut table: toml::Table = TINY.parse().unwrap();
        table.remove("decoder");
        assert_eq!(Experiment::parse(&table.to_string()).unwrap().decoder, None);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = Experiment::parse(&TINY.replace("\ndepth =", "\ndeepness =")).unwrap_err();
        let ExperimentError::Parse { source } = error else { panic!("{error}") };
        assert!(source.to_string().contains("deepness") && source.to_string().contains("depth"), "{source}");
    }

    #[test]
    fn a_patch_that_makes_too_many_tokens_is_refused() {
        let text = changed(&["vision.patch = [1, 2, 2]", "vision.densities = [1, 1, 1]"]);
        let error = Experiment::parse(&text).unwrap_err().to_string();
        assert!(error.contains("vision.patch") && error.contains("102400 tokens"), "{error}");
    }
}
