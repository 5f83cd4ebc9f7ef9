//! The vocabulary that a run reads by: learned from its corpus, or a published BERT's.

use super::TextError;
use super::vocabulary::learned;
use crate::experiment::Text;
use ctedge_models::text::{BEGIN, CONTINUED, END, PAD, Tokenizer, TokenizerError, UNKNOWN};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// The first pieces of a vocabulary that is learned here.
pub(super) const MARKS: [&str; 5] = [PAD, UNKNOWN, BEGIN, END, "[MASK]"];
/// A longer word is unknown, as in BERT.
const LONGEST_WORD: usize = 100;

/// A tokenizer whose vocabulary of at most `text.vocabulary` pieces is learned from these texts. The same texts give the
/// same vocabulary.
pub fn learn(texts: &[impl AsRef<str>], text: &Text) -> Result<Tokenizer, TextError> {
    let mut words = BTreeMap::new();
    for each in texts {
        for word in split(each.as_ref(), text)? {
            *words.entry(word).or_insert(0) += 1;
        }
    }
    of(learned(&words, text.vocabulary)?, text)
}

/// A tokenizer of a BERT's `vocab.txt`: one piece a line, its number is the line's. `text.vocabulary` is not asked.
pub fn from_vocabulary(path: &Path, text: &Text) -> Result<Tokenizer, TextError> {
    let lines = fs::read_to_string(path).map_err(|source| TextError::Open { path: path.into(), source })?;
    let pieces: Vec<String> = lines.lines().map(|line| line.trim_end().to_owned()).collect();
    let mut seen = std::collections::BTreeSet::new();
    if let Some(index) = pieces.iter().position(|piece| !seen.insert(piece)) {
        let piece = pieces.get(index).cloned().unwrap_or_default();
        return Err(TextError::Twice { path: path.into(), piece, line: index + 1 });
    }
    of(pieces, text)
}

fn of(pieces: Vec<String>, text: &Text) -> Result<Tokenizer, TextError> {
    let vocabulary: Map<String, Value> = pieces.into_iter().zip((0_u32..).map(Value::from)).collect();
    let number = |mark| vocabulary.get(mark).cloned().ok_or(TokenizerError::NoMark { mark });
    let marks = [PAD, UNKNOWN, BEGIN, END].map(|mark| number(mark).map(|id| (mark, id)));
    let mut added = Vec::new();
    for mark in marks {
        let (content, id) = mark?;
        added.push(json!({
            "id": id, "content": content, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        }));
    }
    let json = json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": normalizer(text),
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "BertProcessing", "cls": [BEGIN, number(BEGIN)?], "sep": [END, number(END)?],
        },
        "decoder": { "type": "WordPiece", "prefix": CONTINUED, "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": CONTINUED,
            "max_input_chars_per_word": LONGEST_WORD, "vocab": vocabulary,
        },
    });
    Ok(Tokenizer::from_json(&json.to_string(), text.max_tokens)?)
}

/// BERT's cleaning; accents go where case does.
fn normalizer(text: &Text) -> BertNormalizer {
    BertNormalizer::new(true, true, None, text.lowercase)
}

/// A text's words, as the vocabulary is learned from them.
fn split(text: &str, settings: &Text) -> Result<Vec<String>, TextError> {
    let mut clean = NormalizedString::from(text);
    normalizer(settings).normalize(&mut clean).map_err(failed("cleaning a report"))?;
    let mut words = PreTokenizedString::from(clean);
    BertPreTokenizer.pre_tokenize(&mut words).map_err(failed("splitting a report"))?;
    let words = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
    Ok(words.into_iter().map(|(word, _, _)| word.to_owned()).collect())
}

fn failed(step: &'static str) -> impl FnOnce(tokenizers::Error) -> TextError {
    move |error| TokenizerError::Library { step, reason: error.to_string() }.into()
}
