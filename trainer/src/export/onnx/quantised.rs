//! A graph whose products with weights are quantised to 8 bits, in the QDQ form that TensorRT and ONNX Runtime read: every
//! such product takes a weight and an input that went through `QuantizeLinear` and `DequantizeLinear`, both symmetric
//! (zero point 0), weights with a step of their own for each output channel.

use super::Draft;
use super::builder::lengths;
use crate::eval::{Array, little_endian};
use crate::export::ExportError;
use ctedge_models::onnx::proto::{Attribute, FLOAT, Graph, INT8, Node, Tensor};
use std::collections::BTreeMap;

/// Largest code of a weight; -128 stays unused, so that the codes are symmetric.
const LARGEST: f32 = 127.0;

/// What one step of the 8-bit input of a linear layer is worth, by the layer's name in the graph
/// (`blocks.0/attention/qkv`). Layers that are not named stay as they are.
pub type Steps = BTreeMap<String, f32>;

/// A matrix `[in, out]` in 8 bits: `weight = code * step of its column`.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Of the matrix.
    pub shape: [usize; 2],
    /// A step for each output channel.
    pub steps: Vec<f32>,
    /// In C order.
    pub codes: Vec<i8>,
}

impl Columns {
    /// Quantises a matrix: the largest weight of each column becomes 127.
    pub fn of(matrix: &Array) -> Self {
        let outputs = matrix.shape.last().copied().unwrap_or(1).max(1);
        let mut largest = vec![0.0_f32; outputs];
        for row in matrix.values.chunks(outputs) {
            for (largest, value) in largest.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
        }
        // A column of zeros needs any step but zero.
        let steps: Vec<f32> =
            largest.into_iter().map(|value| if value > 0.0 { value / LARGEST } else { 1.0 }).collect();
        let codes = matrix.values.iter().zip(steps.iter().cycle()).map(|(value, step)| code(value / step)).collect();
        Self { shape: [matrix.values.len() / outputs, outputs], steps, codes }
    }

    /// The matrix that the codes stand for.
    pub fn restored(&self) -> Array {
        let values = self.codes.iter().zip(self.steps.iter().cycle()).map(|(&code, step)| f32::from(code) * step);
        Array { shape: self.shape.to_vec(), values: values.collect() }
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a whole number from -127 to 127")]
fn code(value: f32) -> i8 {
    value.round_ties_even().clamp(-LARGEST, LARGEST) as i8
}

impl Draft {
    /// The same graph with the products of these layers in 8 bits.
    ///
    /// # Errors
    /// The graph has no such layer.
    pub fn quantised(mut self, steps: &Steps) -> Result<Self, ExportError> {
        for (layer, &step) in steps {
            let name = format!("{layer}/product");
            let missing = || ExportError::Missing { name: name.clone() };
            let place = self.graph.node.iter().position(|node| node.name == name).ok_or_else(missing)?;
            let product = self.graph.node.get(place).cloned().ok_or_else(missing)?;
            let [input, weight] = product.input.as_slice() else { return Err(missing()) };
            let restored_weight = quantise_weight(&mut self.graph, weight)?;
            let [quantise, restore] = quantise_input(&mut self.graph, layer, input, step);
            let product = Node { input: vec![restore.name.clone(), restored_weight.name.clone()], ..product };
            self.graph.node.splice(place..=place, [quantise, restore, restored_weight, product]);
        }
        Ok(self)
    }
}

/// Replaces a matrix of floats by its codes; the node that restores it.
fn quantise_weight(graph: &mut Graph, weight: &str) -> Result<Node, ExportError> {
    let missing = || ExportError::Missing { name: weight.to_owned() };
    let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == weight).ok_or_else(missing)?;
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&length| usize::try_from(length).ok()).collect();
    let (values, shape) = tensor.floats().zip(shape).ok_or_else(missing)?;
    let columns = Columns::of(&Array { shape, values });
    tensor.data_type = INT8;
    tensor.raw_data = columns.codes.iter().map(|code| code.cast_unsigned()).collect();
    let dims = lengths(&[columns.steps.len()])?;
    let scale = constant(graph, &format!("{weight}/step"), dims.clone(), little_endian(&columns.steps), FLOAT);
    let zero = constant(graph, &format!("{weight}/zero"), dims, vec![0; columns.steps.len()], INT8);
    let settings = vec![Attribute::int("axis", 1)];
    Ok(node("DequantizeLinear", format!("{weight}/restored"), [weight.to_owned(), scale, zero], settings))
}

/// The two nodes that an input goes through.
fn quantise_input(graph: &mut Graph, layer: &str, input: &str, step: f32) -> [Node; 2] {
    let scale = constant(graph, &format!("{layer}/input/step"), Vec::new(), little_endian(&[step]), FLOAT);
    let zero = constant(graph, &format!("{layer}/input/zero"), Vec::new(), vec![0], INT8);
    let codes = format!("{layer}/input/codes");
    let inputs = [input.to_owned(), scale.clone(), zero.clone()];
    let quantise = node("QuantizeLinear", codes.clone(), inputs, Vec::new());
    let restore = node("DequantizeLinear", format!("{layer}/input/restored"), [codes, scale, zero], Vec::new());
    [quantise, restore]
}

fn constant(graph: &mut Graph, name: &str, dims: Vec<i64>, raw_data: Vec<u8>, data_type: i32) -> String {
    let raw_data = raw_data.into();
    graph.initializer.push(Tensor { dims, data_type, name: name.into(), raw_data, ..Tensor::default() });
    name.into()
}

fn node(operator: &str, name: String, inputs: [String; 3], settings: Vec<Attribute>) -> Node {
    Node {
        input: inputs.into(),
        output: vec![name.clone()],
        name,
        op_type: operator.into(),
        attribute: settings,
        ..Node::default()
    }
}
