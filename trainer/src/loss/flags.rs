//! Cross-entropy of the 18 flags.

use burn::tensor::{Tensor, activation};

/// Mean over cases with labels and over flags of `-[y log sigma(x) + (1 - y) log sigma(-x)]`, `[1]`; 0 if no case has
/// labels.
///
/// `logits` and `labels` are `[N, 18]`, `labelled` `[N, 1]` holds 1 for cases that have labels.
pub fn flag_loss(logits: Tensor<2>, labels: Tensor<2>, labelled: Tensor<2>) -> Tensor<1> {
    let [_, flags] = labels.dims();
    let present = labels.clone() * activation::log_sigmoid(logits.clone());
    let absent = (-labels + 1.0) * activation::log_sigmoid(-logits);
    let each = (present + absent).sum_dim(1) * labelled.clone();
    let cases = labelled.sum().clamp_min(1.0);
    -each.sum() / (cases * i64::try_from(flags).unwrap_or(i64::MAX))
}
