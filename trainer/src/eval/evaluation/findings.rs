//! All 18 findings of a case at once: what flags or a drafted report assert, against the truth.

use super::super::EvalError;
use super::super::metrics::{Bootstrap, Confusion, Findings};
use super::measure::{Measure, Measures, ratio};
use ctedge_models::labels::LABEL_COUNT;

type Row = [bool; LABEL_COUNT];

/// A measure of calls against the truth.
struct Metric {
    name: &'static str,
    of: fn(&Counts) -> Option<f64>,
    /// The constant call that it stands beside.
    beside: Option<bool>,
}

const METRICS: [Metric; 7] = [
    Metric { name: "micro_f1", of: |counts| counts.findings.together().f1(), beside: Some(true) },
    Metric { name: "macro_f1", of: |counts| Some(counts.findings.macro_average(Confusion::f1)), beside: Some(true) },
    Metric { name: "micro_precision", of: |counts| counts.findings.together().precision(), beside: Some(true) },
    Metric { name: "crg", of: |counts| counts.findings.crg(), beside: Some(true) },
    Metric {
        name: "hallucinated_per_case",
        of: |counts| ratio(counts.findings.hallucinated(), counts.cases),
        beside: Some(false),
    },
    Metric { name: "missed_per_case", of: |counts| ratio(counts.findings.missed(), counts.cases), beside: Some(false) },
    Metric { name: "all_labels_right", of: |counts| ratio(counts.exact, counts.cases), beside: Some(false) },
];

struct Counts {
    findings: Findings<LABEL_COUNT>,
    exact: usize,
    cases: usize,
}

impl Counts {
    fn new(truth: &[Row], called: &[Row]) -> Option<Self> {
        let exact = truth.iter().zip(called).filter(|(truth, called)| truth == called).count();
        Some(Self { findings: Findings::new(truth, called).ok()?, exact, cases: truth.len() })
    }
}

/// Measures calls, one row for each case and one entry of `patients` for each row.
pub(super) fn measure(
    (truth, called): (&[Row], &[Row]),
    patients: &[&str],
    bootstrap: &Bootstrap,
) -> Result<Measures, EvalError> {
    let numbers = |drawn: &[usize]| {
        let rows = |all: &[Row]| drawn.iter().filter_map(|&place| all.get(place).copied()).collect::<Vec<Row>>();
        let counts = Counts::new(&rows(truth), &rows(called));
        METRICS.iter().map(|metric| counts.as_ref().and_then(metric.of)).collect::<Vec<_>>()
    };
    let values = numbers(&(0..truth.len()).collect::<Vec<_>>());
    let intervals = bootstrap.intervals(patients, numbers)?;
    let constant = [false, true].map(|call| Counts::new(truth, &vec![[call; LABEL_COUNT]; truth.len()]));
    let [none, all] = &constant;
    let baseline = |metric: &Metric| (metric.of)(if metric.beside? { all.as_ref()? } else { none.as_ref()? });
    let rows = METRICS.iter().zip(values).zip(intervals);
    Ok(rows.map(|((metric, value), ends)| (metric.name, Measure::new(value, ends, baseline(metric)))).collect())
}
