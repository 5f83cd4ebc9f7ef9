//! `ctedge-trainer trace`: one forward pass written down, to compare another runtime with.

use super::{Outcome, Progress};
use crate::device;
use crate::export::Trace as Numbers;
use crate::run::{self, Run};
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use std::path::PathBuf;

/// Write down one forward pass, to compare another runtime with.
///
/// Writes the network's input and outputs as raw little-endian 32-bit floats in C order, one file each: volume.f32,
/// embedding.f32, logits.f32, tokens.f32 and saliency.f32. Without a scan the input is the experiment's phantom.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer trace run --out traced\n  \
    ctedge-trainer trace run chest.nii.gz --out traced\n  ctedge-trainer trace run series/*.dcm --out traced\n  \
    python tests/peers/onnx_check.py exported/vision.onnx traced")]
pub(super) struct Trace {
    /// The run folder.
    run: PathBuf,
    /// Files of one CT series (DICOM), or one NIfTI file.
    scan: Vec<PathBuf>,
    /// Uniform random numbers from this seed as the input, instead of a scan.
    #[arg(long, value_name = "SEED", conflicts_with = "scan")]
    random: Option<u64>,
    /// Folder for the arrays.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Trace {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let run = Run::open(&self.run)?;
        let tower = run.tower(&device::cpu())?;
        progress.say("preparing the input");
        let volume = self.volume(&run)?;
        progress.say("running the network");
        let trace = Numbers::of(&tower, volume, &device::cpu())?;
        run::make_folder(&self.out)?;
        for (name, values) in trace.arrays() {
            run::write(&self.out.join(format!("{name}.f32")), &crate::net::little_endian(values))?;
        }
        let names = trace.arrays().map(|(name, values)| format!("{name}.f32 ({} numbers)", values.len()));
        let text = format!("wrote {} to {}", names.join(", "), self.out.display());
        let lengths = trace.arrays().map(|(name, values)| json!({ "name": name, "numbers": values.len() }));
        Ok(Outcome { text, json: json!({ "folder": self.out, "arrays": lengths }) })
    }

    fn volume(&self, run: &Run) -> anyhow::Result<Vec<f32>> {
        let size: usize = run.experiment.input.grid.size().iter().product();
        Ok(random(self.random.unwrap_or_default(), size))
    }
}

/// Uniform numbers in [-1, 1).
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || f32::from_bits(0x3f80_0000 | (stream.next_u32() >> 9)).mul_add(2.0, -3.0);
    (0..count).map(|_| draw()).collect()
}
