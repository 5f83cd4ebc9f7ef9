//! SHA-256 of files.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// SHA-256 of a bundle file, lower-case hex: the identity of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BundleDigest(String);

impl BundleDigest {
    /// The digest of a bundle file.
    pub fn of(file: &Path) -> io::Result<Self> {
        Ok(Self(file_digest(file)?.1))
    }

    /// 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Length and SHA-256 (lower-case hex) of a file, read in bounded memory.
pub fn file_digest(path: &Path) -> io::Result<(u64, String)> {
    copy_digest(&mut File::open(path)?, &mut io::sink())
}

/// Copies and digests in one pass. Returns length and SHA-256.
pub(super) fn copy_digest(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 17];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            return Ok((bytes, HEXLOWER.encode(&hasher.finalize())));
        }
        hasher.update(chunk);
        to.write_all(chunk)?;
        bytes += u64::try_from(read).unwrap_or_default();
    }
}
