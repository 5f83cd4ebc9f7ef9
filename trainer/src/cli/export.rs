//! `ctedge-trainer export`: a run to the files of a bundle.

use super::{Outcome, Progress};
use crate::export;
use crate::run::Run;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;

/// Write a run's network as ONNX, with the golden outputs that every appliance checks itself against.
///
/// Writes vision.onnx and manifest.json. The golden outputs are those of the experiment's phantom, computed by the
/// training framework on this machine's processor.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer export run --out exported")]
pub(super) struct Export {
    /// The run folder.
    run: PathBuf,
    /// Folder for the files; files of an earlier export in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Date that the manifest states (RFC 3339), to make an older bundle again; now if not given.
    #[arg(long, value_name = "TIME")]
    created: Option<Timestamp>,
}

impl Export {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let run = Run::open(&self.run)?;
        let created = match self.created {
            Some(moment) => moment,
            None => Timestamp::from_second(Timestamp::now().as_second())?,
        };
        progress.say("writing the graph and running the golden test");
        let exported = export::Exported::of(&run, created.to_string())?;
        export::write(&exported, &self.out)?;

        let (manifest, out) = (&exported.manifest, self.out.display());
        let shapes = |tensors: &[ctedge_models::bundle::TensorIo]| {
            let words = tensors.iter().map(|tensor| format!("{} {:?}", tensor.name, tensor.shape));
            words.collect::<Vec<_>>().join(", ")
        };
        let text = format!(
            "wrote {out}/{file} ({bytes} bytes): {inputs} to {outputs}\n\
             wrote {out}/manifest.json; golden tensor {tensor}\nnext: ctedge-trainer pack {out}",
            file = manifest.vision.file,
            bytes = exported.graph.bytes.len(),
            inputs = shapes(&manifest.vision.inputs),
            outputs = shapes(&manifest.vision.outputs),
            tensor = manifest.golden.tensor_sha256,
        );
        let json = json!({
            "folder": self.out, "name": manifest.name, "version": manifest.version, "created": manifest.created,
            "trained": manifest.training.trained, "graph_bytes": exported.graph.bytes.len(),
            "golden_tensor_sha256": manifest.golden.tensor_sha256, "golden_logits": manifest.golden.logits,
        });
        Ok(Outcome { text, json })
    }
}
