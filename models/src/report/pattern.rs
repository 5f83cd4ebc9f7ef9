//! A small language for terms: words, alternatives, beginnings and gaps.
//!
//! `pleural|pleura effusion*` is the word `pleural` or `pleura` and then any word that begins with `effusion`; `..` stands
//! for up to fifteen words between its neighbours, `.` for at most two. Of terms that overlap the shortest is found.

use std::ops::Range;

/// Most words that `..` passes over.
const GAP: usize = 15;
/// And `.`.
const NARROW: usize = 2;

/// A term taken apart.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Step>);

#[derive(Debug)]
struct Step {
    /// Most words passed over before this one.
    gap: usize,
    /// A bit for each letter that one of the words begins with: most words of a text are told from these at a glance.
    initials: u32,
    words: Vec<Word>,
}

#[derive(Debug)]
enum Word {
    Whole(&'static str),
    Beginning(&'static str),
}

impl Word {
    fn is(&self, word: &str) -> bool {
        match self {
            Self::Whole(whole) => word == *whole,
            Self::Beginning(beginning) => word.starts_with(beginning),
        }
    }
}

impl Step {
    fn is(&self, word: &str) -> bool {
        self.initials & initial(word) != 0 && self.words.iter().any(|wanted| wanted.is(word))
    }
}

/// The bit of a word's first letter; different letters may share one.
fn initial(word: &str) -> u32 {
    1 << (word.bytes().next().unwrap_or_default() & 31)
}

/// Where a term was found: the places of its words, gaps left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found(pub(super) Vec<usize>);

impl Found {
    /// From its first word to its last.
    pub(super) fn range(&self) -> Range<usize> {
        let first = self.0.first().copied().unwrap_or_default();
        first..self.0.last().map_or(first, |last| last + 1)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (self.range(), other.range());
        one.start < two.end && two.start < one.end
    }
}

impl Pattern {
    pub(super) fn new(term: &'static str) -> Self {
        let mut gap: usize = 0;
        let mut steps = Vec::new();
        for part in term.split(' ') {
            match part {
                ".." => gap += GAP,
                "." => gap += NARROW,
                _ => {
                    let word = |word: &'static str| word.strip_suffix('*').map_or(Word::Whole(word), Word::Beginning);
                    let initials = part.split('|').fold(0, |bits, word| bits | initial(word));
                    steps.push(Step { gap, initials, words: part.split('|').map(word).collect() });
                    gap = 0;
                }
            }
        }
        Self(steps)
    }

    /// The first match that begins at this word.
    pub(super) fn at(&self, words: &[&str], start: usize) -> Option<Found> {
        let mut places = Vec::new();
        let mut next = start;
        for step in &self.0 {
            let is = |(_, word): &(usize, &&str)| step.is(word);
            let (place, _) = words.iter().enumerate().skip(next).take(step.gap + 1).find(is)?;
            places.push(place);
            next = place + 1;
        }
        (!places.is_empty()).then_some(Found(places))
    }
}

/// All places where one of the terms is found. Where two overlap, the shorter one stands.
pub(super) fn find(patterns: &[Pattern], words: &[&str]) -> Vec<Found> {
    let mut all: Vec<Found> =
        patterns.iter().flat_map(|pattern| (0..words.len()).filter_map(|start| pattern.at(words, start))).collect();
    all.sort_by_key(|one| (one.range().len(), one.range().start));
    let mut found: Vec<Found> = Vec::new();
    for one in all {
        if !found.iter().any(|two| two.overlaps(&one)) {
            found.push(one);
        }
    }
    found.sort_by_key(|one| one.range().start);
    found
}
