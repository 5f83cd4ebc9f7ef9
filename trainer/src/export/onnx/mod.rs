//! Networks as ONNX graphs.
//!
//! In: a tower of the network. Out: a [`Draft`] of its graph in 32 bits, which may be [halved](Draft::halved) or
//! [quantised](Draft::quantised) and becomes a [`GraphFile`]. Operator set 17 primitives only, whatever a newer set would
//! say in one operator: it is the newest that every TensorRT of the supported `JetPacks` parses. Owns nothing on disk.

mod builder;
mod decoder;
mod halved;
mod layers;
mod quantised;
mod text;
mod vision;

pub use decoder::{cross_kv, decoder_step};
pub use quantised::{Columns, Steps};
pub use text::text;
pub use vision::vision;

use ctedge_models::bundle::TensorIo;
use ctedge_models::onnx::proto::{Graph, Model, OperatorSet, StringPair};
use prost::Message;
use std::collections::BTreeSet;

/// IR version that goes with operator set 17.
const IR_VERSION: i64 = 8;
/// Operator set: the newest whose primitives every TensorRT of the supported `JetPacks` parses.
pub(super) const OPSET: i64 = 17;
/// Rises when the same network is written in other bytes. It is not the program's version, since a new release must be
/// able to make an old model's file again.
const WRITER_VERSION: &str = "2";

/// A graph that is not yet a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    graph: Graph,
    /// Nodes that compute in 32 bits whatever the weights are stored in.
    wide: BTreeSet<String>,
    inputs: Vec<TensorIo>,
    outputs: Vec<TensorIo>,
}

/// An exported graph: the file's bytes, and its inputs and outputs as a manifest lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphFile {
    /// Content of the `.onnx` file.
    pub bytes: Vec<u8>,
    /// Its inputs.
    pub inputs: Vec<TensorIo>,
    /// Its outputs.
    pub outputs: Vec<TensorIo>,
}

impl Draft {
    /// The whole file, with these metadata properties. The same graph and properties give the same bytes.
    #[must_use]
    pub fn file(self, properties: &[(String, String)]) -> GraphFile {
        let pairs = properties.iter().map(|(key, value)| StringPair { key: key.clone(), value: value.clone() });
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "ctedge-trainer".into(),
            producer_version: WRITER_VERSION.into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: pairs.collect(),
            ..Model::default()
        };
        GraphFile { bytes: model.encode_to_vec(), inputs: self.inputs, outputs: self.outputs }
    }
}
