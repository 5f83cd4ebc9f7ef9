//! A network as a file that runtimes read.
//!
//! In: a [`Run`](crate::run::Run). Out: the graph and manifest of its bundle. It owns the exported folder, a bundle
//! before packing:
//!
//! ```text
//! DIR/manifest.json  what the bundle says of itself; packing fills in its table of files
//! DIR/vision.onnx    the volume graph
//! ```
//! Never changes a weight, and never asks a runtime: that both agree is checked by tests.

mod folder;
mod golden;
mod graph;
mod manifest;
pub mod onnx;
mod trace;
mod vision;

pub use folder::{Exported, contents, write};
pub use golden::phantom_tensor;
pub use manifest::{VISION_FILE, manifest, properties};
pub use trace::{TextTrace, Trace, write_arrays};
pub use vision::{VisionGraph, vision};

use crate::run::{RunError, WeightsError};
use ctedge_models::phantom::PhantomError;
use std::path::PathBuf;

/// Why a network could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The network's parameters could not be read.
    #[error("the network's parameters could not be read")]
    Weights {
        /// Which one.
        #[source]
        source: WeightsError,
    },
    /// A parameter that the graph needs is not there.
    #[error("the network has no {name}")]
    Missing {
        /// Its path.
        name: String,
    },
    /// A volume that is not the network's input.
    #[error("{given} voxels were given for an input of {size:?}")]
    Volume {
        /// Voxels that were given.
        given: usize,
        /// The input's size (z, y, x).
        size: [usize; 3],
    },
    /// A report that the tower cannot read.
    #[error("report {report} is not 1 to {places} token ids below {vocabulary}; encode it with the run's tokenizer")]
    Ids {
        /// Which, from 1.
        report: usize,
        /// Tokens of the longest report.
        places: usize,
        /// Pieces of the vocabulary.
        vocabulary: usize,
    },
    /// A tensor could not be read from the device.
    #[error("a tensor could not be read from the device: {reason}")]
    Read {
        /// What burn says.
        reason: String,
    },
    /// A length does not fit ONNX's integers.
    #[error("a length of {length} does not fit 63 bits")]
    Length {
        /// The length.
        length: usize,
        /// Why.
        #[source]
        source: std::num::TryFromIntError,
    },
    /// The experiment's phantom could not be made.
    #[error("the experiment's phantom ([golden]) cannot be made")]
    Phantom {
        /// Why.
        #[source]
        source: PhantomError,
    },
    /// The run could not become a network, or a file could not be written.
    #[error("the run could not be exported")]
    Run {
        /// Why.
        #[source]
        source: RunError,
    },
    /// A folder without a manifest.
    #[error("{} holds no manifest.json; `ctedge-trainer export` writes one", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest is not understood.
    #[error("{} is no bundle manifest", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Line and key.
        #[source]
        source: serde_json::Error,
    },
    /// A file or folder could not be read.
    #[error("{} cannot be read", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something that does not go into a bundle: a link, a device, a hidden file, a name that is no text.
    #[error("{} is no plain file for a bundle; remove it from the folder", path.display())]
    Stray {
        /// Which.
        path: PathBuf,
    },
    /// The graph cannot be decoded.
    #[error("{} is no ONNX model", path.display())]
    NoGraph {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// Graph and manifest do not agree.
    #[error("{} does not fit manifest.json: {what} {found}, the manifest says {stated}", path.display())]
    Unlike {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the graph has.
        found: String,
        /// What the manifest has.
        stated: String,
    },
}

#[cfg(test)]
mod tests;
