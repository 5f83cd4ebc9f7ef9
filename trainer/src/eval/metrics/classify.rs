//! How well scores tell the positive cases of one label from the negative ones.
//!
//! A case is called positive when its score is at or above a threshold, everywhere in this room.

use super::{MetricsError, mean, real, same_length, share};
use std::num::NonZeroUsize;

/// One case of one label: a finite score and the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub(super) score: f64,
    pub(super) positive: bool,
}

impl Scored {
    /// What the model says.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// What is true.
    pub fn is_positive(&self) -> bool {
        self.positive
    }
}

/// Scores and truth in the same order, as cases.
pub fn scored(scores: &[f64], truth: &[bool]) -> Result<Vec<Scored>, MetricsError> {
    same_length("scores", scores.len(), truth.len())?;
    let case = |(row, (&score, &positive))| {
        // Adding zero turns -0 into 0, so that equal scores have equal bits.
        if f64::is_finite(score) {
            Ok(Scored { score: score + 0.0, positive })
        } else {
            Err(MetricsError::NotFinite { row, score })
        }
    };
    scores.iter().zip(truth).enumerate().map(case).collect()
}

/// What is called at one threshold.
#[derive(Debug, Clone, Copy)]
struct Step {
    threshold: f64,
    true_positives: usize,
    false_positives: usize,
}

/// The calls at each distinct score, from the highest down.
struct Curve {
    steps: Vec<Step>,
    positives: usize,
    negatives: usize,
}

impl Curve {
    /// `None` if either class is empty.
    fn of(cases: &[Scored]) -> Option<Self> {
        let mut sorted = cases.to_vec();
        sorted.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        let (mut positives, mut negatives) = (0, 0);
        let mut steps = Vec::new();
        for tied in sorted.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
            let hits = tied.iter().filter(|case| case.positive).count();
            positives += hits;
            negatives += tied.len() - hits;
            let threshold = tied.first().map_or(f64::INFINITY, |case| case.score);
            steps.push(Step { threshold, true_positives: positives, false_positives: negatives });
        }
        (positives > 0 && negatives > 0).then_some(Self { steps, positives, negatives })
    }
}

/// The area under the receiver operating characteristic: the probability that a positive case scores above a negative
/// one, ties counting half (Hanley 1982; the Mann-Whitney U over the number of pairs). Computed from whole
/// numbers, hence exact with ties. `None` with one class only.
pub fn auroc(cases: &[Scored]) -> Option<f64> {
    let curve = Curve::of(cases)?;
    let (mut doubled, mut true_before, mut false_before) = (0.0, 0, 0);
    for step in &curve.steps {
        doubled += real(step.false_positives - false_before) * real(step.true_positives + true_before);
        (true_before, false_before) = (step.true_positives, step.false_positives);
    }
    Some(doubled / (2.0 * real(curve.positives) * real(curve.negatives)))
}

/// Average precision, `sum_n (R_n - R_{n-1}) P_n` over the distinct scores from the highest down: the step-wise area
/// under the precision-recall curve as scikit-learn's `average_precision_score` defines it, without interpolation, which
/// would flatter (Davis & Goadrich 2006). Its chance level is the prevalence. `None` with one class only.
pub fn average_precision(cases: &[Scored]) -> Option<f64> {
    let curve = Curve::of(cases)?;
    let (mut area, mut before) = (0.0, 0);
    for step in &curve.steps {
        let precision = real(step.true_positives) / real(step.true_positives + step.false_positives);
        area += precision * real(step.true_positives - before);
        before = step.true_positives;
    }
    Some(area / real(curve.positives))
}

/// A point of the receiver operating characteristic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Cases at or above are called; infinite at the curve's origin.
    pub threshold: f64,
    /// Share of the negatives that are called, 1 - specificity.
    pub false_positive_rate: f64,
    /// Share of the positives that are called, the sensitivity.
    pub true_positive_rate: f64,
}

/// The receiver operating characteristic from (0, 0) to (1, 1), one point for each distinct score; scikit-learn's
/// `roc_curve` with `drop_intermediate=False`. `None` with one class only.
pub fn roc(cases: &[Scored]) -> Option<Vec<RocPoint>> {
    let curve = Curve::of(cases)?;
    let origin = RocPoint { threshold: f64::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0 };
    let point = |step: &Step| RocPoint {
        threshold: step.threshold,
        false_positive_rate: real(step.false_positives) / real(curve.negatives),
        true_positive_rate: real(step.true_positives) / real(curve.positives),
    };
    Some([origin].into_iter().chain(curve.steps.iter().map(point)).collect())
}

/// A threshold and the value of the criterion that chose it, on the cases that it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Cases at or above are called.
    pub threshold: f64,
    /// Youden's J or F1.
    pub value: f64,
}

/// The threshold of the largest `J = sensitivity + specificity - 1` (Youden 1950). Candidates are the observed scores;
/// of several that are equally good the highest wins, which calls fewest. To be chosen on validation cases: chosen on
/// the test cases, as published evaluations on CT-RATE do, it flatters. `None` with one class only.
pub fn youden(cases: &[Scored]) -> Option<Threshold> {
    let curve = Curve::of(cases)?;
    let (positives, negatives) = (real(curve.positives), real(curve.negatives));
    // J times both class sizes: whole numbers, so that ties are ties.
    let scaled = |step: &Step| real(step.true_positives) * negatives - real(step.false_positives) * positives;
    // The last of equal maxima is kept, which is the highest threshold in ascending order.
    let best = curve.steps.iter().rev().max_by(|a, b| scaled(a).total_cmp(&scaled(b)))?;
    Some(Threshold { threshold: best.threshold, value: scaled(best) / (positives * negatives) })
}

