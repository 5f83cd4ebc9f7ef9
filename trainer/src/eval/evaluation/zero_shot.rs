//! Flags without a head: which of two sentences a volume lies nearer to.
//!
//! The templates are CT-CLIP's: "`{title} is present.`" and "`{title} is not present.`". The score is `t (cos(v, present) - cos(v, absent))` with the learned factor `t`; its
//! sigmoid is CT-CLIP's softmax over the two scaled cosines, and has the same AUROC. The bias of sigmoid losses cancels.

use super::super::EvalError;
use super::super::metrics::Bootstrap;
use super::super::said::Labelled;
use super::measure::{AUPRC, AUROC, BALANCED, Cases, Measures, Table, mean, tabulate};
use crate::run::{ABSENT, PRESENT, Presence, prompt};
use ctedge_models::labels::{LABEL_COUNT, Label};
use ndarray::{Array1, Array2, ArrayView1};
use serde::Serialize;

/// Flags by prompts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZeroShot {
    /// The sentence that says that a finding is there.
    pub present: &'static str,
    /// The sentence that says that it is not.
    pub absent: &'static str,
    /// The learned factor `t` on cosines.
    pub scale: f64,
    /// One row for each label.
    pub labels: Vec<PromptRow>,
    /// The mean of each measure over the labels for which it is defined.
    pub macro_average: Measures,
    /// Mean over the labels of the cosine between a label's two sentences; at 1 the report tower does not read the "not".
    pub prompt_cosine: Option<f64>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptRow {
    /// Which.
    pub label: Label,
    /// Cosine between its two sentences.
    pub prompt_cosine: f64,
    /// Measured.
    pub measures: Measures,
}

/// The sentences: all labels present, then all labels absent, in the official order.
pub(super) fn prompts() -> Vec<String> {
    let all = |presence| Label::all().map(move |label| prompt(label, presence));
    all(Presence::Present).chain(all(Presence::Absent)).collect()
}

impl ZeroShot {
    /// From the unit embeddings `[36, E]` of [`prompts`] and those of the volumes `[N, E]`; `None` if no case has labels.
    pub(super) fn of(
        labelled: &Labelled<'_>,
        (volumes, prompts): (&Array2<f32>, &Array2<f32>),
        scale: f64,
        bootstrap: &Bootstrap,
    ) -> Result<Option<Self>, EvalError> {
        if labelled.rows.is_empty() {
            return Ok(None);
        }
        let prompt = |row: usize| prompts.rows().into_iter().nth(row).map(|row| row.to_owned()).unwrap_or_default();
        let pairs: Vec<(Array1<f32>, Array1<f32>)> =
            (0..LABEL_COUNT).map(|label| (prompt(label), prompt(label + LABEL_COUNT))).collect();
        let volume = |row: usize| volumes.rows().into_iter().nth(row);
        let read = |(label, (present, absent)): (Label, &(Array1<f32>, Array1<f32>))| {
            let column = labelled.column(label);
            let margin = |volume: ArrayView1<'_, f32>| scale * f64::from(volume.dot(present) - volume.dot(absent));
            let score = |row: usize| volume(row).map_or(f64::NAN, margin);
            let scores: Vec<f64> = labelled.rows.iter().map(|(row, ..)| score(*row)).collect();
            let cases = Cases::new(&column, &scores, 0.0)?;
            Ok((column, cases))
        };
        let reading: Result<Vec<_>, EvalError> = Label::all().zip(&pairs).map(read).collect();
        let Table { labels, macro_average } =
            tabulate(&reading?, &[AUROC, AUPRC, BALANCED], &labelled.patients(), bootstrap)?;
        let cosines: Vec<f64> = pairs.iter().map(|(present, absent)| f64::from(present.dot(absent))).collect();
        let rows = Label::all().zip(labels).zip(&cosines);
        let rows = rows.map(|((label, measures), &prompt_cosine)| PromptRow { label, prompt_cosine, measures });
        let (labels, prompt_cosine) = (rows.collect(), mean(&cosines));
        Ok(Some(Self { present: PRESENT, absent: ABSENT, scale, labels, macro_average, prompt_cosine }))
    }
}
