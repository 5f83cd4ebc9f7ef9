//! From logits to tokens: greedy or beam search, over anything that takes steps.
//!
//! What has been computed of the tokens so far is a value that is never changed: two hypotheses that begin alike share it, and to
//! go back to the beginning of a sentence is to take up the value that stood there.

use super::Settings;
use crate::floor::clock::Stopwatch;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A decoder that goes on by one token.
pub(in crate::infer) trait Steps {
    /// What it has computed so far; a copy shares it.
    type State: Clone;
    /// Why it cannot go on.
    type Error;

    /// Goes on by a token that stands at `place`, from 0. Returns the logits of the token after it.
    fn step(&mut self, past: Option<&Self::State>, token: u32, place: usize) -> Stepped<Self>;
}

/// What a decoder has computed, and the logits of the next token.
pub(in crate::infer) type Stepped<T> = Result<(<T as Steps>::State, Vec<f32>), <T as Steps>::Error>;

/// What the tokens mean to a search.
pub(in crate::infer) struct Grammar<'a> {
    /// The mark at a report's beginning.
    pub(in crate::infer) begin: u32,
    /// The mark that ends a section; the second one ends the report.
    pub(in crate::infer) end: u32,
    /// Marks that no report holds.
    pub(in crate::infer) never: &'a BTreeSet<u32>,
    /// Tokens that end a sentence.
    pub(in crate::infer) stops: &'a BTreeSet<u32>,
    /// Longest report in tokens, marks included.
    pub(in crate::infer) max_tokens: usize,
    /// Whether a sentence, given as the tokens of its section so far, may not stand.
    pub(in crate::infer) forbids: &'a dyn Fn(&[u32]) -> bool,
    /// What a section, given as its tokens so far, has to say besides before it ends.
    pub(in crate::infer) owes: &'a dyn Fn(&[u32]) -> Vec<u32>,
}

/// Sections of a report.
const SECTIONS: usize = 2;
/// Sentences that are taken back before a report is written as it comes: each costs its own tokens once more.
const TAKEN_BACK: usize = 64;

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) enum End {
    /// The report is whole.
    Whole,
    /// It is as long as it may be.
    Length,
    /// Its time is up.
    Time,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::infer) struct Found {
    /// Tokens without the mark at the beginning.
    pub(in crate::infer) ids: Vec<u32>,
    /// How it ended.
    pub(in crate::infer) end: End,
    /// Time to the first token.
    pub(in crate::infer) first: Duration,
    /// Steps that were taken in all.
    pub(in crate::infer) steps: usize,
}

/// Why a search found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::infer) enum Lost<E> {
    /// The decoder cannot go on.
    Decoder(E),
    /// A logit is no number.
    NotFinite,
}

/// A report that is being written.
#[derive(Clone)]
struct Hypothesis<S> {
    ids: Vec<u32>,
    /// Sum of the logarithms of the tokens' probabilities.
    score: f64,
    /// After all tokens but those that no step has been taken for.
    state: S,
    logits: Vec<f32>,
}

/// Where the sentence that is being written begins.
struct Mark<S> {
    hypothesis: Hypothesis<S>,
    /// What it may not begin with.
    barred: BTreeSet<u32>,
}

impl<S> Mark<S> {
    fn at(hypothesis: Hypothesis<S>) -> Self {
        Self { hypothesis, barred: BTreeSet::new() }
    }
}

/// Writes a report.
pub(in crate::infer) fn write<T: Steps>(
    decoder: &mut T,
    grammar: &Grammar<'_>,
    settings: &Settings,
) -> Result<Found, Lost<T::Error>> {
    let clock = Stopwatch::start();
    let (state, logits) = decoder.step(None, grammar.begin, 0).map_err(Lost::Decoder)?;
    let first = Hypothesis { ids: Vec::new(), score: 0.0, state, logits };
    let mut search = Search { decoder, grammar, settings, clock, steps: 1, first: Duration::ZERO };
    let (ids, end) = if settings.beams > 1 { search.beam(first)? } else { search.greedy(first)? };
    Ok(Found { ids, end, first: search.first, steps: search.steps })
}

