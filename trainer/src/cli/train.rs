//! `ctedge-trainer train`: from an experiment to a trained run, by one command.

use super::evaluate::{Evaluate, shards_of};
use super::live::Live;
use super::place::{Placed, workers_for};
use super::{Outcome, Progress};
use crate::batch::{Cohort, Knowledge, ReportVectors, Shards, Split, Tokenizer, from_vocabulary, learn, seen};

use crate::experiment::{Corpus, Experiment};

use crate::run::{self, Lesson, Run, Workers};
use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Train a model, or go on with a training that was interrupted.
///
/// Prepares the corpus if it is not yet prepared, learns a vocabulary, trains from the newest checkpoint or from random
/// weights, and evaluates what has come of it, with a page of plots. Killing it loses the steps since the last checkpoint and nothing else: the same command goes on, and
/// ends with the same weights as if it had never been stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer train models/catalog/scale-vlp-tiny/experiment.toml --out run\n  \
    ctedge-trainer train my-experiment.toml --corpus /data/CT-RATE --shards /fast/shards --out run")]
pub(super) struct Train {
    /// The experiment file (TOML); every key is explained in models/catalog/scale-vlp-tiny/experiment.toml.
    experiment: PathBuf,
    /// Folder of the run; one that exists goes on.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Folder of the corpus; phantoms need none.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Folder of the prepared tensors; RUN-shards if not given.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// A BERT vocabulary (vocab.txt) instead of one that is learned from the corpus.
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Report embeddings for loss.knowledge.source = "embeddings", as `ctedge-trainer embed` writes them.
    #[arg(long, value_name = "FILE")]
    embeddings: Option<PathBuf>,
    /// Threads to compute on; all cores if not given. The result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    placed: Placed,
}

impl Train {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let experiment = Experiment::read(&self.experiment)?;
        let place = self.placed.place(progress)?;
        let folder = shards_of(&self.out, self.shards.as_deref());
        super::prepare::ensure(&experiment, self.corpus.as_deref(), &folder, progress)?;
        let shards = Shards::open(&folder, &experiment.input)?;
        progress.say("reading the reports");
        let tokenizer = self.tokenizer(&experiment, &shards)?;
        let run = begun(&self.out, &experiment, &tokenizer, &shards)?;
        let learners = Cohort::new(&shards, Split::Train, &tokenizer, &experiment)?;
        let judges = Cohort::new(&shards, Split::Validation, &tokenizer, &experiment)?;
        ensure!(!judges.is_empty(), "no patient is left for validation; raise data.validation_share");
        let knowledge = knowledge(&experiment, &learners, self.embeddings.as_deref())?;
        let cores = std::thread::available_parallelism()?;
        let threads = workers_for(&place, self.threads.unwrap_or(cores).get());
        let workers = Workers::new(threads)?;
        let through = |done| {
            progress.say("the volume tower is frozen: keeping its tokens");
            progress.count(done, learners.len());
        };
        let learners = match run::remembered((&self.out, &run), &learners, (&place.device, &workers), &through)? {
            Some(features) => learners.remembering(features),
            None => learners,
        };
        let lesson = Lesson { cohort: &learners, knowledge: knowledge.as_ref(), place: place.clone(), threads };
        let mut live = Live::new(progress, &experiment, &judges, (&place, threads))?;
        let ended = run::train(&self.out, &run, &lesson, &mut live)?;
        live.finish();
        let evaluated = Evaluate::of(&self.out, &folder, self.threads, self.placed).run(progress)?;
        let (best, score) = ended.best.context("the training ended without a look at the validation patients")?;
        let left_out = learners.sentences_left_out();
        let why = if ended.early { " (no improvement)" } else { "" };
        let resumed = match ended.resumed_at {
            0 => String::new(),
            step => format!(", resumed after step {step}"),
        };
        let text = format!(
            "trained {} steps{why}{resumed} on {} cases; best after step {best}: score {score:.4}\n\
             {left_out} sentences of reports longer than text.max_tokens were left out\n\
             {}",
            ended.steps,
            learners.len(),
            evaluated.text,
        );
        let json = json!({
            "run": self.out, "steps": ended.steps, "resumed_at": ended.resumed_at, "early": ended.early,
            "best_step": best, "best_score": score, "train_cases": learners.len(), "validation_cases": judges.len(),
            "sentences_left_out": left_out, "corpus_sha256": shards.digest(), "evaluation": self.out.join("evaluation"),
        });
        Ok(Outcome { text, json })
    }

    /// The run's vocabulary; a new one is learned from the training patients' reports.
    fn tokenizer(&self, experiment: &Experiment, shards: &Shards) -> anyhow::Result<Tokenizer> {
        let path = self.out.join(run::TOKENIZER_FILE);
        if path.is_file() {
            let json = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            return Ok(Tokenizer::from_json(&json, experiment.text.max_tokens)?);
        }
        if let Some(given) = &self.vocabulary {
            return Ok(from_vocabulary(given, &experiment.text)?);
        }
        vocabulary(experiment, shards)
    }
}

/// A vocabulary that is learned from the training patients' reports.
pub(super) fn vocabulary(experiment: &Experiment, shards: &Shards) -> anyhow::Result<Tokenizer> {
    let learners = shards.cases().iter().filter(|stored| stored.split == Split::Train);
    let texts: Vec<String> =
        learners.map(|stored| seen(&stored.case.report.findings, &stored.case.report.impression)).collect();
    Ok(learn(&texts, &experiment.text)?)
}

/// The run as it lies in a folder, or a new one.
pub(super) fn begun(
    folder: &Path,
    experiment: &Experiment,
    tokenizer: &Tokenizer,
    shards: &Shards,
) -> anyhow::Result<Run> {
    let mut run = if folder.join(run::EXPERIMENT_FILE).is_file() {
        let there = Run::open(folder)?;
        let (asked, found) = (experiment.sha256(), there.experiment.sha256());
        ensure!(asked == found, "{} is a run of another experiment; name a new folder", folder.display());
        there
    } else {
        let new = Run::init(experiment.clone(), tokenizer.vocabulary())?;
        new.create(folder, &tokenizer.to_json()?)?;
        new
    };
    run.checkpoint.data = described(experiment, shards);
    Ok(run)
}

/// What is known of the training patients' reports, if the objective asks for it; `given` names a file of embeddings.
pub(super) fn knowledge(
    experiment: &Experiment,
    learners: &Cohort<'_>,
    given: Option<&Path>,
) -> anyhow::Result<Option<Knowledge>> {
    let given = given.map_or_else(|| Ok(ReportVectors::new()), embeddings)?;
    let knowledge = experiment.loss.knowledge;
    Ok(knowledge.map(|knowledge| Knowledge::new(knowledge.source, learners, &given)).transpose()?)
}

/// What a model was trained on, for its card.
fn described(experiment: &Experiment, shards: &Shards) -> String {
    let count = shards.cases().iter().filter(|stored| stored.split == Split::Train).count();
    let what = match experiment.data.corpus {
        Corpus::Phantoms { seed, .. } => format!("{count} synthetic phantoms (seed {seed})"),
        Corpus::CtRate => format!("{count} volumes of CT-RATE"),
        Corpus::BimcvR => format!("{count} volumes of BIMCV-R"),
        Corpus::Folder => format!("{count} volumes of a site's own folder"),
    };
    format!("{what}; corpus {}", shards.digest())
}

/// Report embeddings by case, from the file that `ctedge-trainer embed` writes.
fn embeddings(path: &Path) -> anyhow::Result<ReportVectors> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no report embeddings", path.display()))
}
