//! Matching of `BERTScore` (Zhang et al. 2020); the embeddings come from whoever has an encoder.

use super::super::{MetricsError, real};
use super::Overlap;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

/// Greedy matching of token embeddings, `[token, width]` each: precision is the mean over the candidate's tokens of the
/// largest cosine with a token of the reference, recall the same with the roles exchanged.
///
/// No weights by rarity and no rescaling to a baseline. Leave out special tokens; `bert_score` gives them no weight, but
/// lets others match them. A number belongs to its encoder and layer, which must stand beside it.
pub fn bertscore(candidate: &ArrayView2<'_, f32>, reference: &ArrayView2<'_, f32>) -> Result<Overlap, MetricsError> {
    if candidate.ncols() != reference.ncols() {
        return Err(MetricsError::Widths { candidate: candidate.ncols(), reference: reference.ncols() });
    }
    if candidate.is_empty() || reference.is_empty() {
        return Ok(Overlap::default());
    }
    let cosines = unit(candidate).dot(&unit(reference).reversed_axes());
    Ok(Overlap::new(mean_of_best(&cosines, Axis(1)), mean_of_best(&cosines, Axis(0))))
}

/// Rows of length one; a row of zeros stays.
fn unit(rows: &ArrayView2<'_, f32>) -> Array2<f64> {
    let mut rows = rows.mapv(f64::from);
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    rows
}

/// The mean of the largest values along an axis.
fn mean_of_best(cosines: &Array2<f64>, along: Axis) -> f64 {
    let best = |lane: ArrayView1<'_, f64>| lane.fold(f64::NEG_INFINITY, |best, &cosine| best.max(cosine));
    let best = cosines.map_axis(along, best);
    best.sum() / real(best.len())
}
