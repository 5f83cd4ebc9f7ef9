//! Cases to shards, on all cores.

use super::case::{LeftOut, Listed, Listing, Source, Split};
use super::error::CorpusError;
use super::shards::{self, Card, FORMAT, Origin, RowCard, Shard, Stored};
use super::split;
use super::tensor::{self, Refusal};
use crate::experiment::Experiment;
use ctedge_models::spec::PreprocessSpec;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// About as large is a shard: few files for a large corpus, little to do again after a crash.
const SHARD_BYTES: usize = 32 << 20;
/// Largest 16-bit float.
const LARGEST_F16: f32 = 65504.0;

/// How far preparing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Cases that are done.
    pub done: usize,
    /// All cases.
    pub total: usize,
}

/// What was prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Cases stored, by split.
    pub stored: BTreeMap<Split, usize>,
    /// Cases left out, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
    /// Shards in all.
    pub shards: usize,
    /// Shards that an earlier run had left whole.
    pub kept: usize,
    /// Digest of cases, splits and voxels.
    pub corpus_sha256: String,
}

/// Stores the tensors of all cases in `out`, with their splits. Whole shards of an earlier run that hold the same cases
/// stay. A scan that cannot be read is left out and listed.
///
/// As many scans are in memory at a time as the machine has cores.
///
/// # Errors
/// The folder holds something else, a file cannot be written, or no case is left. What was finished stays.
pub fn prepare(
    mut listing: Listing,
    experiment: &Experiment,
    out: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Prepared, CorpusError> {
    let Experiment { input, data, seed, .. } = experiment;
    if input.output_range.iter().any(|bound| bound.abs() > LARGEST_F16) {
        return Err(CorpusError::Range);
    }
    let splits = split::assign(&mut listing, data, *seed);
    let Listing { root, cases, mut left_out } = listing;
    shards::claim(out)?;
    let rows = (SHARD_BYTES / (2 * input.grid.size().iter().product::<usize>())).max(1);
    let (mut stored, mut kept, total) = (Vec::new(), 0, cases.len());
    for (number, (chunk, splits)) in cases.chunks(rows).zip(splits.chunks(rows)).enumerate() {
        let path = out.join(shards::name(number));
        let plan = Plan { cases: chunk, root: &root, spec: input };
        let before = number * rows;
        let card = if let Some(card) = plan.kept(&path) {
            kept += 1;
            card
        } else {
            plan.make(&path, &|done| progress(Progress { done: before + done, total }))?
        };
        progress(Progress { done: before + chunk.len(), total });
        stored.extend(placed(chunk, splits, &card, number));
        left_out.extend(card.skipped);
    }
    let count = cases.chunks(rows).len();
    shards::sweep(out, count)?;
    let skipped = counted(left_out.iter().map(|left_out| left_out.why.name()));
    if stored.is_empty() {
        let reasons: Vec<String> = skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        return Err(CorpusError::Empty { reasons: reasons.join(", ") });
    }
    let origin = Origin { spec_sha256: input.digest(), data, split_seed: *seed };
    let corpus_sha256 = shards::write_index(out, origin, &stored, &left_out)?;
    let stored = counted(stored.iter().map(|stored| stored.split));
    Ok(Prepared { stored, skipped, shards: count, kept, corpus_sha256 })
}

fn counted<T: Ord>(things: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    things.for_each(|thing| *counts.entry(thing).or_default() += 1);
    counts
}

/// The cases that are to be stored in one shard.
struct Plan<'a> {
    cases: &'a [Listed],
    root: &'a Path,
    spec: &'a PreprocessSpec,
}

impl Plan<'_> {
    /// The card of a whole shard that an earlier run made of the same cases, files and input.
    fn kept(&self, path: &Path) -> Option<Card> {
        let card = Shard::open(path, self.spec.grid.size()).ok()?.card;
        (card.spec_sha256 == self.spec.digest() && card.plan_sha256 == self.digest()).then_some(card)
    }

    /// Digest of the cases' names and of where their voxels come from.
    fn digest(&self) -> String {
        let pairs: Vec<(&str, &Source)> =
            self.cases.iter().map(|listed| (listed.case.id.as_str(), &listed.source)).collect();
        HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(&pairs).unwrap_or_default()))
    }

    /// Makes the tensors and writes the shard. `done` is told how many cases are through.
    fn make(&self, path: &Path, done: &dyn Fn(usize)) -> Result<Card, CorpusError> {
        let tensor = |listed: &Listed| {
            let tensor = tensor::tensor(&listed.source, self.root, self.spec)?;
            let bytes = shards::stored_bytes(&tensor);
            Ok((shards::digest(&bytes), bytes))
        };
        let (spec_sha256, plan_sha256) = (self.spec.digest(), self.digest());
        let mut card = Card { format: FORMAT.into(), spec_sha256, plan_sha256, rows: Vec::new(), skipped: Vec::new() };
        let mut bytes = Vec::new();
        for (listed, made) in self.cases.iter().zip(on_all_cores(self.cases, &tensor, done)) {
            let id = listed.case.id.clone();
            match made {
                Ok((sha256, row)) => {
                    card.rows.push(RowCard { id, sha256 });
                    bytes.extend(row);
                }
                Err(Refusal { why, detail }) => {
                    card.skipped.push(LeftOut { id, file: listed.source.file(), why, detail });
                }
            }
        }
        shards::write_shard(path, &card, self.spec.grid.size(), &bytes)?;
        Ok(card)
    }
}

/// The stored cases of a shard with their places.
fn placed(cases: &[Listed], splits: &[Split], card: &Card, shard: usize) -> Vec<Stored> {
    // The rows are the cases in their order, but for those that were left out.
    let mut rows = card.rows.iter().enumerate().peekable();
    let mut stored = Vec::new();
    for (listed, &split) in cases.iter().zip(splits) {
        if let Some((row, RowCard { sha256, .. })) = rows.next_if(|(_, row)| row.id == listed.case.id) {
            stored.push(Stored { case: listed.case.clone(), split, shard, row, volume_sha256: sha256.clone() });
        }
    }
    stored
}

/// Results of `work` in the order of `items`.
///
/// Plain threads, not a pool's tasks: a thread that waits for the pool inside `work` does not start another item, so that
/// there are never more volumes in memory than threads.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: &(dyn Fn(&T) -> R + Sync), done: &dyn Fn(usize)) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let next = AtomicUsize::new(0);
    let (send, receive) = sync_channel(1);
    let work_off = |send: std::sync::mpsc::SyncSender<(usize, R)>| {
        while let Some((index, item)) = take(items, &next) {
            if send.send((index, work(item))).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..cores {
            let send = send.clone();
            scope.spawn(|| work_off(send));
        }
        drop(send);
        let mut results = BTreeMap::new();
        for (index, result) in receive {
            results.insert(index, result);
            done(results.len());
        }
        results.into_values().collect()
    })
}

fn take<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}
