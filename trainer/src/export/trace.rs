//! One forward pass as plain numbers: what golden tests store, and what other runtimes are compared with.

use super::ExportError;
use crate::eval::{self, BertTower, Outputs, Tower, little_endian};
use crate::experiment::Experiment;
use burn::tensor::{Device, Int, Tensor, TensorData, TensorReadError};
use ctedge_models::preprocess;
use std::path::Path;

/// The input tensor of the experiment's phantom, by the code that every appliance repeats it with.
pub fn phantom_tensor(experiment: &Experiment) -> Result<preprocess::Tensor, ExportError> {
    let volume = experiment.golden.volume().map_err(|source| ExportError::Phantom { source })?;
    Ok(preprocess::tensor(&volume, &experiment.input))
}

/// Input and outputs of a tower on one volume, in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The input tensor, `[1, 1, z, y, x]`.
    pub volume: Vec<f32>,
    /// Unit vector `[1, E]`.
    pub embedding: Vec<f32>,
    /// `[1, 18]`.
    pub logits: Vec<f32>,
    /// `[1, T, C]`.
    pub tokens: Vec<f32>,
    /// `[1, T]`.
    pub saliency: Vec<f32>,
}

impl Trace {
    /// Runs a tower on one preprocessed volume.
    pub fn of(tower: &Tower, volume: Vec<f32>, device: &Device) -> Result<Self, ExportError> {
        let outputs = tower.forward(input(tower, &volume, device)?);
        Self::read(volume, outputs)
    }

    /// Reads what a tower has said of one volume.
    pub(super) fn read(volume: Vec<f32>, outputs: Outputs) -> Result<Self, ExportError> {
        Ok(Self {
            volume,
            embedding: read(outputs.embedding.try_into_vec_as())?,
            logits: read(outputs.logits.try_into_vec_as())?,
            tokens: read(outputs.tokens.try_into_vec_as())?,
            saliency: read(outputs.saliency.try_into_vec_as())?,
        })
    }

    /// Writes each array as `NAME.f32`: raw 32-bit floats, little endian, C order.
    pub fn write(&self, folder: &Path) -> Result<(), ExportError> {
        store(folder, self.arrays().map(|(name, values)| (format!("{name}.f32"), little_endian(values))))
    }

    /// Every array with its name in the graph.
    pub fn arrays(&self) -> [(&'static str, &[f32]); 5] {
        [
            ("volume", &self.volume),
            ("embedding", &self.embedding),
            ("logits", &self.logits),
            ("tokens", &self.tokens),
            ("saliency", &self.saliency),
        ]
    }
}

/// Inputs and output of a report tower on one report.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportTrace {
    /// Token ids `[1, L]`, padded.
    pub ids: Vec<i32>,
    /// 1 for a token, 0 for padding, `[1, L]`.
    pub mask: Vec<f32>,
    /// Unit vector `[1, E]`.
    pub embedding: Vec<f32>,
}

impl ReportTrace {
    /// Runs a report tower on the padded tokens of one report.
    pub fn of(tower: &BertTower, ids: Vec<i32>, mask: Vec<f32>, device: &Device) -> Result<Self, ExportError> {
        let shape = [1, ids.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), shape), device);
        let outputs = tower.forward(tokens, Tensor::from_data(TensorData::new(mask.clone(), shape), device));
        Ok(Self { ids, mask, embedding: read(outputs.embedding.try_into_vec_as())? })
    }

    /// Writes `ids.i64` (raw 64-bit whole numbers), `mask.f32` and `embedding.f32`, all little endian.
    pub fn write(&self, folder: &Path) -> Result<(), ExportError> {
        let ids = self.ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
        let [mask, embedding] = [&self.mask, &self.embedding].map(|values| little_endian(values));
        store(folder, [("ids.i64", ids), ("mask.f32", mask), ("embedding.f32", embedding)])
    }
}

/// One preprocessed volume as a tower takes it.
pub(super) fn input(tower: &Tower, volume: &[f32], device: &Device) -> Result<Tensor<5>, ExportError> {
    let [z, y, x] = tower.input_size;
    if volume.len() != z * y * x {
        return Err(ExportError::Volume { given: volume.len(), size: tower.input_size });
    }
    Ok(Tensor::from_data(TensorData::new(volume.to_vec(), [1, 1, z, y, x]), device))
}

pub(super) fn read(values: Result<Vec<f32>, TensorReadError>) -> Result<Vec<f32>, ExportError> {
    values.map_err(|reason| ExportError::Read { reason: reason.to_string() })
}

fn store<S: AsRef<Path>>(folder: &Path, files: impl IntoIterator<Item = (S, Vec<u8>)>) -> Result<(), ExportError> {
    let failed = |source| ExportError::Run { source };
    eval::make_folder(folder).map_err(failed)?;
    files.into_iter().try_for_each(|(name, bytes)| eval::write_file(&folder.join(name), &bytes)).map_err(failed)
}
