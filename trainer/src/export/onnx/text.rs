//! The report tower as an ONNX graph, operator by operator the twin of `net/text`. Shapes are fixed: one report, padded
//! to the experiment's `max_tokens`.

use super::Draft;
use super::builder::{Builder, Value};
use super::layers::Heads;
use crate::eval::{Array, BertTower, TEXT_NORM_EPSILON};
use crate::experiment::TextPool;
use crate::export::ExportError;

/// Added to the scores of padding. Its exponential is exactly zero in 32 bits, and it is a 16-bit number, too.
const HIDDEN: f64 = 1e4;

/// Writes a report tower. Inputs `ids` `[1, L]` (64-bit whole numbers) and `mask` `[1, L]` (floats, 1 for a token and 0
/// for padding; floats, so that no runtime has to convert them); output `embedding` `[1, E]`.
pub fn text(tower: &BertTower) -> Result<Draft, ExportError> {
    let [count, dim] = tower.embeddings.position.weight.dims();
    let [_, embedding] = tower.project.weight.dims();
    let writer = Writer { tower, count, dim };
    let mut graph = Builder::new("scale-vlp report tower", tower)?;
    let ids = graph.whole_input("ids", &[1, count])?;
    let mask = graph.input("mask", &[1, count])?;
    let hidden = writer.hidden(&mut graph, &mask)?;
    let mut tokens = writer.embed(&mut graph, &ids)?;
    for index in 0..tower.layers.len() {
        tokens = writer.layer(&mut graph, &tokens, &hidden, index)?;
    }
    let pooled = writer.pool(&mut graph, &tokens, &mask)?;
    let unit = graph.unit_embedding(&pooled)?;
    graph.output(&unit, &[1, embedding])?;
    Ok(graph.finish())
}

struct Writer<'a> {
    tower: &'a BertTower,
    count: usize,
    dim: usize,
}

impl Writer<'_> {
    /// What is added to the scores, `[1, 1, 1, L]`: nothing for a token, much below zero for padding.
    fn hidden(&self, graph: &mut Builder, mask: &Value) -> Result<Value, ExportError> {
        let less = graph.number("mask/less", -1.0)?;
        let padding = graph.wide("Add", "mask/padding", &[mask, &less], Vec::new());
        let factor = graph.number("mask/factor", HIDDEN)?;
        let hidden = graph.wide("Mul", "mask/hidden", &[&padding, &factor], Vec::new());
        graph.reshape("mask/broadcast", &hidden, &[1, 1, 1, self.count])
    }

    /// Ids to tokens `[1, L, C]`. Place and kind do not depend on the report: their sum is one constant.
    fn embed(&self, graph: &mut Builder, ids: &Value) -> Result<Value, ExportError> {
        let table = graph.weight("embeddings.word.weight")?;
        let words = graph.node("Gather", "embeddings/word", &[&table, ids], Vec::new());
        let Array { values: places, .. } = graph.parameter("embeddings.position.weight")?;
        let Array { values: kinds, .. } = graph.parameter("embeddings.kind.weight")?;
        let first = kinds.get(..self.dim).unwrap_or_default().iter().cycle();
        let places: Vec<f32> = places.iter().zip(first).map(|(place, kind)| place + kind).collect();
        let places = graph.floats("embeddings/places", &[1, self.count, self.dim], &places)?;
        let placed = graph.add("embeddings/placed", &words, &places);
        graph.layer_norm("embeddings", &placed, "embeddings.norm", TEXT_NORM_EPSILON)
    }

    fn layer(&self, graph: &mut Builder, tokens: &Value, hidden: &Value, index: usize) -> Result<Value, ExportError> {
        let path = format!("layers.{index}");
        let mixed = self.attention(graph, tokens, hidden, index)?;
        let attended = graph.add(&format!("{path}/attended"), tokens, &mixed);
        let norm = format!("{path}/norm_attention");
        let tokens = graph.layer_norm(&norm, &attended, &format!("{path}.norm_attention"), TEXT_NORM_EPSILON)?;
        let down = graph.perceptron(&path, &tokens)?;
        let sum = graph.add(&format!("{path}/thought"), &tokens, &down);
        graph.layer_norm(&path, &sum, &format!("{path}.norm_mlp"), TEXT_NORM_EPSILON)
    }

    fn attention(
        &self,
        graph: &mut Builder,
        tokens: &Value,
        hidden: &Value,
        index: usize,
    ) -> Result<Value, ExportError> {
        let heads = self.tower.layers.get(index).map(|layer| layer.attention.heads);
        let heads = heads.ok_or_else(|| ExportError::Missing { name: format!("layers.{index}") })?;
        let (path, parameters) = (format!("layers.{index}/attention"), format!("layers.{index}.attention"));
        let mut part = |name: &str| graph.linear(&format!("{path}/{name}"), tokens, &format!("{parameters}.{name}"));
        let parts = [part("query")?, part("key")?, part("value")?];
        let sizes = Heads { tokens: self.count, count: heads, dim: self.dim };
        let mixed = graph.attention(&path, parts, sizes, Some(hidden))?;
        graph.linear(&format!("{path}/out"), &mixed, &format!("{parameters}.out"))
    }

    /// The vector of the whole report, `[1, C]`.
    fn pool(&self, graph: &mut Builder, tokens: &Value, mask: &Value) -> Result<Value, ExportError> {
        let pooled = match self.tower.pool {
            TextPool::Class => graph.slice("pool/class", tokens, [0, 1])?,
            TextPool::Mean => {
                // Weights first, so that no sum of hundreds of tokens has to fit 16 bits.
                let axes = graph.whole("pool/axis", &[1])?;
                let length = graph.wide("ReduceSum", "pool/length", &[mask, &axes], Vec::new());
                let weights = graph.wide("Div", "pool/weights", &[mask, &length], Vec::new());
                let weights = graph.reshape("pool/row", &weights, &[1, 1, self.count])?;
                graph.matmul("pool/mean", &weights, tokens)
            }
        };
        graph.reshape("pool", &pooled, &[1, self.dim])
    }
}
