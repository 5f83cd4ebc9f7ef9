//! `ctedge-trainer train-decoder`: the decoder of a trained run.

use super::evaluate::{shards_of, tokenizer_of};
use super::place::{Placed, workers_for};
use super::{Outcome, Progress};
use crate::batch::{Cohort, Dictation, Shards, Split, Tokenizer};
use crate::eval::{CALIBRATION_FILE, Calibration};
use crate::net::{Limits, Written};
use crate::run::{
    self, DECODER_FILE, DECODER_FOLDER, DecoderLesson, DecoderLook, DecoderRecord, DecoderWatcher, Ended, Run, Workers,
    train_decoder,
};
use anyhow::{Context, ensure};
use clap::Args;
use ctedge_models::bundle::LabelSpec;
use serde_json::json;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Drafts that are written at each look.
const DRAFTS: usize = 2;
/// Weight of the newest loss in the mean that is shown.
const NEWEST: f64 = 0.05;

/// Train the decoder of a run: it drafts reports of what the volume tower sees.
///
/// The run's towers must be trained and evaluated: the decoder is told the flags that they raise at the thresholds of
/// calibration.json. The tower rests; what it makes of every case is computed once and kept in RUN/decoder. Killing it
/// loses the steps since the last checkpoint and nothing else: the same command goes on, and ends with the same weights as if
/// it had never been stopped. The decoder computes in 32 bits on every device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer train-decoder run\n  \
    ctedge-trainer train-decoder run --corpus /data/CT-RATE --shards /fast/shards")]
pub(super) struct TrainDecoder {
    /// The run folder; its experiment has a table `[decoder]`.
    run: PathBuf,
    /// Folder of the corpus, if it has to be prepared again; phantoms need none.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Folder of the prepared tensors; RUN-shards if not given.
    #[arg(long, value_name = "DIR")]
    shards: Option<PathBuf>,
    /// Threads to compute on; all cores if not given. The result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    placed: Placed,
}

impl TrainDecoder {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let run = Run::open(&self.run)?;
        let settings = run.decoder_settings()?;
        let specs = self.specs(&run)?;
        let place = self.placed.place(progress)?;
        let folder = shards_of(&self.run, self.shards.as_deref());
        super::prepare::ensure(&run.experiment, self.corpus.as_deref(), &folder, progress)?;
        let shards = Shards::open(&folder, &run.experiment.input)?;
        progress.say("reading the reports");
        let tokenizer = tokenizer_of(&self.run, &run)?;
        let cohort = |split| Cohort::new(&shards, split, &tokenizer, &run.experiment);
        let (learners, judges) = (cohort(Split::Train)?, cohort(Split::Validation)?);
        ensure!(!judges.is_empty(), "no patient is left for validation; raise data.validation_share");
        let threads = self.threads.unwrap_or(std::thread::available_parallelism()?).get();
        let workers = Workers::new(workers_for(&place, threads))?;
        let inside = self.run.join(DECODER_FOLDER);
        run::make_folder(&inside)?;
        let dictation = |cohort, what| {
            let told = |done| {
                progress.say(what);
                progress.count(done, Cohort::len(cohort));
            };
            let features = run::looked_at((&inside, &run), cohort, (&place.device, &workers), &told)?;
            Ok::<_, anyhow::Error>(Dictation::new(cohort, (&run.experiment, settings), &specs, features)?)
        };
        let learners = dictation(&learners, "looking at the training patients")?;
        let judges = dictation(&judges, "looking at the validation patients")?;
        let lesson = DecoderLesson {
            learners: &learners,
            judges: &judges,
            drafts: DRAFTS,
            limits: Limits::of(&tokenizer),
            device: &place.device,
            workers: &workers,
        };
        let mut live = Live { progress, tokenizer: &tokenizer, run: &run, steps: settings.steps, loss: None };
        let ended = train_decoder(&self.run, &run, &lesson, &mut live)?;
        progress.say("training has ended");
        self.outcome(&run, &ended, (&learners, &judges))
    }

    fn outcome(
        &self,
        run: &Run,
        ended: &Ended,
        (learners, judges): (&Dictation<'_>, &Dictation<'_>),
    ) -> anyhow::Result<Outcome> {
        let (best, score) = ended.best.context("the training ended without a look at the validation patients")?;
        let resumed = match ended.resumed_at {
            0 => String::new(),
            step => format!(", resumed after step {step}"),
        };
        let (left_out, cases) = (learners.sentences_left_out(), learners.cohort().len());
        let parameters = run.untrained_decoder()?.weights.count();
        let text = format!(
            "trained a decoder of {parameters} parameters for {} steps{resumed} on {cases} cases; best after step {best}: \
             perplexity {:.3}\n{left_out} sentences of reports longer than decoder.max_tokens were left out\n\
             wrote {}; next: ctedge-trainer evaluate {}",
            ended.steps,
            (-score).exp(),
            self.run.join(DECODER_FILE).display(),
            self.run.display(),
        );
        let json = json!({
            "run": self.run, "steps": ended.steps, "resumed_at": ended.resumed_at, "best_step": best,
            "loss": -score, "perplexity": (-score).exp(), "parameters": parameters, "train_cases": cases,
            "validation_cases": judges.cohort().len(), "sentences_left_out": left_out,
            "corpus_sha256": learners.cohort().corpus_sha256(), "weights_sha256": run.checkpoint.weights.sha256(),
        });
        Ok(Outcome { text, json })
    }

    /// How the towers' logits become flags.
    fn specs(&self, run: &Run) -> anyhow::Result<Vec<LabelSpec>> {
        let calibration = Calibration::read(&self.run.join(CALIBRATION_FILE))?;
        calibration.belongs_to(&run.checkpoint.weights.sha256())?;
        Ok(calibration.specs())
    }
}

/// Watches a training for a person.
struct Live<'a> {
    progress: &'a Progress,
    tokenizer: &'a Tokenizer,
    run: &'a Run,
    steps: usize,
    loss: Option<f64>,
}

impl DecoderWatcher for Live<'_> {
    fn step(&mut self, record: &DecoderRecord) {
        let loss = self.loss.map_or(record.loss, |loss| loss + NEWEST * (record.loss - loss));
        self.loss = Some(loss);
        let seconds = (record.waited_s + record.seconds).max(1e-9);
        self.progress.count(record.step, self.steps);
        self.progress.tell(format!("loss {loss:.4}, {:.1} steps/s", seconds.recip()));
    }

    fn look(&mut self, step: usize, look: &DecoderLook) -> Result<(), Box<dyn Error + Send + Sync>> {
        let numbers: Vec<String> = look.look.numbers.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let loss = self.loss.unwrap_or(f64::NAN);
        self.progress.line(&format!("step {step}: loss {loss:.4}, validation {}", numbers.join(", ")));
        // A draft repeats what reports say: nobody's but a phantom's is shown.
        if self.run.experiment.is_synthetic() {
            for (_, Written { ids, .. }) in &look.drafts {
                self.progress.line(&format!("  {}", self.tokenizer.draft(ids).text()));
            }
        }
        Ok(())
    }
}
