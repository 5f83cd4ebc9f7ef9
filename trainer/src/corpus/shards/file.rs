//! One shard: the tensors of a few cases in a safetensors file that any tool reads.

use crate::corpus::case::LeftOut;
use crate::corpus::disk;
use crate::corpus::error::CorpusError;
use data_encoding::HEXLOWER;
use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Value of `format` in the files that this version reads.
pub(crate) const FORMAT: &str = "ctedge-shard/1";
/// The one metadata key. All of ours stand in it as JSON, since safetensors writes several keys in no fixed order.
const KEY: &str = "ctedge";
/// The one tensor: 16-bit floats `[row, channel = 1, z, y, x]`.
const TENSOR: &str = "volumes";
/// Longest header that is read: names and digests of a shard's rows, with much to spare.
const LONGEST_HEADER: u64 = 64 << 20;

/// What a shard says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// [`FORMAT`].
    pub(crate) format: String,
    /// Digest of the input contract that the tensors follow.
    pub(crate) spec_sha256: String,
    /// Digest of the cases that were to be stored here and of where their voxels come from.
    pub(crate) plan_sha256: String,
    /// What is stored, row by row.
    pub(crate) rows: Vec<RowCard>,
    /// What could not be.
    pub(crate) skipped: Vec<LeftOut>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowCard {
    /// The case.
    pub(crate) id: String,
    /// SHA-256 of the row's bytes, lower-case hex.
    pub(crate) sha256: String,
}

/// The bytes of a tensor as they are stored: 16-bit floats, little endian, C order. Each value is the nearest 16-bit
/// float, so that it is off by at most 2^-12 for values up to 1, and by 2^-11 of the value beyond.
pub(crate) fn stored_bytes(values: &[f32]) -> Vec<u8> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// SHA-256 of a row, lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Writes a shard, whole or not at all. `size` is a tensor's (z, y, x); `rows` are the bytes of the card's rows, together.
pub(crate) fn write(path: &Path, card: &Card, size: [usize; 3], rows: &[u8]) -> Result<(), CorpusError> {
    let [z, y, x] = size;
    let unwritable = |detail: String| CorpusError::Write { path: path.into(), source: io::Error::other(detail) };
    let container = |error: SafeTensorError| unwritable(error.to_string());
    let json = serde_json::to_string(card).map_err(|error| unwritable(error.to_string()))?;
    let view = TensorView::new(Dtype::F16, vec![card.rows.len(), 1, z, y, x], rows).map_err(container)?;
    let bytes = safetensors::serialize([(TENSOR, view)], Some(HashMap::from([(KEY.to_owned(), json)])));
    disk::write(path, &bytes.map_err(container)?)
}

/// A shard on disk whose header has been read and fits its length.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    path: PathBuf,
    /// What it says of itself.
    pub(crate) card: Card,
    /// Where the first row begins.
    offset: u64,
    /// Voxels of a row.
    voxels: usize,
}

impl Shard {
    /// Reads the header of a shard of tensors of `size` (z, y, x).
    pub(crate) fn open(path: &Path, size: [usize; 3]) -> Result<Self, CorpusError> {
        let unreadable = |source| CorpusError::Read { path: path.into(), source };
        let damaged = |detail: &str| CorpusError::Damaged { path: path.into(), detail: detail.to_owned() };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut head = [0; 8];
        file.read_exact(&mut head).map_err(|_short| damaged("it ends within its header"))?;
        let offset = u64::from_le_bytes(head).checked_add(8).filter(|&offset| offset <= length.min(LONGEST_HEADER));
        let offset = offset.ok_or_else(|| damaged("it ends within its header"))?;
        let mut header = Vec::new();
        file.take(offset - 8).read_to_end(&mut header).map_err(unreadable)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|_other| damaged("its header is not of safetensors"))?;
        let card = metadata.metadata().as_ref().and_then(|pairs| pairs.get(KEY));
        let card = card.ok_or_else(|| damaged("ctedge-trainer did not write it"))?;
        let card: Card = serde_json::from_str(card).map_err(|_other| damaged("its metadata is of another version"))?;
        if card.format != FORMAT {
            return Err(damaged(&format!("its format is {:?}, this program reads {FORMAT:?}", card.format)));
        }
        let [z, y, x] = size;
        let info = metadata.info(TENSOR).filter(|info| info.dtype == Dtype::F16);
        if info.is_none_or(|info| info.shape != [card.rows.len(), 1, z, y, x]) {
            return Err(damaged("its tensor has not the input's size"));
        }
        let bytes = u64::try_from(metadata.data_len()).unwrap_or(u64::MAX);
        if offset.checked_add(bytes) != Some(length) {
            return Err(damaged(&format!("it has {length} bytes, its header says {}", offset.saturating_add(bytes))));
        }
        Ok(Self { path: path.into(), card, offset, voxels: z * y * x })
    }

    /// One tensor, C order (z, y, x), after its digest has been checked. Reads these bytes only.
    pub(crate) fn row(&self, row: usize) -> Result<Vec<f32>, CorpusError> {
        let wrong = |detail: String| CorpusError::Row { path: self.path.clone(), row, detail };
        let card = self.card.rows.get(row).ok_or_else(|| wrong(format!("the shard has {}", self.card.rows.len())))?;
        let mut bytes = vec![0; 2 * self.voxels];
        let start = u64::try_from(row * bytes.len()).unwrap_or(u64::MAX).saturating_add(self.offset);
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut bytes, start));
        read.map_err(|error| wrong(format!("cannot be read ({})", error.kind())))?;
        if digest(&bytes) != card.sha256 {
            return Err(wrong("these are not the bytes that were written".into()));
        }
        let (pairs, _odd) = bytes.as_chunks::<2>();
        let halves: Vec<f16> = pairs.iter().map(|pair| f16::from_le_bytes(*pair)).collect();
        let mut values = vec![0.0; halves.len()];
        halves.convert_to_f32_slice(&mut values);
        Ok(values)
    }
}
