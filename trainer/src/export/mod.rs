//! A network as a file that runtimes read.
//!
//! In: a [`Tower`](crate::net::Tower) with its weights. Out: the bytes of `vision.onnx`. Owns nothing on disk; never
//! changes a weight, and never asks a runtime: that both agree is checked by tests.

mod graph;
mod manifest;
pub mod onnx;
mod trace;
mod vision;

pub use manifest::{VISION_FILE, golden, manifest, properties};
pub use trace::Trace;
pub use vision::{VisionGraph, vision};

use crate::net::WeightsError;

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
}

#[cfg(test)]
mod tests;
