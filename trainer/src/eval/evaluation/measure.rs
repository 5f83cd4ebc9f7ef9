//! A number never stands alone: with it go its interval and what is reached without looking at the image.

use super::super::EvalError;
use super::super::metrics::{
    Baseline, Bootstrap, Confusion, Interval, Scored, auroc, average_precision, brier, expected_calibration_error,
    scored,
};
use super::super::said::Column;
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// Bins of calibration errors and reliability diagrams.
pub(super) const BINS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

/// A threshold between the scores 0 and 1 of baselines.
const MIDDLE: f64 = 0.5;

/// A number, its interval, and its baseline. What is undefined is `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measure {
    /// What was measured.
    pub value: Option<f64>,
    /// Lower end of the interval by patient bootstrap.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// What is reached without looking at the image; the definition says how.
    pub baseline: Option<f64>,
}

/// Numbers by name; `definitions` says what each is.
pub type Measures = BTreeMap<&'static str, Measure>;

impl Measure {
    pub(super) fn new(value: Option<f64>, interval: Option<Interval>, baseline: Option<f64>) -> Self {
        let interval = interval.filter(|_| value.is_some());
        let (low, high) = (interval.map(|ends| ends.low), interval.map(|ends| ends.high));
        Self { value, low, high, baseline: baseline.filter(|_| value.is_some()) }
    }

    /// Without an interval.
    pub(super) fn plain(value: impl Into<Option<f64>>, baseline: impl Into<Option<f64>>) -> Self {
        Self::new(value.into(), None, baseline.into())
    }
}

/// A measure of one label's cases.
pub(super) struct Metric {
    /// Its name in files.
    pub(super) name: &'static str,
    /// How it is computed.
    pub(super) of: fn(&Cases) -> Option<f64>,
    /// Which answer that needs no image it stands beside.
    pub(super) beside: Option<Baseline>,
}

/// Cases of one label.
pub(super) struct Cases {
    pub(super) all: Vec<Scored>,
    /// Those whose finding, if they have it, can be seen at the input's resolution; empty where that is not known.
    pub(super) seen: Vec<Scored>,
    /// Called at or above.
    pub(super) threshold: f64,
}

impl Cases {
    /// What a column says, its scores replaced.
    pub(super) fn new(column: &Column, scores: &[f64], threshold: f64) -> Result<Self, EvalError> {
        let all = scored(scores, &column.truth)?;
        let seen = column.hidden.as_ref().map(|hidden| {
            let with = all.iter().zip(hidden);
            with.filter(|(_, hidden)| !**hidden).map(|(case, _)| *case).collect()
        });
        Ok(Self { all, seen: seen.unwrap_or_default(), threshold })
    }

    fn calls(&self) -> Confusion {
        Confusion::at(&self.all, self.threshold)
    }
}

/// The table of a label's flag.
pub(super) const FLAG_METRICS: [Metric; 11] = [
    AUROC,
    Metric { name: "auroc_visible", of: |cases| auroc(&cases.seen), beside: Some(Baseline::Prevalence) },
    AUPRC,
    Metric { name: "f1", of: |cases| cases.calls().f1(), beside: Some(Baseline::AlwaysPositive) },
    Metric { name: "weighted_f1", of: |cases| cases.calls().weighted_f1(), beside: Some(Baseline::AlwaysNegative) },
    Metric { name: "precision", of: |cases| cases.calls().precision(), beside: Some(Baseline::AlwaysPositive) },
    Metric { name: "recall", of: |cases| cases.calls().recall(), beside: None },
    Metric { name: "specificity", of: |cases| cases.calls().specificity(), beside: None },
    Metric { name: "accuracy", of: |cases| cases.calls().accuracy(), beside: Some(Baseline::AlwaysNegative) },
    BRIER,
    ECE,
];

pub(super) const AUROC: Metric =
    Metric { name: "auroc", of: |cases| auroc(&cases.all), beside: Some(Baseline::Prevalence) };
