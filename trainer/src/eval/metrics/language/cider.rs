//! CIDEr-D (Vedantam et al. 2015) as pycocoevalcap computes it.

use super::super::{mean, real, tally};
use super::{LONGEST, Pair, ngrams};
use std::collections::BTreeMap;

/// Width of the penalty on a difference in length.
const SIGMA: f64 = 6.0;

/// The mean over texts of ten times the mean over n = 1 to 4 of the cosine between tf-idf vectors of n-grams, the
/// candidate's clipped to the reference's, times a Gaussian of the difference in length. From 0 to 10; `None` of no
/// pairs.
///
/// Document frequencies are those of the references given, so that a score belongs to its test set; the score of a single
/// pair is 0. As in pycocoevalcap's `Cider` (which is CIDEr-D by definition) the counts are not divided by the text's length
/// and lengths are counted in bigrams.
pub fn cider_d(pairs: &[Pair]) -> Option<f64> {
    let corpus = real(pairs.len()).ln();
    let mut scores = vec![0.0; pairs.len()];
    for length in 1..=LONGEST {
        let documents = tally(pairs.iter().flat_map(|pair| ngrams(&pair.reference, length).into_keys()));
        let rarity = |ngram: &[String]| corpus - real(documents.get(ngram).copied().unwrap_or(1)).ln();
        for (score, pair) in scores.iter_mut().zip(pairs) {
            *score += cosine(&weights(&pair.candidate, length, rarity), &weights(&pair.reference, length, rarity));
        }
    }
    let finished = |(score, pair): (&f64, &Pair)| {
        let bigrams = |tokens: &[String]| real(tokens.len().saturating_sub(1));
        let apart = bigrams(&pair.candidate) - bigrams(&pair.reference);
        10.0 * score / real(LONGEST) * (-apart * apart / (2.0 * SIGMA * SIGMA)).exp()
    };
    mean(&scores.iter().zip(pairs).map(finished).collect::<Vec<_>>())
}

/// Count times rarity of each n-gram.
fn weights(tokens: &[String], length: usize, rarity: impl Fn(&[String]) -> f64) -> BTreeMap<&[String], f64> {
    ngrams(tokens, length).into_iter().map(|(ngram, count)| (ngram, real(count) * rarity(ngram))).collect()
}

/// The cosine with the candidate's weights clipped, by the norms before clipping; 0 if either norm is.
fn cosine(candidate: &BTreeMap<&[String], f64>, reference: &BTreeMap<&[String], f64>) -> f64 {
    let norm = |weights: &BTreeMap<&[String], f64>| weights.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    let clipped =
        |(ngram, weight): (&&[String], &f64)| reference.get(ngram).map_or(0.0, |other| weight.min(*other) * other);
    let norms = norm(candidate) * norm(reference);
    if norms > 0.0 { candidate.iter().map(clipped).sum::<f64>() / norms } else { 0.0 }
}
