//! BERT's tokenizer: clean, split at white space and punctuation, then the longest pieces of the vocabulary.

use super::TokenizerError;
use super::written::{Draft, written};
use tokenizers::Tokenizer as Library;

/// Prefix of a piece that goes on a word.
pub const CONTINUED: &str = "##";
/// The mark that fills up a shorter report.
pub const PAD: &str = "[PAD]";
/// The mark of a word that the vocabulary cannot spell.
pub const UNKNOWN: &str = "[UNK]";
/// The mark at a report's beginning.
pub const BEGIN: &str = "[CLS]";
/// The mark at its end, and at the end of each section of a draft.
pub const END: &str = "[SEP]";

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
    /// Reads a `tokenizer.json`, for reports of at most `max_tokens`, both marks included.
    ///
    /// # Errors
    /// It is no tokenizer, or none with BERT's marks.
    pub fn from_json(json: &str, max_tokens: usize) -> Result<Self, TokenizerError> {
        let mut library: Library = json.parse().map_err(failed("reading tokenizer.json"))?;
        // A report that spells a mark out is a text like any other.
        library.set_encode_special_tokens(true);
        let number = |mark| library.token_to_id(mark).ok_or(TokenizerError::NoMark { mark });
        let (begin, end, pad) = (number(BEGIN)?, number(END)?, number(PAD)?);
        number(UNKNOWN)?;
        Ok(Self { library, begin, end, pad, max_tokens })
    }

    /// `tokenizer.json`, as Python's `tokenizers` reads it. The same tokenizer gives the same text.
    ///
    /// # Errors
    /// The library's.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.library.to_string(true).map_err(failed("writing tokenizer.json"))
    }

    /// Number of pieces: rows of a table of word vectors.
    pub fn vocabulary(&self) -> usize {
        self.library.get_vocab_size(true)
    }

    /// Id of the mark at a report's beginning.
    pub fn begin(&self) -> u32 {
        self.begin
    }

    /// Id of the mark at the end of a report or section.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Id of the mark that fills up a shorter report.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// Id of a piece or mark, where the vocabulary has it.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.library.token_to_id(piece)
    }

    /// Longest report in tokens, both marks included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// A report's tokens. One that is longer than `max_tokens` loses whole sentences from its end.
    ///
    /// # Errors
    /// The library's.
    pub fn encode(&self, text: &str) -> Result<Tokens, TokenizerError> {
        let (inner, left_out) = self.within(text, self.max_tokens.saturating_sub(2))?;
        let ids = std::iter::once(self.begin).chain(inner).chain(std::iter::once(self.end)).collect();
        Ok(Tokens { ids, left_out })
    }

    /// At most `room` tokens of a text, without marks: as many whole sentences as fit, or the beginning of one that is longer
    /// by itself; and how many sentences were left out or cut.
    ///
    /// # Errors
    /// The library's.
    pub fn within(&self, text: &str, room: usize) -> Result<(Vec<u32>, usize), TokenizerError> {
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

    /// The sections that a decoder wrote, each ended by [`END`]; what follows the second end is no part of them.
    pub fn draft(&self, ids: &[u32]) -> Draft {
        let mut sections = ids.split(|id| *id == self.end).map(|section| self.text(section));
        Draft { findings: sections.next().unwrap_or_default(), impression: sections.next().unwrap_or_default() }
    }

    /// The text of token ids, marks left out.
    fn text(&self, ids: &[u32]) -> String {
        let kept = ids.iter().filter(|id| ![self.begin, self.end, self.pad].contains(id));
        let pieces: Vec<String> = kept.filter_map(|id| self.library.id_to_token(*id)).collect();
        written(&pieces)
    }
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

fn failed(step: &'static str) -> impl FnOnce(tokenizers::Error) -> TokenizerError {
    move |error| TokenizerError::Library { step, reason: error.to_string() }
}
