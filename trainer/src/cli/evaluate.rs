//! `ctedge-trainer evaluate`: a run to its numbers, a page that shows them, and the calibration of its bundle.

use super::place::{Placed, workers_for};
use super::{Outcome, Progress};
use crate::batch::{Cohort, Shards, Split, Tokenizer};
use crate::eval::{CALIBRATION_FILE, Diary, Evaluation, Measure, PAGE_FILE, Reader, Stage, Subject};
use crate::run::{Run, TOKENIZER_FILE, Workers};
use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Bootstrap replicates if nobody says otherwise.
const REPLICATES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// Evaluate a run: flags, prompts, retrieval and drafts, each number with its interval and beside its baseline.
///
/// Temperatures and thresholds of the flags are learned on the validation patients and written to RUN/calibration.json,
/// which `export` puts into the bundle. The same run gives the same numbers, but for the times.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer evaluate run\n  \
    ctedge-trainer evaluate run --shards other-shards --split validation --out evaluation")]
pub(super) struct Evaluate {
    /// The run folder.
    run: PathBuf,
    /// Folder of the prepared tensors; RUN-shards if not given.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// Whom to evaluate on; the test split if it has cases.
    #[arg(long)]
    split: Option<Examined>,
    /// Bootstrap replicates of the intervals.
    #[arg(long, value_name = "N", default_value_t = REPLICATES)]
    replicates: NonZeroUsize,
    /// Threads to compute on; all cores if not given. The numbers do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    placed: Placed,
    /// Folder for evaluation.json and evaluation.html; RUN/evaluation if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Patients that a run may be evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Examined {
    Validation,
    Test,
}

/// The shards beside a run, or where they are said to be.
pub(super) fn shards_of(run: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(
        || {
            let mut name = run.as_os_str().to_owned();
            name.push("-shards");
            name.into()
        },
        PathBuf::from,
    )
}

/// The vocabulary in a run folder.
pub(super) fn tokenizer_of(folder: &Path, run: &Run) -> anyhow::Result<Tokenizer> {
    let path = folder.join(TOKENIZER_FILE);
    let json = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(Tokenizer::from_json(&json, run.experiment.text.max_tokens)?)
}

impl Evaluate {
    /// The evaluation of a run that has just been trained.
    pub(super) fn of(run: &Path, shards: &Path, threads: Option<NonZeroUsize>, placed: Placed) -> Self {
        let (run, shards) = (run.to_owned(), Some(shards.to_owned()));
        Self { run, shards, split: None, replicates: REPLICATES, threads, placed, out: None }
    }

    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let threads = self.threads.unwrap_or(std::thread::available_parallelism()?).get();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let evaluation = self.measured(progress, threads, &pool)?;
        progress.say("writing");
        let out = self.out.clone().unwrap_or_else(|| self.run.join("evaluation"));
        evaluation.calibration.write(&self.run)?;
        evaluation.write(&out, &Diary::read(&self.run)?)?;
        let page = out.join(PAGE_FILE);
        let text = format!(
            "{}\nwrote {} and {}; next: ctedge-trainer export {} --out exported",
            table(&evaluation),
            page.display(),
            self.run.join(CALIBRATION_FILE).display(),
            self.run.display(),
        );
        Ok(Outcome { text, json: serde_json::to_value(&evaluation)? })
    }

    fn measured(&self, progress: &Progress, threads: usize, pool: &rayon::ThreadPool) -> anyhow::Result<Evaluation> {
        progress.say("opening the run");
        let run = Run::open(&self.run)?;
        let shards = Shards::open(&shards_of(&self.run, self.shards.as_deref()), &run.experiment.input)?;
        let tokenizer = tokenizer_of(&self.run, &run)?;
        let cohort = |split| Cohort::new(&shards, split, &tokenizer, &run.experiment);
        let (learners, judges, test) = (cohort(Split::Train)?, cohort(Split::Validation)?, cohort(Split::Test)?);
        ensure!(
            self.split != Some(Examined::Test) || !test.is_empty(),
            "the corpus has no test split; set data.test_share and prepare it again, or take --split validation"
        );
        let asked = self.split != Some(Examined::Validation) && !test.is_empty();
        let decoder = run.trained_decoder(&self.run)?;
        let subject = Subject {
            run: &run,
            decoder: decoder.as_ref(),
            tokenizer: &tokenizer,
            learners: &learners,
            judges: &judges,
            examined: asked.then_some(&test),
            corpus_sha256: shards.digest(),
        };
        let place = self.placed.place(progress)?;
        let workers = Workers::new(workers_for(&place, threads))?;
        let reader =
            Reader { device: &place.device, workers: &workers, micro_batch: run.experiment.training.micro_batch };
        let tell = |stage| match stage {
            Stage::Reading(split, done, total) => {
                progress.tell(format!("reading the {} split", split.name()));
                progress.count(done, total);
            }
            Stage::Library(done, total) => {
                progress.say("reading the training reports");
                progress.count(done, total);
            }
            Stage::Drafting(done, total) => {
                progress.say("drafting reports");
                progress.count(done, total);
            }
            Stage::Measuring => progress.say("measuring"),
        };
        Ok(pool.install(|| Evaluation::of(&subject, &reader, self.replicates, &tell))?)
    }
}

/// What people want to know first.
fn table(evaluation: &Evaluation) -> String {
    let rows = evaluation.headlines();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let number = |value: Option<f64>| value.map_or_else(|| "    -".to_owned(), |value| format!("{value:.3}"));
    let mut text = format!("{:width$}  value  95 % interval   baseline", "");
    for (name, Measure { value, low, high, baseline }) in rows {
        let interval = match (low, high) {
            (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
            _ => String::new(),
        };
        // Writing to a string cannot fail.
        let _written = write!(text, "\n{name:width$}  {}  {interval:14}  {}", number(value), number(baseline));
    }
    let patients = &evaluation.patients;
    let (kind, split) = (if patients.synthetic { "synthetic cases" } else { "cases" }, patients.split);
    let flatters = if patients.chosen_on { ", on which thresholds were chosen: the numbers flatter" } else { "" };
    format!("{} {kind} of the {split} split{flatters}\n{text}", patients.cases)
}
