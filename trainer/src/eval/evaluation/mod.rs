//! The whole evaluation of a run, as one value that becomes `evaluation.json`.
//!
//! In: a [`Subject`], the run with its patients, and a [`Reader`]. Out: an [`Evaluation`]. Every number is a [`Measure`]: with
//! its interval by patient bootstrap and with what is reached without looking at the image; `definitions` says what each is.
//! The same run gives the same evaluation, but for [`Cost::time`]. Owns nothing on disk.

mod cost;
mod drafts;
mod findings;
mod flags;
mod measure;
mod retrieval;
mod zero_shot;

pub use cost::{Cost, Time};
pub use drafts::{DraftRow, Drafts, Example};
pub use flags::{Calls, Flags, LabelRow};
pub use measure::{Measure, Measures};
pub use retrieval::{Direction, PoolRow, Truth};
pub use zero_shot::{PromptRow, ZeroShot};

use super::definitions::DEFINITIONS;
use super::metrics::{Bootstrap, Isotonic};
use super::said::Labelled;
use super::{Calibration, EvalError, Reader, Said, calibration, said};
use crate::run::{Checkpoint, Cohort, Run, Split, Tokenizer};
use drafts::Texts;
use flags::Learned;
use ndarray::Array2;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// Value of `schema` in `evaluation.json`.
pub const EVALUATION_SCHEMA: &str = "ctedge-evaluation/1";

const CONFIDENCE: f64 = 0.95;
const SEED: u64 = 1979;

/// A run with its patients.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What is evaluated.
    pub run: &'a Run,
    /// The run's decoder, if it has one.
    pub decoder: Option<&'a Checkpoint>,
    /// The run's vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// Patients that it has learned from: the library of drafts.
    pub learners: &'a Cohort<'a>,
    /// Patients that temperatures and thresholds are learned from.
    pub judges: &'a Cohort<'a>,
    /// Patients that it is evaluated on, where they are others than the judges.
    pub examined: Option<&'a Cohort<'a>>,
    /// Digest of the prepared corpus.
    pub corpus_sha256: &'a str,
}

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// [`EVALUATION_SCHEMA`].
    pub schema: &'static str,
    /// What was evaluated.
    pub model: Model,
    /// On whom.
    pub patients: Patients,
    /// How the intervals were drawn.
    pub bootstrap: Drawing,
    /// How the flags' logits are to be read.
    pub calibration: Calibration,
    /// The flag head; `null` without labels.
    pub flags: Option<Flags>,
    /// Flags by prompts; `null` without labels.
    pub zero_shot: Option<ZeroShot>,
    /// Retrieval both ways by pool.
    pub retrieval: Vec<PoolRow>,
    /// Drafts by the decoder and by training reports; `null` without training reports.
    pub drafts: Option<Drafts>,
    /// What an answer costs.
    pub cost: Cost,
    /// What every measure is, and what its baseline is.
    pub definitions: BTreeMap<&'static str, &'static str>,
}

/// What was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Name of its bundle.
    pub name: String,
    /// Version of its bundle.
    pub version: String,
    /// Optimiser steps that its weights took.
    pub steps: u64,
    /// What it was trained on, in words.
    pub data: String,
    /// Digest of the experiment.
    pub experiment_sha256: String,
    /// Digest of the weights.
    pub weights_sha256: String,
}

/// Who was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patients {
    /// Digest of cases, splits and voxels.
    pub corpus_sha256: String,
    /// Whether they are phantoms.
    pub synthetic: bool,
    /// Which split was evaluated.
    pub split: &'static str,
    /// Cases of it.
    pub cases: usize,
    /// Patients of it.
    pub patients: usize,
    /// Different things that their reports say.
    pub statements: usize,
    /// Whether thresholds, temperatures and the best step were chosen on these very patients, which flatters.
    pub chosen_on: bool,
}

/// How intervals were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drawing {
    /// How often.
    pub replicates: usize,
    /// Share of the replicates within an interval.
    pub confidence: f64,
    /// Of the drawing.
    pub seed: u64,
}

