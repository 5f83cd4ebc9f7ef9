//! The volume tower as an ONNX graph, operator by operator the twin of `net`.
//!
//! Operator set 17 primitives only. Attention is written the way TensorRT documents for fusing it: queries scaled
//! before the product with the keys, everything in `[B, heads, T, C / heads]`. Shapes are fixed and the batch is one.

use super::ExportError;
use super::graph::{Builder, Value};
use super::onnx::Attribute;
use crate::run::{SHORTEST_EMBEDDING, Tower, Weights};
use ctedge_models::bundle::TensorIo;
use ctedge_models::labels::LABEL_COUNT;

/// An exported graph: the file's bytes, and its inputs and outputs as a manifest lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisionGraph {
    /// Content of `vision.onnx`.
    pub bytes: Vec<u8>,
    /// One input, `volume` `[1, 1, z, y, x]`.
    pub inputs: Vec<TensorIo>,
    /// `embedding` `[1, E]`, `logits` `[1, 18]`, `tokens` `[1, T, C]`, `saliency` `[1, T]`.
    pub outputs: Vec<TensorIo>,
}

/// Writes a tower as ONNX, with these metadata properties. The same tower gives the same bytes.
pub fn vision(tower: &Tower, properties: &[(String, String)]) -> Result<VisionGraph, ExportError> {
    let weights = Weights::of(tower).map_err(|source| ExportError::Weights { source })?;
    let [_, count, dim] = tower.positions.table().dims();
    let [_, embedding] = tower.project.weight.dims();
    let writer = Writer { tower, weights, count, dim };
    let mut graph = Builder::new("scale-vlp volume tower");

    let [z, y, x] = tower.input_size;
    let input = TensorIo { name: "volume".into(), shape: vec![1, 1, z, y, x] };
    let volume = graph.input(&input.name, &input.shape)?;
    let mut tokens = writer.embed(&mut graph, &volume)?;
    for index in 0..tower.blocks.len() {
        tokens = writer.block(&mut graph, &tokens, index)?;
    }
    let tokens = writer.patches_of(&mut graph, &tokens)?;
    let (pooled, saliency) = writer.pool(&mut graph, &tokens)?;
    let unit = writer.unit_embedding(&mut graph, &pooled)?;
    let logits = graph.linear("logits", &pooled, &writer.weights, "flags")?;

    let shapes = [
        (unit, vec![1, embedding]),
        (logits, vec![1, LABEL_COUNT]),
        (tokens, vec![1, count, dim]),
        (saliency, vec![1, count]),
    ];
    let outputs = shapes.map(|(name, shape)| TensorIo { name, shape }).to_vec();
    for output in &outputs {
        graph.output(&output.name, &output.shape)?;
    }
    Ok(VisionGraph { bytes: graph.finish(properties), inputs: vec![input], outputs })
}

struct Writer<'a> {
    tower: &'a Tower,
    weights: Weights,
    count: usize,
    dim: usize,
}

