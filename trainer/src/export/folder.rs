//! The exported folder: a bundle before packing.

use super::card::{CARD_FILE, card};
use super::int8::{Cost, Quantised};
use super::manifest::{DecoderGraphs, Graphs, manifest, step, text_properties, vision_properties};
use super::onnx::{Draft, cross_kv, decoder_step, text, vision};
use super::trace::phantom_tensor;
use super::{CROSS_FILE, ExportError, STEP_FILE, TEXT_FILE, TOKENIZER_FILE, Trace, Trained, VISION_FILE};
use crate::device;
use crate::eval::{self, ReportDecoder, Tower};
use crate::experiment::Precision;
use ctedge_models::bundle::{self, Golden, Manifest};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MANIFEST_FILE: &str = "manifest.json";

/// How a run is exported.
#[derive(Debug)]
pub struct Plan {
    /// Date that the manifest states, RFC 3339 UTC.
    pub created: String,
    /// Number format of the weights.
    pub precision: Precision,
    /// The volume tower in 8 bits instead, and what that costs.
    pub int8: Option<(Quantised, Cost)>,
}

impl Plan {
    /// Number format of the volume graph's weights, as a manifest names it.
    pub(super) fn vision_precision(&self) -> &'static str {
        if self.int8.is_some() { "int8" } else { self.precision.name() }
    }

    /// Largest difference of a golden logit on a device. Reduced-precision matrix units (TF32) stay below the first; a
    /// wrong graph, input or operator does not. With fewer bits in the weights, other orders of summation round
    /// differently more often.
    fn tolerance(&self) -> f32 {
        match (&self.int8, self.precision) {
            (None, Precision::F32) => 0.01,
            (None, Precision::F16) => 0.05,
            (Some(_), Precision::F32 | Precision::F16) => 0.1,
        }
    }
}

/// What a run exports.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The manifest; its table of files is empty until packing.
    pub manifest: Manifest,
    /// Every other file by its path in the bundle.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

impl Exported {
    /// Writes a run's networks as graphs, runs the golden test and writes the card.
    pub fn of(trained: &Trained, plan: &Plan) -> Result<Self, ExportError> {
        // The network as it computes: whatever training has added to its matrices is part of them here.
        let pair = trained.run.pair(&device::cpu()).map_err(|source| ExportError::Run { source })?;
        let stored = |draft: Draft| match plan.precision {
            Precision::F32 => Ok(draft),
            Precision::F16 => draft.halved(),
        };
        let draft = vision(&pair.vision)?;
        let draft = match &plan.int8 {
            Some((quantised, _)) => draft.quantised(&quantised.steps)?,
            None => stored(draft)?,
        };
        let vision = draft.file(&vision_properties(&trained.run));
        let text = stored(text(&pair.text)?)?.file(&text_properties(trained));
        let tokens = pair.vision.tokens();
        let both = |network: ReportDecoder| {
            let stated = step(&network, tokens, plan);
            let [cross, written] = [cross_kv(&network, tokens)?, decoder_step(&network, &stated)?].map(stored);
            let properties = text_properties(trained);
            Ok::<_, ExportError>(DecoderGraphs {
                cross: cross?.file(&properties),
                step: written?.file(&properties),
                stated,
            })
        };
        let decoder = trained.decoder(&device::cpu())?.map(both).transpose()?;
        let golden = golden(trained, &pair.vision, plan)?;
        let graphs = Graphs { vision, text, decoder };
        let manifest = manifest(trained, &graphs, golden, plan)?;
        let mut files = BTreeMap::from([
            (VISION_FILE, graphs.vision.bytes),
            (TEXT_FILE, graphs.text.bytes),
            (TOKENIZER_FILE, trained.tokenizer.clone().into_bytes()),
        ]);
        if let Some(DecoderGraphs { cross, step, .. }) = graphs.decoder {
            files.extend([(CROSS_FILE, cross.bytes), (STEP_FILE, step.bytes)]);
        }
        files.extend(trained.evidence.iter().flat_map(|cases| cases.files.clone()));
        files.insert(CARD_FILE, card(trained, plan, &manifest, &files).into_bytes());
        Ok(Self { manifest, files })
    }
}

/// Runs the tower, in the numbers of the plan, on the experiment's phantom.
fn golden(trained: &Trained, tower: &Tower, plan: &Plan) -> Result<Golden, ExportError> {
    let experiment = &trained.run.experiment;
    let tensor = phantom_tensor(experiment)?;
    let tensor_sha256 = tensor.sha256();
    let volume = tensor.into_values().into_iter().collect();
    let trace = match &plan.int8 {
        Some((quantised, _)) => quantised.trace(volume, &device::cpu())?,
        None => Trace::of(tower, volume, &device::cpu())?,
    };
    let phantom = experiment.golden.clone();
    Ok(Golden { phantom, tensor_sha256, logits: trace.logits, tolerance: plan.tolerance() })
}

/// Writes the folder; files of an earlier export in it are replaced.
pub fn write(exported: &Exported, folder: &Path) -> Result<(), ExportError> {
    let path = folder.join(MANIFEST_FILE);
    let json = serde_json::to_vec_pretty(&exported.manifest)
        .map_err(|source| ExportError::Manifest { path: path.clone(), source })?;
    let failed = |source| ExportError::Run { source };
    eval::make_folder(folder).map_err(failed)?;
    for (name, bytes) in &exported.files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), eval::make_folder).map_err(failed)?;
        eval::write_file(&path, bytes).map_err(failed)?;
    }
    eval::write_file(&path, &json).map_err(failed)
}

/// Reads a folder for packing: its manifest, and every other file by its path in the bundle. Each graph must pass
/// the checks that it meets on a device.
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
    let refused = |source| ExportError::Refused { folder: folder.into(), source: Box::new(source) };
    bundle::preflight(&manifest, &files.iter().cloned().collect()).map_err(refused)?;
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

fn open(path: &Path) -> Result<Vec<u8>, ExportError> {
    fs::read(path).map_err(|source| ExportError::Open { path: path.into(), source })
}
