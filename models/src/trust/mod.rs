//! Whose word counts: the keys that models are signed with, and the root documents that say which these are.
//!
//! In: public keys, root documents, permits, signatures. Out: [`TrustedKeys`], [`Permit`]. A site with one key names it and is done. A site that
//! wants to replace keys on boxes that nobody visits pins a [`Root`] when a box is set up; every later root must be signed
//! by the keys of the one before it and by its own. `BUNDLE.md` is normative.

mod key;
mod permit;
mod root;
mod store;
#[cfg(test)]
mod tests;

pub use key::{SigningKey, TrustedKeys, canonical_id, key_text, keygen, sign, sign_beside, signature_path, signer};
pub use permit::{PERMIT_BYTES, PERMIT_SCHEMA, Permit};
pub use root::{Root, SCHEMA};
pub use store::{Accepted, TrustStore};

use std::io;
use std::path::PathBuf;

/// Why somebody's word does not count.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key file holds no key.
    #[error("{path} holds no minisign key: {reason}")]
    BadKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no signature beside the file.
    #[error("no signature: {path} does not exist")]
    Unsigned {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The signature file is none.
    #[error("the signature file cannot be read: {reason}")]
    BadSignatureFile {
        /// What is wrong with it.
        reason: String,
    },
    /// It is signed by a key that is not trusted.
    #[error("signed by key {key_id}, which is not trusted here")]
    UntrustedKey {
        /// The signer's key id.
        key_id: String,
    },
    /// It is signed by a key that was trusted and is no more.
    #[error("signed by key {key_id}, which was revoked")]
    RevokedKey {
        /// The signer's key id.
        key_id: String,
    },
    /// The signature does not fit the file.
    #[error("the signature of key {key_id} does not fit this file: it was changed or damaged")]
    WrongSignature {
        /// The signer's key id.
        key_id: String,
    },
    /// A root document is not what this version understands, or contradicts itself.
    #[error("{path} is no root document: {reason}")]
    BadRoot {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A root document does not follow the one that counts.
    #[error("root {found} cannot follow root {current}: the next one is {}", current + 1)]
    RootVersion {
        /// The version of the document.
        found: u64,
        /// The version that counts.
        current: u64,
    },
    /// Too few of those who must sign a root document have.
    #[error("root {version} is signed by {have} of the keys of root {of}, and {need} are needed")]
    RootThreshold {
        /// The version of the document.
        version: u64,
        /// Whose keys were counted: the root before it, or itself.
        of: u64,
        /// Different keys whose signature fits.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// A permit is not what this version understands, or was not signed as one.
    #[error("this is no permit: {reason}")]
    BadPermit {
        /// What is wrong with it.
        reason: String,
    },
}

impl TrustError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Stable name of the reason; `BUNDLE.md` lists them.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "unreadable",
            Self::BadKey { .. } => "bad_key",
            Self::Unsigned { .. } => "unsigned",
            Self::BadSignatureFile { .. } => "bad_signature_file",
            Self::UntrustedKey { .. } => "untrusted_key",
            Self::RevokedKey { .. } => "revoked_key",
            Self::WrongSignature { .. } => "wrong_signature",
            Self::BadRoot { .. } => "bad_root",
            Self::RootVersion { .. } => "root_version",
            Self::RootThreshold { .. } => "root_threshold",
            Self::BadPermit { .. } => "bad_permit",
        }
    }
}
