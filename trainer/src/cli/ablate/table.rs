//! What the runs of a comparison measured, as a table with intervals.

use super::variant::Variant;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The numbers of a look that are compared: key, and head of their column.
pub(super) const COLUMNS: [(&str, &str); 3] = [
    ("macro_auroc", "macro AUROC"),
    ("recall_at_1", "R@1 of 100, volume to report"),
    ("recall_at_1_back", "R@1 of 100, report to volume"),
];

/// Those of them that tell of retrieval.
const RECALL: [&str; 2] = ["recall_at_1", "recall_at_1_back"];

/// Two-sided 95 % quantile of Student's t with 1, 2, ... degrees of freedom.
const T_95: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
/// Most seeds that there is a quantile for.
pub(super) const MOST_SEEDS: u64 = 10;

/// One objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) loss: &'static str,
    pub(super) context: &'static str,
    /// By key of [`COLUMNS`].
    pub(super) measures: BTreeMap<&'static str, Spread>,
}

/// One number of every seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Student's interval of the mean over seeds; `null` for one seed.
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// In the seeds' order.
    pub(super) values: Vec<f64>,
}

impl Spread {
    pub(super) fn of(values: Vec<f64>) -> Self {
        let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let quantile = values.len().checked_sub(2).and_then(|index| T_95.get(index));
        let half = quantile.map(|t| t * (squares / (count - 1.0) / count).sqrt());
        Self { mean, low: half.map(|half| mean - half), high: half.map(|half| mean + half), values }
    }
}

impl Row {
    /// By how much recall, the mean of both ways, lies above another objective's. Seeds are compared with themselves, so
    /// that what they have in common (first weights, order of the cases) drops out.
    fn gain_over(&self, other: &Self) -> Spread {
        let recall = |row: &Self| {
            let [there, back] = RECALL.map(|key| row.measures.get(key).map_or(&[][..], |spread| &spread.values));
            there.iter().zip(back).map(|(there, back)| f64::midpoint(*there, *back)).collect::<Vec<f64>>()
        };
        Spread::of(recall(self).into_iter().zip(recall(other)).map(|(ours, theirs)| ours - theirs).collect())
    }

    /// From the looks of all seeds.
    pub(super) fn new(variant: Variant, looks: &[BTreeMap<String, f64>]) -> Self {
        let column = |key: &str| Spread::of(looks.iter().filter_map(|look| look.get(key).copied()).collect());
        Self {
            loss: variant.loss(),
            context: variant.context.name(),
            measures: COLUMNS.iter().map(|&(key, _)| (key, column(key))).collect(),
        }
    }
}

/// A Markdown table, one row an objective; the last column is the gain over the first row, seed by seed.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut heads: Vec<String> = COLUMNS.iter().map(|&(_, head)| head.to_owned()).collect();
    heads.extend(rows.first().map(|first| format!("gain of R@1, both ways, over {}", first.loss)));
    let mut text =
        format!("| loss | context | {} |\n| --- | --- |{}\n", heads.join(" | "), " --- |".repeat(heads.len()));
    for row in rows {
        let mut cells: Vec<String> =
            COLUMNS.iter().map(|(key, _)| row.measures.get(key).map(cell).unwrap_or_default()).collect();
        cells.extend(rows.first().map(|first| cell(&row.gain_over(first))));
        // Writing to a string cannot fail.
        let _written = writeln!(text, "| {} | {} | {} |", row.loss, row.context, cells.join(" | "));
    }
    text
}

fn cell(spread: &Spread) -> String {
    match (spread.low, spread.high) {
        (Some(low), Some(high)) => format!("{:.3} ({low:.3} to {high:.3})", spread.mean),
        _ => format!("{:.3}", spread.mean),
    }
}
