//! What a device asks of a bundle that is new to it, beyond what it asks of one that it has: that it is the one that was
//! offered, no older than what has proved itself, and not too late.

use super::{BundleError, Manifest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What installing asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Admission {
    /// SHA-256 of the bundle that was offered, hex.
    pub digest: String,
    /// Its name, where the offer says.
    pub name: Option<String>,
    /// Its version, where the offer says.
    pub version: Option<String>,
    /// Its serial, where the offer says.
    pub serial: Option<u64>,
    /// By a model's name what has proved itself on this device.
    pub proved: BTreeMap<String, Proved>,
    /// Whether this very bundle may be older than that.
    pub permit: Permission,
    /// The time, ms since 1970.
    pub now_ms: i64,
}

/// The newest release of a model that has proved itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// Its serial.
    pub serial: u64,
    /// SHA-256 of its bundle file, hex.
    pub digest: String,
}

/// Whether there is a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Permission {
    /// There is none.
    #[default]
    None,
    /// There is one for this bundle and this device.
    Older,
}

impl Admission {
    /// Whether the file is the one that was offered: looked at before its manifest is.
    pub(super) fn is_offered(&self, digest: &str) -> Result<(), BundleError> {
        if self.digest == digest { Ok(()) } else { Err(BundleError::NotOffered { what: "digest" }) }
    }

    /// Whether a release of this name and serial is newer than the one that has proved itself here, is that very bundle, or
    /// may be older.
    ///
    /// # Errors
    /// [`BundleError::Older`].
    pub fn rises(&self, name: &str, serial: u64) -> Result<(), BundleError> {
        let rises = |proved: &Proved| serial > proved.serial || self.digest == proved.digest;
        match self.proved.get(name).filter(|proved| self.permit == Permission::None && !rises(proved)) {
            Some(proved) => Err(BundleError::Older { name: name.to_owned(), serial, proved: proved.serial }),
            None => Ok(()),
        }
    }

    /// Whether a bundle with this manifest may be installed.
    pub(super) fn admits(&self, manifest: &Manifest) -> Result<(), BundleError> {
        let offered = [
            ("name", self.name.as_ref().is_none_or(|name| *name == manifest.name)),
            ("version", self.version.as_ref().is_none_or(|version| *version == manifest.version)),
            ("serial", self.serial.is_none_or(|serial| serial == manifest.serial)),
        ];
        if let Some((what, _)) = offered.into_iter().find(|(_, is_same)| !is_same) {
            return Err(BundleError::NotOffered { what });
        }
        self.rises(&manifest.name, manifest.serial)?;
        let last = manifest.install_before.as_ref().and_then(|last| ms(last));
        match manifest.install_before.as_ref().zip(last).filter(|(_, last)| *last <= self.now_ms) {
            Some((text, _)) => Err(BundleError::TooLate { install_before: text.clone() }),
            None => Ok(()),
        }
    }
}

/// A time as manifests write it, ms since 1970.
pub fn ms(rfc3339: &str) -> Option<i64> {
    rfc3339.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
