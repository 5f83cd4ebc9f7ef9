//! What supervisor and inference worker say to each other.

use super::{Ask, Drafted, Fault, Model, Scores, Settings, Watch};
use crate::floor::fate::Code;
use ctedge_models::bundle::Admission;
use ctedge_models::scan::VoxelKind;
use ctedge_models::volume::Geometry;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Folders of the device that a model needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Folders {
    /// Where bundles are unpacked.
    pub(crate) models: PathBuf,
    /// Where roots lie that have followed the pinned one, and keys that were revoked here.
    pub(crate) trust: PathBuf,
    /// The file of the key under which engines are sealed that were built here.
    pub(crate) engine_key: PathBuf,
}

/// Which engines loading a model may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Engines {
    /// Those that are here, and what is not here is built, for minutes perhaps.
    Build,
    /// Those that are here; a provider that would have to build one is passed over if another runs the model.
    Kept,
}

/// All that loading a model takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Which model, and where it runs.
    pub(crate) settings: Settings,
    /// Folders.
    pub(crate) folders: Folders,
    /// Findings that the site watches.
    pub(crate) watches: Vec<Watch>,
    /// Which engines may be used.
    pub(crate) engines: Engines,
}

/// A request to the inference worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Open the bundle, load ONNX Runtime, pass the golden volume.
    Load { setup: Box<Setup>, admission: Option<Box<Admission>> },
    /// Run the golden volume again.
    Golden { within_s: f64 },
    /// Draft a report of the volume that the model ran on last.
    Draft(Ask),
    /// Run the model on the volume whose voxels come with this message.
    ///
    /// The worker ends the run itself after `within_s`.
    Run { geometry: Geometry, kind: VoxelKind, within_s: f64 },
}

/// An answer of the inference worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Loaded(Box<Model>),
    Scores(Scores),
    Drafted(Drafted),
    /// There is no draft, and why.
    Undrafted {
        fault: Fault,
        reason: String,
    },
    /// The run took too long, and ended when it was asked to.
    Stopped,
    /// Largest difference of a logit from the trainer's, on the golden volume.
    Golden(f32),
    /// The model is not loaded. The code is the bundle's, where that is the reason.
    Unloaded {
        fault: Option<String>,
        reason: String,
        /// Whether it only lacks memory.
        is_short: bool,
    },
    /// A request that could not be fulfilled.
    Failed {
        code: Code,
        reason: String,
    },
}
