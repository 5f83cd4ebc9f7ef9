//! From logits to flags: a temperature and a threshold for each label, learned on validation patients.
//!
//! **Temperature**: the divisor of logits of the least negative log-likelihood ([`Temperature::fit`]). **Threshold**: the
//! probability of the largest F1 ([`best_f1`]), since what is called becomes a sentence of a draft, where a finding that is not
//! there is as wrong as one that is missing. `sensitivity + specificity - 1`, chosen before, does not count false calls: of a
//! rare finding they are many even where their share is small. The threshold lies midway between the lowest case that is
//! called and the highest that is not, so that rounding on another machine changes no call. A label whose validation patients
//! are all of one class, or all have one score, teaches neither: its temperature is 1 and its threshold 0.5, and `fitted` is
//! false.

use super::EvalError;
use super::metrics::{Isotonic, Scored, Temperature, best_f1, scored};
use super::said::Labelled;
use crate::run;
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Name of the calibration in a run folder.
pub const CALIBRATION_FILE: &str = "calibration.json";

/// Threshold of a label that could not be fitted.
const UNFITTED_THRESHOLD: f32 = 0.5;

/// How the flags of certain weights are to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Digest of the weights that it belongs to ([`Weights::sha256`](run::Weights::sha256)).
    pub weights_sha256: String,
    /// Digest of the corpus that it was learned from.
    pub corpus_sha256: String,
    /// Name of the split whose patients it was learned from.
    pub split: String,
    /// One for each label, in the official order.
    pub labels: Vec<LabelCalibration>,
}

/// How one flag is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCalibration {
    /// Which.
    pub label: Label,
    /// `probability = sigmoid(logit / temperature)`.
    pub temperature: f32,
    /// The flag is raised at or above this probability.
    pub threshold: f32,
    /// Validation cases that have the finding.
    pub positives: usize,
    /// Validation cases that do not.
    pub negatives: usize,
    /// Whether the two numbers were learned, or stand for want of cases.
    pub fitted: bool,
}

impl LabelCalibration {
    /// The probability of a logit, computed as wide as the appliance's is at least.
    pub fn probability(&self, logit: f64) -> f64 {
        Temperature::of(self.temperature.into()).probability(logit)
    }

    fn fit(label: Label, logits: &[Scored], positives: usize) -> Result<Self, EvalError> {
        let negatives = logits.len() - positives;
        let unfitted =
            Self { label, temperature: 1.0, threshold: UNFITTED_THRESHOLD, positives, negatives, fitted: false };
        let Some(temperature) = Temperature::fit(logits) else { return Ok(unfitted) };
        let warmed = Self { temperature: narrow(temperature.value()), ..unfitted };
        let probabilities: Vec<f64> = logits.iter().map(|case| warmed.probability(case.score())).collect();
        let truth: Vec<bool> = logits.iter().map(Scored::is_positive).collect();
        let Some(best) = best_f1(&scored(&probabilities, &truth)?) else { return Ok(unfitted) };
        let below = probabilities.iter().copied().filter(|&other| other < best.threshold).fold(0.0, f64::max);
        let threshold = narrow(f64::midpoint(below, best.threshold));
        // Only a network that is sure beyond what 32 bits can say has such a threshold.
        let usable = threshold > 0.0 && threshold <= 1.0;
        Ok(if usable { Self { threshold, fitted: true, ..warmed } } else { unfitted })
    }
}

impl Calibration {
    /// Learns from labelled validation cases.
    ///
    /// # Errors
    /// A logit is no finite number.
    pub(super) fn fit(labelled: &Labelled<'_>, mut card: Self) -> Result<Self, EvalError> {
        let fit = |label| {
            let column = labelled.column(label);
            let positives = column.truth.iter().filter(|&&positive| positive).count();
            LabelCalibration::fit(label, &scored(&column.logits, &column.truth)?, positives)
        };
        card.labels = Label::all().map(fit).collect::<Result<_, EvalError>>()?;
        Ok(card)
    }

    /// A bundle's flags: each label with its threshold and temperature.
    pub fn specs(&self) -> Vec<LabelSpec> {
        let spec =
            |of: &LabelCalibration| LabelSpec { label: of.label, threshold: of.threshold, temperature: of.temperature };
        self.labels.iter().map(spec).collect()
    }

    /// Reads a run's calibration.
    ///
    /// # Errors
    /// The file is not there, not ours, or says something that cannot be meant.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = fs::read(path).map_err(|source| EvalError::Open { path: path.into(), source })?;
        let read: Self =
            serde_json::from_slice(&bytes).map_err(|source| EvalError::Calibration { path: path.into(), source })?;
        let sound = |of: &LabelCalibration| {
            of.temperature.is_finite() && of.temperature > 0.0 && of.threshold > 0.0 && of.threshold <= 1.0
        };
        let in_order = read.labels.iter().map(|of| of.label).eq(Label::all());
        let wrong = read.labels.iter().find(|of| !sound(of)).map(|of| of.label.name());
        match wrong.or((!in_order).then_some("the list of labels")) {
            Some(what) => Err(EvalError::Unsound { path: path.into(), what }),
            None => Ok(read),
        }
    }

    /// Whether it belongs to these weights.
    ///
    /// # Errors
    /// It belongs to others, e.g. because training went on after the evaluation.
    pub fn belongs_to(&self, weights_sha256: &str) -> Result<(), EvalError> {
        let (found, expected) = (self.weights_sha256.clone(), weights_sha256.to_owned());
        if found == expected { Ok(()) } else { Err(EvalError::OtherWeights { found, expected }) }
    }

    /// Writes it into a run folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, run: &Path) -> Result<(), EvalError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|source| EvalError::Json { source })?;
        text.push('\n');
        run::write(&run.join(CALIBRATION_FILE), text.as_bytes()).map_err(|source| EvalError::Write { source })
    }
}

/// Isotonic regression of each label's logits, reported beside the temperature; a bundle carries none. `None` without
/// cases of both classes.
pub(super) fn isotonic(labelled: &Labelled<'_>) -> Result<Vec<Option<Isotonic>>, EvalError> {
    let fit = |label| {
        let column = labelled.column(label);
        let both = column.truth.contains(&true) && column.truth.contains(&false);
        Ok(if both { Isotonic::fit(&scored(&column.logits, &column.truth)?) } else { None })
    };
    Label::all().map(fit).collect()
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a bundle's manifest holds 32 bits")]
fn narrow(value: f64) -> f32 {
    value as f32
}
