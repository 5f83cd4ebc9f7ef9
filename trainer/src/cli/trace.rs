//! `ctedge-trainer trace`: one forward pass written down, to compare another runtime with.

use super::export::Quantize;
use super::place::Placed;
use super::{Outcome, Progress};
use crate::batch::{Length, Padded, Tokenizer};
use crate::export::int8::{self, Quantised};
use crate::export::{DraftTrace, TextTrace, Trace as Numbers, Trained, phantom_tensor, write_arrays, write_ids};
use crate::net::Limits;
use crate::run::Run;
use anyhow::{Context, ensure};
use clap::Args;
use ctedge_models::scan;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Write down one forward pass, to compare another runtime with.
///
/// Writes the volume tower's input and outputs as raw little-endian 32-bit floats in C order, one file each: volume.f32,
/// embedding.f32, logits.f32, tokens.f32, saliency.f32, `flag_saliency.f32` and, with a class token, class.f32. Without a scan the input is
/// the experiment's phantom. With --text the report tower runs instead: its graph's inputs ids.i64 (64-bit whole numbers)
/// and mask.f32, and embedding.f32; with --ids embedding.f32, pooled.f32 and tokens.f32 of many reports. With --draft the
/// decoder writes a report of the volume: its inputs tokens.f32 and flags.f32, the draft's ids.i64, and logits.f32 of each of
/// its words but the first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer trace run --out traced\n  \
    ctedge-trainer trace run chest.nii.gz --out traced\n  ctedge-trainer trace run series --out traced\n  \
    ctedge-trainer trace run --text \"No pleural effusion.\" --out traced\n  \
    ctedge-trainer trace run --ids reports.json --out traced\n  \
    ctedge-trainer trace run --draft --out traced\n  \
    python tests/peers/onnx_check.py exported/vision.onnx traced")]
pub(super) struct Trace {
    /// The run folder.
    run: PathBuf,
    /// Files of one CT series (DICOM) or their folder, or one NIfTI file.
    scan: Vec<PathBuf>,
    /// Uniform random numbers from this seed as the input, instead of a scan.
    #[arg(long, value_name = "SEED", conflicts_with = "scan")]
    random: Option<u64>,
    /// JSON file with reports as token ids, such as [[2, 17, 3], [2, 9, 40, 3]].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scan", "random", "text", "quantize"])]
    ids: Option<PathBuf>,
    /// A report, for the report tower.
    #[arg(long, value_name = "REPORT", conflicts_with_all = ["scan", "random", "quantize"])]
    text: Option<String>,
    /// Draft a report of the volume by the run's decoder, instead of the volume tower's outputs.
    #[arg(long, conflicts_with_all = ["ids", "text", "quantize"])]
    draft: bool,
    /// Compute as the 8-bit graph of `export --quantize` does.
    #[arg(long, value_enum)]
    quantize: Option<Quantize>,
    /// Folder for the arrays.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    placed: Placed,
}

impl Trace {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let trained = Trained::open(&self.run)?;
        let place = self.placed.place(progress)?;
        let (run, device) = (&trained.run, &place.device);
        let pair = run.pair(device)?.computing_in(place.precision.dtype());
        if let Some(report) = &self.text {
            progress.say("running the report tower");
            let tokenizer = tokenizer(&trained)?;
            let tokens = tokenizer.encode(report)?;
            let traced = TextTrace::of(&pair.text, std::slice::from_ref(&tokens.ids), device)?;
            let padded = Padded::of(&tokenizer, &[tokens], Length::Fixed);
            write_ids(&padded.ids, &self.out)?;
            return self.write(&[("mask", &padded.mask), ("embedding", &traced.embedding)]);
        }
        if let Some(path) = &self.ids {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let reports: Vec<Vec<u32>> = serde_json::from_str(&text)
                .with_context(|| format!("{} is no JSON list of lists of token ids", path.display()))?;
            progress.say("running the report tower");
            return self.write(&TextTrace::of(&pair.text, &reports, device)?.arrays());
        }
        progress.say("preparing the input");
        let volume = self.volume(run)?;
        progress.say("running the volume tower");
        if self.draft {
            let decoder = trained.decoder(device)?;
            let decoder = decoder.context("the run has no decoder; `ctedge-trainer train-decoder` trains one")?;
            let tokenizer = tokenizer(&trained)?;
            let seen = Numbers::of(&pair.vision, volume, device)?;
            let drafted = DraftTrace::of(&decoder, &seen, (&trained.flags(), Limits::of(&tokenizer)), device)?;
            let ids: Vec<i32> = drafted.ids.iter().map(|&id| i32::try_from(id).unwrap_or(i32::MAX)).collect();
            write_ids(&ids, &self.out)?;
            return self.write(&drafted.arrays());
        }
        let traced = match self.quantize {
            None => Numbers::of(&pair.vision, volume, device)?,
            Some(Quantize::Int8) => {
                let steps = int8::measured(&pair.vision, &run.experiment.input, device)?;
                Quantised::new(&pair.vision, steps)?.trace(volume, device)?
            }
        };
        self.write(&traced.arrays())
    }

    fn write(&self, arrays: &[(&str, &[f32])]) -> anyhow::Result<Outcome> {
        write_arrays(arrays, &self.out)?;
        let names: Vec<String> =
            arrays.iter().map(|(name, values)| format!("{name}.f32 ({} numbers)", values.len())).collect();
        let text = format!("wrote {} to {}", names.join(", "), self.out.display());
        let lengths: Vec<_> =
            arrays.iter().map(|(name, values)| json!({ "name": name, "numbers": values.len() })).collect();
        Ok(Outcome { text, json: json!({ "folder": self.out, "arrays": lengths }) })
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
            scan::plan(&files(&self.scan)?, &scan::Limits::default())?.tensor(input)?.0
        };
        Ok(tensor.into_values().into_iter().collect())
    }
}

/// The run's vocabulary.
fn tokenizer(trained: &Trained) -> anyhow::Result<Tokenizer> {
    Ok(Tokenizer::from_json(&trained.tokenizer, trained.run.experiment.text.max_tokens)?)
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
