//! A network as a file that runtimes read.
//!
//! In: a [`Tower`](crate::net::Tower) with its weights. Out: the bytes of `vision.onnx`. Owns nothing on disk; never
//! changes a weight, and never asks a runtime: that both agree is checked by tests.

mod graph;
pub mod onnx;
mod vision;

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
    /// A table could not be read from the device.
    #[error("the positions could not be read from the device: {reason}")]
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
