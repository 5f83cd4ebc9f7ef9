//! The graphs of a bundle, looked at before anything loads them.

use super::{BundleError, Graph, Manifest, TensorIo};
use crate::onnx::proto::{FLOAT, INT64, ValueInfo};
use crate::onnx::{self, Contract, GRAPH_BYTES, Refusal};
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
    let text = manifest.text.as_ref().map(|text| &text.graph);
    for graph in std::iter::once(&manifest.vision).chain(text) {
        let absent =
            || BundleError::BadManifest { reason: format!("the graph {:?} is not among the files", graph.file) };
        let path = files.get(&graph.file).ok_or_else(absent)?;
        let contract = contract(graph, manifest.requires.memory_mib, lengths.clone());
        let refused = |refusal| BundleError::Onnx { path: graph.file.clone(), refusal };
        let length = lengths.get(graph.file.as_str()).copied().unwrap_or_default();
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
    Ok(())
}

/// What a manifest says of a graph.
fn contract<'a>(graph: &'a Graph, memory_mib: u64, files: BTreeMap<&'a str, u64>) -> Contract<'a> {
    Contract {
        opset: graph.opset,
        inputs: graph.inputs.iter().map(declaration).collect(),
        outputs: graph.outputs.iter().map(declaration).collect(),
        control_flow: &graph.control_flow,
        memory_bytes: memory_mib.saturating_mul(1 << 20),
        files,
    }
}

/// How a graph declares what a manifest states.
fn declaration(tensor: &TensorIo) -> ValueInfo {
    let lengths = tensor.shape.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX));
    let kind = if tensor.name == "ids" { INT64 } else { FLOAT };
    ValueInfo::tensor(&tensor.name, &lengths.collect::<Vec<_>>(), kind)
}
