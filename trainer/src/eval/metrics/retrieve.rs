//! Finding the report of a volume and the volume of a report.

use super::sample::Draw;
use super::{MetricsError, real, same_length, tally};
use ndarray::ArrayView2;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// The depths k of R@k.
pub const DEPTHS: [usize; 4] = [1, 5, 10, 50];

/// Half, less what rounding may have taken from a sum of probabilities.
const HALF: f64 = 0.5 - 1e-12;

/// Similarities of N pairs, `[query, candidate]`: query i belongs to candidate i. Finite and not empty.
#[derive(Debug, Clone, Copy)]
pub struct PairScores<'a>(ArrayView2<'a, f32>);

/// Pools of candidates that queries are searched in. Recall falls as a pool grows, so that a number without its pool's
/// size says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pools {
    /// Pairs in a pool.
    pub size: usize,
    /// How many pools are drawn; one is enough when it holds all pairs, and no more are then taken.
    pub draws: NonZeroUsize,
    /// Of the drawing.
    pub seed: u64,
}

/// How early the first right candidate comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hits {
    /// R@k for k of [`DEPTHS`]: share of the queries whose first right candidate is among the best k.
    pub recall: [f64; 4],
    /// Median rank of the first right candidate, 1 being the best; between the middle two of an even number.
    pub median_rank: f64,
    /// Mean of one over that rank.
    pub mean_reciprocal_rank: f64,
}

/// Retrieval in one direction, each number a mean over the pools, beside what random ranking of the same pools gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieval {
    /// Only the query's own pair is right.
    pub identity: Hits,
    /// Its chance level; R@k is k / N.
    pub identity_chance: Hits,
    /// Every candidate with the own pair's key is right: what is clinically the same is a hit.
    pub class: Hits,
    /// Its chance level.
    pub class_chance: Hits,
}

impl<'a> PairScores<'a> {
    /// Checks a matrix. For the other direction, give its transpose (`.reversed_axes()`).
    pub fn new(scores: &ArrayView2<'a, f32>) -> Result<Self, MetricsError> {
        let (queries, candidates) = scores.dim();
        if queries != candidates {
            return Err(MetricsError::NotSquare { queries, candidates });
        }
        if queries == 0 {
            return Err(MetricsError::Nothing);
        }
        match scores.indexed_iter().find(|(_, score)| !score.is_finite()) {
            Some(((query, candidate), _)) => Err(MetricsError::Similarity { query, candidate }),
            None => Ok(Self(*scores)),
        }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.0.nrows()
    }

    /// Searches every query of every pool among the pool's candidates. Pairs with equal keys are clinically the same,
    /// e.g. by the vector of their labels or the digest of their report.
    ///
    /// Ties rank against the model: a wrong candidate with the right one's score comes before it. Otherwise a model that
    /// gives all pairs one score would be perfect.
    pub fn retrieval<K: Ord>(&self, keys: &[K], pools: &Pools) -> Result<Retrieval, MetricsError> {
        let pairs = self.pairs();
        same_length("keys", keys.len(), pairs)?;
        if pools.size == 0 || pools.size > pairs {
            return Err(MetricsError::PoolSize { size: pools.size, pairs });
        }
        let itself: Vec<usize> = (0..pairs).collect();
        let classes = classes(keys);
        let draws = if pools.size == pairs { 1 } else { pools.draws.get() };
        let mut draw = Draw::new(pools.seed);
        let mut found: [Vec<Hits>; 4] = Default::default();
        for _ in 0..draws {
            let pool = draw.subset(pools.size, pairs);
            let hits = [
                Hits::of(&self.ranks(&itself, &pool)),
                Some(Hits::by_chance(&sizes(&itself, &pool))),
                Hits::of(&self.ranks(&classes, &pool)),
                Some(Hits::by_chance(&sizes(&classes, &pool))),
            ];
            found.iter_mut().zip(hits).for_each(|(all, hits)| all.extend(hits));
        }
        let [identity, identity_chance, class, class_chance] = found.map(|all| Hits::mean(&all));
        Ok(Retrieval { identity, identity_chance, class, class_chance })
    }