/// The threshold of the largest F1, by the same rules as [`youden`].
pub fn best_f1(cases: &[Scored]) -> Option<Threshold> {
    let curve = Curve::of(cases)?;
    // F1 = 2 TP / (positives + called); fractions are compared crosswise, so that ties are ties.
    let whole = |step: &Step| curve.positives + step.true_positives + step.false_positives;
    let order = |a: &&Step, b: &&Step| (a.true_positives * whole(b)).cmp(&(b.true_positives * whole(a)));
    let best = curve.steps.iter().rev().max_by(order)?;
    Some(Threshold { threshold: best.threshold, value: 2.0 * real(best.true_positives) / real(whole(best)) })
}

/// Calls against the truth. A ratio whose denominator is zero is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Positive and called.
    pub true_positives: usize,
    /// Negative but called.
    pub false_positives: usize,
    /// Negative and not called.
    pub true_negatives: usize,
    /// Positive but not called.
    pub false_negatives: usize,
}

/// Counts pairs of truth and call.
impl FromIterator<(bool, bool)> for Confusion {
    fn from_iter<T: IntoIterator<Item = (bool, bool)>>(pairs: T) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            *match pair {
                (true, true) => &mut counts.true_positives,
                (false, true) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (true, false) => &mut counts.false_negatives,
            } += 1;
        }
        counts
    }
}

impl Confusion {
    /// The calls at a threshold.
    pub fn at(cases: &[Scored], threshold: f64) -> Self {
        cases.iter().map(|case| (case.positive, case.score >= threshold)).collect()
    }

    /// All cases.
    pub fn cases(&self) -> usize {
        self.true_positives + self.false_positives + self.true_negatives + self.false_negatives
    }

    /// `TP / (TP + FP)`, the positive predictive value.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// `TP / (TP + FN)`, the sensitivity.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// `TN / (TN + FP)`.
    pub fn specificity(&self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// `(TP + TN) / all`.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.true_positives + self.true_negatives, self.cases())
    }

    /// `2 TP / (2 TP + FP + FN)`, the harmonic mean of precision and recall.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// The F1 of either class weighted by its size (scikit-learn's `average="weighted"`, an undefined F1 as 0), as
    /// CT-CLIP and its followers report. It rewards the common negatives: calling nothing of a label with 10 %
    /// prevalence gives 0.85. For comparison with their tables only.
    pub fn weighted_f1(&self) -> Option<f64> {
        let (positives, negatives) =
            (self.true_positives + self.false_negatives, self.true_negatives + self.false_positives);
        let turned = Self {
            true_positives: self.true_negatives,
            false_positives: self.false_negatives,
            true_negatives: self.true_positives,
            false_negatives: self.false_positives,
        };
        let sum = real(positives) * self.f1().unwrap_or(0.0) + real(negatives) * turned.f1().unwrap_or(0.0);
        (self.cases() > 0).then(|| sum / real(self.cases()))
    }
}

fn probabilities(cases: &[Scored]) -> Result<(), MetricsError> {
    let outside = cases.iter().enumerate().find(|(_, case)| !(0.0..=1.0).contains(&case.score));
    outside.map_or(Ok(()), |(row, case)| Err(MetricsError::NotProbability { row, score: case.score }))
}

/// The mean squared difference of probability and truth (Brier 1950), from 0 to 1. The constant prevalence `p` scores
/// `p (1 - p)`.
pub fn brier(cases: &[Scored]) -> Result<f64, MetricsError> {
    probabilities(cases)?;
    let squared = |case: &Scored| (case.score - f64::from(u8::from(case.positive))).powi(2);
    mean(&cases.iter().map(squared).collect::<Vec<_>>()).ok_or(MetricsError::Nothing)
}

/// The cases whose probabilities lie in one bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// How many.
    pub cases: usize,
    /// Their mean probability.
    pub mean_probability: f64,
    /// Share of them that is positive.
    pub positive_share: f64,
}

/// The reliability diagram: bins of equal width, closed on the right, as scikit-learn's `calibration_curve` with
/// `strategy="uniform"`; empty bins are left out.
pub fn reliability(cases: &[Scored], bins: NonZeroUsize) -> Result<Vec<Bin>, MetricsError> {
    probabilities(cases)?;
    let mut sums = vec![(0, 0.0, 0); bins.get()];
    for case in cases {
        let edges = (1..bins.get()).take_while(|&edge| real(edge) / real(bins.get()) < case.score).count();
        if let Some((count, sum, positives)) = sums.get_mut(edges) {
            *count += 1;
            *sum += case.score;
            *positives += usize::from(case.positive);
        }
    }
    let bin = |(cases, sum, positives)| {
        let positive_share = share(positives, cases)?;
        Some(Bin { cases, mean_probability: sum / real(cases), positive_share })
    };
    Ok(sums.into_iter().filter_map(bin).collect())
}

/// The expected calibration error: the mean over cases of `|mean probability - share of positives|` of the case's bin
/// (Naeini 2015, for the positive class; Guo 2017's for binary cases). Grows with the number of bins on few cases.
pub fn expected_calibration_error(cases: &[Scored], bins: NonZeroUsize) -> Result<f64, MetricsError> {
    let gap = |bin: &Bin| real(bin.cases) * (bin.mean_probability - bin.positive_share).abs();
    let sum: f64 = reliability(cases, bins)?.iter().map(gap).sum();
    if cases.is_empty() { Err(MetricsError::Nothing) } else { Ok(sum / real(cases.len())) }
}