/// What an evaluation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the cases of a split: so many of so many.
    Reading(Split, usize, usize),
    /// Reading the training reports.
    Library(usize, usize),
    /// Drafting by the decoder: so many of so many.
    Drafting(usize, usize),
    /// Computing numbers and intervals.
    Measuring,
}

impl Evaluation {
    /// Evaluates a run on the reader's device, with so many bootstrap replicates.
    ///
    /// # Errors
    /// A case cannot be read, or the network says something that is no number.
    pub fn of(
        subject: &Subject<'_>,
        reader: &Reader<'_>,
        replicates: NonZeroUsize,
        stage: &dyn Fn(Stage),
    ) -> Result<Self, EvalError> {
        let cohort = subject.cohort();
        if cohort.is_empty() {
            return Err(EvalError::NoCases);
        }
        let heard = Heard::new(subject, reader, stage)?;
        let (calibration, isotonic) = heard.learned(subject)?;
        let drafted = |done| stage(Stage::Drafting(done, cohort.len()));
        let write = |decoder| drafts::written(subject, decoder, (reader, &calibration), &drafted);
        let decoder = subject.decoder.map(write).transpose()?;
        stage(Stage::Measuring);
        let bootstrap = Bootstrap { replicates, confidence: CONFIDENCE, seed: SEED };
        let said = heard.own.as_ref().unwrap_or(&heard.judged);
        let labelled = Labelled::new(said, cohort);
        let learned = Learned { calibration: &calibration, isotonic: &isotonic };
        let scores = said.volume.dot(&said.text.t());
        let owners: Vec<&str> = cohort.cases().map(|case| case.patient.as_str()).collect();
        let patients = Patients::of(subject, &owners);
        let library = (subject.learners, &heard.library);
        let texts = Texts { decoder, template: drafts::templates(&calibration, &said.flags) };
        let shown = if patients.synthetic { drafts::EXAMPLES } else { 0 };
        Ok(Self {
            schema: EVALUATION_SCHEMA,
            model: Model::of(subject.run),
            bootstrap: Drawing { replicates: replicates.get(), confidence: CONFIDENCE, seed: SEED },
            flags: Flags::of(&labelled, &learned, &bootstrap)?,
            zero_shot: ZeroShot::of(&labelled, (&said.volume, &heard.prompts), heard.scale, &bootstrap)?,
            retrieval: retrieval::rows(&scores, cohort.sayings(), &owners, &bootstrap)?,
            drafts: drafts::drafts((cohort, &said.volume), library, &texts, (&bootstrap, shown))?,
            cost: heard.cost,
            patients,
            calibration,
            definitions: DEFINITIONS.into_iter().collect(),
        })
    }
}

/// Pool of the headline's retrieval, if there are as many cases.
const POOL: usize = 100;

impl Evaluation {
    /// The few numbers that people ask for first, with their names.
    pub fn headlines(&self) -> Vec<(String, Measure)> {
        let of_flags = |name: &str| self.flags.as_ref().and_then(|flags| flags.macro_average.get(name).copied());
        let by_prompts = self.zero_shot.as_ref().and_then(|flags| flags.macro_average.get("auroc").copied());
        let visible = of_flags("auroc_visible").filter(|measure| measure.value.is_some());
        let flags = [
            ("macro AUROC".to_owned(), of_flags("auroc")),
            ("macro AUROC, visible findings".to_owned(), visible),
            ("macro AUPRC".to_owned(), of_flags("auprc")),
            ("macro F1".to_owned(), of_flags("f1")),
            ("macro AUROC by prompts".to_owned(), by_prompts),
        ];
        let flags = flags.into_iter().filter_map(|(name, measure)| Some((name, measure?)));
        let pool = POOL.min(self.patients.cases);
        let found = self.retrieval.iter().filter(|row| row.pool == pool && row.truth == Truth::Equal);
        let retrieval = found.filter_map(|row| {
            Some((format!("R@1 of {pool}, {}", row.direction.name()), row.measures.get("recall_at_1").copied()?))
        });
        let found = |row: &DraftRow| row.findings.get("micro_f1").copied();
        let nearest = self.drafts.as_ref().and_then(|drafts| found(&drafts.nearest));
        let nearest = nearest.map(|measure| ("label F1 of drafts".to_owned(), measure));
        let decoder = self.drafts.as_ref().and_then(|drafts| found(drafts.decoder.as_ref()?));
        let decoder = decoder.map(|measure| ("label F1 of the decoder's drafts".to_owned(), measure));
        flags.chain(retrieval).chain(nearest).chain(decoder).collect()
    }
}

