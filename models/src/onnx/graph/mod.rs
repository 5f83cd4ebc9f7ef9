//! What a graph is made of.
//!
//! [`parts`] looks at every node and tensor of the file once; [`sizes`] then follows the values through the graph, calls of
//! the model's own functions included, as far as they are known before it runs.

mod functions;
mod operator;
mod parts;
mod scope;
mod sizes;

pub use parts::CONTROL_FLOW;

use super::contract::{Contract, own};
use super::proto::{Function, Graph, Node};
use super::refusal::Refusal;
use functions::Functions;

/// Checks a graph and the functions that it may call.
pub(super) fn check(graph: &Graph, functions: &[Function], contract: &Contract<'_>) -> Result<(), Refusal> {
    let functions = Functions::of(functions)?;
    functions.bounded(graph)?;
    parts::check(graph, &functions, contract)?;
    sizes::check(graph, &functions, contract)
}

/// The graphs inside a node: branches and bodies.
fn inner(node: &Node) -> impl Iterator<Item = &Graph> {
    node.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
}
