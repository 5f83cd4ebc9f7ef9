//! The tables beside the shards: what is stored where, what was left out, and the card of the whole.

use crate::corpus::case::{Case, LeftOut, Split};
use crate::corpus::disk;
use crate::corpus::error::CorpusError;
use crate::experiment::Data;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;

/// Value of `format` in the folders that this version reads.
const FORMAT: &str = "ctedge-shards/1";
/// The card of the whole; written last, so that a folder without it is not finished.
pub(super) const CORPUS_FILE: &str = "corpus.json";
/// One stored case a line.
pub(super) const CASES_FILE: &str = "cases.jsonl";
/// One case a line that is not stored.
pub(super) const SKIPPED_FILE: &str = "skipped.csv";

/// A case whose tensor is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// What is said of it.
    #[serde(flatten)]
    pub case: Case,
    /// What it is used for.
    pub split: Split,
    /// Number of its shard.
    pub shard: usize,
    /// Its row there.
    pub row: usize,
    /// SHA-256 of the row's bytes, lower-case hex.
    pub volume_sha256: String,
}

/// The folder's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    pub(super) format: String,
    /// Digest of the input contract.
    pub(super) spec_sha256: String,
    /// Digest of [`CASES_FILE`], and through the rows' digests of every voxel.
    pub(super) corpus_sha256: String,
    /// `[data]` of the experiment that it was prepared for.
    pub(super) data: Data,
    /// Seed of the split.
    pub(super) split_seed: u64,
    /// Cases stored.
    pub(super) stored: usize,
    /// Cases left out.
    pub(super) skipped: usize,
}

/// Which experiment a folder was prepared for.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) spec_sha256: String,
    pub(crate) data: &'a Data,
    pub(crate) split_seed: u64,
}

/// Writes the tables, the card last. Returns the corpus's digest.
pub(crate) fn write(
    folder: &Path,
    origin: Origin<'_>,
    cases: &[Stored],
    left_out: &[LeftOut],
) -> Result<String, CorpusError> {
    disk::write(&folder.join(SKIPPED_FILE), &skipped(folder, left_out)?)?;
    let path = folder.join(CASES_FILE);
    let mut lines = String::new();
    for stored in cases {
        lines.push_str(&json(&path, stored)?);
        lines.push('\n');
    }
    disk::write(&path, lines.as_bytes())?;
    let corpus_sha256 = HEXLOWER.encode(&Sha256::digest(&lines));
    let Origin { spec_sha256, data, split_seed } = origin;
    let card = Card {
        format: FORMAT.into(),
        spec_sha256,
        corpus_sha256: corpus_sha256.clone(),
        data: data.clone(),
        split_seed,
        stored: cases.len(),
        skipped: left_out.len(),
    };
    let path = folder.join(CORPUS_FILE);
    disk::write(&path, json(&path, &card)?.as_bytes())?;
    Ok(corpus_sha256)
}

/// Reads the card and the stored cases, and checks that they belong together.
pub(super) fn read(folder: &Path) -> Result<(Card, Vec<Stored>), CorpusError> {
    let path = folder.join(CORPUS_FILE);
    if !path.is_file() {
        return Err(CorpusError::NotPrepared { folder: folder.into() });
    }
    let damaged = |path: &Path, detail: String| CorpusError::Damaged { path: path.into(), detail };
    let card: Card = serde_json::from_str(&disk::read(&path)?).map_err(|error| damaged(&path, error.to_string()))?;
    if card.format != FORMAT {
        let detail = format!("its format is {:?}, this program reads {FORMAT:?}", card.format);
        return Err(damaged(&path, detail));
    }
    let path = folder.join(CASES_FILE);
    let lines = disk::read(&path)?;
    if HEXLOWER.encode(&Sha256::digest(&lines)) != card.corpus_sha256 {
        return Err(damaged(&path, format!("its digest is not the one in {CORPUS_FILE}")));
    }
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|_other| damaged(&path, format!("line {} is no case", number + 1)))
    };
    let cases: Result<Vec<Stored>, CorpusError> = lines.lines().enumerate().map(parse).collect();
    Ok((card, cases?))
}

fn skipped(folder: &Path, left_out: &[LeftOut]) -> Result<Vec<u8>, CorpusError> {
    let failed = |error: csv::Error| unwritable(&folder.join(SKIPPED_FILE), io::Error::other(error));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "file", "reason", "detail"]).map_err(failed)?;
    for LeftOut { id, file, why, detail } in left_out {
        table.write_record([id, file, why.name(), detail]).map_err(failed)?;
    }
    table.into_inner().map_err(|error| unwritable(&folder.join(SKIPPED_FILE), error.into_error()))
}

fn json(path: &Path, value: &impl Serialize) -> Result<String, CorpusError> {
    serde_json::to_string(value).map_err(|error| unwritable(path, io::Error::other(error)))
}

fn unwritable(path: &Path, source: io::Error) -> CorpusError {
    CorpusError::Write { path: path.into(), source }
}
