//! Which patients a step sees, and how: prepared shards to the numbers of one batch.
//!
//! In: [`Shards`] of tensors with their cases, a [`Tokenizer`] and the experiment. Out: [`Batch`]es of plain numbers, on no
//! device yet. A batch follows from the experiment's seed and the number of the step alone, so that a training that was
//! interrupted goes on with the very batch it had not finished. Owns nothing on disk.

mod augment;
mod dictation;
mod features;
mod knowledge;
mod located;
mod order;
mod told;

pub use dictation::{Dictated, Dictation, raised};
pub use features::{Features, FeaturesError, Format, Recorder};
pub use knowledge::{Knowledge, ReportVectors};
pub use located::LOCATED;
pub use told::told_flags;

/// What the rooms on the right need of corpus and text; they name this room only.
pub use crate::corpus::{Case, CorpusError, Shards, Split, Stored};
pub use crate::text::{
    ABSENT, Length, PRESENT, Padded, Presence, Tokenizer, TokenizerError, Tokens, from_vocabulary, learn, prompt, seen,
    target,
};

use crate::experiment::Experiment;
use augment::Augmentation;
use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::report;
use located::Sixths;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The cases of one split, ready to become batches.
#[derive(Debug)]
pub struct Cohort<'a> {
    shards: &'a Shards,
    /// Positions of its cases in the shards.
    members: Vec<usize>,
    /// Members by scan, so that no batch holds two reconstructions of one.
    groups: Vec<Vec<usize>>,
    /// Every member's report, by place in `members`.
    reports: Vec<Tokens>,
    /// Members whose reports say the same bear the same number.
    sayings: Vec<usize>,
    tokenizer: &'a Tokenizer,
    seed: u64,
    batch: usize,
    size: [usize; 3],
    augment: Augmentation,
    /// Share of the reports that are told in prompts.
    prompts: f64,
    /// Where every member's report says that findings are; none if the objective does not ask.
    located: Vec<Sixths>,
    /// What a frozen tower has made of the members.
    features: Option<Features>,
}

/// The numbers of one batch of N cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Places of the cases in their cohort.
    pub places: Vec<usize>,
    /// What the volume tower is shown of each case.
    pub shown: Shown,
    /// Ids and mask of the reports `[N, L]`.
    pub reports: Padded,
    /// 1 for a finding that is there, `[N, 18]`.
    pub labels: Vec<f32>,
    /// 1 for a case that has labels, `[N]`.
    pub labelled: Vec<f32>,
    /// 1 where two different cases say the same, `[N, N]`.
    pub same: Vec<f32>,
    /// Where findings are, if the objective asks for it.
    pub located: Option<Located>,
}

/// Where the findings of N cases are, `[N, 18 * 6]` each: by finding, side and zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// 1 for a finding that is there.
    pub there: Vec<f32>,
    /// 1 where that is known.
    pub known: Vec<f32>,
}

/// What the volume tower is shown, case after case.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Volumes, each in C order (z, y, x).
    Volumes(Vec<Vec<f32>>),
    /// What a frozen tower has made of them, each `[T, C]` in C order.
    Tokens(Vec<Vec<f32>>),
}

impl Shown {
    /// One row a case.
    pub fn rows(&self) -> &[Vec<f32>] {
        match self {
            Self::Volumes(rows) | Self::Tokens(rows) => rows,
        }
    }
}

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A volume cannot be read.
    #[error("a case cannot be read")]
    Corpus {
        /// Which file and row.
        #[source]
        source: CorpusError,
    },
    /// A report cannot become tokens.
    #[error("the report of {case} cannot become tokens")]
    Text {
        /// The case.
        case: String,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// Fewer scans than a batch has.
    #[error(
        "the {} split has {scans} scans, training.batch is {batch}: add data, or lower training.batch", split.name()
    )]
    TooFew {
        /// Which split.
        split: Split,
        /// Scans that there are.
        scans: usize,
        /// Scans that a batch needs.
        batch: usize,
    },
    /// What a frozen tower made of a case cannot be read.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The objective asks for embeddings of reports that were not given.
    #[error("{case} has no report embedding; `ctedge-trainer embed` computes them for the whole corpus")]
    NoEmbedding {
        /// The case.
        case: String,
    },
}

