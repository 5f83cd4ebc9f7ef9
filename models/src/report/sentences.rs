//! Takes a section, gives its sentences and their words.
//!
//! Reports are translated, dictated and wrapped by machines, so a full stop may end a sentence, stand in a number, follow an
//! abbreviation or be missing before a bullet.

use std::ops::Range;

/// A word, a number or a mark of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// In lower case. Hyphens and slashes part words and are no tokens.
    pub(super) word: String,
    /// Bytes from the beginning of the text.
    pub(super) span: Range<usize>,
}

/// What a full stop may follow without ending a sentence, unless a capital follows.
const ABBREVIATIONS: [&str; 10] = ["th", "approx", "vs", "e.g", "i.e", "ca", "no", "fig", "im", "ser"];
/// What a name follows: no sentence ends there.
const TITLES: [&str; 6] = ["dr", "prof", "assoc", "assist", "spec", "mr"];

/// How many letters before a full stop are looked at; a longer word is no abbreviation.
const WORD_LETTERS: usize = 16;

/// Marks that are tokens of their own.
const MARKS: [char; 6] = [',', ';', ':', '(', ')', '?'];

/// The sentences of a stretch of text, as bytes of the text.
pub(super) fn sentences(text: &str, within: Range<usize>) -> Vec<Range<usize>> {
    let offset = within.start;
    let Some(part) = text.get(within) else { return Vec::new() };
    let mut sentences = Vec::new();
    let mut from = 0;
    let mut depth = 0_usize;
    let mut letters = part.char_indices().peekable();
    let mut before = ' ';
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|&(_, next)| next);
        let end = at + letter.len_utf8();
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let rest = part.get(end..).unwrap_or_default();
        let ends = match letter {
            '.' => ends_at_stop(part.get(from..at).unwrap_or_default(), rest),
            // Inside brackets it doubts a word.
            '?' | '!' => depth == 0 && rest.chars().find(|letter| !letter.is_whitespace()).is_none_or(begins),
            '\n' => !rest.trim_start_matches([' ', '\t', '\r']).starts_with(char::is_lowercase),
            '•' | '·' | '●' | '▪' | '“' | '”' => true,
            // As a bullet it stands after a space or a stop; around a word it does not stand before a space.
            '"' => before.is_whitespace() && next.is_none_or(begins) || ".?!".contains(before),
            _ => false,
        };
        if ends {
            sentences.push(from..end);
            from = end;
            depth = 0;
        }
        before = letter;
    }
    sentences.push(from..part.len());
    sentences.retain(|span| part.get(span.clone()).is_some_and(|text| text.contains(char::is_alphanumeric)));
    sentences.into_iter().map(|span| trimmed(part, span)).map(|span| span.start + offset..span.end + offset).collect()
}

fn trimmed(part: &str, span: Range<usize>) -> Range<usize> {
    let text = part.get(span.clone()).unwrap_or_default();
    let start = span.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// Whether a sentence may begin with this: anything but a small letter or a closing mark.
fn begins(letter: char) -> bool {
    !letter.is_lowercase() && !",;:)".contains(letter)
}

/// Whether the full stop between the two ends a sentence.
fn ends_at_stop(before: &str, after: &str) -> bool {
    let in_word = |letter: &char| !letter.is_whitespace() && *letter != '(';
    let last: String = before.chars().rev().take_while(in_word).take(WORD_LETTERS).collect();
    let last: String = last.chars().rev().flat_map(char::to_lowercase).collect();
    let Some(next) = after.chars().next() else { return true };
    let follows = after.trim_start().chars().next();
    let is_number = !last.is_empty() && last.chars().all(|letter| letter.is_ascii_digit());
    if !next.is_whitespace() {
        // "2.5", "e.g."; but "lobe.In" lost its space.
        return next.is_uppercase() && last.chars().count() > 1 && !is_number || "\"•·“”".contains(next);
    }
    // "the 7. rib", "Th. 4": the sentence goes on unless a new one clearly begins.
    let goes_on = is_number || last.chars().count() == 1 || ABBREVIATIONS.contains(&last.as_str());
    !TITLES.contains(&last.as_str()) && (!goes_on || follows.is_none_or(char::is_uppercase))
}

/// The tokens of a sentence.
pub(super) fn tokens(text: &str, sentence: &Range<usize>) -> Vec<Token> {
    let part = text.get(sentence.clone()).unwrap_or_default();
    let mut tokens: Vec<Token> = Vec::new();
    let mut letters = part.char_indices().peekable();
    let mut open: Option<usize> = None;
    let mut push = |from: usize, to: usize| {
        let word = part.get(from..to).unwrap_or_default().to_lowercase();
        tokens.push(Token { word, span: sentence.start + from..sentence.start + to });
    };
    let mut before = ' ';
    while let Some((at, letter)) = letters.next() {
        let next_is_digit = letters.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        let in_number = before.is_ascii_digit() && next_is_digit && matches!(letter, '.' | ',');
        if letter.is_alphanumeric() || letter == '\'' || letter == '’' || in_number {
            open.get_or_insert(at);
        } else {
            if let Some(from) = open.take() {
                push(from, at);
            }
            if MARKS.contains(&letter) {
                push(at, at + letter.len_utf8());
            }
        }
        before = letter;
    }
    if let Some(from) = open {
        push(from, part.len());
    }
    tokens
}
