//! Which pieces of a bundle are missing, and which are asked for next. Pure: it knows no clock, no disk and no broker.
//!
//! First comes the list of the chunks' digests, held as a whole against the digest in the offer; then the chunks, each held
//! against the list. What nobody waits for, what is there already and what is not as it should be changes nothing.

use super::Cut;
use ctedge_models::offer::{FETCH_MOST, Part, list_digest};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Bytes that are asked for and have not come: what a connection that breaks may cost, and what is on its way while the
/// next request is. One piece at least.
const WINDOW_BYTES: u32 = 96 << 10;
/// How long to wait for what was asked for before it is asked for again; after each such silence twice as long.
const PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(80)];
/// Bytes of a digest in the list.
const DIGEST_BYTES: u64 = 32;

/// What is asked for: so many pieces from this one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Of the list or of the bundle.
    pub(crate) part: Part,
    /// The first piece.
    pub(crate) from: u32,
    /// How many.
    pub(crate) count: u32,
}

/// What a piece was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nobody waits for it.
    Idle,
    /// It is a piece of the list, which lacks others.
    Listed,
    /// With it the list is whole.
    List,
    /// It is a chunk of the bundle, and stands at this byte.
    Chunk(u64),
    /// It is not what it should be.
    Wrong,
}

/// The pieces of one bundle.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: u64,
    chunk_bytes: u32,
    chunks_sha256: String,
    /// Pieces of the list, while it is not whole.
    gathered: BTreeMap<u32, Vec<u8>>,
    /// The list, once it is.
    list: Option<Vec<u8>>,
    /// Pieces of the part that is being fetched.
    missing: BTreeSet<u32>,
    /// Which of them are asked for.
    asked: BTreeSet<u32>,
    /// When something that was asked for came last, or was asked for while nothing was.
    heard: Duration,
    patience: Duration,
    /// Pieces in a row, and lists, that were wrong.
    wrong: (u32, u32),
    /// Pieces that were asked for once more.
    again: u32,
}

impl Pieces {
    /// Of a bundle of so many bytes, all of them missing.
    pub(super) fn new(bytes: u64, cut: &Cut<'_>) -> Self {
        let mut pieces = Self {
            bytes,
            chunk_bytes: cut.chunk_bytes.max(1),
            chunks_sha256: cut.chunks_sha256.to_owned(),
            gathered: BTreeMap::new(),
            list: None,
            missing: BTreeSet::new(),
            asked: BTreeSet::new(),
            heard: Duration::ZERO,
            patience: PATIENCE[0],
            wrong: (0, 0),
            again: 0,
        };
        pieces.missing = (0..pieces.count()).collect();
        pieces
    }

    /// The part that is being fetched.
    fn part(&self) -> Part {
        if self.list.is_none() { Part::List } else { Part::Data }
    }

    /// Bytes of it.
    fn part_bytes(&self) -> u64 {
        let chunks = self.bytes.div_ceil(u64::from(self.chunk_bytes));
        if self.list.is_none() { chunks.saturating_mul(DIGEST_BYTES) } else { self.bytes }
    }

