//! The 18 flags against the labels.

use super::super::calibration::Calibration;
use super::super::metrics::{Bootstrap, Confusion, Isotonic, Scored, reliability, roc};
use super::super::said::{Column, Labelled};
use super::super::{EvalError, LabelCalibration};
use super::findings;
use super::measure::{BINS, BRIER, Cases, ECE, FLAG_METRICS, Measures, Table, ratio, real, tabulate};
use ctedge_models::labels::{LABEL_COUNT, Label};
use serde::Serialize;
use std::collections::BTreeMap;

/// A curve's point is left out when it lies nearer than this to the last that was kept: no eye sees the difference.
const CURVE_STEP: f64 = 0.004;

/// The flags of the labelled cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flags {
    /// Labelled cases.
    pub cases: usize,
    /// One row for each label.
    pub labels: Vec<LabelRow>,
    /// The mean of each measure over the labels for which it is defined.
    pub macro_average: Measures,
    /// Of all calls together.
    pub overall: Measures,
    /// Macro average of Brier score and calibration error of the logits' sigmoid as it is, with the temperature that the
    /// bundle carries, and by isotonic regression; both learned on validation patients.
    pub calibration: BTreeMap<&'static str, Measures>,
    /// Reliability diagrams of all labels together, as points of mean probability, share of positives and cases.
    pub reliability: BTreeMap<&'static str, Vec<[f64; 3]>>,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelRow {
    /// Which.
    pub label: Label,
    /// Cases that have the finding.
    pub positives: usize,
    /// Of these, those whose finding can be seen at the input's resolution; known of phantoms only.
    pub visible_positives: Option<usize>,
    /// Share of cases that have it.
    pub prevalence: Option<f64>,
    /// Called at or above this probability; chosen on validation patients.
    pub threshold: f32,
    /// What is called and what is true.
    pub calls: Calls,
    /// Measured.
    pub measures: Measures,
    /// Points of false and true positive rate, those left out that no eye would miss.
    pub roc: Vec<[f64; 2]>,
}

/// Calls against the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Calls {
    pub true_positives: usize,
    pub false_positives: usize,
    pub true_negatives: usize,
    pub false_negatives: usize,
}

impl From<Confusion> for Calls {
    fn from(counts: Confusion) -> Self {
        let Confusion { true_positives, false_positives, true_negatives, false_negatives } = counts;
        Self { true_positives, false_positives, true_negatives, false_negatives }
    }
}

/// What was learned on validation patients.
#[derive(Debug)]
pub(super) struct Learned<'a> {
    pub(super) calibration: &'a Calibration,
    pub(super) isotonic: &'a [Option<Isotonic>],
}

impl Flags {
    /// `None` if no case has labels.
    pub(super) fn of(
        labelled: &Labelled<'_>,
        learned: &Learned<'_>,
        bootstrap: &Bootstrap,
    ) -> Result<Option<Self>, EvalError> {
        if labelled.rows.is_empty() {
            return Ok(None);
        }
        let patients = labelled.patients();
        let readings = Readings::new(labelled, learned)?;
        let Table { labels: rows, macro_average } =
            tabulate(&readings.temperature, &FLAG_METRICS, &patients, bootstrap)?;
        let (mut calibration, mut diagrams) = (BTreeMap::new(), BTreeMap::new());
        for (name, reading) in readings.named() {
            calibration.insert(name, tabulate(reading, &[BRIER, ECE], &patients, bootstrap)?.macro_average);
            diagrams.insert(name, diagram(reading)?);
        }
        let labels = rows.into_iter().zip(&readings.temperature).zip(&learned.calibration.labels);
        let labels = labels.map(|((measures, reading), of)| LabelRow::new(measures, reading, of)).collect();
        let overall = overall(labelled, &readings.temperature, bootstrap)?;
        Ok(Some(Self { cases: patients.len(), labels, macro_average, overall, calibration, reliability: diagrams }))
    }
}

