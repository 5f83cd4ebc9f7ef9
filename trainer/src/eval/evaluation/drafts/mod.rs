//! Drafts of reports. One costs no decoder: for a volume, the report of the most similar training patient.
//!
//! In: the examined patients with their embeddings, the training reports with theirs, and what a decoder has written, where
//! there is one. Out: [`Drafts`]. Owns nothing on disk.
//!
//! Each number stands for up to six drafts alike: the decoder's, a sentence for each flag, the nearest training report, the most
//! common one, one that is drawn at random, and one that denies everything. What is no better than the most common one has learned
//! how reports sound, not what is seen; what names no more findings rightly than the sentences for the flags only words them.

mod written;

pub(super) use written::{templates, written};

use super::super::EvalError;
use super::super::metrics::language::{
    Pair, cider_d, corpus_bleu, mean_sentence_bleu, meteor, rouge, tokens_13a, tokens_rouge,
};
use super::super::metrics::{Bootstrap, Draw};
use super::findings;
use super::measure::{Measure, Measures, mean, ratio};
use crate::run::{Case, Cohort, seen};
use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::report::{self, Call};
use ndarray::Array2;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const SEED: u64 = 1;
/// Examples that are shown of synthetic patients.
pub(super) const EXAMPLES: usize = 3;

/// Ways to draft a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drafts {
    /// Training reports that were searched.
    pub library: usize,
    /// What the decoder writes; `null` without one.
    pub decoder: Option<DraftRow>,
    /// A sentence for each flag, as a device writes it without a decoder.
    pub template: DraftRow,
    /// The report whose embedding lies nearest to the volume's.
    pub nearest: DraftRow,
    /// The training report that says what most of them say.
    pub most_common: DraftRow,
    /// A training report drawn for each case.
    pub random: DraftRow,
    /// The same for all: no finding is there.
    pub normal: DraftRow,
    /// A few of them; of synthetic patients only.
    pub examples: Vec<Example>,
}

/// One way to draft.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DraftRow {
    /// Likeness of words, over all cases.
    pub language: Measures,
    /// Findings of the drafted report's own patient against the truth, over cases and training patients with labels; of what
    /// is written, those that the text asserts.
    pub findings: Measures,
    /// Different drafts over cases: near 0 the drafts have collapsed to a template.
    pub distinct_share: Option<f64>,
}

/// A synthetic patient's report and its draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// What the report says.
    pub report: String,
    /// The nearest training report.
    pub draft: String,
    /// What the decoder writes, if there is one.
    pub decoder: Option<String>,
}

/// What was written for each of the examined cases.
#[derive(Debug)]
pub(super) struct Texts {
    /// By the decoder, where there is one.
    pub(super) decoder: Option<Vec<String>>,
    /// A sentence for each flag.
    pub(super) template: Vec<String>,
}

/// Drafts for the cases of `examined` from the reports of `library`, whose embeddings are `[M, E]`; `None` without a
/// library. `texts` were written for the cases. So many are `shown` word by word: of synthetic patients only.
pub(super) fn drafts(
    (examined, volumes): (&Cohort<'_>, &Array2<f32>),
    (library, reports): (&Cohort<'_>, &Array2<f32>),
    texts: &Texts,
    (bootstrap, shown): (&Bootstrap, usize),
) -> Result<Option<Drafts>, EvalError> {
    let Some(common) = most_common(library.sayings()) else { return Ok(None) };
    let similar = volumes.dot(&reports.t());
    let nearest: Vec<usize> = similar.rows().into_iter().filter_map(|row| best(row.iter().copied())).collect();
    let mut draw = Draw::new(SEED);
    let drawn: Vec<usize> = nearest.iter().map(|_| draw.below(library.len())).collect();
    let judge = |places: &[usize]| {
        let taken = |place: &usize| library.case(*place).map(|case| Drafted { text: text(case), labels: case.labels });
        Judge { examined, drafts: places.iter().filter_map(taken).collect() }.row(bootstrap)
    };
    let own = |texts: &[String]| {
        let drafts = texts.iter().map(|text| Drafted { text: text.clone(), labels: Some(written::asserted(text)) });
        Judge { examined, drafts: drafts.collect() }.row(bootstrap)
    };
    let normal = report::template(Label::all().map(|label| (label, Call::Absent))).text();
    let decoder = texts.decoder.as_deref();
    let pairs = examined.cases().zip(&nearest).filter_map(|(case, &place)| Some((case, library.case(place)?)));
    let examples = pairs.take(shown).enumerate().map(|(place, (case, drafted))| Example {
        report: text(case),
        draft: text(drafted),
        decoder: decoder.and_then(|texts| texts.get(place).cloned()),
    });
    Ok(Some(Drafts {
        library: library.len(),
        decoder: decoder.map(own).transpose()?,
        template: own(&texts.template)?,
        nearest: judge(&nearest)?,
        most_common: judge(&vec![common; nearest.len()])?,
        random: judge(&drawn)?,
        normal: own(&vec![normal; examined.len()])?,
        examples: examples.collect(),
    }))
}

fn text(case: &Case) -> String {
    seen(&case.report.findings, &case.report.impression)
}

/// The place of the first report of those that say the same as most.
fn most_common(sayings: &[usize]) -> Option<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for &saying in sayings {
        *counts.entry(saying).or_default() += 1;
    }
    // Of equally common ones the first, so that the choice is one.
    let (&saying, _) = counts.iter().rev().max_by_key(|(_, count)| **count)?;
    sayings.iter().position(|&other| other == saying)
}

/// The place of the largest number, the first of equal ones.
fn best(numbers: impl DoubleEndedIterator<Item = f32> + ExactSizeIterator) -> Option<usize> {
    numbers.enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
}

/// A draft and the findings that it asserts, where they are known.
struct Drafted {
    text: String,
    labels: Option<[bool; LABEL_COUNT]>,
}

struct Judge<'a> {
    examined: &'a Cohort<'a>,
    /// One for each examined case.
    drafts: Vec<Drafted>,
}