impl<'a> Cohort<'a> {
    /// The cases of a split. Their reports are tokenized here, once.
    pub fn new(
        shards: &'a Shards,
        split: Split,
        tokenizer: &'a Tokenizer,
        experiment: &Experiment,
    ) -> Result<Self, BatchError> {
        let of_split = |(_, stored): &(usize, &Stored)| stored.split == split;
        let members: Vec<usize> =
            shards.cases().iter().enumerate().filter(of_split).map(|(position, _)| position).collect();
        let stored: Vec<&Stored> = members.iter().filter_map(|&position| shards.cases().get(position)).collect();
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let (mut reports, mut sayings) = (Vec::new(), Vec::new());
        for (place, Stored { case, .. }) in stored.iter().enumerate() {
            groups.entry(&case.group).or_default().push(place);
            let text = seen(&case.report.findings, &case.report.impression);
            let tokens = tokenizer.encode(&text);
            reports.push(tokens.map_err(|source| BatchError::Text { case: case.id.clone(), source })?);
            let next = numbers.len();
            sayings.push(*numbers.entry(case.statement.clone().unwrap_or(text)).or_insert(next));
        }
        let groups = groups.into_values().collect();
        let (seed, batch, size) = (experiment.seed, experiment.training.batch, experiment.input.grid.size());
        let augment = Augmentation::new(&experiment.augment, &experiment.input);
        let prompts = experiment.augment.prompts;
        let located = if experiment.loss.located > 0.0 { located(&stored) } else { Vec::new() };
        Ok(Self {
            shards,
            members,
            groups,
            reports,
            sayings,
            tokenizer,
            seed,
            batch,
            size,
            augment,
            prompts,
            located,
            features: None,
        })
    }

    /// The same cohort, its volumes already seen by a frozen tower.
    #[must_use]
    pub fn remembering(self, features: Features) -> Self {
        Self { features: Some(features), ..self }
    }

    /// Whether a step sees every volume as it is.
    pub fn is_plain(&self) -> bool {
        self.augment.is_plain()
    }

    /// Digest of cases, splits and voxels.
    pub fn corpus_sha256(&self) -> &str {
        self.shards.digest()
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What is said of the case at a place.
    pub fn case(&self, place: usize) -> Option<&'a Case> {
        let position = self.members.get(place)?;
        self.shards.cases().get(*position).map(|stored| &stored.case)
    }

