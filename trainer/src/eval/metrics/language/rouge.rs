//! ROUGE (Lin 2004) as Google's `rouge-score` computes it without stemming.

use super::super::real;
use super::{Overlap, Pair, shared};

/// Overlap of words, of word pairs, and of the longest common subsequence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rouge {
    /// ROUGE-1.
    pub words: Overlap,
    /// ROUGE-2.
    pub bigrams: Overlap,
    /// ROUGE-L over the whole text as one sentence (`rougeL`, not `rougeLsum`).
    pub longest: Overlap,
}

/// Of one text, on tokens of [`tokens_rouge`](super::tokens_rouge).
pub fn rouge(pair: &Pair) -> Rouge {
    let Pair { candidate, reference } = pair;
    let overlap = |common: usize, length: usize| {
        let of = |tokens: &[String]| real((tokens.len() + 1).saturating_sub(length).max(1));
        Overlap::new(real(common) / of(candidate), real(common) / of(reference))
    };
    Rouge {
        words: overlap(shared(candidate, reference, 1), 1),
        bigrams: overlap(shared(candidate, reference, 2), 2),
        longest: overlap(common_subsequence(candidate, reference), 1),
    }
}

/// The mean of each number over texts; `None` of no pairs. The F1 is the mean of F1s, not the F1 of means.
pub fn mean_rouge(pairs: &[Pair]) -> Option<Rouge> {
    let all: Vec<Rouge> = pairs.iter().map(rouge).collect();
    let mean = |part: fn(&Rouge) -> &Overlap| {
        let mean =
            |number: fn(&Overlap) -> f64| all.iter().map(|rouge| number(part(rouge))).sum::<f64>() / real(all.len());
        Overlap { precision: mean(|o| o.precision), recall: mean(|o| o.recall), f1: mean(|o| o.f1) }
    };
    (!all.is_empty()).then(|| Rouge {
        words: mean(|r| &r.words),
        bigrams: mean(|r| &r.bigrams),
        longest: mean(|r| &r.longest),
    })
}

/// Length of the longest common subsequence, by the usual table, of which one row is kept.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut lengths = vec![0; b.len()];
    for word in a {
        let (mut diagonal, mut left) = (0, 0);
        for (above, other) in lengths.iter_mut().zip(b) {
            let here = if word == other { diagonal + 1 } else { left.max(*above) };
            (diagonal, left) = (*above, here);
            *above = here;
        }
    }
    lengths.last().copied().unwrap_or(0)
}
