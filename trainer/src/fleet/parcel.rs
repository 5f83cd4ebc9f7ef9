//! A bundle file in pieces, as devices ask for them.

use super::FleetError;
use ctedge_models::offer::{self, CHUNKS, Part, Source};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Length of a piece, where nobody says otherwise and they are not too many.
pub const CHUNK_BYTES: u32 = 48 << 10;
/// A file, its pieces' digests and its own.
#[derive(Debug)]
pub struct Parcel {
    path: PathBuf,
    file: File,
    bytes: u64,
    digest: String,
    chunk_bytes: u32,
    list: Vec<u8>,
}

impl Parcel {
    /// Reads a file once for its digests. `chunk_bytes` is chosen where it is not given.
    ///
    /// # Errors
    /// The file cannot be read, or there would be too many pieces, or too long or too short ones.
    pub fn open(path: &Path, chunk_bytes: Option<u32>) -> Result<Self, FleetError> {
        let unreadable = |source| FleetError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let least = u32::try_from(bytes.div_ceil(CHUNKS).next_multiple_of(1 << 10)).unwrap_or(u32::MAX);
        let chunk_bytes = chunk_bytes.unwrap_or(CHUNK_BYTES.max(least));
        let [shortest, longest] = offer::CHUNK_BYTES;
        if !(shortest..=longest).contains(&chunk_bytes) || bytes.div_ceil(u64::from(chunk_bytes)) > CHUNKS {
            return Err(FleetError::Chunks { bytes, chunk_bytes });
        }
        let (mut whole, mut list) = (Sha256::new(), Vec::new());
        for number in 0..bytes.div_ceil(u64::from(chunk_bytes)) {
            let piece = read(&file, bytes, chunk_bytes, number).map_err(unreadable)?;
            whole.update(&piece);
            list.extend(Sha256::digest(&piece));
        }
        let digest = HEXLOWER.encode(&whole.finalize());
        Ok(Self { path: path.to_owned(), file, bytes, digest, chunk_bytes, list })
    }

    /// SHA-256 of the file, lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What an offer says of the pieces.
    pub fn source(&self) -> Source {
        Source::Mqtt { chunk_bytes: self.chunk_bytes, chunks_sha256: offer::list_digest(&self.list) }
    }

    /// A piece by its number, from 0; `None` behind the last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn piece(&self, part: Part, number: u64) -> Result<Option<Vec<u8>>, FleetError> {
        let length = match part {
            Part::List => u64::try_from(self.list.len()).unwrap_or(u64::MAX),
            Part::Data => self.bytes,
        };
        if number >= length.div_ceil(u64::from(self.chunk_bytes)) {
            return Ok(None);
        }
        let piece = match part {
            Part::Data => read(&self.file, self.bytes, self.chunk_bytes, number)
                .map_err(|source| FleetError::File { path: self.path.clone(), source })?,
            Part::List => {
                let size = usize::try_from(self.chunk_bytes).unwrap_or(usize::MAX);
                let chunk = self.list.chunks(size).nth(usize::try_from(number).unwrap_or(usize::MAX));
                chunk.unwrap_or_default().to_vec()
            }
        };
        Ok(Some(piece))
    }
}

fn read(file: &File, bytes: u64, chunk_bytes: u32, number: u64) -> io::Result<Vec<u8>> {
    let start = number * u64::from(chunk_bytes);
    let length = u64::from(chunk_bytes).min(bytes.saturating_sub(start));
    let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut piece, start)?;
    Ok(piece)
}
