//! `ctedge-trainer import`: published weights into a run.

use super::{Outcome, Progress};
use crate::experiment::Text;
use crate::net::import::{Imported, Published, Row, check_config, import};
use crate::run::{self, Run, TOKENIZER_FILE};
use crate::text::{Tokenizer, from_vocabulary};
use anyhow::{Context, ensure};
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Put published weights in the place of an untrained run's random ones.
///
/// --bert takes the safetensors file of a BERT such as BioClinicalBERT, or the folder with it. A config.json beside
/// it is checked against the experiment, and a vocab.txt becomes the run's tokenizer, whatever number of pieces
/// the experiment asks for. --m3d-clip takes the vision transformer of M3D-CLIP or MONAI: the experiment needs learned
/// positions, a class token, and the file's patch, input size, width, depth and heads (which no file states; M3D-CLIP
/// has 12). Pooling, projection and flag head stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer import run --bert bio-clinical-bert\n  \
    ctedge-trainer import run --m3d-clip model.safetensors")]
pub(super) struct Import {
    /// The run folder that `ctedge-trainer init` made.
    run: PathBuf,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Weights of a BERT with the names of HuggingFace's transformers: a safetensors file, or the folder of one.
    #[arg(long, value_name = "FILE_OR_DIR")]
    bert: Option<PathBuf>,
    /// Weights of M3D-CLIP or of MONAI's vision transformer: a safetensors file, or the folder of one.
    #[arg(long, value_name = "FILE_OR_DIR")]
    m3d_clip: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let (published, path) = match (self.source.bert, self.source.m3d_clip) {
            (Some(path), _) => (Published::Bert, path),
            (None, path) => (Published::M3dClip, path.context("name --bert or --m3d-clip")?),
        };
        let mut run = Run::open(&self.run)?;
        ensure!(
            run.checkpoint.steps == 0,
            "{} has been trained already; import goes between `ctedge-trainer init` and training",
            self.run.display()
        );
        progress.say("reading the weights");
        let file = if path.is_dir() { path.join("model.safetensors") } else { path };
        let bytes = fs::read(&file).with_context(|| format!("the weights {}", file.display()))?;
        progress.say("checking names and shapes");
        let Imported { weights, rows } = import(&bytes, published, &run.checkpoint.weights)
            .with_context(|| format!("{} cannot be imported", file.display()))?;
        run.checkpoint.weights = weights;
        let tokenizer = match published {
            Published::Bert => beside(&file, &run)?,
            Published::M3dClip => None,
        };

        let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
        let tower = if published == Published::Bert { "report" } else { "volume" };
        run.checkpoint.data = format!("{}; {tower} tower from a file of SHA-256 {digest}", run.checkpoint.data);
        if let Some(tokenizer) = &tokenizer {
            run::write(&self.run.join(TOKENIZER_FILE), tokenizer.to_json()?.as_bytes())?;
        }
        run.replace(&self.run)?;

        let named = rows.iter().filter(|row| !row.source.is_empty());
        let taken = named.clone().filter(|row| !row.target.is_empty()).count();
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        lines.push(format!("took {taken} of {} tensors into {}", named.count(), self.run.display()));
        match &tokenizer {
            Some(tokenizer) => lines.push(format!("tokenizer of {} pieces from vocab.txt", tokenizer.vocabulary())),
            None if published == Published::Bert => {
                lines.push("no vocab.txt beside the weights: training needs the one that they were made with".into());
            }
            None => {}
        }
        let table = rows.iter().map(|row| json!({ "source": row.source, "target": row.target, "done": row.done }));
        let json = json!({
            "run": self.run, "sha256": digest, "taken": taken, "tensors": table.collect::<Vec<_>>(),
            "vocabulary": tokenizer.map(|tokenizer| tokenizer.vocabulary()),
        });
        Ok(Outcome { text: lines.join("\n"), json })
    }
}

/// A row of the table for people.
fn line(row: &Row) -> String {
    let or_dash = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
    format!("{:<24} {:<60} {}", row.done, or_dash(&row.source), or_dash(&row.target))
}

/// Checks the configuration beside a BERT's weights and reads the vocabulary there, as far as they are there.
fn beside(file: &Path, run: &Run) -> anyhow::Result<Option<Tokenizer>> {
    let text: &Text = &run.experiment.text;
    let config = file.with_file_name("config.json");
    if config.is_file() {
        let json = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
        check_config(&json, text).with_context(|| config.display().to_string())?;
    }
    let path = file.with_file_name("vocab.txt");
    if !path.is_file() {
        return Ok(None);
    }
    let tokenizer = from_vocabulary(&path, text)?;
    let rows = run.checkpoint.weights.vocabulary();
    ensure!(
        tokenizer.vocabulary() == rows,
        "{} has {} pieces and the weights have {rows}; take the one that was published with them",
        path.display(),
        tokenizer.vocabulary()
    );
    Ok(Some(tokenizer))
}
