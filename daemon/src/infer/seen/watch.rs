//! Findings that a site looks for in its own words: which of two sentences a volume lies nearer to.
//!
//! The score is `t (cos(v, present) - cos(v, absent))` with the contrastive factor `t` of the bundle: the logit of CT-CLIP's softmax
//! over the two scaled cosines. It is no probability before somebody has measured it on known cases.

use crate::floor::durable;
use crate::infer::onnx::{Graph, Halt, Runtime, Sentences};
use crate::infer::{Settings, seconds};
use ctedge_models::bundle::{TextGraph, VerifiedBundle};
use ctedge_models::labels::Label;
use ctedge_models::text::{Tokenizer, UNKNOWN};
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A finding beside the model's own flags, as a site describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// Name in results: 1 to 48 of a-z, 0-9 and _.
    pub(crate) name: String,
    /// The sentence that says that it is there.
    pub(crate) present: String,
    /// The sentence that says that it is not.
    pub(crate) absent: String,
    /// What the site has measured of it on known cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calibration: Option<Calibration>,
}

/// What a score means: probability = sigmoid(`slope` * score + `offset`), Platt's scaling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibration {
    /// Factor on the score.
    pub(crate) slope: f32,
    /// Added to it.
    pub(crate) offset: f32,
    /// Positive at or above this probability.
    pub(crate) threshold: f32,
}

/// What the model says of a watched finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// Its name.
    pub(crate) name: String,
    /// The score, or why there is none.
    pub(crate) score: Result<f32, Unscored>,
    /// Probability and threshold, where the site has calibrated it.
    pub(crate) calibrated: Option<(f32, f32)>,
}

/// Why a watched finding has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unscored {
    /// The model compares no volumes with sentences.
    #[error("the model compares no volumes with sentences")]
    NoTextTower,
    /// A sentence has more tokens than the model reads.
    #[error("a sentence is longer than the model reads")]
    TooLong,
    /// A sentence has characters that the model cannot spell.
    #[error("a sentence has characters that the model cannot spell")]
    Unreadable,
}

/// Most watches; characters of a name and of a sentence. All of them travel in every result, and a sentence beyond is no sentence.
const WATCHES: usize = 16;
const NAME: usize = 48;
const SENTENCE: usize = 500;

/// What is wrong with the watches, one sentence each.
pub(crate) fn problems(watches: &[Watch]) -> Vec<String> {
    let mut problems = Vec::new();
    if watches.len() > WATCHES {
        problems.push(format!("watch: {} findings, at most {WATCHES}", watches.len()));
    }
    let names: BTreeSet<&str> = watches.iter().map(|watch| watch.name.as_str()).collect();
    if names.len() < watches.len() {
        problems.push("watch: two findings have the same name".to_owned());
    }
    problems.extend(watches.iter().flat_map(Watch::problems));
    problems
}

impl Watch {
    fn problems(&self) -> Vec<String> {
        let Self { name, present, absent, calibration } = self;
        let mut problems = Vec::new();
        let is_plain =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if name.is_empty() || name.len() > NAME || !is_plain(name) {
            // What is no name is not repeated: it may be anything.
            problems.push(format!("watch.name: one is not 1 to {NAME} of a-z, 0-9 and _"));
            return problems;
        }
        if Label::all().any(|label| label.name() == name) {
            problems.push(format!("watch {name}: a flag of the model has this name"));
        }
        for (key, sentence) in [("present", present), ("absent", absent)] {
            let characters = sentence.chars().count();
            if sentence.trim().is_empty() || characters > SENTENCE {
                problems.push(format!("watch {name}: {key} has {characters} characters, not 1 to {SENTENCE}"));
            }
        }
        if present == absent {
            problems.push(format!("watch {name}: present and absent say the same"));
        }
        if let Some(Calibration { slope, offset, threshold }) = calibration
            && !(slope.is_finite() && offset.is_finite() && (0.0..=1.0).contains(threshold))
        {
            problems.push(format!("watch {name}: calibration needs finite numbers and a threshold between 0 and 1"));
        }
        problems
    }
}

/// The watches of a site, read by the report graph of a bundle.
pub(in crate::infer) struct Watcher {
    scale: f32,
    watches: Vec<(Watch, Result<Pair, Unscored>)>,
}

/// Unit embeddings of the two sentences of a watch.
struct Pair {
    present: Vec<f32>,
    absent: Vec<f32>,
}