impl<'a> Subject<'a> {
    /// The patients that it is evaluated on.
    fn cohort(&self) -> &'a Cohort<'a> {
        self.examined.unwrap_or(self.judges)
    }
}

/// What the network says of everybody and everything that is asked.
struct Heard {
    judged: Said,
    own: Option<Said>,
    /// Embeddings of the training reports.
    library: Array2<f32>,
    /// Embeddings of the prompts.
    prompts: Array2<f32>,
    /// The learned factor on cosines.
    scale: f64,
    cost: Cost,
}

impl Heard {
    fn new(subject: &Subject<'_>, reader: &Reader<'_>, stage: &dyn Fn(Stage)) -> Result<Self, EvalError> {
        let Subject { run, tokenizer, learners, judges, examined, .. } = *subject;
        let network = run.pair(reader.device).map_err(|source| EvalError::Run { source })?;
        let read = |cohort: &Cohort<'_>, split| {
            reader.read(&network, cohort, &|done| stage(Stage::Reading(split, done, cohort.len())))
        };
        let prompts: Result<Vec<_>, _> = zero_shot::prompts().iter().map(|prompt| tokenizer.encode(prompt)).collect();
        let prompts = prompts.map_err(|source| EvalError::Prompt { source })?;
        let told = |done| stage(Stage::Library(done, learners.len()));
        let scale = said::numbers(network.log_scale.val().unsqueeze::<2>())?;
        Ok(Self {
            judged: read(judges, Split::Validation)?,
            own: examined.map(|cohort| read(cohort, Split::Test)).transpose()?,
            library: reader.reports(&network, (tokenizer, learners.reports()), &told)?,
            prompts: reader.reports(&network, (tokenizer, &prompts), &|_| {})?,
            scale: scale.first().copied().map_or(f64::NAN, f64::from).exp(),
            cost: cost::measure(run, &network, reader, (tokenizer, subject.cohort()))?,
        })
    }

    fn learned(&self, subject: &Subject<'_>) -> Result<(Calibration, Vec<Option<Isotonic>>), EvalError> {
        let labelled = Labelled::new(&self.judged, subject.judges);
        let card = Calibration {
            weights_sha256: subject.run.checkpoint.weights.sha256(),
            corpus_sha256: subject.corpus_sha256.to_owned(),
            split: Split::Validation.name().to_owned(),
            labels: Vec::new(),
        };
        Ok((Calibration::fit(&labelled, card)?, calibration::isotonic(&labelled)?))
    }
}

impl Model {
    fn of(run: &Run) -> Self {
        let (identity, checkpoint) = (&run.experiment.model, &run.checkpoint);
        Self {
            name: identity.name.clone(),
            version: identity.version.clone(),
            steps: checkpoint.steps,
            data: checkpoint.data.clone(),
            experiment_sha256: checkpoint.experiment_sha256.clone(),
            weights_sha256: checkpoint.weights.sha256(),
        }
    }
}

impl Patients {
    fn of(subject: &Subject<'_>, owners: &[&str]) -> Self {
        let split = if subject.examined.is_some() { Split::Test } else { Split::Validation };
        Self {
            corpus_sha256: subject.corpus_sha256.to_owned(),
            synthetic: subject.run.experiment.is_synthetic(),
            split: split.name(),
            cases: owners.len(),
            patients: owners.iter().collect::<BTreeSet<_>>().len(),
            statements: subject.cohort().sayings().iter().collect::<BTreeSet<_>>().len(),
            chosen_on: subject.examined.is_none(),
        }
    }
}

#[cfg(test)]
mod tests;
