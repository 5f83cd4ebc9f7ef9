//! The tables of the page.

use super::super::definitions::definition;
use super::super::{Calibration, Drafts, Evaluation, Flags, Measure, Measures, Truth, ZeroShot};
use super::markup::{Node, tag};

/// Columns of the flags' table.
const FLAG_COLUMNS: [&str; 11] = [
    "auroc",
    "auroc_visible",
    "auprc",
    "f1",
    "weighted_f1",
    "precision",
    "recall",
    "specificity",
    "accuracy",
    "brier",
    "ece",
];
const FINDING_COLUMNS: [&str; 7] =
    ["micro_f1", "macro_f1", "micro_precision", "crg", "hallucinated_per_case", "missed_per_case", "all_labels_right"];
const RETRIEVAL_COLUMNS: [&str; 6] =
    ["recall_at_1", "recall_at_5", "recall_at_10", "recall_at_50", "median_rank", "mean_reciprocal_rank"];
const LANGUAGE_COLUMNS: [&str; 8] =
    ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "sentence_bleu_4", "rouge_l", "meteor", "cider_d"];
/// Pools of the retrieval table; the whole split is one more.
const POOLS: [usize; 2] = [100, 500];

/// A row: its name, something small under the name, its numbers, and whether it sums the others up.
struct Row<'a> {
    name: String,
    note: String,
    measures: &'a Measures,
    class: &'static str,
}

impl<'a> Row<'a> {
    fn new(name: impl Into<String>, note: impl Into<String>, measures: &'a Measures) -> Self {
        Self { name: name.into(), note: note.into(), measures, class: "" }
    }

    fn sum(name: impl Into<String>, measures: &'a Measures) -> Self {
        Self { class: "sum", ..Self::new(name, "", measures) }
    }
}

/// How people call a measure.
fn title(measure: &str) -> String {
    match measure {
        "auroc" => "AUROC".into(),
        "auroc_visible" => "AUROC, visible".into(),
        "auprc" => "AUPRC".into(),
        "f1" => "F1".into(),
        "weighted_f1" => "weighted F1".into(),
        "micro_f1" => "micro F1".into(),
        "macro_f1" => "macro F1".into(),
        "brier" => "Brier".into(),
        "ece" => "ECE".into(),
        "crg" => "CRG".into(),
        "mean_reciprocal_rank" => "MRR".into(),
        "rouge_l" => "ROUGE-L".into(),
        "meteor" => "METEOR".into(),
        "cider_d" => "CIDEr-D".into(),
        "sentence_bleu_4" => "sentence BLEU-4".into(),
        _ => match (measure.strip_prefix("recall_at_"), measure.strip_prefix("bleu_")) {
            (Some(depth), _) => format!("R@{depth}"),
            (_, Some(order)) => format!("BLEU-{order}"),
            _ => measure.replace('_', " "),
        },
    }
}

/// A number of a table.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

fn small(text: String) -> Node {
    tag("small").add(text)
}

fn cell(measure: Option<&Measure>) -> Node {
    let Some(Measure { value: Some(value), low, high, baseline }) = measure.copied() else {
        return tag("td").add("\u{2013}");
    };
    let ends = low.zip(high).map(|(low, high)| small(format!("{}\u{2013}{}", number(low), number(high))));
    let beside = baseline.map(|baseline| small(format!("vs {}", number(baseline))));
    tag("td").add(number(value)).all(ends).all(beside)
}

/// Measures by row; a column of which no row has a number is left out.
fn table(first: &str, columns: &[&'static str], rows: &[Row<'_>]) -> Node {
    let has = |name: &&&str| {
        let measured = |row: &Row<'_>| row.measures.get(**name).is_some_and(|measure| measure.value.is_some());
        rows.iter().any(measured)
    };
    let columns: Vec<&str> = columns.iter().filter(has).copied().collect();
    let head = |name: &&str| tag("th").with("title", definition(name).unwrap_or_default()).add(title(name));
    let head = tag("tr").add(tag("th").add(first)).all(columns.iter().map(head));
    let row = |row: &Row<'_>| {
        let note = (!row.note.is_empty()).then(|| small(row.note.clone()));
        let cells = columns.iter().map(|name| cell(row.measures.get(name)));
        tag("tr").with("class", row.class).add(tag("td").add(row.name.as_str()).all(note)).all(cells)
    };
    framed(head, rows.iter().map(row))
}

