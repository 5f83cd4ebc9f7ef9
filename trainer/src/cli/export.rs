//! `ctedge-trainer export`: a run to the files of a bundle.

use super::{Outcome, Progress};
use crate::device;
use crate::export::vision;
use crate::run::{self, Run};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Write a run's network as ONNX, with the golden outputs that every appliance checks itself against.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer export run --out exported")]
pub(super) struct Export {
    /// The run folder.
    run: PathBuf,
    /// Folder for the files; files of an earlier export in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Export {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let run = Run::open(&self.run)?;
        let tower = run.tower(&device::cpu())?;
        progress.say("writing the graph");
        let graph = vision(&tower, &[])?;
        run::make_folder(&self.out)?;
        run::write(&self.out.join("vision.onnx"), &graph.bytes)?;
        Ok(Outcome { text: format!("wrote {}", self.out.display()), json: json!({ "bytes": graph.bytes.len() }) })
    }
}