impl Judge<'_> {
    fn row(&self, bootstrap: &Bootstrap) -> Result<DraftRow, EvalError> {
        let distinct: BTreeSet<&str> = self.drafts.iter().map(|draft| draft.text.as_str()).collect();
        Ok(DraftRow {
            language: self.language(bootstrap)?,
            findings: self.findings(bootstrap)?,
            distinct_share: ratio(distinct.len(), self.drafts.len()),
        })
    }

    /// Each case with its draft.
    fn pairs(&self) -> impl Iterator<Item = (&Case, &Drafted)> {
        self.examined.cases().zip(&self.drafts)
    }

    /// Corpus BLEU and CIDEr-D belong to the whole set and have no interval; the others are means over cases.
    fn language(&self, bootstrap: &Bootstrap) -> Result<Measures, EvalError> {
        let texts: Vec<[String; 2]> = self.pairs().map(|(case, drafted)| [drafted.text.clone(), text(case)]).collect();
        let words = |[draft, report]: &[String; 2]| Pair::new(draft, report, tokens_13a);
        let pairs: Vec<Pair> = texts.iter().map(words).collect();
        let bleu = corpus_bleu(&pairs);
        let order = |place: usize| bleu.and_then(|orders| orders.get(place).copied());
        let names = ["bleu_1", "bleu_2", "bleu_3", "bleu_4"];
        let mut measures: Measures =
            names.into_iter().enumerate().map(|(place, name)| (name, Measure::plain(order(place), None))).collect();
        measures.insert("cider_d", Measure::plain(cider_d(&pairs), None));
        let longest = |[draft, report]: &[String; 2]| rouge(&Pair::new(draft, report, tokens_rouge)).longest.f1;
        let each: [(&str, Vec<f64>); 3] = [
            (
                "sentence_bleu_4",
                pairs.iter().filter_map(|pair| mean_sentence_bleu(std::slice::from_ref(pair))).collect(),
            ),
            ("rouge_l", texts.par_iter().map(longest).collect()),
            ("meteor", pairs.par_iter().map(meteor).collect()),
        ];
        let patients: Vec<&str> = self.pairs().map(|(case, _)| case.patient.as_str()).collect();
        for (name, values) in each {
            let average = |drawn: &[usize]| {
                mean(&drawn.iter().filter_map(|&place| values.get(place).copied()).collect::<Vec<_>>())
            };
            let interval = bootstrap.interval(&patients, average)?;
            measures.insert(name, Measure::new(mean(&values), interval, None));
        }
        Ok(measures)
    }

    fn findings(&self, bootstrap: &Bootstrap) -> Result<Measures, EvalError> {
        let both = |(case, drafted): (&Case, &Drafted)| case.labels.zip(drafted.labels);
        let (truth, called): (Vec<[bool; LABEL_COUNT]>, Vec<_>) = self.pairs().filter_map(both).unzip();
        let labelled = self.pairs().filter(|pair| both(*pair).is_some());
        let patients: Vec<&str> = labelled.map(|(case, _)| case.patient.as_str()).collect();
        if truth.is_empty() {
            return Ok(Measures::new());
        }
        findings::measure((&truth, &called), &patients, bootstrap)
    }
}
