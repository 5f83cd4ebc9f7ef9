//! `ctedge-trainer ablate`: which objective is worth its cost.

mod table;
mod variant;

use super::place::{Placed, workers_for};
use super::train::{begun, knowledge, vocabulary};
use super::{Outcome, Progress, prepare};
use crate::batch::{Cohort, Shards, Split, Tokenizer};
use crate::device::Place;
use crate::eval::{self, Diary, Reader};
use crate::experiment::Experiment;
use crate::net::Pair;
use crate::run::{self, Lesson, Look, StepRecord, Watcher, Workers};
use anyhow::{Context as _, ensure};
use burn::tensor::Device;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use table::{MOST_SEEDS, Row, markdown};
use variant::Variant;

/// The comparison for people.
const TABLE_FILE: &str = "ablation.md";
/// The comparison for machines.
const NUMBERS_FILE: &str = "ablation.json";

/// Compare the objectives: each contrastive loss, with and without spatial kernel and knowledge, from several seeds.
///
/// All runs share the experiment's network, patients and budget; they differ in the objective and the seed alone. Each is
/// measured once, at its end, on the test patients. Runs that are done are kept: the same command goes on where it was
/// stopped, and after every round of seeds the table is written anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer ablate models/catalog/scale-vlp-tiny/experiment.toml --steps 300 --out ablation\n  \
    ctedge-trainer ablate experiment.toml --only clip,swca_paper+both --seeds 5 --out ablation")]
pub(super) struct Ablate {
    /// The experiment file (TOML).
    experiment: PathBuf,
    /// Folder for the runs and the table.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder of the corpus; phantoms need none.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Folder of the prepared tensors; DIR-shards if not given.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// Steps of each run; training.steps if not given.
    #[arg(long, value_name = "N")]
    steps: Option<NonZeroUsize>,
    /// How many seeds, counted up from the experiment's.
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u64).range(1..=MOST_SEEDS))]
    seeds: u64,
    /// Objectives to compare; all if not given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Report embeddings for knowledge of source "embeddings", as `ctedge-trainer embed` writes them.
    #[arg(long, value_name = "FILE")]
    embeddings: Option<PathBuf>,
    /// Threads to compute on; all cores if not given. The result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    placed: Placed,
}

/// What all runs share.
struct Bench<'a> {
    base: Experiment,
    shards: &'a Shards,
    tokenizer: Tokenizer,
    steps: usize,
    place: Place,
    threads: usize,
    progress: &'a Progress,
}

impl Ablate {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let base = Experiment::read(&self.experiment)?;
        let variants = self.variants()?;
        let folder = super::evaluate::shards_of(&self.out, self.shards.as_deref());
        prepare::ensure(&base, self.corpus.as_deref(), &folder, progress)?;
        let shards = Shards::open(&folder, &base.input)?;
        let tokenizer = vocabulary(&base, &shards)?;
        let steps = self.steps.map_or(base.training.steps, NonZeroUsize::get);
        let place = self.placed.place(progress)?;
        let threads = workers_for(&place, self.threads.unwrap_or(std::thread::available_parallelism()?).get());
        let bench = Bench { base, shards: &shards, tokenizer, steps, place, threads, progress };
        let total = variants.len() * usize::try_from(self.seeds)?;
        let mut looks: Vec<Vec<BTreeMap<String, f64>>> = vec![Vec::new(); variants.len()];
        let mut rows = Vec::new();
        // Seed by seed, so that a comparison that was stopped is whole for the seeds it has.
        for seed in (bench.base.seed..).take(usize::try_from(self.seeds)?) {
            for (variant, looks) in variants.iter().zip(&mut looks) {
                let look = bench.measured(&self, *variant, seed)?;
                let numbers: Vec<String> = look.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
                progress.line(&format!("{} seed {seed}: {}", variant.name(), numbers.join(", ")));
                looks.push(look);
            }
            rows = self.write(&bench, &variants, &looks)?;
        }
        let text = format!("{total} runs of {steps} steps\n{}\nwrote {}", markdown(&rows), self.out.display());
        Ok(Outcome { text, json: self.numbers(&bench, &rows) })
    }

    fn variants(&self) -> anyhow::Result<Vec<Variant>> {
        let all = Variant::all();
        let names: Vec<String> = all.iter().map(|variant| variant.name()).collect();
        for asked in &self.only {
            ensure!(names.contains(asked), "{asked:?} is no objective; there are {}", names.join(", "));
        }
        let wanted = |variant: &Variant| self.only.is_empty() || self.only.contains(&variant.name());
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// Writes what is known so far.
    fn write(
        &self,
        bench: &Bench<'_>,
        variants: &[Variant],
        looks: &[Vec<BTreeMap<String, f64>>],
    ) -> anyhow::Result<Vec<Row>> {
        let rows: Vec<Row> = variants.iter().zip(looks).map(|(variant, looks)| Row::new(*variant, looks)).collect();
        let json = serde_json::to_string_pretty(&self.numbers(bench, &rows))?;
        run::write(&self.out.join(NUMBERS_FILE), (json + "\n").as_bytes())?;
        run::write(&self.out.join(TABLE_FILE), self.told(bench, looks, &rows).as_bytes())?;
        Ok(rows)
    }

    fn numbers(&self, bench: &Bench<'_>, rows: &[Row]) -> serde_json::Value {
        json!({
            "schema": "ctedge-ablation/1", "experiment_sha256": bench.base.sha256(),
            "corpus_sha256": bench.shards.digest(), "steps": bench.steps, "seeds": self.seeds,
            "split": bench.split().name(), "rows": rows,
        })
    }

    /// The table with what one must know to read it.
    fn told(&self, bench: &Bench<'_>, looks: &[Vec<BTreeMap<String, f64>>], rows: &[Row]) -> String {
        let Experiment { model, training, loss, .. } = &bench.base;
        let seeds = looks.iter().map(Vec::len).min().unwrap_or_default();
        let cases = bench.shards.cases().iter().filter(|stored| stored.split == bench.split()).count();
        format!(
            "# Objectives compared\n\n\
             Each row is the mean over {seeds} seeds of runs of {steps} steps of {batch} pairs, measured at the end on {cases} \
             {split} cases, and in brackets Student's 95 % interval of that mean over the seeds: what another seed would change, \
             not what other patients would. Beside the contrastive loss every run \
             learns the flags with weight {flags}, and with {shared} as they are read from the shared embedding. R@1 \
             counts reports that say the same as hits. CLIP and SigLIP have no weights that could know anything. The last \
             column compares each seed with itself under the first objective: what a seed does to all of them drops out.\n\n\
             Experiment {name} `{experiment}`, corpus `{corpus}`. Made by\n\n    {command}\n\n{table}",
            steps = bench.steps,
            batch = training.batch,
            split = bench.split().name(),
            flags = loss.flags,
            shared = loss.shared_flags,
            name = model.name,
            experiment = bench.base.sha256(),
            corpus = bench.shards.digest(),
            command = self.command(bench.steps),
            table = markdown(rows),
        )
    }

    /// The command that makes this comparison.
    fn command(&self, steps: usize) -> String {
        let only = if self.only.is_empty() { String::new() } else { format!(" --only {}", self.only.join(",")) };
        let experiment = self.experiment.display();
        format!("ctedge-trainer ablate {experiment} --steps {steps} --seeds {}{only} --out ablation", self.seeds)
    }
}

