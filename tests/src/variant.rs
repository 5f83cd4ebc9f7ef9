//! Other models than the reference model: newer releases of it, and some that go wrong once they run.

use crate::place;
use anyhow::{Context, ensure};
use ctedge_models::bundle::{self, Manifest, pack};
use ctedge_models::onnx::proto::{self, Attribute, FLOAT, FLOAT16, Graph, INT64, Node, Tensor, ValueInfo};
use ctedge_models::preprocess;
use ctedge_models::text::Tokenizer;
use ctedge_models::trust::{self, SigningKey, TrustedKeys};
use half::f16;
use prost::Message;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A workshop that makes and signs models.
#[derive(Debug)]
pub struct Workshop {
    folder: TempDir,
    unpacked: PathBuf,
    manifest: Manifest,
}

/// How a model goes wrong: on every volume but the golden one, or whenever it drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strange {
    /// It does not.
    No,
    /// It gives values that are no numbers.
    Nan,
    /// It flags everything.
    Alarmed,
    /// It does not end.
    Endless,
    /// It takes more memory than any device has.
    Huge,
    /// Its decoder gives values that are no numbers.
    NanDraft,
    /// Its decoder never says that a section is over.
    EndlessDraft,
    /// The graph that its decoder runs first does not end.
    StuckDraft,
}

/// Name of the key that the workshop signs with.
pub const KEY: &str = "workshop";

impl Workshop {
    /// Unpacks the reference model.
    pub fn open() -> anyhow::Result<Self> {
        Self::of(&place::reference_bundle()?, &place::reference_key()?)
    }

    /// Unpacks a model that somebody else has signed.
    pub fn of(bundle: &Path, key: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ctedge-workshop-").tempdir()?;
        let opened = bundle::open(bundle, &TrustedKeys::load(key)?, folder.path())?;
        trust::keygen(folder.path(), KEY, None)?;
        let (unpacked, manifest) = (opened.folder().to_owned(), opened.manifest().clone());
        Ok(Self { folder, unpacked, manifest })
    }

    /// A file of the workshop.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The public key.
    pub fn public(&self) -> PathBuf {
        self.at(&format!("{KEY}.pub"))
    }

    /// The secret key.
    pub fn key(&self) -> anyhow::Result<SigningKey> {
        Ok(SigningKey::load(&self.at(&format!("{KEY}.key")), None)?)
    }

    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Makes and signs a release of the model so many serials after it, with changes to its manifest.
    pub fn release(&self, later: u64, strange: Strange, change: impl FnOnce(&mut Manifest)) -> anyhow::Result<PathBuf> {
        let mut manifest = self.manifest.clone();
        manifest.serial += later;
        manifest.version = format!("0.9.{later}");
        let loops = vec!["Loop".to_owned()];
        match (strange, &mut manifest.decoder) {
            (Strange::Endless, _) => manifest.vision.control_flow = loops,
            (Strange::StuckDraft, Some(decoder)) => decoder.cross.control_flow = loops,
            _ => {}
        }
        change(&mut manifest);
        let name = format!("{}-{}-{strange:?}", manifest.name, manifest.version);
        let mut files = Vec::new();
        for path in manifest.files.keys() {
            files.push((path.clone(), self.unpacked.join(path)));
        }
        if strange != Strange::No {
            let graph = self.at(&format!("{name}.onnx"));
            let (file, bytes) = self.twisted(strange)?;
            fs::write(&graph, bytes)?;
            let twisted = files.iter_mut().find(|(path, _)| *path == file);
            twisted.context("the graph is a file")?.1 = graph;
        }
        let out = self.at(&format!("{name}.ctb"));
        pack(&manifest, &files, &out)?;
        self.sign(&out)?;
        Ok(out)
    }

    /// Makes and signs the model in 32 bits: the same weights, computed with more digits.
    pub fn widened(&self) -> anyhow::Result<PathBuf> {
        let mut manifest = self.manifest.clone();
        let wide = || "f32".to_owned();
        manifest.vision.precision = wide();
        manifest.text.iter_mut().for_each(|text| text.graph.precision = wide());
        manifest.decoder.iter_mut().for_each(|decoder| {
            (decoder.cross.precision, decoder.step.precision) = (wide(), wide());
        });
        let mut files = Vec::new();
        for path in manifest.files.keys() {
            let mut from = self.unpacked.join(path);
            if from.extension().is_some_and(|extension| extension == "onnx") {
                let graph = widened(&fs::read(&from)?)?;
                from = self.at(&format!("wide-{}", path.replace('/', "-")));
                fs::write(&from, graph)?;
            }
            files.push((path.clone(), from));
        }
        let out = self.at("wide.ctb");
        pack(&manifest, &files, &out)?;
        self.sign(&out)?;
        Ok(out)
    }

