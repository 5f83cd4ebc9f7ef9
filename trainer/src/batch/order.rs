//! Which cases a step sees.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The cases of a step: each epoch goes through all scans once in a new order, and takes one reconstruction of each; what
/// does not fill a batch at its end is left for the next order. `None` if there are fewer scans than a batch has.
pub(super) fn members(groups: &[Vec<usize>], seed: u64, batch: usize, step: usize) -> Option<Vec<usize>> {
    let per_epoch = groups.len() / batch.max(1);
    let (epoch, turn) = (step.checked_div(per_epoch)?, step.checked_rem(per_epoch)?);
    let mut random = stream("order", seed, &[epoch]);
    let mut shuffled: Vec<&Vec<usize>> = groups.iter().collect();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, below(&mut random, last + 1));
    }
    let turn = shuffled.into_iter().skip(turn * batch).take(batch);
    turn.map(|group| group.get(below(&mut random, group.len())).copied()).collect()
}

/// Random numbers that follow from what they are for, a seed and counters alone.
pub(super) fn stream(purpose: &str, seed: u64, counters: &[usize]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(purpose);
    hash.update(seed.to_le_bytes());
    for counter in counters {
        hash.update(u64::try_from(*counter).unwrap_or(u64::MAX).to_le_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A whole number below `bound`, by multiplication (Lemire 2019, without its rejection: the bias is below 2^-40 for the
/// counts here).
pub(super) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    let wide = u128::from(random.next_u64()) * u128::try_from(bound).unwrap_or(0);
    usize::try_from(wide >> 64).unwrap_or(0)
}
