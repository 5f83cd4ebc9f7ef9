//! `ctedge-trainer train`: from an experiment to a trained run, by one command.

use super::live::Live;
use super::{Outcome, Progress, shards};
use crate::batch::{Cohort, Knowledge, ReportVectors, Shards, Split, Tokenizer, seen};
use crate::device;
use crate::eval;
use crate::experiment::Experiment;
use crate::net::Weights;
use crate::run::{self, Lesson, Run};
use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Train a model, or go on with a training that was interrupted.
///
/// Prepares the corpus if it is not yet prepared, learns a vocabulary, and trains from the newest checkpoint or from
/// random weights. Killing it loses the steps since the last checkpoint and nothing else: the same command goes on, and
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
}
