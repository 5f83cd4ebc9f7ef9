//! Model bundles: one signed file that holds graphs, labels, input contract and a golden test. `BUNDLE.md` is normative.
//!
//! [`pack()`] makes a bundle, [`sign`](crate::trust::sign) signs it, and only [`open()`] makes a [`VerifiedBundle`], after every
//! check.

mod admission;
mod device;
mod digest;
mod manifest;
mod open;
mod pack;
mod preflight;
#[cfg(test)]
mod tests;

pub use admission::{Admission, Permission, Proved, ms};
pub use device::{Device, Unfit};
pub use digest::{BundleDigest, file_digest};
pub use manifest::{
    Calibration, Contrastive, Decoder, Evidence, FileEntry, Golden, Graph, LabelSpec, Manifest, Novelty, Requires,
    SCHEMA, StepGraph, TensorIo, TextGraph, Training,
};
pub use open::{VerifiedBundle, manifest_of, open, open_new, open_on};
pub use pack::pack;
pub use preflight::preflight;

use crate::onnx::Refusal;
use crate::trust::TrustError;
use std::io;
use std::path::PathBuf;

/// Largest bundle file, and largest bundle once unpacked, in bytes.
pub const BUNDLE_BYTES: u64 = 8 << 30;

/// Largest manifest in bytes.
pub const MANIFEST_BYTES: u64 = 1 << 20;

/// Most files in a bundle.
pub const BUNDLE_FILES: usize = 4096;

/// Why a bundle was not made, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than a bundle may be.
    #[error("the bundle has {bytes} bytes, more than {BUNDLE_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Nobody who counts here has signed it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The root document lets no such old release in any more.
    #[error("serial {serial} of {name} is below {floor}, the lowest that the root document still allows")]
    BelowFloor {
        /// Name of the model.
        name: String,
        /// Its serial.
        serial: u64,
        /// The lowest allowed.
        floor: u64,
    },
    /// It is not what was offered.
    #[error("it is another bundle than was offered: another {what}")]
    NotOffered {
        /// What differs.
        what: &'static str,
    },
    /// A newer release has proved itself on this device, or another one of the same serial.
    #[error("serial {serial} of {name} does not rise: {proved} has proved itself here; only a permit leads back")]
    Older {
        /// Name of the model.
        name: String,
        /// Its serial.
        serial: u64,
        /// The serial that has proved itself.
        proved: u64,
    },
    /// It may not be installed any more.
    #[error("it was to be installed before {install_before}")]
    TooLate {
        /// When.
        install_before: String,
    },
    /// It is not for this device.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The file is not a zstd-compressed tar archive.
    #[error("not a bundle archive: {reason}")]
    BadArchive {
        /// What is wrong with it.
        reason: String,
    },
    /// The archive's first entry is not `manifest.json`.
    #[error("the archive does not begin with manifest.json")]
    NoManifest,
    /// The manifest is not what this version understands.
    #[error("manifest.json: {reason}")]
    BadManifest {
        /// What is wrong with it.
        reason: String,
    },
    /// An entry is a link, a folder or a device, or its path could lead outside.
    #[error("the archive holds something other than a plain file at a plain path")]
    UnsafeEntry,
    /// A file in the archive that the manifest does not name, or names once and the archive holds twice.
    #[error("the archive holds {path:?}, which the manifest does not name or which came before")]
    Unlisted {
        /// Its path.
        path: String,
    },
    /// A file that the manifest names and the archive lacks.
    #[error("the archive lacks {path:?}")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A file whose length or digest differs from the manifest.
    #[error("{path:?} is not the file that the manifest describes")]
    WrongDigest {
        /// Its path.
        path: String,
    },
    /// A tokenizer that is none, or not the decoder's.
    #[error("the tokenizer {path:?} does not fit: {reason}")]
    Tokenizer {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// A graph that no device may load.
    #[error("graph {path:?} is refused ({})", refusal.code())]
    Onnx {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        refusal: Refusal,
    },
}

/// Code of a bundle that no execution provider of the device runs as its golden test asks.
pub const GOLDEN: &str = "golden";

/// Codes of what is wrong with a bundle, but for those of its graphs; `BUNDLE.md` explains them.
const CODES: [&str; 33] = [
    "unreadable",
    "unsigned",
    "bad_signature_file",
    "untrusted_key",
    "revoked_key",
    "wrong_signature",
    "bad_root",
    "root_version",
    "root_threshold",
    "bad_key",
    "bad_permit",
    "other_permit",
    "expired_permit",
    "used_permit",
    "below_floor",
    "other_bundle",
    "older",
    "too_late",
    "needs_ctedge",
    "needs_onnxruntime",
    "needs_memory",
    "other_device_class",
    "too_large",
    "bad_archive",
    "no_manifest",
    "bad_manifest",
    "unsafe_entry",
    "unlisted_file",
    "missing_file",
    "wrong_digest",
    "unsafe_file",
    "bad_tokenizer",
    GOLDEN,
];

/// The stable name that this text is, if it is one.
pub fn known_code(text: &str) -> Option<&'static str> {
    CODES.into_iter().chain(crate::onnx::CODES).find(|code| *code == text)
}

impl BundleError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Stable name of the reason; `BUNDLE.md` lists them.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::Trust(error) => error.code(),
            Self::BelowFloor { .. } => "below_floor",
            Self::NotOffered { .. } => "other_bundle",
            Self::Older { .. } => "older",
            Self::TooLate { .. } => "too_late",
            Self::Unfit(unfit) => unfit.code(),
            Self::BadArchive { .. } => "bad_archive",
            Self::NoManifest => "no_manifest",
            Self::BadManifest { .. } => "bad_manifest",
            Self::UnsafeEntry => "unsafe_entry",
            Self::Unlisted { .. } => "unlisted_file",
            Self::Missing { .. } => "missing_file",
            Self::WrongDigest { .. } => "wrong_digest",
            Self::Tokenizer { .. } => "bad_tokenizer",
            Self::Onnx { refusal, .. } => refusal.code(),
        }
    }
}
