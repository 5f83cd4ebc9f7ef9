//! Which faults of many are played, and several at the same time.

use anyhow::ensure;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Which faults are played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// How many; all if not given.
    pub(crate) count: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
}

impl Sample {
    /// So many of all, evenly spread; the seed says where the spread begins.
    pub(crate) fn of<T: Clone>(&self, all: &[T]) -> Vec<T> {
        let count = self.count.unwrap_or(all.len());
        let start = usize::try_from(self.seed % u64::try_from(all.len().max(1)).unwrap_or(1)).unwrap_or_default();
        let place = |number: usize| (start + number * all.len().max(1) / count.max(1)) % all.len().max(1);
        (0..count).filter_map(|number| all.get(place(number)).cloned()).collect()
    }
}

/// Does something with each of a list, a few at the same time. What comes of it is in no order.
pub(crate) fn side_by_side<T: Sync, U: Send>(
    list: &[T],
    jobs: usize,
    each: impl Fn(&T) -> anyhow::Result<U> + Sync,
) -> anyhow::Result<Vec<U>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(one) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = each(one);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for job in 0..jobs {
            // Where no thread can be had, the others do its share.
            drop(std::thread::Builder::new().name(format!("job {job}")).spawn_scoped(scope, work));
        }
    });
    let outcomes = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(outcomes.len() == list.len(), "{} of {} were played", outcomes.len(), list.len());
    outcomes.into_iter().collect()
}
