//! `ctedge-trainer prepare`: a corpus to shards of input tensors.

use super::{Outcome, Progress};
use crate::corpus::{self, Prepared, Split};
use crate::experiment::Experiment;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Turn a corpus into the input tensors that training reads.
///
/// The experiment says which corpus it is and how volumes become tensors. What cannot be used is left out, counted and
/// listed in skipped.csv. A run that was interrupted goes on where it stopped when the same command is given again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ctedge-trainer prepare models/catalog/scale-vlp-tiny/experiment.toml --out shards\n  \
    ctedge-trainer prepare experiment.toml --corpus CT-RATE --out shards")]
pub(super) struct Prepare {
    /// The experiment file (TOML).
    experiment: PathBuf,
    /// Folder for the shards; new, or of an earlier run of this command.
    #[arg(long, value_name = "SHARDS")]
    out: PathBuf,
    /// Folder of the corpus; phantoms need none.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
}

/// Makes the shards of an experiment, or finds that they are there.
pub(super) fn ensure(
    experiment: &Experiment,
    corpus: Option<&Path>,
    out: &Path,
    progress: &Progress,
) -> anyhow::Result<Prepared> {
    progress.say("reading the corpus's tables");
    let listing = corpus::open(experiment.data.corpus, corpus, &experiment.input)?;
    progress.say("making tensors");
    Ok(corpus::prepare(listing, experiment, out, &|now| progress.count(now.done, now.total))?)
}

impl Prepare {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let experiment = Experiment::read(&self.experiment)?;
        let prepared = ensure(&experiment, self.corpus.as_deref(), &self.out, progress)?;

        let Prepared { stored, skipped, shards, kept, corpus_sha256 } = prepared;
        let out = self.out.display();
        let count = |split: Split| stored.get(&split).copied().unwrap_or_default();
        let splits: Vec<String> =
            Split::ALL.iter().map(|&split| format!("{} {}", count(split), split.name())).collect();
        let left_out: Vec<String> = skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let left_out = match left_out.as_slice() {
            [] => "nothing was left out".to_owned(),
            reasons => format!("left out: {} (see {out}/skipped.csv)", reasons.join(", ")),
        };
        let cases: usize = stored.values().sum();
        let text = format!(
            "stored {cases} cases ({}) in {shards} shards, of which {kept} were there\n{left_out}\n\
             corpus {corpus_sha256}\nwrote {out}",
            splits.join(", ")
        );
        let splits: serde_json::Map<String, serde_json::Value> =
            Split::ALL.iter().map(|&split| (split.name().to_owned(), json!(count(split)))).collect();
        let json = json!({
            "shards": self.out, "stored": cases, "splits": splits, "skipped": skipped, "shard_files": shards,
            "kept": kept, "corpus_sha256": corpus_sha256,
        });
        Ok(Outcome { text, json })
    }
}
