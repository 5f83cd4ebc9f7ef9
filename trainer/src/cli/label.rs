//! `ctedge-trainer label`: a table of reports to the 18 labels that they state, and how well these agree with labels that
//! are known.

use super::{Outcome, Progress};
use crate::corpus::Reports;
use crate::eval::metrics::{Confusion, mean};
use anyhow::ensure;
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::report;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// Read the 18 abnormalities from English chest CT reports, by rules.
///
/// Writes a table like CT-RATE's own: the report's name, then 18 columns of 0 and 1. Where the 18 columns are known, in
/// the table itself or in another, it tells how well the labels agree with them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer label validation_reports.csv --out labels.csv\n  \
    ctedge-trainer label reports.csv --text findings --text conclusion --out labels.csv\n  \
    ctedge-trainer label drafts.csv --out labels.csv --against known_labels.csv")]
pub(super) struct LabelReports {
    /// Table of reports (CSV), the first row its columns' names.
    reports: PathBuf,
    /// Table of labels to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A column of the text, as often as there are some; `Findings_EN` and `Impressions_EN`, `report_text`, or findings and
    /// impression if not given.
    #[arg(long, value_name = "COLUMN")]
    text: Vec<String>,
    /// Table with the known labels of the same reports; the reports' own if not given.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Reports that are read between two words to the person who waits.
const ROUND: usize = 500;

impl LabelReports {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        progress.say("reading the table");
        let reports = Reports::open(&self.reports, &self.text)?;
        let known = match &self.against {
            Some(path) => Some(reports.labels_in(path)?),
            None => reports.labels()?,
        };
        let texts = reports.texts();
        ensure!(!texts.is_empty(), "{} has no reports", reports.path().display());
        progress.say("reading reports");
        let mut labels = Vec::with_capacity(texts.len());
        for round in texts.chunks(ROUND) {
            labels.par_extend(round.par_iter().map(|text| report::read(text).labels()));
            progress.count(labels.len(), texts.len());
        }
        reports.write_labels(&self.out, &labels)?;
        let columns = reports.text_columns().join(" and ");
        let written = format!("read {} reports ({columns})\nwrote {}", labels.len(), self.out.display());
        let json = json!({ "reports": labels.len(), "text": reports.text_columns(), "labels": self.out });
        Ok(match known {
            Some(known) => compared(&Agreement::of(&known, &labels), &written, json),
            None => Outcome { text: written, json },
        })
    }
}

fn compared(agreement: &Agreement, written: &str, mut json: serde_json::Value) -> Outcome {
    if let Some(object) = json.as_object_mut() {
        object.insert("agreement".to_owned(), json!(agreement));
    }
    Outcome { text: format!("{}\n{written}", agreement.table()), json }
}

/// How labels that were read agree with labels that are known.
#[derive(Debug, Serialize)]
struct Agreement {
    labels: Vec<Score>,
    /// Means over the labels for which they are defined.
    #[serde(rename = "macro")]
    mean: Rates,
}

/// The agreement on one label.
#[derive(Debug, Serialize)]
struct Score {
    label: Label,
    /// Reports that are known to have it.
    positives: usize,
    #[serde(flatten)]
    rates: Rates,
}

/// None where there is nothing to divide by.
#[derive(Debug, Clone, Copy, Serialize)]
struct Rates {
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
}

impl Agreement {
    fn of(known: &[[bool; LABEL_COUNT]], read: &[[bool; LABEL_COUNT]]) -> Self {
        let labels: Vec<Score> = Label::all().map(|label| Score::of(label, known, read)).collect();
        let mean = |rate: fn(&Rates) -> Option<f64>| {
            mean(&labels.iter().filter_map(|score| rate(&score.rates)).collect::<Vec<_>>())
        };
        let mean = Rates {
            precision: mean(|rates| rates.precision),
            recall: mean(|rates| rates.recall),
            f1: mean(|rates| rates.f1),
        };
        Self { labels, mean }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(["", "positives", "precision", "recall", "F1"]);
        for score in &self.labels {
            table.add_row(cells(score.label.title(), score.positives.to_string(), score.rates));
        }
        table.add_row(cells("macro", String::new(), self.mean));
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table.trim_fmt()
    }
}

fn cells(name: &str, positives: String, rates: Rates) -> [String; 5] {
    let number = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.3}"));
    [name.to_owned(), positives, number(rates.precision), number(rates.recall), number(rates.f1)]
}

impl Score {
    fn of(label: Label, known: &[[bool; LABEL_COUNT]], read: &[[bool; LABEL_COUNT]]) -> Self {
        let flag = |flags: &[bool; LABEL_COUNT]| flags.get(label.index()).copied().unwrap_or_default();
        let calls: Confusion = known.iter().map(flag).zip(read.iter().map(flag)).collect();
        let rates = Rates { precision: calls.precision(), recall: calls.recall(), f1: calls.f1() };
        Self { label, positives: calls.true_positives + calls.false_negatives, rates }
    }
}
