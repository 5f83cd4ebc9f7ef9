//! A model that was made elsewhere, as the files of a bundle.
//!
//! In: any ONNX classifier of volumes, a recipe that says what it wants to be fed and what its numbers mean, and the logits that
//! its own framework computes for the golden volume: a runtime that is asked for them would only agree with itself. Out:
//! [`Foreign`], the same as a run's export.

mod graph;
mod recipe;
mod wire;

pub use graph::{Ports, rewired};
pub use recipe::{ByoLabel, ByoTraining, Recipe, logits};

use super::manifest::{VISION_FILE, requires};
use super::trace::golden_tensor;
use super::{ExportError, Exported, write};
use crate::eval::make_folder;
use ctedge_models::bundle::{Golden, Graph, LabelSpec, Manifest, SCHEMA, TensorIo, Training};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Path of the recipe in a bundle.
const RECIPE_FILE: &str = "recipe.toml";

/// A bundle's manifest and files.
#[derive(Debug)]
pub struct Foreign {
    exported: Exported,
    /// Files beside the model that hold its weights, by their paths in the bundle.
    weights: Vec<(String, PathBuf)>,
}

impl Foreign {
    /// Reads a model and what is known of it.
    ///
    /// # Errors
    /// The model is no ONNX, has other inputs or outputs than one volume and one row of logits, or they and the recipe differ.
    pub fn of(model: &Path, recipe: &Recipe, logits: Vec<f32>, created: String) -> Result<Self, ExportError> {
        let bytes = std::fs::read(model).map_err(|source| ExportError::Open { path: model.into(), source })?;
        let ports = Ports { volume: recipe.input.grid.size(), logits: recipe.labels.len() };
        let foreign = |reason: String| ExportError::NotOurs { path: model.into(), reason };
        let graph = rewired(&bytes, &ports).map_err(foreign)?;
        let weights = graph.weights(model).map_err(foreign)?;
        let tensor = golden_tensor(&recipe.golden, &recipe.input)?;
        let [z, y, x] = ports.volume;
        let io = |name: &str, shape: &[usize]| vec![TensorIo { name: name.into(), shape: shape.to_vec() }];
        let manifest = Manifest {
            schema: SCHEMA.into(),
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            serial: recipe.serial,
            created,
            install_before: None,
            requires: requires(recipe.memory_mib),
            files: BTreeMap::new(),
            input: recipe.input.clone(),
            labels: recipe.labels.iter().map(LabelSpec::from).collect(),
            calibration: None,
            vision: Graph {
                file: VISION_FILE.into(),
                precision: recipe.precision.clone(),
                opset: graph.opset,
                inputs: io("volume", &[1, 1, z, y, x]),
                outputs: io("logits", &[1, ports.logits]),
                control_flow: recipe.control_flow.clone(),
            },
            text: None,
            token_grid: None,
            decoder: None,
            evidence: None,
            training: Training {
                trained: recipe.training.trained,
                method: recipe.training.method.clone(),
                data: recipe.training.data.clone(),
                experiment_sha256: recipe.sha256(),
                metrics: recipe.training.metrics.clone(),
            },
            golden: Golden {
                phantom: recipe.golden.clone(),
                tensor_sha256: tensor.sha256(),
                logits,
                tolerance: recipe.tolerance,
            },
            intended_use: recipe.intended_use.clone(),
        };
        let files = BTreeMap::from([(VISION_FILE, graph.bytes), (RECIPE_FILE, recipe.source().as_bytes().to_vec())]);
        Ok(Self { exported: Exported { manifest, files }, weights })
    }

    /// Writes the folder of a bundle before packing.
    ///
    /// # Errors
    /// A file cannot be written, or one that holds weights cannot be read.
    pub fn write(&self, folder: &Path) -> Result<(), ExportError> {
        write(&self.exported, folder)?;
        for (name, from) in &self.weights {
            let to = folder.join(name);
            to.parent().map_or(Ok(()), make_folder).map_err(|source| ExportError::Run { source })?;
            std::fs::copy(from, &to).map_err(|source| ExportError::Open { path: from.clone(), source })?;
        }
        Ok(())
    }

    /// What its bundle says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.exported.manifest
    }
}
