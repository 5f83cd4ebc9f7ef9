//! What answers cost nothing, and what a report asserts or leaves out.

use super::classify::Confusion;
use super::{MetricsError, real, same_length, share};

/// An answer that needs no image. Every metric is to be shown beside what these reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Nobody has it.
    AlwaysNegative,
    /// Everybody has it.
    AlwaysPositive,
    /// Everybody has it with the label's prevalence.
    Prevalence,
}

impl Baseline {
    /// The constant score of a label with this prevalence, to be measured as a model's scores are. Its AUROC is 0.5 and
    /// its average precision the prevalence, whichever the constant.
    pub fn score(self, prevalence: f64) -> f64 {
        match self {
            Self::AlwaysNegative => 0.0,
            Self::AlwaysPositive => 1.0,
            Self::Prevalence => prevalence,
        }
    }
}

/// L findings called in exams against the truth: flags of a classifier, or what a reader of labels finds in generated
/// reports ("clinical efficacy"). Which truth (label file or reader on the reference) is for the caller to state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Findings<const L: usize> {
    /// One confusion for each label.
    pub labels: [Confusion; L],
}

impl<const L: usize> Findings<L> {
    /// Counts. One row for each exam, in the same order.
    pub fn new(truth: &[[bool; L]], called: &[[bool; L]]) -> Result<Self, MetricsError> {
        same_length("rows of calls", called.len(), truth.len())?;
        let column = |label| {
            let decision =
                move |(truth, called): (&[bool; L], &[bool; L])| Some((*truth.get(label)?, *called.get(label)?));
            truth.iter().zip(called).filter_map(decision).collect()
        };
        Ok(Self { labels: std::array::from_fn(column) })
    }

    /// All labels as one: its precision, recall and F1 are the micro averages.
    pub fn together(&self) -> Confusion {
        let sum = |count: fn(&Confusion) -> usize| self.labels.iter().map(count).sum();
        Confusion {
            true_positives: sum(|label| label.true_positives),
            false_positives: sum(|label| label.false_positives),
            true_negatives: sum(|label| label.true_negatives),
            false_negatives: sum(|label| label.false_negatives),
        }
    }

    /// The macro average of a ratio, e.g. `Confusion::f1`: its mean over the labels, an undefined one counting 0 as the
    /// VLM3D challenge and scikit-learn's `zero_division=0` have it.
    pub fn macro_average(&self, ratio: fn(&Confusion) -> Option<f64>) -> f64 {
        self.labels.iter().map(|label| ratio(label).unwrap_or(0.0)).sum::<f64>() / real(L.max(1))
    }

    /// Findings that are asserted but absent.
    pub fn hallucinated(&self) -> usize {
        self.together().false_positives
    }

    /// Findings that are present but not asserted.
    pub fn missed(&self) -> usize {
        self.together().false_negatives
    }

    /// The share of the asserted findings that is absent.
    pub fn hallucination_rate(&self) -> Option<f64> {
        let all = self.together();
        share(all.false_positives, all.true_positives + all.false_positives)
    }

    /// The CRG score of the VLM3D challenge. With X decisions of which A are positive in truth, `r = (X - A) / 2A` and
    /// `U = (X - A) / 2`, it is `U / (2U - (r TP - r FN - FP))`: 1 for perfect calls and 1/3 for constant ones, all or
    /// none. `None` if all decisions are of one class.
    pub fn crg(&self) -> Option<f64> {
        let all = self.together();
        let positives = all.true_positives + all.false_negatives;
        let negatives = all.true_negatives + all.false_positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        let ratio = real(negatives) / (2.0 * real(positives));
        let score = ratio * (real(all.true_positives) - real(all.false_negatives)) - real(all.false_positives);
        Some(real(negatives) / 2.0 / (real(negatives) - score))
    }
}
