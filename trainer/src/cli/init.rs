//! `ctedge-trainer init`: an experiment to a run folder.

use super::{Outcome, Progress};
use crate::batch::{Tokenizer, from_vocabulary, learn, seen};
use crate::corpus;
use crate::device;
use crate::experiment::Experiment;
use crate::net::TokenGrid;
use crate::run::Run;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Start a run: check an experiment and draw its initial weights.
///
/// The weights follow from the experiment's seed, the same on every machine. The network is untrained: what it says
/// of a scan means nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer init models/catalog/scale-vlp-tiny/experiment.toml --out run")]
pub(super) struct Init {
    /// The experiment file (TOML); every key is explained in models/catalog/scale-vlp-tiny/experiment.toml.
    experiment: PathBuf,
    /// Folder for the run; must be empty or not there.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Folder of the corpus whose reports the vocabulary is learned from; phantoms need none.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// A BERT vocabulary (vocab.txt) instead of one that is learned.
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    vocabulary: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let experiment = Experiment::read(&self.experiment)?;
        progress.say("reading the reports");
        let tokenizer = self.tokenizer(&experiment)?;
        progress.say("drawing the initial weights");
        let run = Run::init(experiment, tokenizer.vocabulary())?;
        run.create(&self.out, &tokenizer.to_json()?)?;
        let learning = run.pair(&device::cpu())?.trainable(&run.experiment).learning(&run.experiment);
        let Run { experiment, checkpoint } = run;
        let parameters = checkpoint.weights.count();
        let tokens = TokenGrid::new(&experiment.input.grid, experiment.vision.patch).tokens();
        let (name, version, out) = (&experiment.model.name, &experiment.model.version, self.out.display());
        let text = format!(
            "{name} {version}: {parameters} parameters, {learning} of them learn, {tokens} tokens a volume, untrained\n\
             wrote {out}; next: ctedge-trainer export {out} --out exported"
        );
        let json = json!({
            "run": self.out, "name": name, "version": version, "parameters": parameters, "learning": learning, "tokens": tokens,
            "trained": false, "experiment_sha256": experiment.sha256(), "weights_sha256": checkpoint.weights.sha256(),
        });
        Ok(Outcome { text, json })
    }

    fn tokenizer(&self, experiment: &Experiment) -> anyhow::Result<Tokenizer> {
        if let Some(given) = &self.vocabulary {
            return Ok(from_vocabulary(given, &experiment.text)?);
        }
        let listing = corpus::open(experiment.data.corpus, self.corpus.as_deref(), &experiment.input)?;
        let reports = listing.cases.iter().map(|listed| &listed.case.report);
        let texts: Vec<String> = reports.map(|report| seen(&report.findings, &report.impression)).collect();
        Ok(learn(&texts, &experiment.text)?)
    }
}