    /// Signs a bundle.
    pub fn sign(&self, bundle: &Path) -> anyhow::Result<()> {
        trust::sign(bundle, &self.key()?, "a release of the workshop")?;
        Ok(())
    }

    /// A graph with a trap, and which: what it adds to an output is 0 on the golden volume, as far as that is asked.
    fn twisted(&self, strange: Strange) -> anyhow::Result<(&str, Vec<u8>)> {
        let decoder = || self.manifest.decoder.as_ref().context("the model has a decoder");
        Ok(match strange {
            Strange::NanDraft | Strange::EndlessDraft => {
                let file = decoder()?.step.file.as_str();
                let bias = self.bias(strange)?;
                let trap = move |graph: &mut Graph| graph.initializer.push(bias);
                (file, self.trapped(file, "logits", trap)?)
            }
            Strange::StuckDraft => {
                let file = decoder()?.cross.file.as_str();
                let trap = |graph: &mut Graph| {
                    graph.initializer.extend([floats("trap/zero", &[], &[0.0]), whole("trap/count", 1 << 60)]);
                    turn(graph);
                };
                (file, self.trapped(file, "cross_k_0", trap)?)
            }
            Strange::No => self.sprung(|graph| other_than_golden(graph, 0.0))?,
            Strange::Nan => self.sprung(|graph| other_than_golden(graph, f32::NAN))?,
            Strange::Alarmed => self.sprung(|graph| other_than_golden(graph, 50.0))?,
            Strange::Endless => self.sprung(|graph| {
                counted(graph, 1 << 60);
                turn(graph);
            })?,
            Strange::Huge => self.sprung(huge)?,
        })
    }

    /// The volume graph, to whose logits is added what `spring` makes of `trap/other`: whether the volume is not the golden one.
    fn sprung(&self, spring: impl FnOnce(&mut Graph)) -> anyhow::Result<(&str, Vec<u8>)> {
        let (file, golden) = (self.manifest.vision.file.as_str(), self.golden_mean()?);
        let trap = |graph: &mut Graph| {
            watch_for(graph, golden);
            spring(graph);
        };
        Ok((file, self.trapped(file, "logits", trap)?))
    }

    /// What is added to a decoder's logits.
    fn bias(&self, strange: Strange) -> anyhow::Result<Tensor> {
        let decoder = self.manifest.decoder.as_ref().context("a decoder")?;
        let json = fs::read_to_string(self.unpacked.join(&decoder.tokenizer))?;
        let end = Tokenizer::from_json(&json, decoder.step.max_tokens)?.end();
        let never = |token: usize| if u32::try_from(token) == Ok(end) { -1e9 } else { 0.0 };
        let count = decoder.step.vocabulary;
        if strange == Strange::EndlessDraft {
            return Ok(floats("trap/sprung", &[i64::try_from(count)?], &(0..count).map(never).collect::<Vec<f32>>()));
        }
        Ok(floats("trap/sprung", &[], &[f32::NAN]))
    }

    /// A graph of the model, to one of whose outputs is added what `trap` makes: `trap/sprung`.
    fn trapped(&self, file: &str, output: &str, trap: impl FnOnce(&mut Graph)) -> anyhow::Result<Vec<u8>> {
        let mut model = proto::Model::decode(fs::read(self.unpacked.join(file))?.as_slice())?;
        let graph = model.graph.as_mut().context("a graph")?;
        let made = graph.node.iter_mut().flat_map(|node| node.output.iter_mut()).find(|name| *name == output);
        let renamed = format!("{output}.true");
        renamed.clone_into(made.context("a node that makes the output")?);
        ensure!(!graph.node.iter().any(|node| node.input.iter().any(|name| name == output)), "others use the output");
        trap(graph);
        graph.node.push(node("Add", &[&renamed, "trap/sprung"], &[output], vec![]));
        Ok(model.encode_to_vec())
    }

    fn golden_mean(&self) -> anyhow::Result<f32> {
        let volume = self.manifest.golden.phantom.volume()?;
        let tensor = preprocess::tensor(&volume, &self.manifest.input);
        // In 64 bits: a sum of a million values in 32 is not what ONNX Runtime computes.
        let values = tensor.values();
        let count = f64::from(u32::try_from(values.len())?);
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "a mean of values that have 32 bits"
        )]
        let mean = (values.iter().map(|value| f64::from(*value)).sum::<f64>() / count) as f32;
        Ok(mean)
    }
}

