//! The folder of prepared tensors.
//!
//! ```text
//! SHARDS/shard-00000.safetensors  tensors of a few cases, 16-bit floats [row, 1, z, y, x], and what they are
//! SHARDS/cases.jsonl              the stored cases, one a line: report, labels, split, shard and row
//! SHARDS/skipped.csv              what was left out: id, file, reason, detail
//! SHARDS/corpus.json              digests and counts; written last
//! ```
//! In: tensors and their cases. Out: single rows, read by position and checked against their digest. It owns the folder,
//! and never touches one that holds anything else.

mod file;
mod index;

pub use index::Stored;

pub(super) use file::{Card, FORMAT, RowCard, Shard, digest, stored_bytes, write as write_shard};
pub(super) use index::{Origin, write as write_index};

use super::disk;
use super::error::CorpusError;
use crate::experiment::Data;
use ctedge_models::spec::PreprocessSpec;
use index::{CASES_FILE, CORPUS_FILE, SKIPPED_FILE};
use std::fs;
use std::path::{Path, PathBuf};

/// A prepared corpus, open for reading.
#[derive(Debug)]
pub struct Shards {
    card: index::Card,
    size: [usize; 3],
    cases: Vec<Stored>,
    files: Vec<Shard>,
}

impl Shards {
    /// Opens a folder that was prepared for the input `spec`: reads its tables and the header of every shard.
    ///
    /// # Errors
    /// It is not finished, damaged, or was prepared for another input.
    pub fn open(folder: &Path, spec: &PreprocessSpec) -> Result<Self, CorpusError> {
        let (card, cases) = index::read(folder)?;
        let expected = spec.digest();
        if card.spec_sha256 != expected {
            return Err(CorpusError::OtherInput { folder: folder.into(), found: card.spec_sha256, expected });
        }
        let size = spec.grid.size();
        let count = cases.iter().map(|stored| stored.shard + 1).max().unwrap_or_default();
        let files: Result<Vec<Shard>, CorpusError> =
            (0..count).map(|number| Shard::open(&folder.join(name(number)), size)).collect();
        let opened = Self { card, size, cases, files: files? };
        match opened.stray() {
            Some(stored) => {
                let detail = format!("row {} is not {}", stored.row, stored.case.id);
                Err(CorpusError::Damaged { path: folder.join(name(stored.shard)), detail })
            }
            None => Ok(opened),
        }
    }

    /// A case that is not where the index says.
    fn stray(&self) -> Option<&Stored> {
        self.cases.iter().find(|stored| {
            let row = self.files.get(stored.shard).and_then(|shard| shard.card.rows.get(stored.row));
            row.is_none_or(|row| row.id != stored.case.id || row.sha256 != stored.volume_sha256)
        })
    }

    /// The stored cases; their positions are the indices of [`Shards::volume`].
    pub fn cases(&self) -> &[Stored] {
        &self.cases
    }

    /// Size (z, y, x) of every tensor.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Digest of cases, splits and voxels, lower-case hex.
    pub fn digest(&self) -> &str {
        &self.card.corpus_sha256
    }

    /// `[data]` of the experiment that it was prepared for.
    pub fn data(&self) -> &Data {
        &self.card.data
    }

    /// The tensor of a case, C order (z, y, x), in units of the input's range. Only its own bytes are read, and checked.
    ///
    /// # Errors
    /// There is no such case, or its bytes are gone or not those that were written.
    pub fn volume(&self, index: usize) -> Result<Vec<f32>, CorpusError> {
        let missing = || CorpusError::NoCase { index, count: self.cases.len() };
        let stored = self.cases.get(index).ok_or_else(missing)?;
        self.files.get(stored.shard).ok_or_else(missing)?.row(stored.row)
    }
}

/// Name of a shard.
pub(super) fn name(number: usize) -> String {
    format!("shard-{number:05}.safetensors")
}

/// Takes a folder for shards: makes it, or checks that it holds nothing else. From here on it is not finished.
pub(super) fn claim(folder: &Path) -> Result<(), CorpusError> {
    fs::create_dir_all(folder).map_err(|source| CorpusError::Write { path: folder.into(), source })?;
    match ours(folder)?.into_iter().find(|(_, kind)| *kind == Kind::Stranger) {
        Some((stranger, _)) => Err(CorpusError::Occupied { folder: folder.into(), stranger }),
        None => disk::remove(&folder.join(CORPUS_FILE)),
    }
}

/// Removes what an earlier, larger corpus left: shards from `count` on, and halves of files.
pub(super) fn sweep(folder: &Path, count: usize) -> Result<(), CorpusError> {
    for (file, kind) in ours(folder)? {
        if kind == Kind::Partial || matches!(kind, Kind::Shard(number) if number >= count) {
            disk::remove(&folder.join(file))?;
        }
    }
    Ok(())
}

/// What a file in the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Shard(usize),
    Table,
    Partial,
    Stranger,
}

/// The files of the folder in the order of their names.
fn ours(folder: &Path) -> Result<Vec<(String, Kind)>, CorpusError> {
    let unreadable = |source| CorpusError::Read { path: PathBuf::from(folder), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let kind = match file.strip_suffix(disk::PARTIAL) {
            Some(whole) if kind(whole) != Kind::Stranger => Kind::Partial,
            _ => kind(&file),
        };
        files.push((file, kind));
    }
    files.sort();
    Ok(files)
}

fn kind(file: &str) -> Kind {
    let number = file.strip_prefix("shard-").and_then(|rest| rest.strip_suffix(".safetensors"));
    match number.and_then(|digits| digits.parse().ok()) {
        Some(number) if name(number) == file => Kind::Shard(number),
        _ if [CORPUS_FILE, CASES_FILE, SKIPPED_FILE].contains(&file) => Kind::Table,
        _ => Kind::Stranger,
    }
}
