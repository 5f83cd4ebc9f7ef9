//! Weights of pairs from what is alike within one modality. All of them are constants of the backward pass: weights
//! that learn could make the loss small by calling everything unlike.

use burn::tensor::Tensor;

/// Sums below this are not divided by.
const SMALLEST_SUM: f64 = 1e-12;

/// `a_ij = (1 + <z_i, z_j>) / 2` of unit vectors `[N, D]` (R2, R9; CWCL's map of the cosine): 1 on the diagonal, symmetric,
/// within 0 and 1.
pub fn similarity(unit: Tensor<2>) -> Tensor<2> {
    let unit = unit.detach();
    ((unit.clone().matmul(unit.transpose()) + 1.0) / 2.0).clamp(0.0, 1.0)
}

/// `alpha * own + (1 - alpha) * knowledge` (R10).
pub fn blend(own: Tensor<2>, knowledge: Tensor<2>, alpha: f64) -> Tensor<2> {
    own * alpha + knowledge * (1.0 - alpha)
}

/// Each row divided by its sum (R2).
pub fn row_normalised(weights: Tensor<2>) -> Tensor<2> {
    let sums = weights.clone().sum_dim(1).clamp_min(SMALLEST_SUM);
    weights / sums
}

/// How far a weight is above the mean of its row, the diagonal left out: `max(0, (a_ij - m_i) / (1 - m_i))`, within 0 and 1.
///
/// Cosines of embeddings crowd near one value, which says nothing: what counts is which cases are *more* alike than the
/// others. A weight of 1 stays 1, one at the mean or below becomes 0.
pub fn above_row_mean(weights: Tensor<2>) -> Tensor<2> {
    let [pairs, _] = weights.dims();
    let others = u32::try_from(pairs.saturating_sub(1).max(1)).map_or(f64::INFINITY, f64::from);
    let own = Tensor::eye(pairs, &weights.device()) * weights.clone();
    let mean = (weights.clone() - own).sum_dim(1) / others;
    let room = (-mean.clone() + 1.0).clamp_min(SMALLEST_SUM);
    ((weights - mean) / room).clamp(0.0, 1.0)
}
