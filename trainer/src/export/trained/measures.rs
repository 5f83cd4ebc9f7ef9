//! What an evaluation measured: every object of its file that has a value, an interval and a baseline.

use super::optional;
use crate::export::ExportError;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Place of the evaluation in a run folder.
const EVALUATION_FILE: &str = "evaluation/evaluation.json";

/// A number of the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// What was measured.
    pub value: f64,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// What is reached without looking at the image.
    pub baseline: Option<f64>,
}

/// Numbers by their path in the evaluation, e.g. `flags/macro_average/auroc`. Tables of labels and curves are not among
/// them.
pub type Measures = BTreeMap<String, Measure>;

/// The measures of a run with these weights; none where it was not evaluated.
pub(super) fn read(folder: &Path, weights_sha256: &str) -> Result<Measures, ExportError> {
    let path = folder.join(EVALUATION_FILE);
    let Some(evaluation) = optional::<Map<String, Value>>(&path)? else { return Ok(Measures::new()) };
    let weights = evaluation.get("weights_sha256").and_then(Value::as_str).unwrap_or("unknown");
    if weights != weights_sha256 {
        let (found, expected) = (weights.to_owned(), weights_sha256.to_owned());
        return Err(ExportError::OtherWeights { path, found, expected });
    }
    let mut found = Measures::new();
    collect(&evaluation, "", &mut found);
    Ok(found)
}

fn collect(object: &Map<String, Value>, path: &str, found: &mut Measures) {
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if let Ok(measure) = Measure::deserialize(value) {
            found.insert(path, measure);
        } else if let Value::Object(inner) = value {
            collect(inner, &path, found);
        }
    }
}
