//! A graph whose weights and products have 16 bits.
//!
//! Inputs and outputs stay floats of 32 bits, and so do the islands that the writer marks: layer normalisation, softmax,
//! GELU and lengths. Casts stand where the two meet, once for each value.

use super::Draft;
use crate::export::ExportError;
use ctedge_models::onnx::proto::{Attribute, FLOAT, FLOAT16, INT64, Node, Tensor};
use half::f16;
use std::collections::{BTreeMap, BTreeSet};

/// Operators that move numbers and compute nothing: they keep what they are given.
const MOVES: [&str; 5] = ["Reshape", "Transpose", "Split", "Slice", "Concat"];

impl Draft {
    /// The same graph with 16-bit weights.
    ///
    /// # Errors
    /// A weight is too large for 16 bits.
    pub fn halved(mut self) -> Result<Self, ExportError> {
        let mut kinds: BTreeMap<String, i32> =
            self.graph.input.iter().map(|input| (input.name.clone(), input.kind())).collect();
        let wide = self.graph.node.iter().filter(|node| self.wide.contains(&node.name));
        let kept: BTreeSet<String> = wide.flat_map(|node| node.input.iter().cloned()).collect();
        for tensor in &mut self.graph.initializer {
            if tensor.data_type == FLOAT && !kept.contains(&tensor.name) {
                *tensor = narrowed(tensor)?;
            }
            kinds.insert(tensor.name.clone(), tensor.data_type);
        }
        let outputs = self.graph.output.iter().map(|output| output.name.clone()).collect();
        let mut pass = Pass { kinds, outputs, nodes: Vec::new() };
        for node in std::mem::take(&mut self.graph.node) {
            let computes = if self.wide.contains(&node.name) { FLOAT } else { FLOAT16 };
            pass.place(node, computes);
        }
        self.graph.node = pass.nodes;
        Ok(self)
    }
}

fn narrowed(tensor: &Tensor) -> Result<Tensor, ExportError> {
    let values = tensor.floats().unwrap_or_default();
    let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    if halves.iter().any(|half| !half.is_finite()) {
        return Err(ExportError::TooLarge { name: tensor.name.clone() });
    }
    let raw_data = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    Ok(Tensor { data_type: FLOAT16, raw_data, ..tensor.clone() })
}

/// The nodes so far, and the kind of element of every value that they have made.
struct Pass {
    kinds: BTreeMap<String, i32>,
    outputs: BTreeSet<String>,
    nodes: Vec<Node>,
}

impl Pass {
    fn place(&mut self, mut node: Node, computes: i32) {
        let given = node.input.first().and_then(|name| self.kinds.get(name)).copied();
        let kind = given.filter(|_| MOVES.contains(&node.op_type.as_str())).unwrap_or(computes);
        node.input = node.input.iter().map(|name| self.cast(name, kind)).collect();
        let mut results = Vec::new();
        for name in &mut node.output {
            // What leaves the graph is a float of 32 bits under its own name.
            if kind == FLOAT16 && self.outputs.contains(name) {
                results.push(name.clone());
                *name = narrow_name(name);
                node.name.clone_from(name);
            }
            self.kinds.insert(name.clone(), kind);
        }
        self.nodes.push(node);
        for name in results {
            self.push_cast(&narrow_name(&name), &name, FLOAT);
        }
    }

    /// The name of a value as `kind`; whole numbers stay what they are.
    fn cast(&mut self, name: &str, kind: i32) -> String {
        let found = self.kinds.get(name).copied().unwrap_or(kind);
        if found == kind || found == INT64 {
            return name.to_owned();
        }
        let other = if kind == FLOAT16 { narrow_name(name) } else { format!("{name}/f32") };
        if !self.kinds.contains_key(&other) {
            self.push_cast(name, &other, kind);
        }
        other
    }

    fn push_cast(&mut self, from: &str, to: &str, kind: i32) {
        self.nodes.push(Node {
            input: vec![from.to_owned()],
            output: vec![to.to_owned()],
            name: to.to_owned(),
            op_type: "Cast".into(),
            attribute: vec![Attribute::int("to", i64::from(kind))],
            ..Node::default()
        });
        self.kinds.insert(to.to_owned(), kind);
    }
}

fn narrow_name(name: &str) -> String {
    format!("{name}/f16")
}