pub(super) const AUPRC: Metric =
    Metric { name: "auprc", of: |cases| average_precision(&cases.all), beside: Some(Baseline::Prevalence) };
/// Undefined of what is no probability.
pub(super) const BRIER: Metric =
    Metric { name: "brier", of: |cases| brier(&cases.all).ok(), beside: Some(Baseline::Prevalence) };
pub(super) const ECE: Metric =
    Metric { name: "ece", of: |cases| expected_calibration_error(&cases.all, BINS).ok(), beside: None };
/// Mean of sensitivity and specificity at the threshold.
pub(super) const BALANCED: Metric = Metric {
    name: "negation_flip",
    of: |cases| {
        let calls = cases.calls();
        calls.recall().zip(calls.specificity()).map(|(recall, specificity)| f64::midpoint(recall, specificity))
    },
    beside: Some(Baseline::AlwaysPositive),
};

/// Measures of every label, and their mean over the labels for which they are defined.
pub(super) struct Table {
    pub(super) labels: Vec<Measures>,
    pub(super) macro_average: Measures,
}

/// Measures labels of the same patients, one entry of `patients` for each case.
pub(super) fn tabulate(
    labels: &[(Column, Cases)],
    metrics: &[Metric],
    patients: &[&str],
    bootstrap: &Bootstrap,
) -> Result<Table, EvalError> {
    let numbers = |drawn: &[usize]| {
        let cases = labels.iter().map(|(column, cases)| cases.drawn(column, drawn));
        with_means(cases.map(|cases| metrics.iter().map(|metric| (metric.of)(&cases)).collect()).collect())
    };
    let values = numbers(&(0..patients.len()).collect::<Vec<_>>());
    let intervals = bootstrap.intervals(patients, numbers)?;
    let baselines: Result<Vec<Vec<Option<f64>>>, EvalError> =
        labels.iter().map(|(column, _)| metrics.iter().map(|metric| baseline(column, metric)).collect()).collect();
    let baselines = with_means(baselines?);
    let measures = values.into_iter().zip(intervals).zip(baselines);
    let mut measures = measures.map(|((value, interval), baseline)| Measure::new(value, interval, baseline));
    let mut row = || metrics.iter().map(|metric| metric.name).zip(measures.by_ref()).collect();
    Ok(Table { labels: labels.iter().map(|_| row()).collect(), macro_average: row() })
}

impl Cases {
    fn drawn(&self, column: &Column, drawn: &[usize]) -> Self {
        let case = |&place: &usize| self.all.get(place).copied();
        let is_seen = |place: &&usize| column.hidden.as_ref().is_some_and(|all| all.get(**place) == Some(&false));
        let all = drawn.iter().filter_map(case).collect();
        Self { all, seen: drawn.iter().filter(is_seen).filter_map(case).collect(), threshold: self.threshold }
    }
}

/// Rows one after the other, and then the mean of each column over the rows in which it is defined.
fn with_means(rows: Vec<Vec<Option<f64>>>) -> Vec<Option<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    let column = |place| rows.iter().filter_map(|row| row.get(place).copied().flatten()).collect::<Vec<f64>>();
    let means: Vec<Option<f64>> = (0..width).map(|place| mean(&column(place))).collect();
    rows.into_iter().flatten().chain(means).collect()
}

/// The metric's value for its constant answer.
fn baseline(column: &Column, metric: &Metric) -> Result<Option<f64>, EvalError> {
    let Some(beside) = metric.beside else { return Ok(None) };
    let positives = column.truth.iter().filter(|&&positive| positive).count();
    let prevalence = ratio(positives, column.truth.len()).unwrap_or_default();
    let scores = vec![beside.score(prevalence); column.truth.len()];
    Ok((metric.of)(&Cases::new(column, &scores, MIDDLE)?))
}

/// The mean, undefined of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    ratio(1, values.len()).map(|share| values.iter().sum::<f64>() * share)
}

/// `part / whole`, undefined for a whole of nothing.
pub(super) fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| real(part) / real(whole))
}

/// A count as a real number.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts are below 2^53, where reals are exact")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}
