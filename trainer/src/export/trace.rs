//! Forward passes as plain numbers: what golden tests store, and what other runtimes are compared with.

use super::ExportError;
use crate::eval::{self, BertTower, Limits, Outputs, ReportDecoder, Tower, little_endian, raised, told_flags};
use crate::experiment::Experiment;
use burn::tensor::{Device, Int, Tensor, TensorData, TensorReadError};
use ctedge_models::bundle::LabelSpec;
use ctedge_models::phantom::Recipe;
use ctedge_models::preprocess;
use ctedge_models::spec::PreprocessSpec;
use std::path::Path;

/// The input tensor of the experiment's phantom, by the code that every appliance repeats it with.
pub fn phantom_tensor(experiment: &Experiment) -> Result<preprocess::Tensor, ExportError> {
    golden_tensor(&experiment.golden, &experiment.input)
}

/// The input tensor of a phantom.
pub fn golden_tensor(phantom: &Recipe, input: &PreprocessSpec) -> Result<preprocess::Tensor, ExportError> {
    let volume = phantom.volume().map_err(|source| ExportError::Phantom { source })?;
    Ok(preprocess::tensor(&volume, input))
}

/// A tensor `[1, 1, z, y, x]` as a file of numpy (format 1.0).
pub fn npy([z, y, x]: [usize; 3], values: &[f32]) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, {z}, {y}, {x}), }}");
    // Ten bytes before the text; it ends with a line feed at a multiple of 64.
    let length = (text.len() + 11).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).into_bytes());
    bytes.extend(little_endian(values));
    bytes
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
    /// What each token adds to each flag, `[1, 18, T]`.
    pub flag_saliency: Vec<f32>,
    /// `[1, C]`, where the tower has a class token.
    pub class: Option<Vec<f32>>,
}

impl Trace {
    /// Runs a tower on one preprocessed volume.
    pub fn of(tower: &Tower, volume: Vec<f32>, device: &Device) -> Result<Self, ExportError> {
        let outputs = tower.forward(input(tower, &volume, device)?);
        Self::read(tower, volume, outputs)
    }

    /// Reads what a tower has said of one volume.
    pub(super) fn read(tower: &Tower, volume: Vec<f32>, outputs: Outputs) -> Result<Self, ExportError> {
        Ok(Self {
            flag_saliency: read(tower.flag_saliency(&outputs).try_into_vec_as())?,
            volume,
            embedding: read(outputs.embedding.try_into_vec_as())?,
            logits: read(outputs.logits.try_into_vec_as())?,
            tokens: read(outputs.tokens.try_into_vec_as())?,
            saliency: read(outputs.saliency.try_into_vec_as())?,
            class: outputs.class.map(|class| read(class.try_into_vec_as())).transpose()?,
        })
    }

    /// Every array with its name in the graph.
    pub fn arrays(&self) -> Vec<(&'static str, &[f32])> {
        let class = self.class.as_ref().map(|class| ("class", class.as_slice()));
        let always = [
            ("volume", self.volume.as_slice()),
            ("embedding", &self.embedding),
            ("logits", &self.logits),
            ("tokens", &self.tokens),
            ("saliency", &self.saliency),
            ("flag_saliency", &self.flag_saliency),
        ];
        always.into_iter().chain(class).collect()
    }
}

/// Outputs of a report tower on a batch of reports, in C order; L is the longest report's length.
#[derive(Debug, Clone, PartialEq)]
pub struct TextTrace {
    /// Unit vectors `[B, E]`.
    pub embedding: Vec<f32>,
    /// `[B, C]`.
    pub pooled: Vec<f32>,
    /// `[B, L, C]`; behind a report's end they mean nothing.
    pub tokens: Vec<f32>,
}