struct Search<'a, T> {
    decoder: &'a mut T,
    grammar: &'a Grammar<'a>,
    settings: &'a Settings,
    clock: Stopwatch,
    steps: usize,
    first: Duration,
}

impl<T: Steps> Search<'_, T> {
    fn greedy(&mut self, first: Hypothesis<T::State>) -> Result<(Vec<u32>, End), Lost<T::Error>> {
        let mut now = first;
        let mut mark = Mark::at(now.clone());
        let (end, none, mut back) = (self.grammar.end, BTreeSet::new(), 0);
        // What a section owes, and whether it has been put to it: a reader that does not find it there is not asked for ever.
        let (mut owed, mut is_paid) = (VecDeque::new(), false);
        loop {
            if let Some(end) = self.ended(&now) {
                return Ok((now.ids, end));
            }
            if let Some(token) = owed.pop_front() {
                now = self.on(&now, token, 0.0)?;
                mark = Mark::at(now.clone());
                continue;
            }
            let begins = now.ids.len() == mark.hypothesis.ids.len();
            let best = self.best(&now, 1, if begins { &mark.barred } else { &none })?;
            let Some(&(token, chance)) = best.first() else { return Ok((now.ids, End::Length)) };
            let next = self.on(&now, token, chance)?;
            if !self.grammar.stops.contains(&token) && token != end {
                now = next;
                continue;
            }
            let section = told_in_section(&next.ids, end);
            if !begins && back < TAKEN_BACK && (self.says_again(section) || (self.grammar.forbids)(section)) {
                back += 1;
                mark.barred.extend(now.ids.get(mark.hypothesis.ids.len()));
                now = mark.hypothesis.clone();
                continue;
            }
            if token == end && !is_paid {
                is_paid = true;
                owed.extend((self.grammar.owes)(section));
                if !owed.is_empty() {
                    continue;
                }
            }
            is_paid &= token != end;
            now = next;
            mark = Mark::at(now.clone());
        }
    }

    /// Beam search: the best reports by mean log-probability, to the power that `length` asks for.
    fn beam(&mut self, first: Hypothesis<T::State>) -> Result<(Vec<u32>, End), Lost<T::Error>> {
        let beams = self.settings.beams;
        let mut open = vec![first];
        let mut done: Vec<(Vec<u32>, f64, End)> = Vec::new();
        let none = BTreeSet::new();
        while !open.is_empty() && done.len() < beams {
            let mut next: Vec<(usize, u32, f64)> = Vec::new();
            let mut ended = Vec::new();
            for (place, hypothesis) in open.iter().enumerate() {
                if let Some(end) = self.ended(hypothesis) {
                    ended.push((hypothesis.ids.clone(), self.worth(hypothesis), end));
                    continue;
                }
                let best = self.best(hypothesis, beams, &none)?;
                next.extend(best.into_iter().map(|(token, chance)| (place, token, chance)));
            }
            done.extend(ended);
            let score =
                |&(place, _, chance): &(usize, u32, f64)| open.get(place).map_or(f64::MIN, |open| open.score) + chance;
            next.sort_by(|left, right| score(right).total_cmp(&score(left)));
            next.truncate(beams.saturating_sub(done.len()));
            let grown: Result<Vec<_>, _> = next
                .into_iter()
                .filter_map(|(place, token, chance)| open.get(place).map(|open| (open, token, chance)))
                .map(|(open, token, chance)| self.on(open, token, chance))
                .collect();
            open = grown?;
        }
        let best = done.into_iter().max_by(|left, right| left.1.total_cmp(&right.1));
        Ok(best.map_or((Vec::new(), End::Length), |(ids, _, end)| (ids, end)))
    }

    /// Whether a section's last sentence is one that it has said already, where the settings care.
    fn says_again(&self, section: &[u32]) -> bool {
        let mut sentences: Vec<&[u32]> = section.split_inclusive(|id| self.grammar.stops.contains(id)).collect();
        let last = sentences.pop();
        self.settings.no_repeat > 0 && last.is_some_and(|last| sentences.contains(&last))
    }

    fn worth(&self, hypothesis: &Hypothesis<T::State>) -> f64 {
        let length = u32::try_from(hypothesis.ids.len().max(1)).map_or(f64::INFINITY, f64::from);
        hypothesis.score / length.powf(self.settings.length)
    }

    fn ended(&self, hypothesis: &Hypothesis<T::State>) -> Option<End> {
        let ends = hypothesis.ids.iter().filter(|id| **id == self.grammar.end).count();
        let longest = if self.settings.max_tokens == 0 { usize::MAX } else { self.settings.max_tokens };
        if ends >= SECTIONS {
            Some(End::Whole)
        } else if hypothesis.ids.len() + 1 >= self.grammar.max_tokens.min(longest) {
            Some(End::Length)
        } else if self.clock.elapsed().as_secs_f64() > self.settings.within_s {
            Some(End::Time)
        } else {
            None
        }
    }

    /// The `count` likeliest tokens that may follow, with the logarithms of their probabilities.
    fn best(
        &self,
        hypothesis: &Hypothesis<T::State>,
        count: usize,
        barred: &BTreeSet<u32>,
    ) -> Result<Vec<(u32, f64)>, Lost<T::Error>> {
        if !hypothesis.logits.iter().all(|logit| logit.is_finite()) {
            return Err(Lost::NotFinite);
        }
        let repeats = repeats(&hypothesis.ids, self.settings.no_repeat, self.grammar.end);
        let allowed = |id: u32| !self.grammar.never.contains(&id) && !barred.contains(&id) && !repeats.contains(&id);
        let highest = hypothesis.logits.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = hypothesis.logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        let norm = f64::from(highest) + sum.ln();
        let mut tokens: Vec<(u32, f64)> = (0..)
            .zip(&hypothesis.logits)
            .filter(|(id, _)| allowed(*id))
            .map(|(id, logit)| (id, f64::from(*logit) - norm))
            .collect();
        let order = |left: &(u32, f64), right: &(u32, f64)| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0));
        if tokens.len() > count && count > 0 {
            tokens.select_nth_unstable_by(count - 1, order);
            tokens.truncate(count);
        }
        tokens.sort_by(order);
        Ok(tokens)
    }

    fn on(
        &mut self,
        from: &Hypothesis<T::State>,
        token: u32,
        chance: f64,
    ) -> Result<Hypothesis<T::State>, Lost<T::Error>> {
        if self.first.is_zero() {
            self.first = self.clock.elapsed();
        }
        let ids = [from.ids.as_slice(), &[token]].concat();
        let (state, logits) = self.decoder.step(Some(&from.state), token, ids.len()).map_err(Lost::Decoder)?;
        self.steps += 1;
        Ok(Hypothesis { ids, score: from.score + chance, state, logits })
    }
}

/// Tokens that would say the same `length` tokens a second time in one section.
fn repeats(ids: &[u32], length: usize, end: u32) -> BTreeSet<u32> {
    let section = told_in_section(ids, end);
    let Some(before) = length.checked_sub(1).filter(|before| *before > 0 && section.len() >= *before) else {
        return BTreeSet::new();
    };
    let (_, last) = section.split_at(section.len() - before);
    section
        .windows(length)
        .filter_map(|window| window.split_last())
        .filter(|(_, begin)| *begin == last)
        .map(|(id, _)| *id)
        .collect()
}

/// The tokens of the section that is being written, or was just ended.
fn told_in_section(ids: &[u32], end: u32) -> &[u32] {
    ids.strip_suffix(&[end]).unwrap_or(ids).rsplit(|id| *id == end).next().unwrap_or_default()
}
