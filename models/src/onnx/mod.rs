//! ONNX files as foreign bytes: their messages, and whether a graph is one that a device may load.
//!
//! In: the bytes of a graph and the [`Contract`] that a bundle makes for it. Out: nothing, or a [`Refusal`] with a stable
//! code; any bytes give one of the two, in memory that the contract bounds. ONNX Runtime is asked nothing here: what it
//! opens, allocates or runs at a file's bidding is what these checks come before. What a graph computes only while it runs
//! cannot be judged here; that is what the inference worker's limits of memory and time are for.

mod contract;
mod data;
mod graph;
pub mod proto;
mod read;
mod refusal;
#[cfg(test)]
mod tests;

pub use contract::Contract;
pub use graph::CONTROL_FLOW;
pub use refusal::{CODES, Refusal};

/// Longest file of a graph in bytes: protobuf has no longer messages. What does not fit goes into external data.
pub const GRAPH_BYTES: u64 = (1 << 31) - 1;

/// Checks a graph, given the bytes of its file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(bytes: Vec<u8>, contract: &Contract<'_>) -> Result<(), Refusal> {
    let model = read::model(bytes.into(), contract.memory_bytes)?;
    if !model.training_info.is_empty() {
        return Err(Refusal::Training);
    }
    contract.versions(&model)?;
    let graph = model.graph.as_ref().ok_or_else(|| Refusal::malformed("it has no graph"))?;
    contract.ports(&graph.input, &graph.output)?;
    graph::check(graph, &model.functions, contract)
}
