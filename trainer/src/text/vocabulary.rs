//! A `WordPiece` vocabulary learned from a corpus: the most frequent pair of neighbouring pieces becomes a piece, until
//! there are enough.
//!
//! The `tokenizers` crate has the same algorithm, but numbers the letters in the order of a randomly seeded hash map and
//! breaks ties by these numbers, so that the same corpus gives another vocabulary at every run. Here ties go to the pair
//! that was known first, and nothing hangs on a hash.

use super::TextError;
use super::tokenizer::MARKS;
use ctedge_models::text::CONTINUED;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A pair that is seen less often is not worth a piece.
const RAREST: u64 = 2;

type Pair = (usize, usize);

/// At most `size` pieces, in the order of their numbers: the marks, the letters, then what was merged. `words` are the
/// corpus's words with their counts.
pub(super) fn learned(words: &BTreeMap<String, u64>, size: usize) -> Result<Vec<String>, TextError> {
    let mut pieces: Vec<String> = MARKS.map(str::to_owned).into();
    pieces.extend(letters(words));
    if pieces.len() > size {
        return Err(TextError::Crowded { wanted: size, letters: pieces.len() });
    }
    let numbers = pieces.iter().cloned().zip(0..).collect();
    let mut learner = Learner { pieces, numbers, ..Learner::default() };
    for (word, &count) in words {
        learner.add(word, count);
    }
    while learner.pieces.len() < size && learner.merge() {}
    Ok(learner.pieces)
}

/// Every letter as the beginning of a word, and those that go on a word with their prefix.
fn letters(words: &BTreeMap<String, u64>) -> BTreeSet<String> {
    words
        .keys()
        .flat_map(|word| spelled(word))
        .flat_map(|letter| {
            let bare = letter.strip_prefix(CONTINUED).unwrap_or(&letter).to_owned();
            [bare, letter]
        })
        .collect()
}

/// A word's letters, all but the first with the prefix of going on.
fn spelled(word: &str) -> impl Iterator<Item = String> {
    let prefixes = std::iter::once("").chain(std::iter::repeat(CONTINUED));
    word.chars().zip(prefixes).map(|(letter, prefix)| format!("{prefix}{letter}"))
}

#[derive(Debug, Default)]
struct Learner {
    pieces: Vec<String>,
    numbers: BTreeMap<String, usize>,
    /// Words as pieces, with their counts.
    words: Vec<(Vec<usize>, u64)>,
    counts: BTreeMap<Pair, u64>,
    /// Words in which a pair has stood; it may have gone since.
    places: BTreeMap<Pair, BTreeSet<usize>>,
    /// Pairs by their counts; the last is merged next.
    ranked: BTreeSet<(u64, Reverse<Pair>)>,
}

impl Learner {
    fn add(&mut self, word: &str, count: u64) {
        let spelled: Vec<usize> = spelled(word).filter_map(|letter| self.numbers.get(&letter).copied()).collect();
        let place = self.words.len();
        for pair in pairs(&spelled) {
            self.count(pair, |total| total + count);
            self.places.entry(pair).or_default().insert(place);
        }
        self.words.push((spelled, count));
    }

    /// Makes the most frequent pair a piece; false when none is frequent enough.
    fn merge(&mut self) -> bool {
        let Some(&(count, Reverse(pair))) = self.ranked.last() else { return false };
        if count < RAREST {
            return false;
        }
        let merged = self.piece(pair);
        for place in self.places.remove(&pair).unwrap_or_default() {
            let Some((word, count)) = self.words.get_mut(place) else { continue };
            let (count, before) = (*count, std::mem::take(word));
            let after = joined(&before, pair, merged);
            for old in pairs(&before) {
                self.count(old, |total| total.saturating_sub(count));
            }
            for new in pairs(&after) {
                self.count(new, |total| total + count);
                self.places.entry(new).or_default().insert(place);
            }
            if let Some((word, _)) = self.words.get_mut(place) {
                *word = after;
            }
        }
        true
    }

    /// Number of the piece that a pair makes; another pair may have made it already.
    fn piece(&mut self, (left, right): Pair) -> usize {
        let text = |number: usize| self.pieces.get(number).map_or("", String::as_str);
        let right = text(right);
        let merged = format!("{}{}", text(left), right.strip_prefix(CONTINUED).unwrap_or(right));
        let next = self.pieces.len();
        let number = *self.numbers.entry(merged.clone()).or_insert(next);
        if number == next {
            self.pieces.push(merged);
        }
        number
    }

    fn count(&mut self, pair: Pair, change: impl Fn(u64) -> u64) {
        let before = self.counts.get(&pair).copied().unwrap_or(0);
        let after = change(before);
        self.ranked.remove(&(before, Reverse(pair)));
        if after == 0 {
            self.counts.remove(&pair);
        } else {
            self.counts.insert(pair, after);
            self.ranked.insert((after, Reverse(pair)));
        }
    }
}

fn pairs(word: &[usize]) -> impl Iterator<Item = Pair> {
    word.iter().copied().zip(word.iter().copied().skip(1))
}

/// A word in which every occurrence of a pair, from the left, is one piece.
fn joined(word: &[usize], pair: Pair, merged: usize) -> Vec<usize> {
    let mut after = Vec::with_capacity(word.len());
    let mut rest = word.iter().copied().peekable();
    while let Some(piece) = rest.next() {
        if piece == pair.0 && rest.next_if_eq(&pair.1).is_some() {
            after.push(merged);
        } else {
            after.push(piece);
        }
    }
    after
}
