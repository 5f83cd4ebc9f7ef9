//! BLEU (Papineni et al. 2002) as sacrebleu computes it (Post 2018), from 0 to 1 where sacrebleu prints 0 to 100.

use super::super::{mean, real};
use super::{LONGEST, Pair, shared};

/// What BLEU is made of, of one text or summed over a corpus.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    matches: [usize; LONGEST],
    ngrams: [usize; LONGEST],
    candidate: usize,
    reference: usize,
}

impl Counts {
    fn add(mut self, pair: &Pair) -> Self {
        self.candidate += pair.candidate.len();
        self.reference += pair.reference.len();
        for (place, (matches, ngrams)) in self.matches.iter_mut().zip(&mut self.ngrams).enumerate() {
            *matches += shared(&pair.candidate, &pair.reference, place + 1);
            *ngrams += pair.candidate.len().saturating_sub(place);
        }
        self
    }

    /// The brevity penalty times the geometric mean of the precisions of 1 to `order`-grams. The m-th order without a
    /// match has half as many matches as the one before, `1 / 2^m` (Chen & Cherry 2014, method 3; `smooth:exp`).
    fn bleu(&self, order: usize) -> f64 {
        let counts = || self.matches.iter().zip(&self.ngrams).take(order);
        if order == 0 || counts().all(|(&matches, _)| matches == 0) || counts().any(|(_, &ngrams)| ngrams == 0) {
            return 0.0;
        }
        let mut smoothed = 1.0;
        let mut sum = 0.0;
        for (&matches, &ngrams) in counts() {
            if matches == 0 {
                smoothed /= 2.0;
            }
            sum += (if matches == 0 { smoothed } else { real(matches) } / real(ngrams)).ln();
        }
        let brevity = (1.0 - real(self.reference) / real(self.candidate)).min(0.0).exp();
        brevity * (sum / real(order)).exp()
    }
}

/// Corpus BLEU-1 to BLEU-4, each the cumulative score up to its order: sacrebleu's
/// `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp` on tokens of [`tokens_13a`](super::tokens_13a). `None` of no pairs.
pub fn corpus_bleu(pairs: &[Pair]) -> Option<[f64; LONGEST]> {
    let counts = pairs.iter().fold(Counts::default(), Counts::add);
    (!pairs.is_empty()).then(|| [1, 2, 3, 4].map(|order| counts.bleu(order)))
}

/// The mean over texts of smoothed sentence BLEU-4, as evaluations that score texts one by one report: sacrebleu's
/// `sentence_score` with `eff:yes|smooth:exp`, which leaves out orders longer than the candidate. Not comparable with
/// [`corpus_bleu`]. `None` of no pairs.
pub fn mean_sentence_bleu(pairs: &[Pair]) -> Option<f64> {
    let score = |pair: &Pair| Counts::default().add(pair).bleu(pair.candidate.len().min(LONGEST));
    mean(&pairs.iter().map(score).collect::<Vec<_>>())
}
