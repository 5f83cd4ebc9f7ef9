//! Every node and every tensor of a file, each by itself.

use super::functions::Functions;
use super::{Graph, inner, own};
use crate::onnx::contract::Contract;
use crate::onnx::data;
use crate::onnx::proto::{Attribute, Node, ValueInfo};
use crate::onnx::refusal::{Refusal, quoted};

/// Operators that repeat or choose what they contain; a manifest declares those that its graphs use.
pub const CONTROL_FLOW: [&str; 4] = ["If", "Loop", "Scan", "SequenceMap"];

/// Checks a graph and all functions.
pub(super) fn check(graph: &Graph, functions: &Functions<'_>, contract: &Contract<'_>) -> Result<(), Refusal> {
    let mut parts = Parts { functions, contract, bytes: 0 };
    parts.graph(graph)?;
    for function in functions.all() {
        parts.nodes(&function.node)?;
        function.attribute_proto.iter().try_for_each(|attribute| parts.attribute(attribute))?;
        parts.values(&function.value_info)?;
    }
    Ok(())
}

struct Parts<'a> {
    functions: &'a Functions<'a>,
    contract: &'a Contract<'a>,
    /// All tensors so far.
    bytes: u64,
}

impl Parts<'_> {
    fn graph(&mut self, graph: &Graph) -> Result<(), Refusal> {
        for tensor in &graph.initializer {
            self.add(data::dense(tensor, self.contract)?)?;
        }
        for tensor in &graph.sparse_initializer {
            self.add(data::sparse(tensor, self.contract)?)?;
        }
        for values in [&graph.input, &graph.output, &graph.value_info] {
            self.values(values)?;
        }
        self.nodes(&graph.node)
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<(), Refusal> {
        for node in nodes {
            self.operator(node)?;
            node.attribute.iter().try_for_each(|attribute| self.attribute(attribute))?;
            inner(node).try_for_each(|graph| self.graph(graph))?;
        }
        Ok(())
    }

    fn operator(&self, node: &Node) -> Result<(), Refusal> {
        if !own(&node.domain) {
            return match self.functions.called(node) {
                Some(_) => Ok(()),
                None => Err(Refusal::Domain { domain: quoted(&node.domain), operator: quoted(&node.op_type) }),
            };
        }
        let control = CONTROL_FLOW.into_iter().find(|operator| *operator == node.op_type);
        match control.filter(|operator| !self.contract.control_flow.iter().any(|declared| declared == operator)) {
            Some(operator) => Err(Refusal::ControlFlow { operator }),
            None => Ok(()),
        }
    }

    fn attribute(&mut self, attribute: &Attribute) -> Result<(), Refusal> {
        for tensor in attribute.t.as_deref().into_iter().chain(&attribute.tensors) {
            self.add(data::dense(tensor, self.contract)?)?;
        }
        for tensor in attribute.sparse_tensor.as_deref().into_iter().chain(&attribute.sparse_tensors) {
            self.add(data::sparse(tensor, self.contract)?)?;
        }
        Ok(())
    }

    /// What is declared of a value says how much memory it takes, unless a length is left open.
    fn values(&self, values: &[ValueInfo]) -> Result<(), Refusal> {
        for value in values {
            let lengths: Option<Vec<u64>> =
                value.shape().and_then(|shape| shape.into_iter().map(|length| u64::try_from(length).ok()).collect());
            let (Some(lengths), Some(bits)) = (lengths, data::bits(value.kind())) else { continue };
            let bits = lengths.into_iter().try_fold(bits, u64::checked_mul);
            if bits.is_none_or(|bits| bits.div_ceil(8) > self.contract.memory_bytes) {
                let what = format!("value {}", quoted(&value.name));
                return Err(self.size(what, bits.map(|bits| bits.div_ceil(8))));
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.contract.memory_bytes {
            return Err(self.size("all constants together".into(), Some(self.bytes)));
        }
        Ok(())
    }

    fn size(&self, what: String, bytes: Option<u64>) -> Refusal {
        let bytes = bytes.map_or_else(|| "more than 2^61".into(), |bytes| bytes.to_string());
        Refusal::Size { what, bytes, most: self.contract.memory_bytes }
    }
}
