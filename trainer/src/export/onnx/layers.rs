//! What both towers are written with, operator by operator the twin of `net/layers.rs`: operator set 17 primitives, in
//! the orders and layouts that runtimes fuse.

use super::builder::{Builder, Value, narrow};
use crate::eval::SHORTEST_EMBEDDING;
use crate::export::ExportError;
use ctedge_models::onnx::proto::Attribute;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Tokens T.
    pub(super) tokens: usize,
    /// Number of heads.
    pub(super) count: usize,
    /// Width of a token C.
    pub(super) dim: usize,
}

impl Heads {
    /// Factor on the queries, `1 / sqrt(C / heads)`; widths are far below the 32 bits that convert exactly.
    pub(super) fn scale(self) -> f64 {
        u32::try_from(self.dim / self.count).map_or(0.0, |width| f64::from(width).sqrt().recip())
    }
}

impl Builder {
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
        let factor = self.number(&format!("{name}/factor"), factor)?;
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

    /// The places `from..to` of axis 1.
    pub(super) fn slice(&mut self, name: &str, a: &Value, places: [usize; 2]) -> Result<Value, ExportError> {
        self.along(name, a, 1, places)
    }

    /// The rows `from..to` of a matrix.
    pub(super) fn rows(&mut self, name: &str, a: &Value, places: [usize; 2]) -> Result<Value, ExportError> {
        self.along(name, a, 0, places)
    }

    /// The places `from..to` of an axis.
    pub(super) fn along(
        &mut self,
        name: &str,
        a: &Value,
        axis: usize,
        [from, to]: [usize; 2],
    ) -> Result<Value, ExportError> {
        let start = self.whole(&format!("{name}/start"), &[from])?;
        let end = self.whole(&format!("{name}/end"), &[to])?;
        let axis = self.whole(&format!("{name}/axis"), &[axis])?;
        Ok(self.node("Slice", name, &[a, &start, &end, &axis], Vec::new()))
    }

    /// Softmax over the last axis. 32 bits: its exponentials and their sum overflow 16.
    pub(super) fn softmax(&mut self, name: &str, a: &Value) -> Value {
        self.wide("Softmax", name, &[a], vec![Attribute::int("axis", -1)])
    }

    /// `a @ weight + bias` with the parameters under `path`; the result bears `name`, the product `name/product`.
    pub(super) fn linear(&mut self, name: &str, a: &Value, path: &str) -> Result<Value, ExportError> {
        let weight = self.weight(&format!("{path}.weight"))?;
        let bias = self.weight(&format!("{path}.bias"))?;
        let product = self.matmul(&format!("{name}/product"), a, &weight);
        Ok(self.add(name, &product, &bias))
    }

    /// Layer normalisation over the last axis with the parameters under `path`. 32 bits: squares of 16-bit numbers
    /// overflow, and BERT's epsilon is none of them.
    pub(super) fn layer_norm(&mut self, name: &str, a: &Value, path: &str, epsilon: f64) -> Result<Value, ExportError> {
        let scale = self.weight(&format!("{path}.gamma"))?;
        let shift = self.weight(&format!("{path}.beta"))?;
        let settings = vec![Attribute::int("axis", -1), Attribute::float("epsilon", narrow(epsilon))];
        Ok(self.wide("LayerNormalization", name, &[a, &scale, &shift], settings))
    }

    /// Exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`, in the order of operators that runtimes recognise. 32 bits: near -3
    /// the sum is what little is left of one minus almost one.
    pub(super) fn gelu(&mut self, name: &str, a: &Value) -> Result<Value, ExportError> {
        let root = self.floats(&format!("{name}/root_two"), &[], &[std::f32::consts::SQRT_2])?;
        let one = self.floats(&format!("{name}/one"), &[], &[1.0])?;
        let scaled = self.wide("Div", &format!("{name}/scaled"), &[a, &root], Vec::new());
        let erf = self.wide("Erf", &format!("{name}/erf"), &[&scaled], Vec::new());
        let above = self.wide("Add", &format!("{name}/above"), &[&erf, &one], Vec::new());
        let twice = self.wide("Mul", &format!("{name}/twice"), &[a, &above], Vec::new());
        let half = self.number(&format!("{name}/factor"), 0.5)?;
        Ok(self.wide("Mul", name, &[&twice, &half], Vec::new()))
    }

