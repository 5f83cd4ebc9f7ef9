//! What a network loses by quantisation.

use super::Quantised;
use crate::eval::Tower;
use crate::eval::metrics::{auroc, scored};
use crate::export::{ExportError, Trace};
use burn::tensor::Device;
use ctedge_models::labels::LABEL_COUNT;
use serde::Serialize;

/// A volume whose findings may be known.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The preprocessed volume, in C order.
    pub volume: Vec<f32>,
    /// Its findings in the official order.
    pub labels: Option<[bool; LABEL_COUNT]>,
}

/// The same volumes through a tower and through its quantised twin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Volumes.
    pub cases: usize,
    /// Cosine between both embeddings of a volume, mean over the volumes.
    pub cosine_mean: f64,
    /// The smallest.
    pub cosine_min: f64,
    /// Absolute difference of a logit, mean over volumes and labels.
    pub logit_mean: f64,
    /// The largest.
    pub logit_max: f64,
    /// Mean AUROC of the labels that have positive and negative cases, in 32 bits; `None` where no label has.
    pub auroc_before: Option<f64>,
    /// And in 8 bits.
    pub auroc_after: Option<f64>,
}

/// Compares a tower with its quantised twin, one volume after the other.
///
/// # Errors
/// There is no volume, or one that is not the tower's input.
pub fn cost<E: From<ExportError>>(
    tower: &Tower,
    quantised: &Quantised,
    cases: impl Iterator<Item = Result<Judged, E>>,
    device: &Device,
) -> Result<Cost, E> {
    let (mut cosines, mut differences) = (Vec::new(), Vec::new());
    let (mut before, mut after, mut truth) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases {
        let Judged { volume, labels } = case?;
        let plain = Trace::of(tower, volume.clone(), device)?;
        let rounded = quantised.trace(volume, device)?;
        cosines.push(dot(&plain.embedding, &rounded.embedding));
        differences.extend(plain.logits.iter().zip(&rounded.logits).map(|(a, b)| f64::from((a - b).abs())));
        if let Some(labels) = labels {
            truth.push(labels);
            before.push(plain.logits);
            after.push(rounded.logits);
        }
    }
    Ok(Cost {
        cases: cosines.len(),
        cosine_mean: mean(&cosines).ok_or(ExportError::NoCases)?,
        cosine_min: cosines.iter().copied().fold(f64::INFINITY, f64::min),
        logit_mean: mean(&differences).ok_or(ExportError::NoCases)?,
        logit_max: differences.iter().copied().fold(0.0, f64::max),
        auroc_before: macro_auroc(&before, &truth)?,
        auroc_after: macro_auroc(&after, &truth)?,
    })
}

fn macro_auroc(logits: &[Vec<f32>], truth: &[[bool; LABEL_COUNT]]) -> Result<Option<f64>, ExportError> {
    let mut areas = Vec::new();
    if truth.is_empty() {
        return Ok(None);
    }
    for label in 0..LABEL_COUNT {
        let scores: Vec<f64> = logits.iter().filter_map(|row| row.get(label).copied()).map(f64::from).collect();
        let truth: Vec<bool> = truth.iter().filter_map(|row| row.get(label).copied()).collect();
        let cases = scored(&scores, &truth).map_err(|source| ExportError::Metrics { source })?;
        areas.extend(auroc(&cases));
    }
    Ok(mean(&areas))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The mean, undefined of nothing; counts are far below the 32 bits that convert exactly.
fn mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / f64::from(count))
}
