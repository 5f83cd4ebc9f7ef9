//! One forward pass as plain numbers: what golden tests store, and what other runtimes are compared with.

use super::ExportError;
use crate::run::{self, Tower, little_endian};
use burn::tensor::{Device, Tensor, TensorData, TensorReadError};
use std::path::Path;

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
        let [z, y, x] = tower.input_size;
        if volume.len() != z * y * x {
            return Err(ExportError::Volume { given: volume.len(), size: tower.input_size });
        }
        let data = TensorData::new(volume.clone(), [1, 1, z, y, x]);
        let outputs = tower.forward(Tensor::from_data(data, device));
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
        let failed = |source| ExportError::Run { source };
        run::make_folder(folder).map_err(failed)?;
        for (name, values) in self.arrays() {
            run::write(&folder.join(format!("{name}.f32")), &little_endian(values)).map_err(failed)?;
        }
        Ok(())
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

pub(super) fn read(values: Result<Vec<f32>, TensorReadError>) -> Result<Vec<f32>, ExportError> {
    values.map_err(|reason| ExportError::Read { reason: reason.to_string() })
}
