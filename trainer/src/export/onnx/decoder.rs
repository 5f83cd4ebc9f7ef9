//! The decoder as two ONNX graphs, operator by operator the twin of `net/decoder`.
//!
//! `cross_kv` reads the memory once a volume; `decoder_step` reads the next words over keys and values that the caller keeps.
//! The batch is one. How many words are `new`, how many lie in the `past`, and `all` of them are open; the caller builds the
//! mask, so that no arithmetic of shapes is in the graph.

use super::Draft;
use super::builder::{Builder, Value};
use super::layers::Heads;
use crate::eval::{DECODER_NORM_EPSILON, ReportDecoder};
use crate::export::ExportError;
use ctedge_models::bundle::StepGraph;
use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::onnx::proto::Attribute;

/// Writes what reads a volume's `tokens` `[1, T, C]` and `flags` `[1, 18]` to the keys and values of every block over both,
/// `cross_k_0`, `cross_v_0`, ... `[1, heads, T + 18, D / heads]`.
pub fn cross_kv(decoder: &ReportDecoder, tokens: usize) -> Result<Draft, ExportError> {
    let writer = Writer::new(decoder, tokens)?;
    let mut graph = Builder::new("scale-vlp decoder, memory", decoder)?;
    let memory = writer.memory(&mut graph)?;
    for index in 0..writer.depth {
        let parameters = format!("blocks.{index}.cross_attention.key_value");
        let path = format!("blocks.{index}/cross_attention");
        let both = graph.linear(&format!("{path}/key_value"), &memory, &parameters)?;
        let [key, value] = ["key", "value"].map(|part| format!("{path}/{part}"));
        let sizes = graph.whole(&format!("{path}/key_value/sizes"), &[writer.heads.dim; 2])?;
        graph.split(&format!("{path}/key_value/split"), &both, &sizes, &[key.clone(), value.clone()]);
        for (name, part) in [("cross_k", key), ("cross_v", value)] {
            let parted = writer.parted(&mut graph, &part)?;
            let output = graph.transpose(&format!("{name}_{index}"), &parted, &[0, 2, 1, 3]);
            graph.output(&output, &writer.cross())?;
        }
    }
    Ok(graph.finish())
}

/// Writes what reads the next words. Its inputs and outputs are those of [`StepGraph::ports`].
pub fn decoder_step(decoder: &ReportDecoder, stated: &StepGraph) -> Result<Draft, ExportError> {
    let writer = Writer::new(decoder, stated.memory.saturating_sub(LABEL_COUNT))?;
    let mut graph = Builder::new("scale-vlp decoder, step", decoder)?;
    graph.ports(stated.ports());
    let mut words = words(&mut graph)?;
    for index in 0..writer.depth {
        words = writer.block(&mut graph, &words, index)?;
    }
    let normed = graph.layer_norm("norm", &words, "norm", DECODER_NORM_EPSILON)?;
    let table = graph.transpose("word/turned", &"word.weight".to_owned(), &[1, 0]);
    graph.matmul("logits", &normed, &table);
    Ok(graph.finish())
}

struct Writer {
    /// Rows of the memory, and how words are cut.
    heads: Heads,
    depth: usize,
    /// Tokens of a volume and their width.
    seen: [usize; 2],
}

impl Writer {
    fn new(decoder: &ReportDecoder, tokens: usize) -> Result<Self, ExportError> {
        let [_, dim] = decoder.word.weight.dims();
        let [width, _] = decoder.memory.project.weight.dims();
        let first = decoder.blocks.first().ok_or_else(|| ExportError::Missing { name: "blocks.0".into() })?;
        let heads = Heads { tokens: tokens + LABEL_COUNT, count: first.self_attention.heads, dim };
        Ok(Self { heads, depth: decoder.blocks.len(), seen: [tokens, width] })
    }

    /// Shape of keys or values over the memory.
    fn cross(&self) -> [usize; 4] {
        let Heads { tokens, count, dim } = self.heads;
        [1, count, tokens, dim / count]
    }

    /// Rows of the tokens and of the flags, `[1, T + 18, D]`.
    fn memory(&self, graph: &mut Builder) -> Result<Value, ExportError> {
        let [tokens, width] = self.seen;
        let tokens = graph.input("tokens", &[1, tokens, width])?;
        let flags = graph.input("flags", &[1, LABEL_COUNT])?;
        let seen = graph.linear("memory/project", &tokens, "memory.project")?;
        let seen = graph.layer_norm("memory/tokens", &seen, "memory.norm", DECODER_NORM_EPSILON)?;
        let told = graph.reshape("flags/told", &flags, &[1, LABEL_COUNT, 1])?;
        let denied = graph.node("Neg", "flags/denied", &[&told], Vec::new());
        let mut rows = graph.weight("memory.flags.base")?;
        for (part, told) in [("present", told), ("absent", denied)] {
            let share = graph.node("Relu", &format!("flags/{part}/share"), &[&told], Vec::new());
            let table = graph.weight(&format!("memory.flags.{part}"))?;
            let added = graph.node("Mul", &format!("flags/{part}"), &[&share, &table], Vec::new());
            rows = graph.add(&format!("flags/with_{part}"), &added, &rows);
        }
        Ok(graph.node("Concat", "memory", &[&seen, &rows], vec![Attribute::int("axis", 1)]))
    }

