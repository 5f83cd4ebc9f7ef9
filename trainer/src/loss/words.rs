//! Cross-entropy of a report's words.

use burn::tensor::{Int, Tensor, activation};

/// The sum over words of `-(1 - e) log p(target) - e mean_v log p(v)`, with `e` the label smoothing (Szegedy et al., arXiv
/// 1512.00567), and the sum of `-log p(target)` alone, `[1]` each.
///
/// `logits` are `[B, L, V]`, `targets` `[B, L]`; `mask` `[B, L]` holds 1 for a word that counts, 0 for padding.
pub fn word_loss(
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    mask: Tensor<2>,
    smoothing: f64,
) -> (Tensor<1>, Tensor<1>) {
    let [batch, length, vocabulary] = logits.dims();
    let rows = batch * length;
    let scores = activation::log_softmax(logits.reshape([rows, vocabulary]), 1);
    let mask = mask.reshape([rows, 1]);
    let told = -(scores.clone().gather(1, targets.reshape([rows, 1])) * mask.clone()).sum();
    if smoothing == 0.0 {
        return (told.clone(), told);
    }
    let spread = -(scores.mean_dim(1) * mask).sum();
    (told.clone() * (1.0 - smoothing) + spread * smoothing, told)
}