/// A table that scrolls where the window is too narrow.
fn framed(head: Node, rows: impl Iterator<Item = Node>) -> Node {
    let table = tag("table").add(tag("thead").add(head)).add(tag("tbody").all(rows));
    tag("div").with("class", "wide").add(table)
}

pub(super) fn flags(flags: &Flags) -> Vec<Node> {
    let note = |positives: usize, visible: Option<usize>| match visible {
        Some(visible) => format!("{positives} positive, {visible} visible"),
        None => format!("{positives} positive"),
    };
    let rows = flags.labels.iter();
    let rows = rows.map(|row| Row::new(row.label.title(), note(row.positives, row.visible_positives), &row.measures));
    let rows: Vec<Row<'_>> = rows.chain([Row::sum("Macro average", &flags.macro_average)]).collect();
    vec![
        table("Finding", &FLAG_COLUMNS, &rows),
        tag("h3").add("All calls together"),
        table("", &FINDING_COLUMNS, &[Row::new("Flags at their thresholds", "", &flags.overall)]),
    ]
}

pub(super) fn calibration(flags: &Flags) -> Node {
    let rows: Vec<Row<'_>> = ["uncalibrated", "temperature", "isotonic"]
        .into_iter()
        .filter_map(|name| Some(Row::new(name, "", flags.calibration.get(name)?)))
        .collect();
    table("Macro average", &["brier", "ece"], &rows)
}

pub(super) fn thresholds(calibration: &Calibration) -> Node {
    let names = ["Finding", "Temperature", "Threshold", "Positive", "Negative", "Learned"];
    let head = tag("tr").all(names.map(|name| tag("th").add(name)));
    let row = |of: &super::super::LabelCalibration| {
        let learned = if of.fitted { "yes" } else { "no: too few cases" };
        let numbers = [format!("{:.3}", of.temperature), format!("{:.3}", of.threshold)];
        let counts = [of.positives.to_string(), of.negatives.to_string(), learned.to_owned()];
        let cells = [of.label.title().to_owned()].into_iter().chain(numbers).chain(counts);
        tag("tr").all(cells.map(|text| tag("td").add(text)))
    };
    framed(head, calibration.labels.iter().map(row))
}

pub(super) fn zero_shot(prompts: &ZeroShot) -> Node {
    let rows = prompts.labels.iter();
    let rows = rows.map(|row| {
        Row::new(row.label.title(), format!("cosine of the two {}", number(row.prompt_cosine)), &row.measures)
    });
    let rows: Vec<Row<'_>> = rows.chain([Row::sum("Macro average", &prompts.macro_average)]).collect();
    table("Finding", &["auroc", "auprc", "negation_flip"], &rows)
}

pub(super) fn retrieval(evaluation: &Evaluation) -> Node {
    let shown = evaluation.retrieval.iter().filter(|row| row.whole || POOLS.contains(&row.pool));
    let rows = shown.map(|row| {
        let truth = match row.truth {
            Truth::Identity => "only the own one is right",
            Truth::Equal => "what says the same is right",
        };
        Row::new(format!("{}, pool {}", row.direction.name(), row.pool), truth, &row.measures)
    });
    table("Search", &RETRIEVAL_COLUMNS, &rows.collect::<Vec<_>>())
}

pub(super) fn drafts(drafts: &Drafts) -> Vec<Node> {
    let decoder = drafts.decoder.as_ref().map(|row| ("Decoder", row));
    let ways = [
        ("Baseline: a sentence for each flag", &drafts.template),
        ("Nearest training report", &drafts.nearest),
        ("Baseline: most common training report", &drafts.most_common),
        ("Baseline: random training report", &drafts.random),
        ("Baseline: everything denied", &drafts.normal),
    ];
    let ways: Vec<_> = decoder.into_iter().chain(ways).collect();
    let note = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{} distinct", number(share)));
    let language: Vec<Row<'_>> =
        ways.iter().map(|(name, row)| Row::new(*name, note(row.distinct_share), &row.language)).collect();
    let findings: Vec<Row<'_>> = ways.iter().map(|(name, row)| Row::new(*name, "", &row.findings)).collect();
    vec![
        tag("h3").add("Words"),
        table("Draft", &LANGUAGE_COLUMNS, &language),
        tag("h3").add("Findings"),
        table("Draft", &FINDING_COLUMNS, &findings),
    ]
}
