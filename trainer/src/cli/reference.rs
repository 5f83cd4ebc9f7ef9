//! `ctedge-trainer reference`: the cases that a bundle lets a device compare a series with.

use super::evaluate::{shards_of, tokenizer_of};
use super::place::{Placed, workers_for};
use super::{Outcome, Progress};
use crate::batch::{Cohort, Shards, Split};
use crate::eval::{Embedding, Reader, ReferenceCases};
use crate::run::{Run, Workers};
use anyhow::ensure;
use clap::Args;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Choose reference cases for a run's bundle: embeddings, labels and reports of training cases.
///
/// With them an appliance tells which cases a series is most like, and how unlike all of them it is; beyond what the validation
/// patients show, its results are inconclusive. `export` puts them into the bundle. The reports of the cases go wherever the bundle
/// goes: choose a corpus whose reports may.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ctedge-trainer reference run\n  ctedge-trainer reference run --count 50000 --shards shards"
)]
pub(super) struct ReferenceCommand {
    /// The run folder.
    run: PathBuf,
    /// Folder of the prepared tensors; RUN-shards if not given.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// Most cases, evenly spread over the training split.
    #[arg(long, value_name = "N", default_value = "2000")]
    count: NonZeroUsize,
    /// Threads to compute on; all cores if not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    placed: Placed,
}

impl ReferenceCommand {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let threads = self.threads.unwrap_or(std::thread::available_parallelism()?).get();
        progress.say("opening the run");
        let run = Run::open(&self.run)?;
        let shards = Shards::open(&shards_of(&self.run, self.shards.as_deref()), &run.experiment.input)?;
        let tokenizer = tokenizer_of(&self.run, &run)?;
        let cohort = |split| Cohort::new(&shards, split, &tokenizer, &run.experiment);
        let (learners, judges) = (cohort(Split::Train)?, cohort(Split::Validation)?);
        let place = self.placed.place(progress)?;
        let workers = Workers::new(workers_for(&place, threads))?;
        let reader =
            Reader { device: &place.device, workers: &workers, micro_batch: run.experiment.training.micro_batch };
        let network = run.pair(&place.device)?;
        let weights_sha256 = run.checkpoint.weights.sha256();
        let embedding = Embedding { network: &network, weights_sha256, reader: &reader };
        progress.say("reading the cases");
        let data = run.checkpoint.data.as_str();
        let cases = ReferenceCases::of(&embedding, (&learners, &judges), (self.count.get(), data), &|done, all| {
            progress.count(done, all);
        })?;
        ensure!(cases.spec.count > 0, "no training case has labels; a reference case is known by them");
        cases.write(&self.run)?;
        let bound = cases.spec.novelty.map_or_else(
            || "no bound on novelty: there are too few cases".to_owned(),
            |novelty| {
                let (share, patients) = (100.0 * novelty.share, novelty.patients);
                format!("novelty bound {:.4}: {share:.1} % of {patients} validation cases lie within", novelty.bound)
            },
        );
        let text = format!(
            "{} reference cases\n{bound}\nwrote {}; next: ctedge-trainer export {} --out exported",
            cases.spec.count,
            self.run.join("evidence").display(),
            self.run.display(),
        );
        Ok(Outcome { text, json: json!({ "evidence": cases.spec }) })
    }
}
