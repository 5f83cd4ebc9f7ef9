//! Builds an ONNX graph operator by operator. Every value is named after what it is (`blocks.0/attention/scores`), so
//! that a profile of the exported model reads like the network.

use super::ExportError;
use super::onnx::IR_VERSION;
use super::onnx::{Attribute, FLOAT, Graph, INT64, Model, Node, OPSET, OperatorSet, StringPair, Tensor, ValueInfo};
use crate::run::{Array, LAYER_NORM_EPSILON, Weights};
use prost::Message;

/// Rises when the same network is written in other bytes. It is not the program's version, since a new release must be
/// able to make an old model's file again.
const WRITER_VERSION: &str = "1";

/// Name of a value in the graph.
pub(super) type Value = String;

/// A graph under construction.
#[derive(Debug, Default)]
pub(super) struct Builder {
    graph: Graph,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { graph: Graph { name: name.into(), ..Graph::default() } }
    }

    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> Result<Value, ExportError> {
        self.graph.input.push(ValueInfo::floats(name, &lengths(shape)?));
        Ok(name.into())
    }

    /// Makes the last node's value an output; a value gets its output name where it is made.
    pub(super) fn output(&mut self, value: &Value, shape: &[usize]) -> Result<(), ExportError> {
        self.graph.output.push(ValueInfo::floats(value, &lengths(shape)?));
        Ok(())
    }

    /// A constant of floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<Value, ExportError> {
        let raw_data = crate::run::little_endian(values);
        let dims = lengths(shape)?;
        self.graph.initializer.push(Tensor { dims, data_type: FLOAT, name: name.into(), raw_data });
        Ok(name.into())
    }

    /// A constant of whole numbers, e.g. a shape.
    pub(super) fn whole(&mut self, name: &str, values: &[usize]) -> Result<Value, ExportError> {
        let raw_data = lengths(values)?.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dims = lengths(&[values.len()])?;
        self.graph.initializer.push(Tensor { dims, data_type: INT64, name: name.into(), raw_data });
        Ok(name.into())
    }

    /// A network parameter as a constant of the same name.
    pub(super) fn weight(&mut self, weights: &Weights, name: &str) -> Result<Value, ExportError> {
        let Array { shape, values } = weights.0.get(name).ok_or_else(|| ExportError::Missing { name: name.into() })?;
        self.floats(name, shape, values)
    }

    /// An operator whose only output bears the operator's name.
    pub(super) fn node(&mut self, operator: &str, name: &str, inputs: &[&Value], settings: Vec<Attribute>) -> Value {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.clone()).collect(),
            output: vec![name.into()],
            name: name.into(),
            op_type: operator.into(),
            attribute: settings,
        });
        name.into()
    }

    /// `a @ b` over the last two axes.
    pub(super) fn matmul(&mut self, name: &str, a: &Value, b: &Value) -> Value {
        self.node("MatMul", name, &[a, b], Vec::new())
    }

    /// `a + b`.
    pub(super) fn add(&mut self, name: &str, a: &Value, b: &Value) -> Value {
        self.node("Add", name, &[a, b], Vec::new())
    }

    /// `a * factor`.
    pub(super) fn scale(&mut self, name: &str, a: &Value, factor: f64) -> Result<Value, ExportError> {
        let factor = self.floats(&format!("{name}/factor"), &[], &[narrow(factor)])?;
        Ok(self.node("Mul", name, &[a, &factor], Vec::new()))
    }

    /// Axes in a new order.
    pub(super) fn transpose(&mut self, name: &str, a: &Value, order: &[i64]) -> Value {
        self.node("Transpose", name, &[a], vec![Attribute::ints("perm", order)])
    }

    /// The same elements in another shape.
    pub(super) fn reshape(&mut self, name: &str, a: &Value, shape: &[usize]) -> Result<Value, ExportError> {
        let shape = self.whole(&format!("{name}/shape"), shape)?;
        Ok(self.node("Reshape", name, &[a, &shape], Vec::new()))
    }

    /// Softmax over the last axis.
    pub(super) fn softmax(&mut self, name: &str, a: &Value) -> Value {
        self.node("Softmax", name, &[a], vec![Attribute::int("axis", -1)])
    }

    /// `a @ weight + bias` with the parameters under `path`; the result bears `name`.
    pub(super) fn linear(
        &mut self,
        name: &str,
        a: &Value,
        weights: &Weights,
        path: &str,
    ) -> Result<Value, ExportError> {
        let weight = self.weight(weights, &format!("{path}.weight"))?;
        let bias = self.weight(weights, &format!("{path}.bias"))?;
        let product = self.matmul(&format!("{name}/product"), a, &weight);
        Ok(self.add(name, &product, &bias))
    }

    /// Layer normalisation over the last axis with the parameters under `path`.
    pub(super) fn layer_norm(
        &mut self,
        name: &str,
        a: &Value,
        weights: &Weights,
        path: &str,
    ) -> Result<Value, ExportError> {
        let scale = self.weight(weights, &format!("{path}.gamma"))?;
        let shift = self.weight(weights, &format!("{path}.beta"))?;
        let settings = vec![Attribute::int("axis", -1), Attribute::float("epsilon", narrow(LAYER_NORM_EPSILON))];
        Ok(self.node("LayerNormalization", name, &[a, &scale, &shift], settings))
    }

    /// Exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`, in the order of operators that runtimes recognise.
    pub(super) fn gelu(&mut self, name: &str, a: &Value) -> Result<Value, ExportError> {
        let root = self.floats(&format!("{name}/root_two"), &[], &[std::f32::consts::SQRT_2])?;
        let one = self.floats(&format!("{name}/one"), &[], &[1.0])?;
        let scaled = self.node("Div", &format!("{name}/scaled"), &[a, &root], Vec::new());
        let erf = self.node("Erf", &format!("{name}/erf"), &[&scaled], Vec::new());
        let above = self.add(&format!("{name}/above"), &erf, &one);
        let twice = self.node("Mul", &format!("{name}/twice"), &[a, &above], Vec::new());
        self.scale(name, &twice, 0.5)
    }

    /// Cuts the last axis into parts of these sizes and names.
    pub(super) fn split(&mut self, name: &str, a: &Value, sizes: &Value, parts: &[Value]) {
        self.node("Split", name, &[a, sizes], vec![Attribute::int("axis", -1)]);
        if let Some(node) = self.graph.node.last_mut() {
            node.output = parts.to_vec();
        }
    }

    /// Rows divided by their Euclidean lengths, those at least `shortest`.
    pub(super) fn unit(&mut self, name: &str, a: &Value, shortest: f64) -> Result<Value, ExportError> {
        let settings = vec![Attribute::ints("axes", &[-1]), Attribute::int("keepdims", 1)];
        let length = self.node("ReduceL2", &format!("{name}/length"), &[a], settings);
        let shortest = self.floats(&format!("{name}/shortest"), &[], &[narrow(shortest)])?;
        let length = self.node("Max", &format!("{name}/divisor"), &[&length, &shortest], Vec::new());
        Ok(self.node("Div", name, &[a, &length], Vec::new()))
    }

    /// The whole file. The same graph and properties give the same bytes.
    pub(super) fn finish(self, properties: &[(String, String)]) -> Vec<u8> {
        let pairs = properties.iter().map(|(key, value)| StringPair { key: key.clone(), value: value.clone() });
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "ctedge-trainer".into(),
            producer_version: WRITER_VERSION.into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: pairs.collect(),
        };
        model.encode_to_vec()
    }
}

fn lengths(shape: &[usize]) -> Result<Vec<i64>, ExportError> {
    let convert = |&length| i64::try_from(length).map_err(|source| ExportError::Length { length, source });
    shape.iter().map(convert).collect()
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "constants of a 32-bit graph")]
fn narrow(value: f64) -> f32 {
    value as f32
}
