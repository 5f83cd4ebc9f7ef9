//! How far a number would move with other patients.

use super::sample::Draw;
use super::{MetricsError, real};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// The percentile bootstrap (Efron & Tibshirani 1993, chapter 13) with the patient as its unit: a patient is drawn with
/// all of its items or not at all, since scans of one patient are no independent cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How often patients are drawn anew; 1000 or more for an interval of 95 %.
    pub replicates: NonZeroUsize,
    /// Share of the replicates within the interval, e.g. 0.95.
    pub confidence: f64,
    /// Of the drawing.
    pub seed: u64,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Replicates of which the statistic was undefined, e.g. because no positive case was drawn; they are not in the
    /// interval, which is too narrow when they are many.
    pub undefined: usize,
}

impl Bootstrap {
    /// The interval of a statistic, which is given the places of the drawn items (some repeatedly) in the list of
    /// patients, one entry for each item. `None` if the statistic is undefined for every replicate.
    pub fn interval<K: Ord>(
        &self,
        patients: &[K],
        statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
    ) -> Result<Option<Interval>, MetricsError> {
        let intervals = self.intervals(patients, |drawn| vec![statistic(drawn)])?;
        Ok(intervals.into_iter().next().flatten())
    }

    /// The intervals of several statistics, all of the same draws; there are as many of them for every draw.
    pub fn intervals<K: Ord>(
        &self,
        patients: &[K],
        statistics: impl Fn(&[usize]) -> Vec<Option<f64>> + Sync,
    ) -> Result<Vec<Option<Interval>>, MetricsError> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(MetricsError::Confidence { given: self.confidence });
        }
        if patients.is_empty() {
            return Err(MetricsError::Nothing);
        }
        let mut items: BTreeMap<&K, Vec<usize>> = BTreeMap::new();
        for (item, patient) in patients.iter().enumerate() {
            items.entry(patient).or_default().push(item);
        }
        let items: Vec<Vec<usize>> = items.into_values().collect();
        let mut draw = Draw::new(self.seed);
        // Drawn in order, so that the threads have no say in what is drawn.
        let drawn: Vec<Vec<usize>> =
            (0..self.replicates.get()).map(|_| items.iter().map(|_| draw.below(items.len())).collect()).collect();
        let replicate = |drawn: &Vec<usize>| {
            let drawn = drawn.iter().filter_map(|&patient| items.get(patient));
            statistics(&drawn.flatten().copied().collect::<Vec<_>>())
        };
        let rows: Vec<Vec<Option<f64>>> = drawn.par_iter().map(replicate).collect();
        let width = rows.first().map_or(0, Vec::len);
        let column = |place| rows.iter().map(move |row| row.get(place).copied().flatten()).collect::<Vec<_>>();
        Ok((0..width).map(|place| self.ends(column(place))).collect())
    }

    fn ends(&self, replicates: Vec<Option<f64>>) -> Option<Interval> {
        let count = replicates.len();
        let mut values: Vec<f64> = replicates.into_iter().flatten().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let undefined = count - values.len();
        let tail = (1.0 - self.confidence) / 2.0;
        let (low, high) = quantile(&values, tail).zip(quantile(&values, 1.0 - tail))?;
        Some(Interval { low, high, undefined })
    }
}

/// The quantile of sorted values, linear between neighbours (type 7 of Hyndman & Fan 1996, numpy's default).
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * real(sorted.len().checked_sub(1)?);
    #[expect(clippy::as_conversions, reason = "a place in a list, neither negative nor beyond its end")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the whole part is meant")]
    let below = place as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * place.fract())
}