    /// Pieces of it.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.part_bytes().div_ceil(u64::from(self.chunk_bytes))).unwrap_or(u32::MAX)
    }

    /// Where a piece begins, and how many bytes it has.
    pub(super) fn place(&self, number: u32) -> (u64, u64) {
        let offset = u64::from(number).saturating_mul(self.chunk_bytes.into());
        (offset, self.part_bytes().saturating_sub(offset).min(self.chunk_bytes.into()))
    }

    /// Bytes of the bundle that are there.
    pub(super) fn bytes_there(&self) -> u64 {
        let missing: u64 = self.missing.iter().map(|number| self.place(*number).1).sum();
        if self.list.is_none() { 0 } else { self.bytes.saturating_sub(missing) }
    }

    /// Whether the whole bundle is.
    pub(super) fn is_whole(&self) -> bool {
        self.list.is_some() && self.missing.is_empty()
    }

    /// Pieces in a row that were wrong, and lists.
    pub(super) fn wrong(&self) -> (u32, u32) {
        self.wrong
    }

    /// Pieces that were asked for once more.
    pub(super) fn again(&self) -> u32 {
        self.again
    }

    /// What to ask for now, if anything.
    pub(super) fn ask(&mut self, now: Duration) -> Option<Run> {
        if !self.asked.is_empty() && now.saturating_sub(self.heard) >= self.patience {
            self.patience = self.patience.saturating_mul(2).min(PATIENCE[1]);
            self.anew();
        }
        let window = (WINDOW_BYTES / self.chunk_bytes).clamp(1, FETCH_MOST);
        let free = window.saturating_sub(u32::try_from(self.asked.len()).unwrap_or(u32::MAX));
        let from = *self.missing.difference(&self.asked).next().filter(|_| free > 0)?;
        let is_next = |number: &u32| self.missing.contains(number) && !self.asked.contains(number);
        let run: Vec<u32> = (from..from.saturating_add(free)).take_while(is_next).collect();
        if self.asked.is_empty() {
            self.heard = now;
        }
        let count = u32::try_from(run.len()).unwrap_or_default();
        self.asked.extend(run);
        Some(Run { part: self.part(), from, count })
    }

    /// What was asked for does not come any more: the connection is another one.
    pub(super) fn anew(&mut self) {
        self.again = self.again.saturating_add(u32::try_from(self.asked.len()).unwrap_or_default());
        self.asked.clear();
    }

    /// A piece comes.
    pub(super) fn take(&mut self, part: Part, number: u32, bytes: &[u8], now: Duration) -> Taken {
        if part != self.part() || !self.missing.contains(&number) {
            return Taken::Idle;
        }
        let (offset, length) = self.place(number);
        if u64::try_from(bytes.len()) != Ok(length) || !self.fits(number, bytes) {
            self.wrong.0 = self.wrong.0.saturating_add(1);
            self.asked.remove(&number);
            return Taken::Wrong;
        }
        self.wrong.0 = 0;
        (self.heard, self.patience) = (now, (self.patience / 2).max(PATIENCE[0]));
        self.asked.remove(&number);
        self.missing.remove(&number);
        match part {
            Part::Data => Taken::Chunk(offset),
            Part::List => self.listed(number, bytes),
        }
    }

    /// Whether a piece is the one in the list, if there is one.
    fn fits(&self, number: u32, bytes: &[u8]) -> bool {
        let Some(list) = &self.list else { return true };
        let (digests, _) = list.as_chunks::<32>();
        let listed = usize::try_from(number).ok().and_then(|number| digests.get(number));
        listed.is_some_and(|listed| Sha256::digest(bytes).as_slice() == listed)
    }

    fn listed(&mut self, number: u32, bytes: &[u8]) -> Taken {
        self.gathered.insert(number, bytes.to_vec());
        if !self.missing.is_empty() {
            return Taken::Listed;
        }
        let list: Vec<u8> = std::mem::take(&mut self.gathered).into_values().flatten().collect();
        self.asked.clear();
        let is_right = list_digest(&list) == self.chunks_sha256;
        if is_right {
            self.list = Some(list);
        } else {
            self.wrong.1 = self.wrong.1.saturating_add(1);
        }
        self.missing = (0..self.count()).collect();
        if is_right { Taken::List } else { Taken::Wrong }
    }

    /// Chunks that were found on the disk count where they are those in the list.
    pub(super) fn found(&mut self, number: u32, bytes: &[u8]) {
        if self.list.is_some() && self.fits(number, bytes) {
            self.missing.remove(&number);
        }
    }

    /// A chunk could not be written after all.
    pub(super) fn unwritten(&mut self, number: u32) {
        if self.list.is_some() && number < self.count() {
            self.missing.insert(number);
        }
    }
}