impl Writer<'_> {
    /// Volume to tokens with their positions.
    fn embed(&self, graph: &mut Builder, volume: &Value) -> Result<Value, ExportError> {
        let ([z, y, x], [pz, py, px]) = (self.tower.input_size, self.tower.patch_size);
        let split = graph.reshape("patch/split", volume, &[1, z / pz, pz, y / py, py, x / px, px])?;
        let gathered = graph.transpose("patch/gathered", &split, &[0, 1, 3, 5, 2, 4, 6]);
        let rows = graph.reshape("patch/rows", &gathered, &[1, self.count, pz * py * px])?;
        let tokens = graph.linear("patch", &rows, &self.weights, "patch")?;
        let table = super::trace::read(self.tower.positions.table().try_into_vec_as())?;
        let table = graph.floats("positions", &[1, self.count, self.dim], &table)?;
        let placed = graph.add("patch/placed", &tokens, &table);
        if self.tower.class_token.is_none() {
            return Ok(placed);
        }
        let class = graph.weight(&self.weights, "class_token")?;
        Ok(graph.node("Concat", "patch/classed", &[&class, &placed], vec![Attribute::int("axis", 1)]))
    }

    /// Tokens inside the transformer: the class token is one of them.
    fn inside(&self) -> usize {
        self.count + usize::from(self.tower.class_token.is_some())
    }

    /// The tokens of the patches, normalised, without the class token.
    fn patches_of(&self, graph: &mut Builder, tokens: &Value) -> Result<Value, ExportError> {
        if self.tower.class_token.is_none() {
            return graph.layer_norm("tokens", tokens, &self.weights, "norm");
        }
        let normed = graph.layer_norm("norm", tokens, &self.weights, "norm")?;
        let start = graph.whole("tokens/start", &[1])?;
        let end = graph.whole("tokens/end", &[self.inside()])?;
        let axis = graph.whole("tokens/axis", &[1])?;
        Ok(graph.node("Slice", "tokens", &[&normed, &start, &end, &axis], Vec::new()))
    }

    fn block(&self, graph: &mut Builder, tokens: &Value, index: usize) -> Result<Value, ExportError> {
        let path = format!("blocks.{index}");
        let normed = graph.layer_norm(
            &format!("{path}/norm_attention"),
            tokens,
            &self.weights,
            &format!("{path}.norm_attention"),
        )?;
        let mixed = self.attention(graph, &normed, index)?;
        let tokens = graph.add(&format!("{path}/attended"), tokens, &mixed);
        let normed =
            graph.layer_norm(&format!("{path}/norm_mlp"), &tokens, &self.weights, &format!("{path}.norm_mlp"))?;
        let up = graph.linear(&format!("{path}/mlp/up"), &normed, &self.weights, &format!("{path}.mlp.up"))?;
        let hidden = graph.gelu(&format!("{path}/mlp/gelu"), &up)?;
        let down = graph.linear(&format!("{path}/mlp/down"), &hidden, &self.weights, &format!("{path}.mlp.down"))?;
        Ok(graph.add(&path, &tokens, &down))
    }

    fn attention(&self, graph: &mut Builder, tokens: &Value, index: usize) -> Result<Value, ExportError> {
        let attention = self.tower.blocks.get(index).map(|block| &block.attention);
        let attention = attention.ok_or_else(|| ExportError::Missing { name: format!("blocks.{index}") })?;
        let (heads, path) = (attention.heads, format!("blocks.{index}/attention"));
        let at = |name: &str| format!("{path}/{name}");

        let fused = graph.linear(&at("qkv"), tokens, &self.weights, &format!("blocks.{index}.attention.qkv"))?;
        let [query, key, value] = self.split(graph, &path, &fused)?;
        let shape = [1, self.inside(), heads, self.dim / heads];
        let query = graph.reshape(&at("query/heads"), &query, &shape)?;
        let query = graph.transpose(&at("query/turned"), &query, &[0, 2, 1, 3]);
        let query = graph.scale(&at("query/scaled"), &query, attention.scale())?;
        let key = graph.reshape(&at("key/heads"), &key, &shape)?;
        let key = graph.transpose(&at("key/turned"), &key, &[0, 2, 3, 1]);
        let value = graph.reshape(&at("value/heads"), &value, &shape)?;
        let value = graph.transpose(&at("value/turned"), &value, &[0, 2, 1, 3]);

        let scores = graph.matmul(&at("scores"), &query, &key);
        let scores = graph.softmax(&at("weights"), &scores);
        let mixed = graph.matmul(&at("mixed"), &scores, &value);
        let mixed = graph.transpose(&at("mixed/turned"), &mixed, &[0, 2, 1, 3]);
        let mixed = graph.reshape(&at("mixed/joined"), &mixed, &[1, self.inside(), self.dim])?;
        graph.linear(&at("out"), &mixed, &self.weights, &format!("blocks.{index}.attention.out"))
    }

    /// Queries, keys and values out of the fused projection, each `[1, T, C]`.
    fn split(&self, graph: &mut Builder, path: &str, fused: &Value) -> Result<[Value; 3], ExportError> {
        let sizes = graph.whole(&format!("{path}/qkv/sizes"), &[self.dim; 3])?;
        let names = ["query", "key", "value"].map(|part| format!("{path}/{part}"));
        graph.split(&format!("{path}/qkv/split"), fused, &sizes, &names);
        Ok(names)
    }

    /// Weighted mean `[1, C]` of the tokens and the weights `[1, T]`.
    fn pool(&self, graph: &mut Builder, tokens: &Value) -> Result<(Value, Value), ExportError> {
        let query = graph.weight(&self.weights, "pool.query")?;
        let scaled = graph.scale("pool/scaled", tokens, self.tower.pool.scale())?;
        let scores = graph.matmul("pool/scores", &scaled, &query);
        let scores = graph.transpose("pool/turned", &scores, &[0, 2, 1]);
        let weights = graph.softmax("pool/weights", &scores);
        let pooled = graph.matmul("pool/mean", &weights, tokens);
        let pooled = graph.reshape("pool", &pooled, &[1, self.dim])?;
        Ok((pooled, graph.reshape("saliency", &weights, &[1, self.count])?))
    }

    fn unit_embedding(&self, graph: &mut Builder, pooled: &Value) -> Result<Value, ExportError> {
        let direction = graph.linear("embedding/direction", pooled, &self.weights, "project")?;
        graph.unit("embedding", &direction, SHORTEST_EMBEDDING)
    }
}