    /// Rank of the first right candidate of each query among all pairs, in the order of the queries: what a bootstrap
    /// resamples, for [`Hits::of`]. With keys that are all different it is the rank of the own pair.
    pub fn ranks_of_all<K: Ord>(&self, keys: &[K]) -> Result<Vec<usize>, MetricsError> {
        same_length("keys", keys.len(), self.pairs())?;
        Ok(self.ranks(&classes(keys), &(0..self.pairs()).collect::<Vec<_>>()))
    }

    fn ranks(&self, classes: &[usize], pool: &[usize]) -> Vec<usize> {
        let rank = |&query: &usize| {
            let own = classes.get(query);
            let scores = self.0.row(query);
            let in_pool = || pool.iter().map(|&candidate| (classes.get(candidate) == own, scores.get(candidate)));
            let best = in_pool().filter(|(right, _)| *right).filter_map(|(_, score)| score).copied();
            let best = best.fold(f32::NEG_INFINITY, f32::max);
            1 + in_pool().filter(|(right, score)| !right && score.is_some_and(|&score| score >= best)).count()
        };
        pool.iter().map(rank).collect()
    }
}

/// Keys as small numbers.
fn classes<K: Ord>(keys: &[K]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    keys.iter()
        .map(|key| {
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        })
        .collect()
}

/// How many candidates of the pool are right, for each of its queries.
fn sizes(classes: &[usize], pool: &[usize]) -> Vec<usize> {
    let members = tally(pool.iter().map(|&pair| classes.get(pair)));
    pool.iter().filter_map(|&pair| members.get(&classes.get(pair)).copied()).collect()
}

impl Hits {
    /// From the ranks of the first right candidate, counted from 1; `None` without any.
    pub fn of(ranks: &[usize]) -> Option<Self> {
        let queries = tally(ranks);
        let (&&longest, _) = queries.last_key_value()?;
        let share = |rank: usize| real(queries.get(&rank).copied().unwrap_or(0)) / real(ranks.len());
        Some(Self::of_distribution(&(1..=longest).map(share).collect::<Vec<_>>()))
    }

    /// Under random ranking of a pool, for queries that each have the given number of right candidates in it.
    ///
    /// Of N candidates with c right ones, the first right one has rank r with the probability that r - 1 wrong ones are
    /// drawn before it without replacement; R@k is one less the hypergeometric `C(N-c, k) / C(N, k)`, for c = 1 it is
    /// k / N. The median is that of the ranks of all queries together.
    fn by_chance(right: &[usize]) -> Self {
        let pool = right.len();
        let mut shares = vec![0.0; pool];
        for (&count, queries) in tally(right) {
            let mut none_yet = real(queries) / real(pool);
            for (before, share) in shares.iter_mut().enumerate() {
                let left = real(pool - before);
                *share += none_yet * real(count) / left;
                none_yet *= (left - real(count)).max(0.0) / left;
            }
        }
        Self::of_distribution(&shares)
    }

    /// From the share of queries at each rank.
    fn of_distribution(shares: &[f64]) -> Self {
        let add = |sum: &mut f64, share: &f64| {
            *sum += share;
            Some(*sum)
        };
        let cumulated: Vec<f64> = shares.iter().scan(0.0, add).collect();
        let within = |depth| cumulated.iter().take(depth).next_back().map_or(0.0, |share| share.min(1.0));
        // The first rank that half of the queries reach, and the first that more than half do.
        let lower = cumulated.partition_point(|&share| share < HALF);
        let upper = cumulated.partition_point(|&share| share < 1.0 - HALF);
        Self {
            recall: DEPTHS.map(within),
            median_rank: 1.0 + f64::midpoint(real(lower), real(upper)),
            mean_reciprocal_rank: shares.iter().enumerate().map(|(before, share)| share / real(before + 1)).sum(),
        }
    }

    fn mean(all: &[Self]) -> Self {
        let mean = |number: &dyn Fn(&Self) -> f64| all.iter().map(number).sum::<f64>() / real(all.len());
        Self {
            recall: std::array::from_fn(|depth| mean(&|hits| hits.recall.get(depth).copied().unwrap_or(0.0))),
            median_rank: mean(&|hits| hits.median_rank),
            mean_reciprocal_rank: mean(&|hits| hits.mean_reciprocal_rank),
        }
    }
}
