//! A look at the validation patients during training: few numbers, cheap, and one that says which weights are the best.

use super::metrics::{PairScores, Pools, auroc, scored};
use super::{EvalError, Said};
use crate::run::{Case, Cohort, Look};
use ctedge_models::labels::LABEL_COUNT;
use ndarray::ArrayView2;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// Cases among which a report is searched.
const POOL: usize = 100;

/// Macro AUROC of the labels that can be judged, and R@1 in pools of 100 both ways, clinically equal reports counted as
/// hits. The score is the mean of the AUROC and of R@1 from volume to report; where there are no labels it is R@1 alone.
///
/// # Errors
/// The network said something that is no number.
pub fn look(said: &Said, cohort: &Cohort<'_>) -> Result<Look, EvalError> {
    let cases: Vec<&Case> = cohort.cases().collect();
    let areas: Result<Vec<Option<f64>>, EvalError> = (0..LABEL_COUNT).map(|label| area(said, &cases, label)).collect();
    let areas: Vec<f64> = areas?.into_iter().flatten().collect();
    let scores = said.volume.dot(&said.text.t());
    let pools = Pools { size: POOL.min(cases.len()), draws: NonZeroUsize::MIN.saturating_add(9), seed: 0 };
    let first = |scores: &ArrayView2<'_, f32>| {
        let [recall, ..] = PairScores::new(scores)?.retrieval(cohort.sayings(), &pools)?.class.recall;
        Ok::<f64, EvalError>(recall)
    };
    let recall = first(&scores.view())?;
    let mut numbers = BTreeMap::from([("recall_at_1", recall), ("recall_at_1_back", first(&scores.t())?)]);
    let mut score = recall;
    if !areas.is_empty() {
        let mean = areas.iter().sum::<f64>() / u32::try_from(areas.len()).map_or(f64::INFINITY, f64::from);
        numbers.insert("macro_auroc", mean);
        score = f64::midpoint(mean, recall);
    }
    Ok(Look { score, numbers })
}

/// AUROC of a label over the cases that have labels; of phantoms, those whose finding cannot be seen at the input's
/// resolution are left out, since no model could know.
fn area(said: &Said, cases: &[&Case], label: usize) -> Result<Option<f64>, EvalError> {
    let (mut scores, mut truth) = (Vec::new(), Vec::new());
    for (row, case) in cases.iter().enumerate() {
        let at = |flags: Option<[bool; LABEL_COUNT]>| flags.and_then(|flags| flags.get(label).copied());
        let Some(positive) = at(case.labels) else { continue };
        if positive && at(case.visible) == Some(false) {
            continue;
        }
        scores.push(said.flags.get((row, label)).copied().map_or(f64::NAN, f64::from));
        truth.push(positive);
    }
    Ok(auroc(&scored(&scores, &truth)?))
}