impl Watcher {
    /// Has the report graph of a bundle read all sentences that it has not read before on this device.
    ///
    /// # Errors
    /// The graph or its tokenizer cannot be used, in a sentence.
    pub(in crate::infer) fn open(
        (runtime, settings): (&Runtime, &Settings),
        bundle: &VerifiedBundle,
        (watches, volume): (&[Watch], &Graph),
    ) -> Result<Self, String> {
        let Some(text) = bundle.manifest().text.as_ref().filter(|_| !watches.is_empty()) else {
            let watches = watches.iter().map(|watch| (watch.clone(), Err(Unscored::NoTextTower))).collect();
            return Ok(Self { scale: 0.0, watches });
        };
        let mut reader = Reader::open((runtime, settings), bundle, (text, volume))?;
        let read = |watch: &Watch| Ok::<_, String>((watch.clone(), reader.pair(watch)?));
        Ok(Self { scale: text.contrastive.scale, watches: watches.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Names of the watches that have no scores, and why.
    pub(in crate::infer) fn unscored(&self) -> Vec<(String, Unscored)> {
        let without =
            |(watch, pair): &(Watch, Result<Pair, Unscored>)| Some((watch.name.clone(), pair.as_ref().err().copied()?));
        self.watches.iter().filter_map(without).collect()
    }

    /// What the unit embedding of a volume says of each watch.
    pub(in crate::infer) fn watched(&self, volume: &[f32]) -> Vec<Watched> {
        let cosine = |sentence: &[f32]| volume.iter().zip(sentence).map(|(left, right)| left * right).sum::<f32>();
        let watched = |(watch, pair): &(Watch, Result<Pair, Unscored>)| {
            let score = pair.as_ref().map(|pair| self.scale * (cosine(&pair.present) - cosine(&pair.absent)));
            let score = score.map_err(|unscored| *unscored);
            let probability = |Calibration { slope, offset, threshold }: Calibration, score: f32| {
                (1.0 / (1.0 + (-slope.mul_add(score, offset)).exp()), threshold)
            };
            let calibrated = watch.calibration.zip(score.ok()).map(|(known, score)| probability(known, score));
            Watched { name: watch.name.clone(), score, calibrated }
        };
        self.watches.iter().map(watched).collect()
    }
}

/// The report graph, its tokenizer, and what it has read before.
struct Reader<'a> {
    load: (&'a Runtime, &'a Settings),
    graph: Graph,
    /// Loaded once there is a sentence that was not read before.
    sentences: Option<Sentences>,
    tokenizer: Tokenizer,
    unknown: Option<u32>,
    width: usize,
}

impl<'a> Reader<'a> {
    fn open(
        load: (&'a Runtime, &'a Settings),
        bundle: &VerifiedBundle,
        (text, volume): (&TextGraph, &Graph),
    ) -> Result<Self, String> {
        let path = |file: &str| bundle.path(file).ok_or_else(|| format!("the bundle has no {file}"));
        let json =
            fs::read_to_string(path(&text.tokenizer)?).map_err(|error| format!("{}: {error}", text.tokenizer))?;
        let last = |shape: Option<&Vec<usize>>| shape.and_then(|shape| shape.last()).copied().unwrap_or_default();
        let length = last(text.graph.inputs.first().map(|input| &input.shape));
        let width = last(text.graph.outputs.first().map(|output| &output.shape));
        let tokenizer = Tokenizer::from_json(&json, length).map_err(|error| error.to_string())?;
        let graph = Graph { path: path(&text.graph.file)?, ..volume.clone() };
        let unknown = tokenizer.id(UNKNOWN);
        Ok(Self { load, graph, sentences: None, tokenizer, unknown, width })
    }

    fn pair(&mut self, watch: &Watch) -> Result<Result<Pair, Unscored>, String> {
        let (present, absent) = (self.embedding(&watch.present)?, self.embedding(&watch.absent)?);
        Ok(present.and_then(|present| Ok(Pair { present, absent: absent? })))
    }

    fn embedding(&mut self, sentence: &str) -> Result<Result<Vec<f32>, Unscored>, String> {
        let tokens = self.tokenizer.encode(sentence).map_err(|error| error.to_string())?;
        if tokens.left_out > 0 {
            return Ok(Err(Unscored::TooLong));
        }
        if self.unknown.is_some_and(|unknown| tokens.ids.contains(&unknown)) {
            return Ok(Err(Unscored::Unreadable));
        }
        let kept = self.kept(sentence);
        if let Some(embedding) = read(&kept, self.width) {
            return Ok(Ok(embedding));
        }
        let (runtime, settings) = self.load;
        let sentences = match &mut self.sentences {
            Some(sentences) => sentences,
            none => none.insert(Sentences::load(runtime, settings, &self.graph)?),
        };
        let (length, within) = (self.tokenizer.max_tokens(), seconds(settings.run_s));
        let embedding = sentences.embedding(&tokens.ids, (self.tokenizer.pad(), length), within);
        let embedding = embedding.map_err(|halt| match halt {
            Halt::Stopped => "it does not end".to_owned(),
            Halt::Failed(reason) => reason,
        })?;
        if !is_unit(&embedding) || embedding.len() != self.width {
            return Err("it gives no unit vectors".to_owned());
        }
        let bytes: Vec<u8> = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
        // One that cannot be kept is read again next time.
        drop(durable::write_private(&kept, &bytes));
        Ok(Ok(embedding))
    }

    /// Where the embedding of a sentence is kept: in the bundle's own cache, under the digest of its text.
    fn kept(&self, sentence: &str) -> PathBuf {
        let digest = HEXLOWER.encode(&Sha256::digest(sentence));
        self.graph.cache.join(format!("sentence-{digest}.f32"))
    }
}

/// An embedding that was kept, unless what is there is none.
fn read(path: &Path, width: usize) -> Option<Vec<f32>> {
    let bytes = fs::read(path).ok()?;
    let (values, []) = bytes.as_chunks::<4>() else { return None };
    let embedding: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    (embedding.len() == width && is_unit(&embedding)).then_some(embedding)
}

fn is_unit(embedding: &[f32]) -> bool {
    // Written so that what is no number is no unit vector.
    (embedding.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 0.01
}
