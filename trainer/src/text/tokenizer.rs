//! BERT's tokenizer: clean, split at white space and punctuation, then the longest pieces of the vocabulary.

use super::vocabulary::learned;
use super::{Length, Padded, TextError};
use crate::experiment::Text;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer as Library,
};

/// Prefix of a piece that goes on a word.
pub(super) const CONTINUED: &str = "##";
const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const BEGIN: &str = "[CLS]";
const END: &str = "[SEP]";
/// The first pieces of a vocabulary that is learned here.
pub(super) const MARKS: [&str; 5] = [PAD, UNKNOWN, BEGIN, END, "[MASK]"];
/// A longer word is unknown, as in BERT.
const LONGEST_WORD: usize = 100;

/// Texts to token ids.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    library: Library,
    begin: u32,
    end: u32,
    pad: u32,
    max_tokens: usize,
}

/// A report as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// `[CLS]`, the text, `[SEP]`; at most `max_tokens`.
    pub ids: Vec<u32>,
    /// Sentences at the end of the report that did not fit. One that is longer than a report may be is cut, and counted.
    pub left_out: usize,
}

impl Tokenizer {
    /// A tokenizer whose vocabulary of at most `text.vocabulary` pieces is learned from these texts. The same texts give
    /// the same vocabulary.
    pub fn train(texts: &[impl AsRef<str>], text: &Text) -> Result<Self, TextError> {
        let mut words = BTreeMap::new();
        for each in texts {
            for word in split(each.as_ref(), text)? {
                *words.entry(word).or_insert(0) += 1;
            }
        }
        Self::of(learned(&words, text.vocabulary)?, text)
    }

    /// A tokenizer of a BERT's `vocab.txt`: one piece a line, its number is the line's. `text.vocabulary` is not asked.
    pub fn from_vocabulary(path: &Path, text: &Text) -> Result<Self, TextError> {
        let lines = fs::read_to_string(path).map_err(|source| TextError::Open { path: path.into(), source })?;
        let pieces: Vec<String> = lines.lines().map(|line| line.trim_end().to_owned()).collect();
        let mut seen = std::collections::BTreeSet::new();
        if let Some(index) = pieces.iter().position(|piece| !seen.insert(piece)) {
            let piece = pieces.get(index).cloned().unwrap_or_default();
            return Err(TextError::Twice { path: path.into(), piece, line: index + 1 });
        }
        Self::of(pieces, text)
    }

    /// Reads a `tokenizer.json`.
    pub fn from_json(json: &str, text: &Text) -> Result<Self, TextError> {
        let mut library: Library = json.parse().map_err(failed("reading tokenizer.json"))?;
        // A report that spells a mark out is a text like any other.
        library.set_encode_special_tokens(true);
        let number = |mark| library.token_to_id(mark).ok_or(TextError::NoMark { mark });
        let (begin, end, pad) = (number(BEGIN)?, number(END)?, number(PAD)?);
        number(UNKNOWN)?;
        Ok(Self { library, begin, end, pad, max_tokens: text.max_tokens })
    }

    /// `tokenizer.json`, as Python's `tokenizers` reads it. The same tokenizer gives the same text.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.library.to_string(true).map_err(failed("writing tokenizer.json"))
    }

    fn of(pieces: Vec<String>, text: &Text) -> Result<Self, TextError> {
        let vocabulary: Map<String, Value> = pieces.into_iter().zip((0_u32..).map(Value::from)).collect();
        let number = |mark| vocabulary.get(mark).cloned().ok_or(TextError::NoMark { mark });
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
        Self::from_json(&json.to_string(), text)
    }

    /// Number of pieces: rows of the report tower's table.
    pub fn vocabulary(&self) -> usize {
        self.library.get_vocab_size(true)
    }

    /// A report's tokens. One that is longer than `text.max_tokens` loses whole sentences from its end.
    pub fn encode(&self, text: &str) -> Result<Tokens, TextError> {
        let (inner, left_out) = self.within(text, self.max_tokens.saturating_sub(2))?;
        let ids = std::iter::once(self.begin).chain(inner).chain(std::iter::once(self.end)).collect();
        Ok(Tokens { ids, left_out })
    }

    pub fn begin(&self) -> u32 { self.begin }
    pub fn end(&self) -> u32 { self.end }
    pub fn pad(&self) -> u32 { self.pad }
    pub fn draft(&self, ids: &[u32]) -> Draft { Draft(self.library.decode(ids, true).unwrap_or_default()) }

    pub fn within(&self, text: &str, room: usize) -> Result<(Vec<u32>, usize), TextError> {
        let sentences = sentences(text);
        let mut inner: Vec<u32> = Vec::new();
        let mut kept = 0;
        for sentence in &sentences {
            let encoding = self.library.encode_fast(*sentence, false).map_err(failed("encoding a report"))?;
            if inner.len() + encoding.len() > room {
                if inner.is_empty() {
                    inner.extend(encoding.get_ids().iter().take(room));
                }
                break;
            }
            inner.extend(encoding.get_ids());
            kept += 1;
        }
        Ok((inner, sentences.len() - kept))
    }

    /// Reports of one batch, padded to one length.
    pub fn collate(&self, reports: &[Tokens], length: Length) -> Padded {
        let longest = match length {
            Length::Fixed => self.max_tokens,
            Length::Longest => reports.iter().map(|report| report.ids.len()).max().unwrap_or(0),
        };
        Padded::new(reports, longest, self.pad)
    }
}

pub struct Draft(String);
impl Draft { pub fn text(&self) -> String { self.0.clone() } }

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

/// Sentences with their end marks: a full stop, question or exclamation mark before white space ends one.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let ends = rest.match_indices(['.', '!', '?']).map(|(at, mark)| at + mark.len());
        let end =
            ends.into_iter().find(|&end| rest.get(end..).is_some_and(|next| next.starts_with(char::is_whitespace)));
        let (sentence, next) = rest.split_at(end.unwrap_or(rest.len()));
        found.push(sentence);
        rest = next.trim_start();
    }
    found
}

fn failed(step: &'static str) -> impl FnOnce(tokenizers::Error) -> TextError {
    move |error| TextError::Library { step, reason: error.to_string() }
}
