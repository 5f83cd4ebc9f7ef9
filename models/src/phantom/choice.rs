//! Random choices, the same from the same seed on every machine.

use super::anatomy::fraction;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A source of choices.
#[derive(Debug)]
pub(super) struct Choice(ChaCha8Rng);

impl Choice {
    /// Choices of a kind (`stream`) for a seed; kinds do not depend on each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self(random)
    }

    /// From 0 to 1, evenly.
    pub(super) fn fraction(&mut self) -> f64 {
        fraction(&mut self.0)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// One of them.
    pub(super) fn pick<T: Copy + Default>(&mut self, options: &[T]) -> T {
        options.get(self.below(options.len())).copied().unwrap_or_default()
    }

    /// All of them in another order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.next_u32()).unwrap_or_default() % count.max(1)
    }
}
