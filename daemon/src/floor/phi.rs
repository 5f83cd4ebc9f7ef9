//! Keyed pseudonyms in place of what identifies a patient.

use crate::floor::durable;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

/// Pseudonym of a study: the same for everybody who holds the site key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct StudyKey(pub(crate) String);

/// Pseudonym of a series, also the name of its folder in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SeriesKey(pub(crate) String);

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The site's secret from which pseudonyms are made: 32 bytes, kept as hex in a file of mode 0600.
#[derive(Clone)]
pub(crate) struct SiteKey([u8; 32]);

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(redacted)")
    }
}

/// Base32 characters of a pseudonym: 130 bits, more than any site will ever collide in.
const PSEUDONYM_CHARS: usize = 26;

impl SiteKey {
    /// A key of 64 hex digits, as it stands in the key file.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.trim().to_ascii_lowercase().as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Reads the key file, or makes one from the operating system's randomness when there is none.
    pub(crate) fn load_or_create(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the site key file does not hold 64 hex digits")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0u8; 32];
                getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
                durable::write_private(path, HEXLOWER.encode(&bytes).as_bytes())?;
                Ok(Self(bytes))
            }
            Err(error) => Err(error),
        }
    }

    /// `sk1_` + base32(HMAC-SHA256(site key, Study Instance UID)), 26 characters, lower case.
    pub(crate) fn study(&self, uid: &str) -> StudyKey {
        StudyKey(format!("sk1_{}", self.pseudonym(uid)))
    }

    /// `ek1_` + base32(HMAC-SHA256(site key, Series Instance UID)), 26 characters, lower case.
    pub(crate) fn series(&self, uid: &str) -> SeriesKey {
        SeriesKey(format!("ek1_{}", self.pseudonym(uid)))
    }

    fn pseudonym(&self, uid: &str) -> String {
        let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.0) else {
            // HMAC takes keys of any length (RFC 2104), so this cannot happen; a fixed text would still leak nothing.
            return "0".repeat(PSEUDONYM_CHARS);
        };
        mac.update(uid.trim_end_matches(['\0', ' ']).as_bytes());
        let text = BASE32_NOPAD.encode(&mac.finalize().into_bytes());
        text.chars().take(PSEUDONYM_CHARS).collect::<String>().to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_equal_the_recipe_in_the_contract() {
        // python3: base64.b32encode(hmac.new(bytes(32), b"1.2.3", "sha256").digest())[:26].lower()
        let key = SiteKey::from_hex(&"00".repeat(32)).unwrap();
        assert_eq!(key.study("1.2.3").0, "sk1_6rogoluft5m7vesjpyfdott2vw");
        assert_eq!(key.series("1.2.3\0").0, key.series("1.2.3").0, "UIDs are padded with NUL in the file");
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.key");
        let made = SiteKey::load_or_create(&path).unwrap();
        let read = SiteKey::load_or_create(&path).unwrap();
        assert_eq!(made.study("1.2"), read.study("1.2"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(SiteKey::load_or_create(&path).is_err());
    }
}
