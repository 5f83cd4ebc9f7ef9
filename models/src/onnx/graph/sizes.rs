//! Values followed through a graph, to find those that no device could hold.

use super::functions::Functions;
use super::operator;
use super::scope::{Known, Scope, lengths};
use super::{Graph, inner};
use crate::onnx::contract::Contract;
use crate::onnx::data;
use crate::onnx::proto::{Function, Node};
use crate::onnx::refusal::{Refusal, quoted};

/// Follows the values of a graph.
pub(super) fn check(graph: &Graph, functions: &Functions<'_>, contract: &Contract<'_>) -> Result<(), Refusal> {
    Sizes { functions, contract }.graph(graph, Scope::default())
}

struct Sizes<'a> {
    functions: &'a Functions<'a>,
    contract: &'a Contract<'a>,
}

impl Sizes<'_> {
    fn graph<'b>(&self, graph: &'b Graph, mut scope: Scope<'b>) -> Result<(), Refusal> {
        for tensor in &graph.initializer {
            scope.insert(&tensor.name, Known::constant(tensor))?;
        }
        for tensor in &graph.sparse_initializer {
            let values = tensor.values.as_ref().ok_or_else(|| Refusal::malformed("a sparse constant has no values"))?;
            let dims = Some(lengths(&tensor.dims));
            scope.insert(&values.name, Known { kind: values.data_type, dims, ..Known::default() })?;
        }
        graph.input.iter().try_for_each(|value| scope.given(value))?;
        scope.declare(&graph.value_info);
        graph.node.iter().try_for_each(|node| self.node(node, &mut scope))?;
        graph.output.iter().try_for_each(|output| scope.require(&output.name).map(drop))
    }

    fn node<'b>(&self, node: &'b Node, scope: &mut Scope<'b>) -> Result<(), Refusal> {
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            scope.require(name)?;
        }
        let made = if let Some(function) = self.functions.called(node) {
            self.call(function, node, scope)?
        } else {
            inner(node).try_for_each(|graph| self.graph(graph, scope.inside()))?;
            vec![operator::made(node, scope).map_err(|what| self.size(what, "an unknown number of".into()))?]
        };
        let mut made = made.into_iter();
        for name in &node.output {
            let known = made.next().unwrap_or_default();
            self.fits(node, &known)?;
            if !name.is_empty() {
                scope.insert(name, known)?;
            }
        }
        Ok(())
    }

    /// What a function makes of what a node gives it.
    fn call(&self, function: &Function, node: &Node, scope: &Scope<'_>) -> Result<Vec<Known>, Refusal> {
        let mut inside = Scope::default();
        for (place, name) in function.input.iter().enumerate() {
            let given = node.input.get(place).and_then(|given| scope.find(given)).cloned();
            inside.insert(name, given.unwrap_or_default())?;
        }
        inside.declare(&function.value_info);
        function.node.iter().try_for_each(|node| self.node(node, &mut inside))?;
        function.output.iter().map(|output| inside.require(output).cloned()).collect()
    }

    fn fits(&self, node: &Node, known: &Known) -> Result<(), Refusal> {
        let Some(bytes) = known.bytes() else { return Ok(()) };
        // Written so that what is no number is refused.
        if bytes <= data::whole(i64::try_from(self.contract.memory_bytes).unwrap_or(i64::MAX)) {
            return Ok(());
        }
        Err(self.size(format!("what operator {} makes", quoted(&node.op_type)), bytes.to_string()))
    }

    fn size(&self, what: String, bytes: String) -> Refusal {
        Refusal::Size { what, bytes, most: self.contract.memory_bytes }
    }
}
