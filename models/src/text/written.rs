//! Pieces of words to text that a person reads.

use super::CONTINUED;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a decoder wrote, in the sections of a report. A draft: no physician has seen it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// What is seen.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

impl Draft {
    /// Both sections as one text.
    pub fn text(&self) -> String {
        [self.findings.as_str(), self.impression.as_str()].join(" ").trim().to_owned()
    }
}

/// How a piece stands to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Space,
    None,
}

/// Joins pieces as reports are written: what BERT's splitting at punctuation took apart ("2.5 cm", "ground-glass", "1/2") comes
/// together again, and sentences begin with a capital, which a lower-case vocabulary does not know of.
pub(super) fn written(pieces: &[String]) -> String {
    let words = words(pieces);
    let mut text = String::new();
    let mut begins = true;
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| words.get(place));
        if before.is_some_and(|before| gap(&words, (before, word), place) == Gap::Space) {
            text.push(' ');
        }
        if begins && word.chars().any(char::is_alphanumeric) {
            text.push_str(&capital(word));
            begins = false;
        } else {
            text.push_str(word);
        }
        let is_number = gap_after(&words, place) == Gap::None;
        begins |= matches!(word.as_str(), "." | "!" | "?") && !is_number;
    }
    text
}

/// Pieces that go on a word are put to it.
fn words(pieces: &[String]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in pieces {
        match (piece.strip_prefix(CONTINUED), words.last_mut()) {
            (Some(rest), Some(word)) => word.push_str(rest),
            (Some(rest), None) => words.push(rest.to_owned()),
            (None, _) => words.push(piece.clone()),
        }
    }
    words
}

fn gap_after(words: &[String], place: usize) -> Gap {
    match (words.get(place), words.get(place + 1)) {
        (Some(word), Some(next)) => gap(words, (word, next), place + 1),
        _ => Gap::Space,
    }
}

/// What stands between a word and the one at `place`, which follows it.
fn gap(words: &[String], (before, word): (&str, &str), place: usize) -> Gap {
    let is_word = |text: &str| text.chars().all(char::is_alphanumeric);
    let is_digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
    let two_back = place.checked_sub(2).and_then(|place| words.get(place)).map_or("", String::as_str);
    let next = words.get(place + 1).map_or("", String::as_str);
    let tight = match (before, word) {
        (_, "." | "," | ";" | ":" | "?" | "!" | ")" | "]" | "%") | ("(" | "[", _) => true,
        // 2.5: a stop between two numbers parts no sentences.
        ("." | ",", word) => is_digits(word) && !two_back.is_empty() && is_digits(two_back),
        // ground-glass, 1/2
        (before, "-" | "/" | "'") => is_word(before) && !next.is_empty() && is_word(next),
        ("-" | "/" | "'", word) => is_word(word) && !two_back.is_empty() && is_word(two_back),
        _ => false,
    };
    if tight { Gap::None } else { Gap::Space }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
