//! The contrastive losses. Each takes the matrix of all pairs: rows are volumes, columns are reports.

use super::weights::{above_row_mean, row_normalised};
use crate::experiment::Duplicates;
use burn::tensor::{Tensor, activation};

/// What is added to the score of a pair that is left out of a softmax.
const LEFT_OUT: f64 = -1e9;

/// Which pairs belong together, and which count at all.
#[derive(Debug, Clone)]
pub struct Targets {
    /// `y_ij`, `[N, N]`.
    pub positive: Tensor<2>,
    /// 1 for pairs that count, `[N, N]`.
    pub counted: Tensor<2>,
}

impl Targets {
    /// The diagonal is positive; `same` `[N, N]` holds 1 for other pairs whose reports say the same, which identity
    /// alone would call negatives.
    pub fn new(same: Tensor<2>, duplicates: Duplicates) -> Self {
        let [pairs, _] = same.dims();
        let own = Tensor::eye(pairs, &same.device());
        let all = Tensor::ones_like(&own);
        match duplicates {
            Duplicates::Keep => Self { positive: own, counted: all },
            Duplicates::Mask => Self { positive: own, counted: all - same },
            Duplicates::Positive => Self { positive: own + same, counted: all },
        }
    }

    fn transposed(&self) -> Self {
        Self { positive: self.positive.clone().transpose(), counted: self.counted.clone().transpose() }
    }
}

/// CLIP: `1/2 [CE(S) + CE(S^T)]` with `CE(S) = -(1/N) sum_i sum_j p_ij log softmax_j(s_ij)`, `p` the rows of `y`
/// normalised (Radford et al., arXiv 2103.00020, where `p` is the identity).
pub fn clip(scores: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let turned = targets.transposed();
    let rows = cross_entropy(scores.clone(), row_normalised(targets.positive.clone()), targets);
    let columns = cross_entropy(scores.transpose(), row_normalised(turned.positive.clone()), &turned);
    (rows + columns) / 2.0
}

/// CWCL: a direction with weights has them, row by row normalised, as its targets:
/// `-(1/N) sum_i (1 / sum_j w_ij) sum_j w_ij log softmax_j` (Srinivasa et al., `NeurIPS` 2023); one without is CLIP's.
///
/// `volume` weighs the direction from volumes to reports, `text` the other one; each `[N, N]`, its rows those that the
/// direction starts from.
pub fn cwcl(scores: Tensor<2>, volume: Option<Tensor<2>>, text: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let turned = targets.transposed();
    let weights = volume.unwrap_or_else(|| targets.positive.clone()) * targets.counted.clone();
    let rows = cross_entropy(scores.clone(), row_normalised(weights), targets);
    let weights = text * turned.counted.clone();
    let columns = cross_entropy(scores.transpose(), row_normalised(weights), &turned);
    (rows + columns) / 2.0
}

/// `SigLIP`: `-(1/N) sum_i sum_j log sigma(z_ij s_ij)`, `z` 1 for positives and -1 for negatives (Zhai et al.,
/// arXiv 2303.15343; `big_vision`: sum over j, mean over i).
pub fn siglip(logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
    sigmoid_loss(logits, targets.positive.clone(), targets.counted.clone())
}

/// How SWCA reads its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// `w_ij` multiplies the loss of the pair (R3, R4): the more alike two cases are, the harder they are pushed apart.
    Paper {
        /// Whether each row of weights is divided by its sum first (equation 2).
        row_normalise: bool,
    },
    /// `w_ij`, as far as it is above its row's mean, is the target of the pair: cases that are alike attract.
    SoftTarget,
    /// A negative counts the less, the further its weight is above its row's mean.
    Discount,
}

/// One direction of SWCA: `(1/N) sum_i sum_j c_ij l(s_ij, y_ij)` with the binary cross-entropy `l` of R3; `reading` says
/// where the weights `[N, N]` enter. With weights of 1 and no normalisation, `Paper` is [`siglip`].
///
/// `Paper` is SCALE-VLP by its reviews; `SoftTarget` and `Discount` are ours (see [`above_row_mean`]).
pub fn swca(logits: Tensor<2>, weights: Tensor<2>, targets: &Targets, reading: Reading) -> Tensor<1> {
    let Targets { positive, counted } = targets.clone();
    match reading {
        Reading::Paper { row_normalise: true } => sigmoid_loss(logits, positive, row_normalised(weights * counted)),
        Reading::Paper { row_normalise: false } => sigmoid_loss(logits, positive, weights * counted),
        Reading::SoftTarget => {
            let soft = above_row_mean(weights);
            let target = positive.clone() + (-positive + 1.0) * soft;
            sigmoid_loss(logits, target, counted)
        }
        Reading::Discount => {
            let soft = above_row_mean(weights);
            let kept = positive.clone() + (-positive.clone() + 1.0) * (-soft + 1.0);
            sigmoid_loss(logits, positive, kept * counted)
        }
    }
}

/// `(1/N) sum_i sum_j w_ij (-[y_ij log sigma(s_ij) + (1 - y_ij) log sigma(-s_ij)])`; its derivative by `s_ij` is
/// `w_ij (sigma(s_ij) - y_ij) / N`.
fn sigmoid_loss(logits: Tensor<2>, target: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let [pairs, _] = logits.dims();
    let together = target.clone() * activation::log_sigmoid(logits.clone());
    let apart = (-target + 1.0) * activation::log_sigmoid(-logits);
    -(weights * (together + apart)).sum() / real(pairs)
}

/// `-(1/N) sum_i sum_j p_ij log softmax_j(s_ij)` over the pairs that count.
fn cross_entropy(scores: Tensor<2>, probabilities: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let [pairs, _] = scores.dims();
    let left_out = (-targets.counted.clone() + 1.0) * LEFT_OUT;
    -(probabilities * activation::log_softmax(scores + left_out, 1)).sum() / real(pairs)
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
