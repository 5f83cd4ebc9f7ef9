//! `ctedge-trainer embed`: report embeddings of a text tower that stays as it is, for objectives that ask for knowledge.

use super::evaluate::{shards_of, tokenizer_of};
use super::{Outcome, Progress};
use crate::batch::{Cohort, ReportVectors, Shards, Split};
use crate::device;
use crate::eval::Reader;
use crate::run::{self, Run, Workers};
use clap::Args;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Embed every report of a corpus by a run's report tower.
///
/// The file is what `train --embeddings` reads where an experiment has loss.knowledge.source = "embeddings": one unit
/// vector for each case.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer embed run --shards run-shards --out embeddings.json")]
pub(super) struct Embed {
    /// The run folder whose report tower reads, trained or imported.
    run: PathBuf,
    /// Folder of the prepared corpus; RUN-shards if not given. Its input must be the run's.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// The file to write (JSON, case to numbers).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Threads to compute on; all cores if not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Embed {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let run = Run::open(&self.run)?;
        let shards = Shards::open(&shards_of(&self.run, self.shards.as_deref()), &run.experiment.input)?;
        let tokenizer = tokenizer_of(&self.run, &run)?;
        let device = device::cpu();
        let workers = Workers::new(self.threads.unwrap_or(std::thread::available_parallelism()?).get())?;
        let reader = Reader { device: &device, workers: &workers, micro_batch: run.experiment.training.micro_batch };
        let network = run.pair(&device)?;
        let mut vectors = ReportVectors::new();
        progress.say("reading reports");
        for split in Split::ALL {
            let cohort = Cohort::new(&shards, split, &tokenizer, &run.experiment)?;
            let before = vectors.len();
            let told = |done| progress.count(before + done, shards.cases().len());
            let rows = reader.reports(&network, (&tokenizer, cohort.reports()), &told)?;
            vectors.extend(cohort.cases().map(|case| case.id.clone()).zip(rows.outer_iter().map(|row| row.to_vec())));
        }
        let width = vectors.values().next().map_or(0, Vec::len);
        run::write(&self.out, serde_json::to_string(&vectors)?.as_bytes())?;
        let text = format!(
            "embedded {} reports in {width} numbers each\nwrote {out}; next: ctedge-trainer train EXPERIMENT --embeddings {out}",
            vectors.len(),
            out = self.out.display()
        );
        let weights = run.checkpoint.weights.sha256();
        let json =
            json!({ "embeddings": self.out, "reports": vectors.len(), "width": width, "weights_sha256": weights });
        Ok(Outcome { text, json })
    }
}
