//! Cross-entropy of the 18 flags, and of where they are.

use burn::tensor::{Tensor, activation};

/// Mean over cases with labels and over flags of `-[y log sigma(x) + (1 - y) log sigma(-x)]`, `[1]`; 0 if no case has
/// labels.
///
/// `logits` and `labels` are `[N, 18]`, `labelled` `[N, 1]` holds 1 for cases that have labels.
pub fn flag_loss(logits: Tensor<2>, labels: Tensor<2>, labelled: Tensor<2>) -> Tensor<1> {
    let [_, flags] = labels.dims();
    let each = entropy(logits, labels).sum_dim(1) * labelled.clone();
    let cases = labelled.sum().clamp_min(1.0);
    each.sum() / (cases * i64::try_from(flags).unwrap_or(i64::MAX))
}

/// Mean of the same over all places of all cases where it is known, `[1]`; 0 if it is known of none. `logits` and both of what is
/// known are `[N, 18 * 6]`: 1 where a finding is, and 1 where that is known.
pub fn located_loss(logits: Tensor<2>, [there, known]: [Tensor<2>; 2]) -> Tensor<1> {
    let each = entropy(logits, there) * known.clone();
    each.sum() / known.sum().clamp_min(1.0)
}

fn entropy(logits: Tensor<2>, there: Tensor<2>) -> Tensor<2> {
    let present = there.clone() * activation::log_sigmoid(logits.clone());
    let absent = (-there + 1.0) * activation::log_sigmoid(-logits);
    -(present + absent)
}
