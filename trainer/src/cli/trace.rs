//! `ctedge-trainer trace`: one forward pass written down, to compare another runtime with.

use super::export::Quantize;
use super::{Outcome, Progress};
use crate::batch::{Length, Tokenizer};
use crate::device;
use crate::export::int8::{self, Quantised};
use crate::export::{ReportTrace, Trace as Numbers, Trained, phantom_tensor};
use crate::run::Run;
use anyhow::{Context, ensure};
use clap::Args;
use ctedge_models::{preprocess, scan};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Write down one forward pass, to compare another runtime with.
///
/// Writes the network's input and outputs as raw little-endian 32-bit floats in C order, one file each: volume.f32,
/// embedding.f32, logits.f32, tokens.f32 and saliency.f32. Without a scan the input is the experiment's phantom. With
/// --text it is the report tower's pass: ids.i64 (64-bit whole numbers), mask.f32 and embedding.f32.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer trace run --out traced\n  \
    ctedge-trainer trace run chest.nii.gz --out traced\n  ctedge-trainer trace run series --out traced\n  \
    ctedge-trainer trace run --text \"No pleural effusion.\" --out traced\n  \
    python tests/peers/onnx_check.py exported/vision.onnx traced")]
pub(super) struct Trace {
    /// The run folder.
    run: PathBuf,
    /// Files of one CT series (DICOM) or their folder, or one NIfTI file.
    scan: Vec<PathBuf>,
    /// Uniform random numbers from this seed as the input, instead of a scan.
    #[arg(long, value_name = "SEED", conflicts_with = "scan")]
    random: Option<u64>,
    /// A report, for the report tower.
    #[arg(long, value_name = "REPORT", conflicts_with_all = ["scan", "random", "quantize"])]
    text: Option<String>,
    /// Compute as the 8-bit graph of `export --quantize` does.
    #[arg(long, value_enum)]
    quantize: Option<Quantize>,
    /// Folder for the arrays.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Trace {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let trained = Trained::open(&self.run)?;
        if let Some(report) = &self.text {
            return self.report(&trained, report);
        }
        let (run, cpu) = (&trained.run, device::cpu());
        let tower = run.pair(&cpu)?.vision;
        progress.say("preparing the input");
        let volume = self.volume(run)?;
        progress.say("running the network");
        let trace = match self.quantize {
            None => Numbers::of(&tower, volume, &cpu)?,
            Some(Quantize::Int8) => {
                let steps = int8::measured(&tower, &run.experiment.input, &cpu)?;
                Quantised::new(&tower, steps)?.trace(volume, &cpu)?
            }
        };
        trace.write(&self.out)?;
        let names = trace.arrays().map(|(name, values)| format!("{name}.f32 ({} numbers)", values.len()));
        let text = format!("wrote {} to {}", names.join(", "), self.out.display());
        let lengths = trace.arrays().map(|(name, values)| json!({ "name": name, "numbers": values.len() }));
        Ok(Outcome { text, json: json!({ "folder": self.out, "arrays": lengths }) })
    }

    /// The report tower's pass.
    fn report(&self, trained: &Trained, report: &str) -> anyhow::Result<Outcome> {
        let tokenizer = Tokenizer::from_json(&trained.tokenizer, &trained.run.experiment.text)?;
        let tokens = tokenizer.encode(report)?;
        let count = tokens.ids.len();
        let padded = tokenizer.collate(&[tokens], Length::Fixed);
        let cpu = device::cpu();
        let trace = ReportTrace::of(&trained.run.pair(&cpu)?.text, padded.ids, padded.mask, &cpu)?;
        trace.write(&self.out)?;
        let (out, width) = (self.out.display(), trace.embedding.len());
        let text = format!("wrote ids.i64, mask.f32 ({count} tokens) and embedding.f32 ({width} numbers) to {out}");
        Ok(Outcome { text, json: json!({ "folder": self.out, "tokens": count, "embedding": width }) })
    }

    /// The input tensor, in C order.
    fn volume(&self, run: &Run) -> anyhow::Result<Vec<f32>> {
        let input = &run.experiment.input;
        if let Some(seed) = self.random {
            return Ok(random(seed, input.grid.size().iter().product()));
        }
        let tensor = if self.scan.is_empty() {
            phantom_tensor(&run.experiment)?
        } else {
            let scan = scan::read(&files(&self.scan)?, &scan::Limits::default())?;
            preprocess::tensor(&scan.volume, input)
        };
        Ok(tensor.into_values().into_iter().collect())
    }
}

/// A folder stands for the files in it.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
            let inside = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
            found.extend(inside?.into_iter().filter(|path| path.is_file()));
        } else {
            found.push(path.clone());
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "the folder holds no files; name the files of one CT series");
    Ok(found)
}

/// Uniform numbers in [-1, 1).
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || f32::from_bits(0x3f80_0000 | (stream.next_u32() >> 9)).mul_add(2.0, -3.0);
    (0..count).map(|_| draw()).collect()
}
