//! Builds an ONNX graph value by value. Every value is named after what it is (`blocks.0/attention/scores`), so that a
//! profile of the exported model reads like the network.

use super::Draft;
use crate::eval::{Array, Weights, little_endian};
use crate::export::ExportError;
use burn::module::Module;
use ctedge_models::bundle::TensorIo;
use ctedge_models::onnx::proto::{Attribute, FLOAT, Graph, INT64, Node, Tensor, ValueInfo};
use std::collections::BTreeSet;

/// Name of a value in the graph.
pub(super) type Value = String;

/// A graph under construction, and the parameters it is made of.
#[derive(Debug)]
pub(super) struct Builder {
    graph: Graph,
    weights: Weights,
    /// Nodes that compute in 32 bits whatever the weights are stored in.
    wide: BTreeSet<String>,
    inputs: Vec<TensorIo>,
    outputs: Vec<TensorIo>,
}

impl Builder {
    /// A graph without nodes for a network's parameters.
    pub(super) fn new(name: &str, network: &impl Module) -> Result<Self, ExportError> {
        let weights = Weights::of(network).map_err(|source| ExportError::Weights { source })?;
        let graph = Graph { name: name.into(), ..Graph::default() };
        Ok(Self { graph, weights, wide: BTreeSet::new(), inputs: Vec::new(), outputs: Vec::new() })
    }

    /// An input of floats.
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> Result<Value, ExportError> {
        self.declare(name, shape, FLOAT)
    }

    /// An input of 64-bit whole numbers.
    pub(super) fn whole_input(&mut self, name: &str, shape: &[usize]) -> Result<Value, ExportError> {
        self.declare(name, shape, INT64)
    }

    fn declare(&mut self, name: &str, shape: &[usize], kind: i32) -> Result<Value, ExportError> {
        self.graph.input.push(ValueInfo::tensor(name, &lengths(shape)?, kind));
        self.inputs.push(TensorIo { name: name.into(), shape: shape.to_vec() });
        Ok(name.into())
    }

    /// Declares inputs and outputs whose shapes a manifest states by other numbers. Values get these names where they are made.
    pub(super) fn ports(&mut self, (inputs, outputs): (Vec<ValueInfo>, Vec<ValueInfo>)) {
        self.graph.input.extend(inputs);
        self.graph.output.extend(outputs);
    }

    /// Makes a value an output of floats; a value gets its output name where it is made.
    pub(super) fn output(&mut self, value: &Value, shape: &[usize]) -> Result<(), ExportError> {
        self.graph.output.push(ValueInfo::tensor(value, &lengths(shape)?, FLOAT));
        self.outputs.push(TensorIo { name: value.clone(), shape: shape.to_vec() });
        Ok(())
    }

    /// A constant of floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<Value, ExportError> {
        let dims = lengths(shape)?;
        let raw_data = little_endian(values).into();
        self.graph.initializer.push(Tensor {
            dims,
            data_type: FLOAT,
            name: name.into(),
            raw_data,
            ..Tensor::default()
        });
        Ok(name.into())
    }

    /// A single float.
    pub(super) fn number(&mut self, name: &str, value: f64) -> Result<Value, ExportError> {
        self.floats(name, &[], &[narrow(value)])
    }

    /// A constant list of whole numbers, e.g. a shape.
    pub(super) fn whole(&mut self, name: &str, values: &[usize]) -> Result<Value, ExportError> {
        let raw_data = lengths(values)?.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dims = lengths(&[values.len()])?;
        self.graph.initializer.push(Tensor {
            dims,
            data_type: INT64,
            name: name.into(),
            raw_data,
            ..Tensor::default()
        });
        Ok(name.into())
    }

    /// A network parameter.
    pub(super) fn parameter(&self, name: &str) -> Result<&Array, ExportError> {
        self.weights.0.get(name).ok_or_else(|| ExportError::Missing { name: name.into() })
    }

    /// A network parameter as a constant of the same name.
    pub(super) fn weight(&mut self, name: &str) -> Result<Value, ExportError> {
        let Array { shape, values } = self.parameter(name)?.clone();
        self.floats(name, &shape, &values)
    }

    /// An operator whose only output bears the operator's name.
    pub(super) fn node(&mut self, operator: &str, name: &str, inputs: &[&Value], settings: Vec<Attribute>) -> Value {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.clone()).collect(),
            output: vec![name.into()],
            name: name.into(),
            op_type: operator.into(),
            attribute: settings,
            ..Node::default()
        });
        name.into()
    }

    /// An operator that computes in 32 bits even where the weights have 16.
    pub(super) fn wide(&mut self, operator: &str, name: &str, inputs: &[&Value], settings: Vec<Attribute>) -> Value {
        self.wide.insert(name.into());
        self.node(operator, name, inputs, settings)
    }

    /// Cuts the last axis into parts of these sizes and names.
    pub(super) fn split(&mut self, name: &str, a: &Value, sizes: &Value, parts: &[Value]) {
        self.node("Split", name, &[a, sizes], vec![Attribute::int("axis", -1)]);
        if let Some(node) = self.graph.node.last_mut() {
            node.output = parts.to_vec();
        }
    }

    /// The graph.
    pub(super) fn finish(self) -> Draft {
        let Self { graph, wide, inputs, outputs, .. } = self;
        Draft { graph, wide, inputs, outputs }
    }
}

pub(super) fn lengths(shape: &[usize]) -> Result<Vec<i64>, ExportError> {
    let convert = |&length| i64::try_from(length).map_err(|source| ExportError::Length { length, source });
    shape.iter().map(convert).collect()
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "constants of a 32-bit graph")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}
