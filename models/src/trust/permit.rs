//! The permit: leave for one device to install one older bundle, once.

use super::TrustError;
use super::key::TrustedKeys;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The format that this version reads and writes.
pub const PERMIT_SCHEMA: &str = "ctedge-permit/1";

/// Largest permit in bytes.
pub const PERMIT_BYTES: usize = 4096;

/// First word of the signed comment: whoever signs says that it is a permit.
const WORD: &str = "permit";
/// Longest name of a device.
const DEVICE_CHARS: usize = 48;

/// Says that one device may install one bundle although its serial is lower than that of the model it has. The exact bytes
/// of the file are signed by a key for bundles, with a trusted comment that begins with the word `permit`.
///
/// It lets nothing in below a floor of the root document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// [`PERMIT_SCHEMA`].
    pub schema: String,
    /// Which device, by its name on the broker (`mqtt.device`).
    pub device: String,
    /// SHA-256 of the bundle file, 64 lower-case hex digits.
    pub digest: String,
    /// 32 lower-case hex digits that no other permit has. A device takes each once.
    pub nonce: String,
    /// After this moment it permits nothing, RFC 3339 UTC.
    pub expires: Timestamp,
}

impl Permit {
    /// A permit that nobody has signed yet. `nonce` are random bytes.
    ///
    /// # Errors
    /// The first thing about it that makes no sense.
    pub fn new(device: &str, digest: &str, nonce: [u8; 16], expires: Timestamp) -> Result<Self, String> {
        let permit = Self {
            schema: PERMIT_SCHEMA.to_owned(),
            device: device.to_owned(),
            digest: digest.to_owned(),
            nonce: HEXLOWER.encode(&nonce),
            expires,
        };
        permit.check()?;
        Ok(permit)
    }

    /// What its signature says of it beside it, for people.
    pub fn comment(&self) -> String {
        format!("{WORD} {} on {} until {}", self.digest, self.device, self.expires)
    }

    /// Reads a permit that a trusted key for bundles has signed. `signature` is the text of the `.minisig` file. Whether it is
    /// for this device, this bundle and this moment, and was not used before, is for the device to see.
    ///
    /// # Errors
    /// No key that counts has signed these bytes as a permit, or they are none.
    pub fn read(document: &[u8], signature: &str, keys: &TrustedKeys) -> Result<Self, TrustError> {
        let bad = |reason: String| TrustError::BadPermit { reason };
        if document.len() > PERMIT_BYTES {
            return Err(bad(format!("it has more than {PERMIT_BYTES} bytes")));
        }
        let (_, comment) = keys.verify_bytes(document, signature)?;
        if comment.split_whitespace().next() != Some(WORD) {
            return Err(bad(format!("its signature was not made for a permit: the comment begins not with {WORD:?}")));
        }
        let permit: Self = serde_json::from_slice(document).map_err(|error| bad(error.to_string()))?;
        permit.check().map_err(bad)?;
        Ok(permit)
    }

    fn check(&self) -> Result<(), String> {
        let is_hex = |text: &str, digits| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if self.schema != PERMIT_SCHEMA {
            return Err(format!("schema {:?} is not {PERMIT_SCHEMA:?}, the one this version reads", self.schema));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if !(1..=DEVICE_CHARS).contains(&self.device.len()) || !self.device.bytes().all(plain) {
            return Err(format!("device {:?}: must be 1 to {DEVICE_CHARS} of a-z, 0-9, _ and -", self.device));
        }
        match (is_hex(&self.digest, 64), is_hex(&self.nonce, 32)) {
            (true, true) => Ok(()),
            (false, _) => Err("digest: 64 lower-case hex digits".to_owned()),
            (true, false) => Err("nonce: 32 lower-case hex digits".to_owned()),
        }
    }
}