    /// Rows `[1, S, D]` cut into heads, `[1, S, heads, D / heads]`.
    fn parted(&self, graph: &mut Builder, rows: &Value) -> Result<Value, ExportError> {
        let Heads { count, dim, .. } = self.heads;
        graph.reshape(&format!("{rows}/heads"), rows, &[0, 0, count, dim / count])
    }

    fn block(&self, graph: &mut Builder, words: &Value, index: usize) -> Result<Value, ExportError> {
        let path = format!("blocks.{index}");
        let norm = |graph: &mut Builder, name: &str, words: &Value| {
            graph.layer_norm(&format!("{path}/{name}"), words, &format!("{path}.{name}"), DECODER_NORM_EPSILON)
        };
        let normed = norm(graph, "norm_self", words)?;
        let found = self.look_back(graph, &normed, index)?;
        let words = graph.add(&format!("{path}/looked_back"), words, &found);
        let normed = norm(graph, "norm_cross", &words)?;
        let found = self.look(graph, &normed, index)?;
        let words = graph.add(&format!("{path}/looked"), &words, &found);
        let normed = norm(graph, "norm_mlp", &words)?;
        let down = graph.perceptron(&path, &normed)?;
        Ok(graph.add(&path, &words, &down))
    }

    /// Words look at themselves and those before; names the new keys and values.
    fn look_back(&self, graph: &mut Builder, words: &Value, index: usize) -> Result<Value, ExportError> {
        let (path, parameters) = (format!("blocks.{index}/self_attention"), format!("blocks.{index}.self_attention"));
        let fused = graph.linear(&format!("{path}/qkv"), words, &format!("{parameters}.qkv"))?;
        let sizes = graph.whole(&format!("{path}/qkv/sizes"), &[self.heads.dim; 3])?;
        let names = ["query", "key", "value"].map(|part| format!("{path}/{part}"));
        graph.split(&format!("{path}/qkv/split"), &fused, &sizes, &names);
        let [query, key, value] = names;
        let query = self.query(graph, &query)?;
        let [key, value] = [("k", key), ("v", value)].map(|(part, new)| {
            let parted = self.parted(graph, &new)?;
            let turned = graph.transpose(&format!("{new}/turned"), &parted, &[0, 2, 1, 3]);
            let behind = vec![Attribute::int("axis", 2)];
            let (past, present) = (format!("past_{part}_{index}"), format!("present_{part}_{index}"));
            Ok::<_, ExportError>(graph.node("Concat", &present, &[&past, &turned], behind))
        });
        let key = graph.transpose(&format!("{path}/key/across"), &key?, &[0, 1, 3, 2]);
        let mixed = graph.mixed(&path, [query, key, value?], Some(&"mask".to_owned()), &[0, 0, self.heads.dim])?;
        graph.linear(&format!("{path}/out"), &mixed, &format!("{parameters}.out"))
    }

    /// Words look at the memory.
    fn look(&self, graph: &mut Builder, words: &Value, index: usize) -> Result<Value, ExportError> {
        let (path, parameters) = (format!("blocks.{index}/cross_attention"), format!("blocks.{index}.cross_attention"));
        let query = graph.linear(&format!("{path}/query"), words, &format!("{parameters}.query"))?;
        let query = self.query(graph, &query)?;
        let [key, value] = ["k", "v"].map(|part| format!("cross_{part}_{index}"));
        let key = graph.transpose(&format!("{path}/key/across"), &key, &[0, 1, 3, 2]);
        let mixed = graph.mixed(&path, [query, key, value], None, &[0, 0, self.heads.dim])?;
        graph.linear(&format!("{path}/out"), &mixed, &format!("{parameters}.out"))
    }

    /// Queries `[1, S, D]` cut into heads `[1, heads, S, D / heads]`, and scaled before the product, as runtimes fuse it.
    fn query(&self, graph: &mut Builder, query: &Value) -> Result<Value, ExportError> {
        let parted = self.parted(graph, query)?;
        let turned = graph.transpose(&format!("{query}/turned"), &parted, &[0, 2, 1, 3]);
        graph.scale(&format!("{query}/scaled"), &turned, self.heads.scale())
    }
}

/// Ids and places to words `[1, new, D]`.
fn words(graph: &mut Builder) -> Result<Value, ExportError> {
    let [word, place] = [("word", "input_ids"), ("position", "position_ids")].map(|(name, ids)| {
        let table = graph.weight(&format!("{name}.weight"))?;
        Ok::<_, ExportError>(graph.node("Gather", name, &[&table, &ids.to_owned()], Vec::new()))
    });
    Ok(graph.add("words", &word?, &place?))
}
