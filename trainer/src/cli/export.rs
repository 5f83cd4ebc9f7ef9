//! `ctedge-trainer export`: a run to the files of a bundle.

use super::{Outcome, Progress};
use crate::batch::{Shards, Split};
use crate::device;
use crate::experiment::Precision;
use crate::export::int8::{self, Cost, Judged, Quantised};
use crate::export::{self, Exported, Plan, Trained};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;

/// Write a run's networks as ONNX, with the golden outputs that every appliance checks itself against.
///
/// Writes vision.onnx, text.onnx, tokenizer.json, CARD.md and manifest.json. Thresholds and temperatures come from the
/// run's calibration.json, the card's numbers from its evaluation. The golden outputs are those of the experiment's
/// phantom, computed by the training framework on this machine's processor.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer export run --out exported\n  \
    ctedge-trainer export run --precision f16 --out exported\n  \
    ctedge-trainer export run --quantize int8 --shards run-shards --out exported")]
pub(super) struct Export {
    /// The run folder.
    run: PathBuf,
    /// Folder for the files; files of an earlier export in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number format of the weights, instead of the experiment's.
    #[arg(long, value_enum)]
    precision: Option<Bits>,
    /// Store the volume tower's matrices in 8 bits, and print what that costs.
    #[arg(long, value_enum)]
    quantize: Option<Quantize>,
    /// Prepared tensors on whose validation patients the cost is measured; synthetic patients if not given.
    #[arg(long, value_name = "DIR", requires = "quantize")]
    shards: Option<PathBuf>,
    /// Synthetic patients that the cost is measured on.
    #[arg(long, value_name = "N", default_value_t = 64, requires = "quantize", conflicts_with = "shards")]
    cases: u64,
    /// Date that the manifest states (RFC 3339), to make an older bundle again; now if not given.
    #[arg(long, value_name = "TIME")]
    created: Option<Timestamp>,
}

/// Number formats that keep the network's arithmetic in floats.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bits {
    F32,
    F16,
}

/// Number formats below.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Quantize {
    Int8,
}

impl Export {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let trained = Trained::open(&self.run)?;
        let created = match self.created {
            Some(moment) => moment,
            None => Timestamp::from_second(Timestamp::now().as_second())?,
        };
        let int8 = match self.quantize {
            Some(Quantize::Int8) => Some(self.quantised(&trained, progress)?),
            None => None,
        };
        let precision = match self.precision {
            Some(Bits::F32) => Precision::F32,
            Some(Bits::F16) => Precision::F16,
            None => trained.run.experiment.export.precision,
        };
        progress.say("writing the graphs and running the golden test");
        let plan = Plan { created: created.to_string(), precision, int8 };
        let exported = Exported::of(&trained, &plan)?;
        export::write(&exported, &self.out)?;
        Ok(self.outcome(&trained, &plan, &exported))
    }

    /// The quantised volume tower and what it costs.
    fn quantised(&self, trained: &Trained, progress: &Progress) -> anyhow::Result<(Quantised, Cost)> {
        let (cpu, spec) = (device::cpu(), &trained.run.experiment.input);
        let tower = trained.run.pair(&cpu)?.vision;
        progress.say("measuring the ranges of the volume tower");
        let quantised = Quantised::new(&tower, int8::measured(&tower, spec, &cpu)?)?;
        progress.say("measuring what 8 bits cost");
        let cost = match &self.shards {
            None => int8::cost(&tower, &quantised, int8::phantoms(self.cases, spec), &cpu)?,
            Some(folder) => {
                let shards = Shards::open(folder, spec)?;
                let listed = shards.cases().iter().enumerate().filter(|(_, stored)| stored.split == Split::Validation);
                let judged = listed.map(|(index, stored)| {
                    Ok::<_, anyhow::Error>(Judged { volume: shards.volume(index)?, labels: stored.case.labels })
                });
                int8::cost(&tower, &quantised, judged, &cpu)?
            }
        };
        Ok((quantised, cost))
    }

    fn outcome(&self, trained: &Trained, plan: &Plan, exported: &Exported) -> Outcome {
        let (manifest, out) = (&exported.manifest, self.out.display());
        let sizes: Vec<String> =
            exported.files.iter().map(|(name, bytes)| format!("wrote {out}/{name} ({} bytes)", bytes.len())).collect();
        let calibrated = match &manifest.calibration {
            Some(calibration) => format!("thresholds and temperatures of {} patients", calibration.split),
            None => {
                "NOT CALIBRATED: every threshold is 0.5 and every temperature 1; `ctedge-trainer evaluate` learns them"
                    .into()
            }
        };
        let cost = plan.int8.as_ref().map(|(_, cost)| cost);
        let spoken = cost.map(|cost| format!("\n{}", export::quantisation(cost))).unwrap_or_default();
        let text = format!(
            "{sizes}\nwrote {out}/manifest.json; golden tensor {tensor}\n{calibrated}{spoken}\n\
             next: ctedge-trainer pack {out}",
            sizes = sizes.join("\n"),
            tensor = manifest.golden.tensor_sha256,
        );
        let bytes: serde_json::Map<String, serde_json::Value> =
            exported.files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len().into())).collect();
        let json = json!({
            "folder": self.out, "name": manifest.name, "version": manifest.version, "created": manifest.created,
            "trained": manifest.training.trained, "bytes": bytes, "calibrated": manifest.calibration.is_some(),
            "weights_sha256": trained.run.checkpoint.weights.sha256(), "precision": manifest.vision.precision,
            "quantisation": cost, "golden_tensor_sha256": manifest.golden.tensor_sha256,
            "golden_logits": manifest.golden.logits,
        });
        Outcome { text, json }
    }
}