impl TextTrace {
    /// Runs a tower on reports' token ids, `[CLS]` and `[SEP]` among them.
    pub fn of(tower: &BertTower, reports: &[Vec<u32>], device: &Device) -> Result<Self, ExportError> {
        let ([vocabulary, _], [places, _]) =
            (tower.embeddings.word.weight.dims(), tower.embeddings.position.weight.dims());
        let known = |id: &u32| usize::try_from(*id).is_ok_and(|id| id < vocabulary);
        let fits = |report: &Vec<u32>| (1..=places).contains(&report.len()) && report.iter().all(known);
        if let Some(report) = reports.iter().position(|report| !fits(report)) {
            return Err(ExportError::Ids { report: report + 1, places, vocabulary });
        }
        let longest = reports.iter().map(Vec::len).max().unwrap_or(0);
        let row =
            |report: &Vec<u32>| report.iter().copied().map(Some).chain(std::iter::repeat(None)).take(longest).collect();
        let rows: Vec<Option<u32>> = reports.iter().flat_map(|report| -> Vec<_> { row(report) }).collect();
        let ids: Vec<u32> = rows.iter().map(|id| id.unwrap_or(0)).collect();
        let mask: Vec<f32> = rows.iter().map(|id| if id.is_some() { 1.0 } else { 0.0 }).collect();
        let shape = [reports.len(), longest];
        let ids = Tensor::from_data(TensorData::new(ids, shape), device);
        let outputs = tower.forward(ids, Tensor::from_data(TensorData::new(mask, shape), device));
        Ok(Self {
            embedding: read(outputs.embedding.try_into_vec_as())?,
            pooled: read(outputs.pooled.try_into_vec_as())?,
            tokens: read(outputs.tokens.try_into_vec_as())?,
        })
    }

    /// Every array with its name.
    pub fn arrays(&self) -> Vec<(&'static str, &[f32])> {
        vec![("embedding", &self.embedding), ("pooled", &self.pooled), ("tokens", &self.tokens)]
    }
}

/// A greedy draft of a volume, as another runtime has to write it.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftTrace {
    /// The volume tower's normalised tokens, `[1, T, C]`.
    pub tokens: Vec<f32>,
    /// The flags as the decoder is told them, `[1, 18]`.
    pub flags: Vec<f32>,
    /// The draft, from the first id to the separator that ends it.
    pub ids: Vec<u32>,
    /// Logits `[L - 1, V]` of the word after each of its L words but the last, of one pass over all of them.
    pub logits: Vec<f32>,
}

impl DraftTrace {
    /// Drafts a report of a volume that a tower has seen, told the flags that its logits raise.
    pub fn of(
        decoder: &ReportDecoder,
        seen: &Trace,
        (specs, limits): (&[LabelSpec], Limits),
        device: &Device,
    ) -> Result<Self, ExportError> {
        let [width, _] = decoder.memory.project.weight.dims();
        let flags = told_flags(raised(specs, &seen.logits)).to_vec();
        let tokens = TensorData::new(seen.tokens.clone(), [1, seen.tokens.len() / width, width]);
        let tokens = Tensor::<3>::from_data(tokens, device);
        let told = Tensor::<2>::from_data(TensorData::new(flags.clone(), [1, flags.len()]), device);
        let unread = |reason: TensorReadError| ExportError::Read { reason: reason.to_string() };
        let written = decoder.greedy(tokens.clone(), told.clone(), limits).map_err(unread)?;
        let ids = written.into_iter().next().map(|draft| draft.ids).unwrap_or_default();
        let shown: Vec<u32> = ids.iter().copied().take(ids.len().saturating_sub(1)).collect();
        let length = shown.len();
        let shown = Tensor::<2, Int>::from_data(TensorData::new(shown, [1, length]), device);
        let logits = decoder.forward(shown, &mut decoder.begin(tokens, told));
        Ok(Self { tokens: seen.tokens.clone(), flags, ids, logits: read(logits.try_into_vec_as())? })
    }

    /// Every array with its name.
    pub fn arrays(&self) -> Vec<(&'static str, &[f32])> {
        vec![("tokens", &self.tokens), ("flags", &self.flags), ("logits", &self.logits)]
    }
}

/// Writes each array as `NAME.f32`: raw 32-bit floats, little endian, C order.
pub fn write_arrays(arrays: &[(&str, &[f32])], folder: &Path) -> Result<(), ExportError> {
    let failed = |source| ExportError::Run { source };
    eval::make_folder(folder).map_err(failed)?;
    for (name, values) in arrays {
        eval::write_file(&folder.join(format!("{name}.f32")), &little_endian(values)).map_err(failed)?;
    }
    Ok(())
}

/// Writes token ids as `ids.i64`: raw 64-bit whole numbers, little endian, as the report graph takes them.
pub fn write_ids(ids: &[i32], folder: &Path) -> Result<(), ExportError> {
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
    eval::make_folder(folder)
        .and_then(|()| eval::write_file(&folder.join("ids.i64"), &bytes))
        .map_err(|source| ExportError::Run { source })
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
