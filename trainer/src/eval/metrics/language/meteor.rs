//! METEOR (Lavie & Agarwal 2007) without synonyms.

use super::super::{mean, real};
use super::Pair;
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::BTreeMap;

/// Weight of recall in the harmonic mean.
const ALPHA: f64 = 0.9;
/// Exponent of the share of chunks.
const BETA: f64 = 3.0;
/// The greatest penalty.
const GAMMA: f64 = 0.5;

/// A word that has found no partner yet, with its place.
type Free = (usize, String);

/// METEOR of one text: words are lowered and matched exactly, the rest by their stem; of matches m in c chunks of
/// neighbours, precision P and recall R, it is `(1 - 0.5 (c/m)^3) P R / (0.9 P + 0.1 R)`. 0 without a match.
///
/// It is nltk's `single_meteor_score` with the `SnowballStemmer("english")` and an empty `WordNet`: the stemmer is Porter2,
/// which METEOR 1.5 uses, and **there are no synonyms**, so that it lies below scores that use one. Like nltk it
/// pairs the last free occurrences, from the end, and does not search for the alignment of fewest chunks.
pub fn meteor(pair: &Pair) -> f64 {
    let lowered = |tokens: &[String]| tokens.iter().map(|token| token.to_lowercase()).enumerate().collect();
    let (mut candidate, mut reference): (Vec<Free>, Vec<Free>) = (lowered(&pair.candidate), lowered(&pair.reference));
    let mut matches = matched(&mut candidate, &mut reference);
    let stemmer = Stemmer::create(Algorithm::English);
    for (_, word) in candidate.iter_mut().chain(&mut reference) {
        *word = stemmer.stem(word).into_owned();
    }
    matches.extend(matched(&mut candidate, &mut reference));
    if matches.is_empty() {
        return 0.0;
    }
    matches.sort_unstable();
    let joined = |pair: &[(usize, usize)]| matches!(pair, [a, b] if b.0 == a.0 + 1 && b.1 == a.1 + 1);
    let chunks = matches.len() - matches.windows(2).filter(|pair| joined(pair)).count();
    let precision = real(matches.len()) / real(pair.candidate.len());
    let recall = real(matches.len()) / real(pair.reference.len());
    let penalty = GAMMA * (real(chunks) / real(matches.len())).powf(BETA);
    (1.0 - penalty) * precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall)
}

/// The mean of [`meteor`] over texts; `None` of no pairs.
pub fn mean_meteor(pairs: &[Pair]) -> Option<f64> {
    mean(&pairs.iter().map(meteor).collect::<Vec<_>>())
}

/// Takes equal words out of both lists and returns their places.
fn matched(candidate: &mut Vec<Free>, reference: &mut Vec<Free>) -> Vec<(usize, usize)> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, word) in &*reference {
        places.entry(word.clone()).or_default().push(*place);
    }
    let mut found = Vec::new();
    for (place, word) in candidate.iter().rev() {
        if let Some(partner) = places.get_mut(word).and_then(Vec::pop) {
            found.push((*place, partner));
        }
    }
    candidate.retain(|(place, _)| found.iter().all(|(taken, _)| taken != place));
    reference.retain(|(place, _)| found.iter().all(|(_, taken)| taken != place));
    found
}
