//! The volume tower as an ONNX graph, operator by operator the twin of `net/vision`. Shapes are fixed and the batch is one.

use super::Draft;
use super::builder::{Builder, Value};
use super::layers::Heads;
use super::proto::Attribute;
use crate::eval::{LAYER_NORM_EPSILON, Tower};
use crate::export::ExportError;
use ctedge_models::labels::LABEL_COUNT;

/// Writes a volume tower. One input, `volume` `[1, 1, z, y, x]`; outputs `embedding` `[1, E]`, `logits` `[1, 18]`,
/// `tokens` `[1, T, C]` and `saliency` `[1, T]`.
pub fn vision(tower: &Tower) -> Result<Draft, ExportError> {
    let [_, count, dim] = tower.positions.table().dims();
    let [_, embedding] = tower.project.weight.dims();
    let writer = Writer { tower, count, dim };
    let mut graph = Builder::new("scale-vlp volume tower", tower)?;

    let [z, y, x] = tower.input_size;
    let volume = graph.input("volume", &[1, 1, z, y, x])?;
    let mut tokens = writer.embed(&mut graph, &volume)?;
    for index in 0..tower.blocks.len() {
        tokens = writer.block(&mut graph, &tokens, index)?;
    }
    let tokens = writer.patches_of(&mut graph, &tokens)?;
    let (pooled, saliency) = writer.pool(&mut graph, &tokens)?;
    let unit = graph.unit_embedding(&pooled)?;
    let logits = graph.linear("logits", &pooled, "flags")?;

    graph.output(&unit, &[1, embedding])?;
    graph.output(&logits, &[1, LABEL_COUNT])?;
    graph.output(&tokens, &[1, count, dim])?;
    graph.output(&saliency, &[1, count])?;
    Ok(graph.finish())
}

struct Writer<'a> {
    tower: &'a Tower,
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
        let tokens = graph.linear("patch", &rows, "patch")?;
        let table = crate::export::trace::read(self.tower.positions.table().try_into_vec_as())?;
        let table = graph.floats("positions", &[1, self.count, self.dim], &table)?;
        let placed = graph.add("patch/placed", &tokens, &table);
        if self.tower.class_token.is_none() {
            return Ok(placed);
        }
        let class = graph.weight("class_token")?;
        Ok(graph.node("Concat", "patch/classed", &[&class, &placed], vec![Attribute::int("axis", 1)]))
    }

    /// Tokens inside the transformer: the class token is one of them.
    fn inside(&self) -> usize {
        self.count + usize::from(self.tower.class_token.is_some())
    }

    /// The tokens of the patches, normalised, without the class token.
    fn patches_of(&self, graph: &mut Builder, tokens: &Value) -> Result<Value, ExportError> {
        if self.tower.class_token.is_none() {
            return graph.layer_norm("tokens", tokens, "norm", LAYER_NORM_EPSILON);
        }
        let normed = graph.layer_norm("norm", tokens, "norm", LAYER_NORM_EPSILON)?;
        graph.slice("tokens", &normed, [1, self.inside()])
    }

    fn block(&self, graph: &mut Builder, tokens: &Value, index: usize) -> Result<Value, ExportError> {
        let path = format!("blocks.{index}");
        let norm = |graph: &mut Builder, name: &str, tokens: &Value| {
            graph.layer_norm(&format!("{path}/{name}"), tokens, &format!("{path}.{name}"), LAYER_NORM_EPSILON)
        };
        let normed = norm(graph, "norm_attention", tokens)?;
        let mixed = self.attention(graph, &normed, index)?;
        let tokens = graph.add(&format!("{path}/attended"), tokens, &mixed);
        let normed = norm(graph, "norm_mlp", &tokens)?;
        let down = graph.perceptron(&path, &normed)?;
        Ok(graph.add(&path, &tokens, &down))
    }

    fn attention(&self, graph: &mut Builder, tokens: &Value, index: usize) -> Result<Value, ExportError> {
        let attention = self.tower.blocks.get(index).map(|block| &block.attention);
        let attention = attention.ok_or_else(|| ExportError::Missing { name: format!("blocks.{index}") })?;
        let (path, parameters) = (format!("blocks.{index}/attention"), format!("blocks.{index}.attention"));
        let fused = graph.linear(&format!("{path}/qkv"), tokens, &format!("{parameters}.qkv"))?;
        let parts = self.split(graph, &path, &fused)?;
        let sizes = Heads { tokens: self.inside(), count: attention.heads, dim: self.dim };
        let mixed = graph.attention(&path, parts, sizes, None)?;
        graph.linear(&format!("{path}/out"), &mixed, &format!("{parameters}.out"))
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
        let query = graph.weight("pool.query")?;
        let scaled = graph.scale("pool/scaled", tokens, self.tower.pool.scale())?;
        let scores = graph.matmul("pool/scores", &scaled, &query);
        let scores = graph.transpose("pool/turned", &scores, &[0, 2, 1]);
        let weights = graph.softmax("pool/weights", &scores);
        let pooled = graph.matmul("pool/mean", &weights, tokens);
        let pooled = graph.reshape("pool", &pooled, &[1, self.dim])?;
        Ok((pooled, graph.reshape("saliency", &weights, &[1, self.count])?))
    }
}
