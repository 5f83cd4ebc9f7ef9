//! What an evaluation measured: every object of its file that has a value, an interval and a baseline.

use super::optional;
use crate::export::ExportError;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Place of the evaluation in a run folder.
pub(super) const EVALUATION_FILE: &str = "evaluation/evaluation.json";
/// What tells the rows of a table apart.
const KEYS: [&str; 4] = ["label", "direction", "truth", "pool"];

/// What was found out about a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// On whom.
    pub patients: Patients,
    /// Numbers by their path in the file, with the keys of tables as parts of it: `flags/macro_average/auroc`,
    /// `flags/labels/emphysema/auroc`.
    pub measures: BTreeMap<String, Measure>,
}

/// Whom a model was evaluated on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Patients {
    /// Name of the split.
    pub split: String,
    /// Its cases.
    pub cases: usize,
    /// Whether they are phantoms.
    pub synthetic: bool,
    /// Whether thresholds, temperatures and the best step were chosen on these very patients, which flatters.
    pub chosen_on: bool,
}

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

#[derive(Deserialize)]
struct File {
    model: Model,
    patients: Patients,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Model {
    weights_sha256: String,
}

impl Evaluated {
    /// The evaluation of a run with these weights; `None` where it was not evaluated.
    pub(super) fn read(folder: &Path, weights_sha256: &str) -> Result<Option<Self>, ExportError> {
        let path = folder.join(EVALUATION_FILE);
        let Some(File { model, patients, rest }) = optional::<File>(&path)? else { return Ok(None) };
        if model.weights_sha256 != weights_sha256 {
            let (found, expected) = (model.weights_sha256, weights_sha256.to_owned());
            return Err(ExportError::OtherWeights { path, found, expected });
        }
        let mut measures = BTreeMap::new();
        collect(&Value::Object(rest), "", &mut measures);
        Ok(Some(Self { patients, measures }))
    }
}

fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, Measure>) {
    if let Ok(measure) = Measure::deserialize(value) {
        found.insert(path.to_owned(), measure);
        return;
    }
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
    for (name, inner) in value.as_object().into_iter().flatten() {
        // The numbers of a row stand under this name; it tells nothing.
        let path = if name == "measures" { path.to_owned() } else { below(name) };
        collect(inner, &path, found);
    }
    for row in value.as_array().into_iter().flatten() {
        let keys: Vec<String> = KEYS.iter().filter_map(|key| row.get(key)).map(plain).collect();
        if !keys.is_empty() {
            collect(row, &below(&keys.join("/")), found);
        }
    }
}

fn plain(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
