//! The graphs of a bundle, looked at before anything loads them.

use super::{BundleError, Decoder, Manifest, TensorIo};
use crate::onnx::proto::{FLOAT, INT64, ValueInfo};
use crate::onnx::{self, Contract, GRAPH_BYTES, Refusal};
use crate::text::Tokenizer;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

/// Checks every graph that a manifest names, given the files of the bundle by their paths in it.
///
/// # Errors
/// A graph that a device may not load, or a file that cannot be read.
pub fn preflight(manifest: &Manifest, files: &BTreeMap<String, PathBuf>) -> Result<(), BundleError> {
    let mut lengths = BTreeMap::new();
    for (name, path) in files {
        lengths.insert(name.as_str(), fs::metadata(path).map_err(BundleError::io(path))?.len());
    }
    let memory_bytes = manifest.requires.memory_mib.saturating_mul(1 << 20);
    for Stated { file: name, opset, control_flow, ports: (inputs, outputs) } in graphs(manifest) {
        let absent = || BundleError::BadManifest { reason: format!("the graph {name:?} is not among the files") };
        let path = files.get(name).ok_or_else(absent)?;
        let contract = Contract { opset, inputs, outputs, control_flow, memory_bytes, files: lengths.clone() };
        let refused = |refusal| BundleError::Onnx { path: name.to_owned(), refusal };
        let length = lengths.get(name).copied().unwrap_or_default();
        let most = contract.memory_bytes.min(GRAPH_BYTES);
        if length > most {
            return Err(refused(Refusal::Size {
                what: "the file of the graph".into(),
                bytes: length.to_string(),
                most,
            }));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(BundleError::io(path))?;
        file.take(length).read_to_end(&mut bytes).map_err(BundleError::io(path))?;
        onnx::check(bytes, &contract).map_err(refused)?;
    }
    check_tokenizers(manifest, files)
}

/// What a manifest says of a graph.
struct Stated<'a> {
    file: &'a str,
    opset: i64,
    control_flow: &'a [String],
    /// Inputs and outputs.
    ports: (Vec<ValueInfo>, Vec<ValueInfo>),
}

/// Every graph that a manifest names.
fn graphs(manifest: &Manifest) -> Vec<Stated<'_>> {
    let decoder = manifest.decoder.as_ref();
    let fixed = std::iter::once(&manifest.vision)
        .chain(manifest.text.as_ref().map(|text| &text.graph))
        .chain(decoder.map(|decoder| &decoder.cross));
    let ports = |ports: &[TensorIo]| ports.iter().map(declaration).collect();
    let fixed = fixed.map(|graph| Stated {
        file: &graph.file,
        opset: graph.opset,
        control_flow: &graph.control_flow,
        ports: (ports(&graph.inputs), ports(&graph.outputs)),
    });
    let step = decoder.map(|Decoder { step, .. }| Stated {
        file: &step.file,
        opset: step.opset,
        control_flow: &[],
        ports: step.ports(),
    });
    fixed.chain(step).collect()
}

/// A tokenizer with another vocabulary than the decoder's would turn its words into others.
fn check_tokenizers(manifest: &Manifest, files: &BTreeMap<String, PathBuf>) -> Result<(), BundleError> {
    let Some(Decoder { step, tokenizer, .. }) = &manifest.decoder else { return Ok(()) };
    let bad = |reason: String| BundleError::Tokenizer { path: tokenizer.clone(), reason };
    let path = files.get(tokenizer).ok_or_else(|| bad("it is not among the files".to_owned()))?;
    let json = fs::read_to_string(path).map_err(BundleError::io(path))?;
    let read = Tokenizer::from_json(&json, step.max_tokens).map_err(|error| bad(error.to_string()))?;
    if read.vocabulary() == step.vocabulary {
        return Ok(());
    }
    Err(bad(format!("it knows {} pieces, the decoder {}", read.vocabulary(), step.vocabulary)))
}

/// How a graph declares what a manifest states.
fn declaration(tensor: &TensorIo) -> ValueInfo {
    let lengths = tensor.shape.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX));
    let kind = if tensor.name == "ids" { INT64 } else { FLOAT };
    ValueInfo::tensor(&tensor.name, &lengths.collect::<Vec<_>>(), kind)
}