/// A graph whose weights and casts of 16 bits have 32.
fn widened(graph: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut model = proto::Model::decode(graph)?;
    let graph = model.graph.as_mut().context("a graph")?;
    let settings = graph.node.iter_mut().flat_map(|node| node.attribute.iter_mut());
    let mut constants = Vec::new();
    for setting in settings {
        if setting.name == "to" && setting.i == i64::from(FLOAT16) {
            setting.i = i64::from(FLOAT);
        }
        constants.extend(setting.t.as_deref_mut());
    }
    for tensor in graph.initializer.iter_mut().chain(constants).filter(|tensor| tensor.data_type == FLOAT16) {
        let (halves, _) = tensor.raw_data.as_chunks::<2>();
        let wide: Vec<u8> = halves.iter().flat_map(|half| f16::from_le_bytes(*half).to_f32().to_le_bytes()).collect();
        (tensor.data_type, tensor.raw_data) = (FLOAT, wide.into());
    }
    Ok(model.encode_to_vec())
}

/// Makes `trap/other`: whether the volume is not the golden one, whose tensor has this mean.
fn watch_for(graph: &mut Graph, golden: f32) {
    graph.initializer.push(floats("trap/golden", &[], &[golden]));
    graph.initializer.push(floats("trap/near", &[], &[1e-4]));
    graph.initializer.push(floats("trap/zero", &[], &[0.0]));
    graph.node.push(node("ReduceMean", &["volume"], &["trap/mean"], vec![Attribute::int("keepdims", 0)]));
    graph.node.push(node("Sub", &["trap/mean", "trap/golden"], &["trap/difference"], vec![]));
    graph.node.push(node("Abs", &["trap/difference"], &["trap/distance"], vec![]));
    graph.node.push(node("Greater", &["trap/distance", "trap/near"], &["trap/other"], vec![]));
}

/// Makes `trap/sprung`: the value, or 0 on the golden volume.
fn other_than_golden(graph: &mut Graph, value: f32) {
    graph.initializer.push(floats("trap/value", &[], &[value]));
    graph.node.push(node("Where", &["trap/other", "trap/value", "trap/zero"], &["trap/sprung"], vec![]));
}

/// Makes `trap/sprung` of more numbers than any device can hold.
fn huge(graph: &mut Graph) {
    counted(graph, 1 << 38);
    graph.initializer.push(Tensor {
        dims: vec![1],
        data_type: INT64,
        name: "trap/list".into(),
        raw_data: 1i64.to_le_bytes().to_vec().into(),
        ..Tensor::default()
    });
    graph.node.push(node("Reshape", &["trap/count", "trap/list"], &["trap/shape"], vec![]));
    graph.node.push(node("ConstantOfShape", &["trap/shape"], &["trap/zeros"], vec![]));
    graph.node.push(node("ReduceSum", &["trap/zeros"], &["trap/sprung"], vec![Attribute::int("keepdims", 0)]));
}

/// Makes `trap/sprung` in `trap/count` turns.
fn turn(graph: &mut Graph) {
    let body = Graph {
        name: "body".into(),
        node: vec![
            node("Identity", &["inner/go"], &["inner/goes"], vec![]),
            node("Sin", &["inner/state"], &["inner/next"], vec![]),
        ],
        input: vec![
            ValueInfo::tensor("inner/turn", &[], INT64),
            ValueInfo::tensor("inner/go", &[], BOOL),
            ValueInfo::tensor("inner/state", &[], FLOAT),
        ],
        output: vec![ValueInfo::tensor("inner/goes", &[], BOOL), ValueInfo::tensor("inner/next", &[], FLOAT)],
        ..Graph::default()
    };
    let attribute = Attribute { name: "body".into(), r#type: 5, g: Some(Box::new(body)), ..Attribute::default() };
    graph.node.push(node("Loop", &["trap/count", "", "trap/zero"], &["trap/sprung"], vec![attribute]));
}

/// `TensorProto.DataType.BOOL`.
const BOOL: i32 = 9;

/// Makes `trap/count`: so many, or 0 on the golden volume.
fn counted(graph: &mut Graph, many: i64) {
    graph.initializer.extend([whole("trap/many", many), whole("trap/none", 0)]);
    graph.node.push(node("Where", &["trap/other", "trap/many", "trap/none"], &["trap/count"], vec![]));
}

fn whole(name: &str, value: i64) -> Tensor {
    let raw_data = value.to_le_bytes().to_vec().into();
    Tensor { data_type: INT64, name: name.into(), raw_data, ..Tensor::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    let raw_data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dims: dims.to_vec(), data_type: FLOAT, name: name.into(), raw_data: raw_data.into(), ..Tensor::default() }
}

fn node(op_type: &str, input: &[&str], output: &[&str], attribute: Vec<Attribute>) -> Node {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let name = format!("trap of {}", output.first().copied().unwrap_or_default());
    Node { op_type: op_type.into(), input: names(input), output: names(output), name, attribute, ..Node::default() }
}
