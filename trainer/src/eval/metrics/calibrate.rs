//! From scores to probabilities that mean what they say, learnt on validation cases.

use super::classify::Scored;
use super::real;

/// Bounds of a temperature. A fit that ends on one has found no minimum in between.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Halvings of the bracket, after which it is narrower than the last bit.
const HALVINGS: usize = 64;

/// A divisor of logits, `p = sigmoid(logit / T)` (Guo et al. 2017, one for each label).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature(f64);

impl Temperature {
    /// The temperature from 0.05 to 20 of the least mean negative log-likelihood; the scores are logits. In `1 / T` the
    /// likelihood is convex, so its derivative is halved upon, which cannot miss. `None` with one class only, or when
    /// all logits are zero.
    pub fn fit(cases: &[Scored]) -> Option<Self> {
        let positives = cases.iter().filter(|case| case.positive).count();
        if positives == 0 || positives == cases.len() || cases.iter().all(|case| case.score.abs() <= 0.0) {
            return None;
        }
        let pull = |case: &Scored, inverse: f64| {
            case.score * (sigmoid(inverse * case.score) - f64::from(u8::from(case.positive)))
        };
        let slope = |inverse: f64| cases.iter().map(|case| pull(case, inverse)).sum::<f64>();
        let [coldest, hottest] = TEMPERATURES;
        let (mut low, mut high) = (hottest.recip(), coldest.recip());
        if slope(low) >= 0.0 {
            return Some(Self(hottest));
        }
        if slope(high) <= 0.0 {
            return Some(Self(coldest));
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            *if slope(middle) < 0.0 { &mut low } else { &mut high } = middle;
        }
        Some(Self(f64::midpoint(low, high).recip()))
    }

    /// One that was learned before.
    pub fn of(divisor: f64) -> Self {
        Self(divisor)
    }

    /// The divisor.
    pub fn value(self) -> f64 {
        self.0
    }

    /// The probability of a logit.
    pub fn probability(self, logit: f64) -> f64 {
        sigmoid(logit / self.0)
    }
}

fn sigmoid(logit: f64) -> f64 {
    (1.0 + (-logit).exp()).recip()
}

/// The rising function of the score nearest to the truth in mean square: isotonic regression by pooling adjacent
/// violators (Ayer 1955; Zadrozny & Elkan 2002). As in scikit-learn's `IsotonicRegression(out_of_bounds="clip")`, tied
/// scores are one point, values between points are interpolated, and beyond the ends the end's value holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    /// Scores, ascending, with their probabilities.
    knots: Vec<(f64, f64)>,
}

/// Neighbouring scores that share one value.
#[derive(Clone, Copy)]
struct Block {
    first: f64,
    last: f64,
    positives: usize,
    cases: usize,
}

impl Isotonic {
    /// Learns from cases; `None` without any.
    pub fn fit(cases: &[Scored]) -> Option<Self> {
        let mut sorted = cases.to_vec();
        sorted.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in sorted.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
            let positives = tied.iter().filter(|case| case.positive).count();
            let score = tied.first()?.score;
            let mut block = Block { first: score, last: score, positives, cases: tied.len() };
            // Shares are compared crosswise, in whole numbers.
            while let Some(left) = blocks.pop_if(|left| left.positives * block.cases >= block.positives * left.cases) {
                block.first = left.first;
                block.positives += left.positives;
                block.cases += left.cases;
            }
            blocks.push(block);
        }
        let ends = |block: Block| {
            let value = real(block.positives) / real(block.cases);
            [(block.first, value), (block.last, value)]
        };
        let knots: Vec<_> = blocks.into_iter().flat_map(ends).collect();
        (!knots.is_empty()).then_some(Self { knots })
    }

    /// The probability of a score.
    pub fn probability(&self, score: f64) -> f64 {
        let above = self.knots.partition_point(|&(knot, _)| knot < score);
        let right = self.knots.get(above).or(self.knots.last()).copied();
        let left = self.knots.get(above.saturating_sub(1)).copied();
        // Without knots there would be no value: `fit` makes none such.
        let (Some((left, low)), Some((right, high))) = (left, right) else { return 0.0 };
        if right <= left {
            return high;
        }
        // Rounding may carry the sum past its end, and the next value would fall.
        (low + (high - low) * ((score - left) / (right - left)).clamp(0.0, 1.0)).min(high)
    }
}
