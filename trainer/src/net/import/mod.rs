//! Published weights into our towers.
//!
//! In: the bytes of a safetensors file with BERT's or M3D-CLIP's names, and the weights of a run. Out: the run's weights
//! with the tower's transformer replaced, and a table of what became of every tensor. Names and shapes are checked one
//! by one; a tensor that nobody knows, or a parameter that nothing was found for, refuses the whole file.

mod names;
mod tensors;

use super::weights::{Array, Weights};
use crate::experiment::Text;
use names::Names;
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Whose names a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// A BERT as HuggingFace's `transformers` writes it, into the report tower.
    Bert,
    /// The vision transformer of M3D-CLIP or MONAI, into the volume tower.
    M3dClip,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// All weights of the run.
    pub weights: Weights,
    /// What became of each tensor of the file, in the order of their names, and of each parameter that has none.
    pub rows: Vec<Row>,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name in the file; empty where nothing stands for the parameter.
    pub source: String,
    /// Path of the parameter; empty where the tensor is left out.
    pub target: String,
    /// What was done.
    pub done: &'static str,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not a safetensors file, or damaged.
    #[error("not a whole safetensors file; a pytorch_model.bin has to be saved as safetensors first")]
    Container {
        /// Where it breaks.
        #[source]
        source: SafeTensorError,
    },
    /// Names or shapes that do not fit, all of them.
    #[error("{} tensors do not fit the run's network; change the experiment to the file's shape:{}", problems.len(), list(problems))]
    Unfit {
        /// Each with its name.
        problems: Vec<String>,
    },
    /// The configuration beside the weights is not understood.
    #[error("config.json is not a BERT's configuration; take the one that was published with the weights")]
    Config {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A setting that the weights do not show, and that the report tower does not have.
    #[error(
        "config.json says {key} = {found}, and the report tower has {expected}; change the experiment if it can be"
    )]
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// In the configuration.
        found: String,
        /// In our tower.
        expected: String,
    },
}

fn list(problems: &[String]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    lines.concat()
}

/// Puts a published file's tensors in the place of a tower's parameters. Heads (pooling, projection, flags) stay.
pub fn import(bytes: &[u8], published: Published, weights: &Weights) -> Result<Imported, ImportError> {
    let file = SafeTensors::deserialize(bytes).map_err(|source| ImportError::Container { source })?;
    let names = match published {
        Published::Bert => &names::BERT,
        Published::M3dClip => &names::M3D_CLIP,
    };
    let mut order: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    order.sort_unstable();
    let mut importer = Importer { weights: weights.clone(), rows: Vec::new(), problems: Vec::new() };
    for source in order {
        importer.tensor(&file, names, source);
    }
    importer.missing(names);
    let Importer { weights, rows, problems } = importer;
    if problems.is_empty() { Ok(Imported { weights, rows }) } else { Err(ImportError::Unfit { problems }) }
}

struct Importer {
    weights: Weights,
    rows: Vec<Row>,
    problems: Vec<String>,
}

impl Importer {
    fn tensor(&mut self, file: &SafeTensors<'_>, names: &Names, source: String) {
        let name = names.bare(&source);
        if names.skips(name) {
            self.rows.push(Row { source, target: String::new(), done: "left out" });
            return;
        }
        let Some(target) = names.target(name) else {
            self.problems.push(format!("{source}: no part of such a network is called so"));
            return;
        };
        let Some(place) = self.weights.0.get_mut(&target) else {
            self.problems.push(format!("{source}: the run's network has no {target}"));
            return;
        };
        let read = file.tensor(&source).map_err(|error| error.to_string()).and_then(|view| tensors::array(&view));
        let fitted = read.map_err(|problem| format!("{source}: {problem}")).and_then(|found| {
            let unfit = |shape| format!("{source} is {shape:?}, and {target} is {:?}", place.shape);
            tensors::fitted(&target, found, &place.shape).map_err(unfit)
        });
        let done = match fitted {
            Ok((array, done)) => {
                *place = array;
                done
            }
            Err(problem) => {
                self.problems.push(problem);
                "refused"
            }
        };
        self.rows.push(Row { source, target, done });
    }

    /// Parameters of the transformer that the file has nothing for.
    fn missing(&mut self, names: &Names) {
        let given: BTreeSet<String> = self.rows.iter().map(|row| row.target.clone()).collect();
        for (target, Array { values, .. }) in &mut self.weights.0 {
            if given.contains(target) || !names.covers(target) {
                continue;
            }
            if target.ends_with("attention.qkv.bias") {
                values.fill(0.0);
                self.rows.push(Row { source: String::new(), target: target.clone(), done: "zero" });
            } else {
                self.problems.push(format!("nothing in the file stands for {target}"));
            }
        }
    }
}

/// What a BERT's `config.json` says that its weights do not show.
#[derive(Debug, Deserialize)]
struct Config {
    num_attention_heads: usize,
    #[serde(default)]
    hidden_act: Option<String>,
    #[serde(default)]
    layer_norm_eps: Option<f64>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

/// Checks a BERT's `config.json` against the report tower: number of heads, exact GELU, absolute positions, and the
/// epsilon of its normalisations.
pub fn check_config(json: &str, text: &Text) -> Result<(), ImportError> {
    let config: Config = serde_json::from_str(json).map_err(|source| ImportError::Config { source })?;
    let settings = [
        ("num_attention_heads", Some(config.num_attention_heads.to_string()), text.heads.to_string()),
        ("hidden_act", config.hidden_act, "gelu".into()),
        ("position_embedding_type", config.position_embedding_type, "absolute".into()),
        (
            "layer_norm_eps",
            config.layer_norm_eps.map(|epsilon| format!("{epsilon:e}")),
            format!("{:e}", super::text::TEXT_NORM_EPSILON),
        ),
    ];
    for (key, found, expected) in settings {
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(ImportError::Setting { key, found, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