    /// The perceptron of a layer, all under `path/mlp`.
    pub(super) fn perceptron(&mut self, path: &str, tokens: &Value) -> Result<Value, ExportError> {
        self.network(&format!("{path}/mlp"), tokens, &format!("{path}.mlp"))
    }

    /// Two linear layers with a GELU between them, of the parameters under `path`; the values' names begin with `name`.
    pub(super) fn network(&mut self, name: &str, rows: &Value, path: &str) -> Result<Value, ExportError> {
        let up = self.linear(&format!("{name}/up"), rows, &format!("{path}.up"))?;
        let hidden = self.gelu(&format!("{name}/gelu"), &up)?;
        self.linear(&format!("{name}/down"), &hidden, &format!("{path}.down"))
    }

    /// Attention of queries, keys and values `[1, T, C]` to `[1, T, C]`, in `[1, heads, T, C / heads]` and with the queries
    /// scaled before they meet the keys, as TensorRT documents for fusing it. `hidden` is added to the scores.
    pub(super) fn attention(
        &mut self,
        path: &str,
        [query, key, value]: [Value; 3],
        sizes: Heads,
        hidden: Option<&Value>,
    ) -> Result<Value, ExportError> {
        let at = |name: &str| format!("{path}/{name}");
        let Heads { tokens, count: heads, dim } = sizes;
        let shape = [1, tokens, heads, dim / heads];
        let query = self.reshape(&at("query/heads"), &query, &shape)?;
        let query = self.transpose(&at("query/turned"), &query, &[0, 2, 1, 3]);
        let query = self.scale(&at("query/scaled"), &query, sizes.scale())?;
        let key = self.reshape(&at("key/heads"), &key, &shape)?;
        let key = self.transpose(&at("key/turned"), &key, &[0, 2, 3, 1]);
        let value = self.reshape(&at("value/heads"), &value, &shape)?;
        let value = self.transpose(&at("value/turned"), &value, &[0, 2, 1, 3]);

        self.mixed(path, [query, key, value], hidden, &[1, tokens, dim])
    }

    /// Means of values `[1, heads, T, D]` by the softmax of queries `[1, heads, S, D]`, scaled, against keys
    /// `[1, heads, D, T]`, as tokens of this shape; 0 in it keeps a length.
    pub(super) fn mixed(
        &mut self,
        path: &str,
        [query, key, value]: [Value; 3],
        hidden: Option<&Value>,
        shape: &[usize],
    ) -> Result<Value, ExportError> {
        let at = |name: &str| format!("{path}/{name}");
        let mut scores = self.matmul(&at("scores"), &query, &key);
        if let Some(hidden) = hidden {
            scores = self.wide("Add", &at("scores/masked"), &[&scores, hidden], Vec::new());
        }
        let weights = self.softmax(&at("weights"), &scores);
        let mixed = self.matmul(&at("mixed"), &weights, &value);
        let mixed = self.transpose(&at("mixed/turned"), &mixed, &[0, 2, 1, 3]);
        self.reshape(&at("mixed/joined"), &mixed, shape)
    }

    /// The projection of a vector `[1, C]` as a unit vector `[1, E]`: the output `embedding`. 32 bits: the squares of
    /// small numbers vanish in 16.
    pub(super) fn unit_embedding(&mut self, pooled: &Value) -> Result<Value, ExportError> {
        let direction = self.linear("embedding/direction", pooled, "project")?;
        let settings = vec![Attribute::ints("axes", &[-1]), Attribute::int("keepdims", 1)];
        let length = self.wide("ReduceL2", "embedding/length", &[&direction], settings);
        let shortest = self.number("embedding/shortest", SHORTEST_EMBEDDING)?;
        let length = self.wide("Max", "embedding/divisor", &[&length, &shortest], Vec::new());
        Ok(self.wide("Div", "embedding", &[&direction, &length], Vec::new()))
    }
}
