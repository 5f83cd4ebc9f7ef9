//! What a decoder learns from: what a frozen tower makes of a case, flags as they are told, and the report's words.

use super::told::{flags, happens, told_flags};
use super::{BatchError, Case, Cohort, Features, Length, Padded, Split, Tokens, order, target};
use crate::experiment::{self, Experiment};
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::LABEL_COUNT;

/// The cases of a cohort, ready to be dictated.
#[derive(Debug)]
pub struct Dictation<'a> {
    cohort: &'a Cohort<'a>,
    settings: &'a experiment::Decoder,
    /// How the tower's logits become flags.
    specs: &'a [LabelSpec],
    /// Normalised tokens and then logits of each case, `T * C + 18`.
    features: Features,
    /// Every case's report.
    targets: Vec<Tokens>,
    seed: u64,
}

/// The numbers of N cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictated {
    /// Places of the cases in their cohort.
    pub places: Vec<usize>,
    /// The tower's normalised tokens of each case, `[T, C]` in C order.
    pub tokens: Vec<Vec<f32>>,
    /// The flags as they are told: 1 present, -1 absent, 0 unknown.
    pub flags: Vec<[f32; LABEL_COUNT]>,
    /// The report's words, marks included.
    pub reports: Vec<Tokens>,
}

impl<'a> Dictation<'a> {
    /// Reports become words here, once. `features` hold a row of tokens and logits for each case.
    ///
    /// # Errors
    /// A report cannot become tokens.
    pub fn new(
        cohort: &'a Cohort<'a>,
        (experiment, settings): (&Experiment, &'a experiment::Decoder),
        specs: &'a [LabelSpec],
        features: Features,
    ) -> Result<Self, BatchError> {
        let written = |case: &Case| {
            let sections = [case.report.findings.as_str(), &case.report.impression];
            target(cohort.tokenizer, sections, settings.max_tokens)
                .map_err(|source| BatchError::Text { case: case.id.clone(), source })
        };
        let targets = cohort.cases().map(written).collect::<Result<_, _>>()?;
        Ok(Self { cohort, settings, specs, features, targets, seed: experiment.seed })
    }

    /// Its cases.
    pub fn cohort(&self) -> &'a Cohort<'a> {
        self.cohort
    }

    /// Sentences that were left out of reports longer than `decoder.max_tokens`.
    pub fn sentences_left_out(&self) -> usize {
        self.targets.iter().map(|target| target.left_out).sum()
    }

    /// Reports of one batch, padded to the longest.
    pub fn collate(&self, reports: &[Tokens]) -> Padded {
        Padded::of(self.cohort.tokenizer, reports, Length::Longest)
    }

    /// Whether a step shows the decoder its own choice in the place of a word, with this probability.
    pub fn is_own(&self, share: f64, (step, place, word): (usize, usize, usize)) -> bool {
        happens(&mut order::stream("own", self.seed, &[step, place, word]), share)
    }

    /// The cases of a training step, their flags told as training tells them.
    ///
    /// # Errors
    /// There are fewer scans than a batch has, or a case cannot be read.
    pub fn step(&self, step: usize) -> Result<Dictated, BatchError> {
        let (scans, batch) = (self.cohort.groups.len(), self.settings.batch);
        let places = order::members(&self.cohort.groups, self.seed, batch, step);
        let places = places.ok_or(BatchError::TooFew { split: Split::Train, scans, batch })?;
        self.gather(places, |own, place| {
            let truth = self.cohort.case(place).and_then(|case| case.labels);
            flags(own, truth, self.settings, (self.seed, step, place))
        })
    }

    /// Cases as the bedside sees them: told what the tower raises.
    ///
    /// # Errors
    /// A case cannot be read.
    pub fn plain(&self, places: Vec<usize>) -> Result<Dictated, BatchError> {
        self.gather(places, |own, _| told_flags(own))
    }

    fn gather(
        &self,
        places: Vec<usize>,
        tell: impl Fn([bool; LABEL_COUNT], usize) -> [f32; LABEL_COUNT],
    ) -> Result<Dictated, BatchError> {
        let (mut tokens, mut told, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for &place in &places {
            let mut row = self.features.of(place)?;
            let logits = row.split_off(row.len().saturating_sub(LABEL_COUNT));
            tokens.push(row);
            told.push(tell(raised(self.specs, &logits), place));
            reports.extend(self.targets.get(place).cloned());
        }
        Ok(Dictated { places, tokens, flags: told, reports })
    }
}

/// Which flags a tower's logits raise.
pub fn raised(specs: &[LabelSpec], logits: &[f32]) -> [bool; LABEL_COUNT] {
    std::array::from_fn(|index| {
        let (spec, logit) = (specs.get(index), logits.get(index).copied().unwrap_or(f32::NAN));
        spec.is_some_and(|spec| spec.probability(logit) >= spec.threshold)
    })
}
