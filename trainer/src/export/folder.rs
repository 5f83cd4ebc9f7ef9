//! The exported folder: a bundle before packing.

use super::golden::golden;
use super::onnx::Model;
use super::{ExportError, VISION_FILE, VisionGraph, manifest, properties, vision};
use crate::device;
use crate::run::{self, Run};
use ctedge_models::bundle::{Manifest, TensorIo};
use prost::Message;
use std::fs;
use std::path::{Path, PathBuf};

const MANIFEST_FILE: &str = "manifest.json";

/// What a run exports.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The volume graph.
    pub graph: VisionGraph,
    /// The manifest; its table of files is empty until packing.
    pub manifest: Manifest,
}

impl Exported {
    /// Writes a run's network as a graph and runs the golden test. `created` is RFC 3339 UTC.
    pub fn of(run: &Run, created: String) -> Result<Self, ExportError> {
        let device = device::cpu();
        let tower = run.tower(&device).map_err(|source| ExportError::Run { source })?;
        let graph = vision(&tower, &properties(run))?;
        let golden = golden(&run.experiment, &tower, &device)?;
        let manifest = manifest(run, &graph, golden, created);
        Ok(Self { graph, manifest })
    }
}

/// Writes the folder; files of an earlier export in it are replaced.
pub fn write(exported: &Exported, folder: &Path) -> Result<(), ExportError> {
    let path = folder.join(MANIFEST_FILE);
    let json = serde_json::to_vec_pretty(&exported.manifest)
        .map_err(|source| ExportError::Manifest { path: path.clone(), source })?;
    run::make_folder(folder)
        .and_then(|()| run::write(&folder.join(VISION_FILE), &exported.graph.bytes))
        .and_then(|()| run::write(&path, &json))
        .map_err(|source| ExportError::Run { source })
}

/// Reads a folder for packing: its manifest, and every other file by its path in the bundle. The graph must have the
/// inputs, outputs and operator set that the manifest states.
pub fn contents(folder: &Path) -> Result<(Manifest, Vec<(String, PathBuf)>), ExportError> {
    let path = folder.join(MANIFEST_FILE);
    if !path.is_file() {
        return Err(ExportError::NoManifest { folder: folder.into() });
    }
    let bytes = open(&path)?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|source| ExportError::Manifest { path: path.clone(), source })?;
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.retain(|(name, _)| name != MANIFEST_FILE);
    if let Some((_, graph)) = files.iter().find(|(name, _)| *name == manifest.vision.file) {
        agree(graph, &manifest)?;
    }
    Ok((manifest, files))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), ExportError> {
    let unreadable = |source| ExportError::Open { path: folder.into(), source };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'));
        let name = name.map(|name| format!("{prefix}{name}"));
        match name {
            Some(name) if kind.is_dir() => collect(&path, &format!("{name}/"), files)?,
            Some(name) if kind.is_file() => files.push((name, path)),
            Some(_) | None => return Err(ExportError::Stray { path }),
        }
    }
    files.sort();
    Ok(())
}

/// Whether a graph is the one that the manifest states.
fn agree(path: &Path, manifest: &Manifest) -> Result<(), ExportError> {
    let model = Model::decode(open(path)?.as_slice());
    let model = model.map_err(|source| ExportError::NoGraph { path: path.into(), source })?;
    let unlike = |what, found, stated| Err(ExportError::Unlike { path: path.into(), what, found, stated });
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty()).map_or(0, |set| set.version);
    if opset != manifest.vision.opset {
        return unlike("operator set", opset.to_string(), manifest.vision.opset.to_string());
    }
    let graph = model.graph.unwrap_or_default();
    let sides =
        [("inputs", &graph.input, &manifest.vision.inputs), ("outputs", &graph.output, &manifest.vision.outputs)];
    for (what, declared, stated) in sides {
        let declared: Vec<_> = declared.iter().map(|value| (value.name.clone(), value.shape())).collect();
        let (found, stated) = (list(declared), list(stated.iter().map(shape).collect()));
        if found != stated {
            return unlike(what, found, stated);
        }
    }
    Ok(())
}

fn shape(tensor: &TensorIo) -> (String, Vec<i64>) {
    let lengths = tensor.shape.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX));
    (tensor.name.clone(), lengths.collect())
}

fn list(tensors: Vec<(String, Vec<i64>)>) -> String {
    let words = tensors.into_iter().map(|(name, shape)| format!("{name} {shape:?}"));
    words.collect::<Vec<_>>().join(", ")
}

fn open(path: &Path) -> Result<Vec<u8>, ExportError> {
    fs::read(path).map_err(|source| ExportError::Open { path: path.into(), source })
}