    /// Every case, in order.
    pub fn cases(&self) -> impl Iterator<Item = &'a Case> {
        (0..self.len()).filter_map(|place| self.case(place))
    }

    /// Every report's tokens, in order.
    pub fn reports(&self) -> &[Tokens] {
        &self.reports
    }

    /// For each case the number that it shares with those whose reports say the same.
    pub fn sayings(&self) -> &[usize] {
        &self.sayings
    }

    /// Sentences that were left out of reports longer than `text.max_tokens`.
    pub fn sentences_left_out(&self) -> usize {
        self.reports.iter().map(|report| report.left_out).sum()
    }

    /// The training batch of a step, augmented.
    ///
    /// # Errors
    /// There are fewer scans than a batch has, a volume cannot be read, or a prompt cannot become tokens.
    pub fn step(&self, step: usize) -> Result<Batch, BatchError> {
        let (scans, batch) = (self.groups.len(), self.batch);
        let places = order::members(&self.groups, self.seed, batch, step);
        let places = places.ok_or(BatchError::TooFew { split: Split::Train, scans, batch })?;
        let reports = places.iter().filter_map(|&place| self.report(place, step).transpose());
        let reports: Vec<Tokens> = reports.collect::<Result<_, BatchError>>()?;
        let draw =
            |volume: &mut Vec<f32>, place: usize| self.augment.apply(volume, self.size, (self.seed, step, place));
        self.gather(places, &reports, draw)
    }

    /// A case's report as a step sees it.
    fn report(&self, place: usize, step: usize) -> Result<Option<Tokens>, BatchError> {
        let tokens = |text: &str, id: &str| {
            self.tokenizer.encode(text).map_err(|source| BatchError::Text { case: id.to_owned(), source })
        };
        let told = self.case(place).and_then(|case| {
            let text = told::told(case.labels?, self.prompts, (self.seed, step, place))?;
            Some(tokens(&text, &case.id))
        });
        told.or_else(|| self.reports.get(place).cloned().map(Ok)).transpose()
    }

    /// Cases as they are, for evaluation.
    ///
    /// # Errors
    /// A volume cannot be read.
    pub fn plain(&self, places: Vec<usize>) -> Result<Batch, BatchError> {
        let reports: Vec<Tokens> = places.iter().filter_map(|&place| self.reports.get(place).cloned()).collect();
        self.gather(places, &reports, |_, _| {})
    }

    fn gather(
        &self,
        places: Vec<usize>,
        reports: &[Tokens],
        change: impl Fn(&mut Vec<f32>, usize) + Sync,
    ) -> Result<Batch, BatchError> {
        if let Some(features) = &self.features {
            let rows: Result<Vec<Vec<f32>>, FeaturesError> = places.iter().map(|&place| features.of(place)).collect();
            return Ok(self.described(places, Shown::Tokens(rows?), reports));
        }
        let volume = |&place: &usize| {
            let position = self.members.get(place).copied().unwrap_or(usize::MAX);
            let mut volume = self.shards.volume(position)?;
            change(&mut volume, place);
            Ok(volume)
        };
        let volumes: Result<Vec<Vec<f32>>, CorpusError> = places.par_iter().map(volume).collect();
        let volumes = volumes.map_err(|source| BatchError::Corpus { source })?;
        Ok(self.described(places, Shown::Volumes(volumes), reports))
    }

    /// What is shown, with what is said of it.
    fn described(&self, places: Vec<usize>, shown: Shown, reports: &[Tokens]) -> Batch {
        let saying = |place: &usize| self.sayings.get(*place);
        let pairs = places.iter().flat_map(|a| places.iter().map(move |b| (a, b)));
        let same = pairs.map(|(a, b)| f32::from(u8::from(a != b && saying(a) == saying(b)))).collect();
        let labels: Vec<_> = places.iter().map(|&place| self.case(place).and_then(|case| case.labels)).collect();
        let labelled = labels.iter().map(|labels| f32::from(u8::from(labels.is_some()))).collect();
        let flags = labels.iter().flat_map(|labels| labels.unwrap_or([false; LABEL_COUNT]));
        let labels = flags.map(|flag| f32::from(u8::from(flag))).collect();
        let reports = Padded::of(self.tokenizer, reports, Length::Fixed);
        let located = self.places_of(&places);
        Batch { places, shown, reports, labels, labelled, same, located }
    }

    fn places_of(&self, places: &[usize]) -> Option<Located> {
        let rows: Option<Vec<&Sixths>> = places.iter().map(|&place| self.located.get(place)).collect();
        let cells: Vec<Option<bool>> = rows?.into_iter().flat_map(|Sixths(cells)| cells).copied().collect();
        let numbers = |is: fn(Option<bool>) -> bool| cells.iter().map(|&cell| f32::from(u8::from(is(cell)))).collect();
        Some(Located { there: numbers(|cell| cell == Some(true)), known: numbers(|cell| cell.is_some()) })
    }
}

/// Where the reports of cases say that findings are.
fn located(cases: &[&Stored]) -> Vec<Sixths> {
    let of = |stored: &&Stored| {
        let Case { report, labels, .. } = &stored.case;
        Sixths::of(&report::read(&seen(&report.findings, &report.impression)), *labels)
    };
    cases.par_iter().map(of).collect()
}

/// Middle of the tensor's range, about which contrast changes.
fn middle(range: [f32; 2]) -> f32 {
    let [low, high] = range;
    f32::midpoint(low, high)
}

#[cfg(test)]
mod tests;
