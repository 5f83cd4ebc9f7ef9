//! Why a network could not be written.

use crate::eval::metrics::MetricsError;
use crate::eval::{RunError, WeightsError};
use ctedge_models::bundle::BundleError;
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
    /// A phantom could not be made.
    #[error("a phantom cannot be made")]
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
    /// A device would refuse a graph of the folder.
    #[error("{} cannot be packed: a device would refuse it", folder.display())]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<BundleError>,
    },
    /// A weight that 16 bits cannot hold.
    #[error("{name} holds a weight beyond 65504, the largest number of 16 bits; export with --precision f32")]
    TooLarge {
        /// The parameter.
        name: String,
    },
    /// The calibration or the evaluation of the run is not understood.
    #[error("{} cannot be understood; `ctedge-trainer evaluate` writes it anew", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Line and key.
        #[source]
        source: serde_json::Error,
    },
    /// Thresholds of other weights would be wrong without anybody's noticing.
    #[error(
        "{} was made for weights {found}, the run's are {expected}; make it again with `ctedge-trainer evaluate`, or `reference`", path.display()
    )]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// Digest of the weights that it was made for.
        found: String,
        /// Digest of the run's.
        expected: String,
    },
    /// A calibration that cannot be read, or of other weights.
    #[error("{} cannot be used; run `ctedge-trainer evaluate` again", path.display())]
    Calibration {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::eval::EvalError>,
    },
    /// A recipe of somebody else's model is not understood.
    #[error("{} is no recipe: {reason}", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// Line and key.
        reason: String,
    },
    /// Golden logits that are none.
    #[error("{} is no JSON list of numbers, one a label", path.display())]
    Logits {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody else's model that no bundle can hold.
    #[error("{} cannot be bundled: {reason}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no volume to compare on.
    #[error("there is no volume to measure the cost of quantisation on; give --cases 1 or more, or shards with cases")]
    NoCases,
    /// A number of the comparison cannot be computed.
    #[error("the cost of quantisation cannot be computed")]
    Metrics {
        /// Why.
        #[source]
        source: MetricsError,
    },
}
