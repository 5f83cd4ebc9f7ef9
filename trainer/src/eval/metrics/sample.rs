//! Random choices from a seed, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random choices.
#[derive(Debug)]
pub(in crate::eval) struct Draw(ChaCha8Rng);

impl Draw {
    pub(in crate::eval) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, all alike probable; 0 if the bound is 0. Numbers beyond the last whole multiple of the
    /// bound are drawn again, without which small numbers would be favoured.
    pub(in crate::eval) fn below(&mut self, bound: usize) -> usize {
        let Ok(wide) = u64::try_from(bound.max(1)) else { return 0 };
        let fair = u64::MAX - u64::MAX % wide;
        loop {
            let bits = self.0.next_u64();
            if bits < fair {
                return usize::try_from(bits % wide).unwrap_or(0);
            }
        }
    }

    /// `size` of the numbers below `bound`, each subset alike probable, in ascending order.
    pub(super) fn subset(&mut self, size: usize, bound: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..bound).collect();
        let size = size.min(bound);
        for place in 0..size {
            let other = place + self.below(bound - place);
            numbers.swap(place, other);
        }
        numbers.truncate(size);
        numbers.sort_unstable();
        numbers
    }
}
