//! The volume tower as an ONNX graph, operator by operator the twin of `net/vision`. Shapes are fixed and the batch is one.

mod stem;

use super::Draft;
use super::builder::{Builder, Value};
use super::layers::Heads;
use crate::eval::{DENSITIES, LAYER_NORM_EPSILON, PATCH_EPSILON, Tower};
use crate::export::ExportError;
use ctedge_models::labels::LABEL_COUNT;
use ctedge_models::onnx::proto::Attribute;

/// Writes a volume tower. One input, `volume` `[1, 1, z, y, x]`; outputs `embedding` `[1, E]`, `logits` `[1, 18]`,
/// `tokens` `[1, T, C]`, `saliency` `[1, T]` and `flag_saliency` `[1, 18, T]`.
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
    let told = writer.told(&mut graph, &tokens)?;
    let summary = writer.summary(&mut graph, told.as_ref(), pooled)?;
    let shares = writer.shares(&mut graph, &tokens, told.as_ref())?;
    let logits = graph.linear("logits", &summary, "flags")?;
    let unit = graph.unit_embedding(&summary)?;

    graph.output(&unit, &[1, embedding])?;
    graph.output(&logits, &[1, LABEL_COUNT])?;
    graph.output(&tokens, &[1, count, dim])?;
    graph.output(&saliency, &[1, count])?;
    graph.output(&shares, &[1, LABEL_COUNT, count])?;
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
        let normed = self.tower.patch_norms.is_some();
        let rows =
            if normed { graph.layer_norm("patch/normed", &rows, "patch_norms.voxels", PATCH_EPSILON)? } else { rows };
        let mut tokens = graph.linear("patch", &rows, "patch")?;
        if let Some(densities) = &self.tower.densities {
            let told = self.densities(graph, volume, densities.block)?;
            tokens = graph.add("patch/told", &tokens, &told);
        }
        if let Some(stem) = &self.tower.stem {
            let found = self.stem(graph, volume, stem)?;
            tokens = graph.add("patch/found", &tokens, &found);
        }
        if normed {
            tokens = graph.layer_norm("patch/token", &tokens, "patch_norms.token", LAYER_NORM_EPSILON)?;
        }
        let table = crate::export::trace::read(self.tower.positions.table().try_into_vec_as())?;
        let table = graph.floats("positions", &[1, self.count, self.dim], &table)?;
        let placed = graph.add("patch/placed", &tokens, &table);
        if self.tower.class_token.is_none() {
            return Ok(placed);
        }
        let class = graph.weight("class_token")?;
        Ok(graph.node("Concat", "patch/classed", &[&class, &placed], vec![Attribute::int("axis", 1)]))
    }

    /// What the tokens are told of the densities of their patches' blocks.
    fn densities(&self, graph: &mut Builder, volume: &Value, block: [usize; 3]) -> Result<Value, ExportError> {
        let ([z, y, x], [pz, py, px], [bz, by, bx]) = (self.tower.input_size, self.tower.patch_size, block);
        let split = graph.reshape("densities/split", volume, &[1, z / bz, bz, y / by, by, x / bx, bx])?;
        let gathered = graph.transpose("densities/gathered", &split, &[0, 1, 3, 5, 2, 4, 6]);
        let blocks = (z / bz) * (y / by) * (x / bx);
        let rows = graph.reshape("densities/blocks", &gathered, &[1, blocks, bz * by * bx])?;
        let kinds = ["ReduceMax", "ReduceMin", "ReduceMean"].map(|operator| {
            let settings = vec![Attribute::ints("axes", &[-1]), Attribute::int("keepdims", 1)];
            graph.node(operator, &format!("densities/{operator}"), &[&rows], settings)
        });
        let joined = graph.node("Concat", "densities/joined", &kinds.each_ref(), vec![Attribute::int("axis", -1)]);
        let shape = [1, z / pz, pz / bz, y / py, py / by, x / px, px / bx, DENSITIES];
        let split = graph.reshape("densities/patches", &joined, &shape)?;
        let turned = graph.transpose("densities/turned", &split, &[0, 1, 3, 5, 2, 4, 6, 7]);
        let numbers = DENSITIES * blocks / self.count;
        let rows = graph.reshape("densities/rows", &turned, &[1, self.count, numbers])?;
        graph.linear("densities", &rows, "densities.project")
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

    /// What each token says in its own place, `[1, T, W]`.
    fn told(&self, graph: &mut Builder, tokens: &Value) -> Result<Option<Value>, ExportError> {
        if self.tower.local.is_none() {
            return Ok(None);
        }
        let narrow = graph.linear("local/narrow", tokens, "local.narrow")?;
        graph.gelu("local/gelu", &narrow).map(Some)
    }

    /// Channels of a token that are read in its own place, W.
    fn channels(&self) -> usize {
        let [summary, _] = self.tower.flags.weight.dims();
        (summary - self.dim) / self.count
    }

    /// The pooled tokens, and behind them what each token says in its own place: `[1, C + T * W]`.
    fn summary(&self, graph: &mut Builder, told: Option<&Value>, pooled: Value) -> Result<Value, ExportError> {
        let Some(told) = told else { return Ok(pooled) };
        let flat = graph.reshape("local", told, &[1, self.count * self.channels()])?;
        Ok(graph.node("Concat", "summary", &[&pooled, &flat], vec![Attribute::int("axis", 1)]))
    }

    /// What each token adds to each flag, `[1, 18, T]`. The flags' own weights are cut in the graph, so that no file holds
    /// them twice.
    fn shares(&self, graph: &mut Builder, tokens: &Value, told: Option<&Value>) -> Result<Value, ExportError> {
        let (weight, channels) = ("flags.weight".to_owned(), self.channels());
        let of_mean = graph.rows("flag_saliency/mean/weight", &weight, [0, self.dim])?;
        let means = graph.matmul("flag_saliency/mean/product", tokens, &of_mean);
        let weights = graph.reshape("flag_saliency/weights", &"pool/weights".to_owned(), &[1, self.count, 1])?;
        let mut shares = graph.node("Mul", "flag_saliency/mean", &[&means, &weights], Vec::new());
        if let Some(told) = told {
            let end = self.dim + self.count * channels;
            let own = graph.rows("flag_saliency/place/weight", &weight, [self.dim, end])?;
            let own = graph.reshape("flag_saliency/place/each", &own, &[self.count, channels, LABEL_COUNT])?;
            let told = graph.reshape("flag_saliency/place/told", told, &[self.count, 1, channels])?;
            let product = graph.matmul("flag_saliency/place/product", &told, &own);
            let places = graph.reshape("flag_saliency/place", &product, &[1, self.count, LABEL_COUNT])?;
            shares = graph.add("flag_saliency/shares", &shares, &places);
        }
        Ok(graph.transpose("flag_saliency", &shares, &[0, 2, 1]))
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