impl LabelRow {
    fn new(measures: Measures, (column, cases): &(Column, Cases), of: &LabelCalibration) -> Self {
        let positives = column.truth.iter().filter(|&&positive| positive).count();
        let hidden = column.hidden.as_ref().map(|hidden| hidden.iter().filter(|&&hidden| hidden).count());
        Self {
            label: of.label,
            positives,
            visible_positives: hidden.map(|hidden| positives - hidden),
            prevalence: ratio(positives, column.truth.len()),
            threshold: of.threshold,
            calls: Confusion::at(&cases.all, cases.threshold).into(),
            measures,
            roc: curve(&cases.all),
        }
    }
}

/// The same logits read in three ways.
struct Readings {
    uncalibrated: Vec<(Column, Cases)>,
    temperature: Vec<(Column, Cases)>,
    isotonic: Vec<(Column, Cases)>,
}

impl Readings {
    fn new(labelled: &Labelled<'_>, learned: &Learned<'_>) -> Result<Self, EvalError> {
        let read = |probability: &dyn Fn(&LabelCalibration, Option<&Isotonic>, f64) -> f64| {
            let each = learned.calibration.labels.iter().zip(learned.isotonic);
            let label = each.map(|(of, isotonic)| {
                let column = labelled.column(of.label);
                let probabilities: Vec<f64> =
                    column.logits.iter().map(|&logit| probability(of, isotonic.as_ref(), logit)).collect();
                let cases = Cases::new(&column, &probabilities, f64::from(of.threshold))?;
                Ok((column, cases))
            });
            label.collect::<Result<Vec<_>, EvalError>>()
        };
        let plain = |of: &LabelCalibration, logit| LabelCalibration { temperature: 1.0, ..*of }.probability(logit);
        Ok(Self {
            uncalibrated: read(&|of, _, logit| plain(of, logit))?,
            temperature: read(&|of, _, logit| of.probability(logit))?,
            isotonic: read(&|of, isotonic, logit| {
                isotonic.map_or_else(|| plain(of, logit), |by| by.probability(logit))
            })?,
        })
    }

    fn named(&self) -> [(&'static str, &[(Column, Cases)]); 3] {
        [("uncalibrated", &self.uncalibrated), ("temperature", &self.temperature), ("isotonic", &self.isotonic)]
    }
}

fn diagram(reading: &[(Column, Cases)]) -> Result<Vec<[f64; 3]>, EvalError> {
    let together: Vec<Scored> = reading.iter().flat_map(|(_, cases)| cases.all.iter().copied()).collect();
    let bins = reliability(&together, BINS)?;
    Ok(bins.iter().map(|bin| [bin.mean_probability, bin.positive_share, real(bin.cases)]).collect())
}

/// What concerns all calls at once.
fn overall(labelled: &Labelled<'_>, reading: &[(Column, Cases)], bootstrap: &Bootstrap) -> Result<Measures, EvalError> {
    let truth = labelled.truth();
    let call = |row: usize, label: usize| {
        reading.get(label).and_then(|(_, cases)| Some(cases.all.get(row)?.score() >= cases.threshold))
    };
    let called: Vec<[bool; LABEL_COUNT]> =
        (0..truth.len()).map(|row| std::array::from_fn(|label| call(row, label).unwrap_or_default())).collect();
    findings::measure((&truth, &called), &labelled.patients(), bootstrap)
}

/// The receiver operating characteristic, thinned.
fn curve(cases: &[Scored]) -> Vec<[f64; 2]> {
    let points: Vec<[f64; 2]> =
        roc(cases).unwrap_or_default().iter().map(|p| [p.false_positive_rate, p.true_positive_rate]).collect();
    let mut kept: Vec<[f64; 2]> = Vec::new();
    for (place, [x, y]) in points.iter().copied().enumerate() {
        let moved = kept.last().is_none_or(|[a, b]| x - a >= CURVE_STEP || y - b >= CURVE_STEP);
        if moved || place + 1 == points.len() {
            kept.push([x, y]);
        }
    }
    kept
}
