//! Finding a volume's report and a report's volume.

use super::super::EvalError;
use super::super::metrics::{Bootstrap, DEPTHS, Hits, PairScores, Pools, Retrieval};
use super::measure::{Measure, Measures};
use ndarray::Array2;
use serde::Serialize;
use std::num::NonZeroUsize;

/// Pool sizes, as far as there are as many cases; the whole split is one more.
const SIZES: [usize; 7] = [10, 20, 50, 100, 200, 500, 1000];
/// Pools of a size that are drawn.
const DRAWS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19);
const SEED: u64 = 0;

/// Names of R@k for k of [`DEPTHS`].
const RECALLS: [&str; 4] = ["recall_at_1", "recall_at_5", "recall_at_10", "recall_at_50"];

/// What is searched with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A volume among reports.
    VolumeToReport,
    /// A report among volumes.
    ReportToVolume,
}

impl Direction {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::VolumeToReport => "volume to report",
            Self::ReportToVolume => "report to volume",
        }
    }
}

/// Which candidates are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// The own one only.
    Identity,
    /// Every one whose report says the same.
    Equal,
}

/// One direction in pools of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolRow {
    /// What is searched.
    pub direction: Direction,
    /// What is right.
    pub truth: Truth,
    /// Pairs in a pool.
    pub pool: usize,
    /// Whether the pool is the whole split; if not, each number is the mean over pools that were drawn.
    pub whole: bool,
    /// Measured; the baseline is random ranking of the same pools.
    pub measures: Measures,
}

/// Both directions, every pool. The interval of R@1 is that of the whole split: queries are drawn anew by patient, while
/// the candidates stay.
pub(super) fn rows(
    scores: &Array2<f32>,
    sayings: &[usize],
    patients: &[&str],
    bootstrap: &Bootstrap,
) -> Result<Vec<PoolRow>, EvalError> {
    let mut rows = Vec::new();
    let own: Vec<usize> = (0..sayings.len()).collect();
    for (direction, scores) in
        [(Direction::VolumeToReport, scores.view()), (Direction::ReportToVolume, scores.view().reversed_axes())]
    {
        let pairs = PairScores::new(&scores)?;
        let all = pairs.pairs();
        for pool in SIZES.into_iter().filter(|&size| size < all).chain([all]) {
            let found = pairs.retrieval(sayings, &Pools { size: pool, draws: DRAWS, seed: SEED })?;
            let Retrieval { identity, identity_chance, class, class_chance } = found;
            let whole = pool == all;
            for (truth, hits, chance, keys) in [
                (Truth::Identity, identity, identity_chance, own.as_slice()),
                (Truth::Equal, class, class_chance, sayings),
            ] {
                let mut measures = named(&hits, &chance);
                if whole {
                    let first = first_of_all(&pairs, keys, patients, bootstrap)?;
                    measures.insert("recall_at_1", Measure { baseline: chance.recall.first().copied(), ..first });
                }
                rows.push(PoolRow { direction, truth, pool, whole, measures });
            }
        }
    }
    Ok(rows)
}

fn named(hits: &Hits, chance: &Hits) -> Measures {
    let recalls = RECALLS.into_iter().zip(hits.recall).zip(chance.recall);
    let recalls = recalls.map(|((name, value), chance)| (name, Measure::plain(value, chance)));
    let others = [
        ("median_rank", Measure::plain(hits.median_rank, chance.median_rank)),
        ("mean_reciprocal_rank", Measure::plain(hits.mean_reciprocal_rank, chance.mean_reciprocal_rank)),
    ];
    recalls.chain(others).collect()
}

fn first_of_all(
    pairs: &PairScores<'_>,
    keys: &[usize],
    patients: &[&str],
    bootstrap: &Bootstrap,
) -> Result<Measure, EvalError> {
    let ranks = pairs.ranks_of_all(keys)?;
    let first = |drawn: &[usize]| {
        let drawn: Vec<usize> = drawn.iter().filter_map(|&query| ranks.get(query).copied()).collect();
        Hits::of(&drawn).and_then(|hits| hits.recall.first().copied())
    };
    let value = first(&(0..ranks.len()).collect::<Vec<_>>());
    Ok(Measure::new(value, bootstrap.interval(patients, first)?, None))
}

const _: () = assert!(RECALLS.len() == DEPTHS.len());
