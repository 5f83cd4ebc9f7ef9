//! `ctedge-trainer phantom`: synthetic patients as files that any program reads.

use super::{Outcome, Progress};
use crate::corpus::{self, ScanFormat};
use crate::experiment::Experiment;
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// Write synthetic patients with known findings: scans, reports, labels and recipes.
///
/// The folder is a corpus of its own (corpus = "folder"). Which findings count as visible follows from the experiment's
/// input grid. The same seed gives the same patient everywhere.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ctedge-trainer phantom models/catalog/scale-vlp-tiny/experiment.toml --count 8 --seed 9000 --out patients")]
pub(super) struct Phantom {
    /// The experiment file (TOML).
    experiment: PathBuf,
    /// How many patients.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    count: u64,
    /// Seed of the first; the others count up from it.
    #[arg(long)]
    seed: u64,
    /// Folder for them; must be empty or not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// File format of the scans.
    #[arg(long, default_value = "dicom")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A folder of DICOM slices for each.
    Dicom,
    /// One .nii.gz file for each.
    Nifti,
}

impl Phantom {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let Self { count, seed, out, .. } = self;
        let experiment = Experiment::read(&self.experiment)?;
        let end =
            seed.checked_add(count).context("--seed is so large that the patients' seeds would not fit; lower it")?;
        let format = match self.format {
            Format::Dicom => ScanFormat::Dicom,
            Format::Nifti => ScanFormat::Nifti,
        };
        progress.say("drawing patients");
        let total = usize::try_from(count)?;
        corpus::write_phantoms(&out, seed..end, format, &experiment.input, &|done| progress.count(done, total))?;
        let text = format!(
            "wrote {count} synthetic patients to {out}: scans, cases.csv, recipes.jsonl\n\
             next: ctedge-trainer prepare EXPERIMENT --corpus {out} --out shards, with corpus = \"folder\" in [data]",
            out = out.display()
        );
        Ok(Outcome { text, json: json!({ "folder": out, "patients": count, "first_seed": seed }) })
    }
}