impl Bench<'_> {
    /// Whom the runs are measured on.
    fn split(&self) -> Split {
        let has_test = self.shards.cases().iter().any(|stored| stored.split == Split::Test);
        if has_test { Split::Test } else { Split::Validation }
    }

    /// What an objective reaches from a seed; a run that is done is not done again.
    fn measured(&self, asked: &Ablate, variant: Variant, seed: u64) -> anyhow::Result<BTreeMap<String, f64>> {
        let experiment = variant.of(&self.base, seed, self.steps)?;
        let folder = asked.out.join("runs").join(format!("{}-{seed}", variant.name()));
        let run = begun(&folder, &experiment, &self.tokenizer, self.shards)?;
        if let Some(look) = self.written(&folder)? {
            return Ok(look);
        }
        let cohort = |split| Cohort::new(self.shards, split, &self.tokenizer, &experiment);
        let (learners, judges) = (cohort(Split::Train)?, cohort(self.split())?);
        let knowledge = knowledge(&experiment, &learners, asked.embeddings.as_deref())?;
        let (place, threads) = (self.place.clone(), self.threads);
        let device = place.device.clone();
        let lesson = Lesson { cohort: &learners, knowledge: knowledge.as_ref(), place, threads };
        let workers = Workers::new(threads)?;
        let title = format!("{} seed {seed}", variant.name());
        let mut judge = Judge { bench: self, title, judges: &judges, workers, device };
        run::train(&folder, &run, &lesson, &mut judge)?;
        self.written(&folder)?.context("the run ended without a look")
    }

    fn written(&self, folder: &Path) -> anyhow::Result<Option<BTreeMap<String, f64>>> {
        let diary = Diary::read(folder)?;
        let compared = |name: &str| table::COLUMNS.iter().any(|&(key, _)| key == name);
        let look = diary.look(self.steps);
        Ok(look.map(|look| {
            look.into_iter().filter(|(name, _)| compared(name)).map(|(name, value)| (name.to_owned(), value)).collect()
        }))
    }
}

/// Measures a run at its end.
struct Judge<'a> {
    bench: &'a Bench<'a>,
    title: String,
    judges: &'a Cohort<'a>,
    workers: Workers,
    device: Device,
}

impl Watcher for Judge<'_> {
    fn step(&mut self, record: &StepRecord) {
        self.bench.progress.count(record.step, self.bench.steps);
        self.bench.progress.tell(format!("{}: loss {:.4}", self.title, record.loss));
    }

    fn look(&mut self, _step: usize, network: &Pair) -> Result<Look, Box<dyn Error + Send + Sync>> {
        let micro_batch = self.bench.base.training.micro_batch;
        let reader = Reader { device: &self.device, workers: &self.workers, micro_batch };
        Ok(eval::look(&reader.read(network, self.judges, &|_| {})?, self.judges)?)
    }
}

/// Every objective's experiment, for tests.
#[cfg(test)]
pub(super) fn experiments(base: &Experiment) -> Vec<Experiment> {
    Variant::all()
        .into_iter()
        .map(|variant| variant.of(base, 1, 70).unwrap_or_else(|error| panic!("{error}")))
        .collect()
}
