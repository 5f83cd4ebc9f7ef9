//! An offer of a model over the wire: what `ctedge-trainer publish` sends and a device reads as the parameters of
//! `model_update`, and how a bundle is cut into chunks for MQTT. `MQTT.md` is normative.
//!
//! Nothing in an offer is believed: it says what to fetch, and what comes is held against it and against the signature.

use crate::bundle::{BUNDLE_BYTES, Requires};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Smallest and largest chunk in bytes.
pub const CHUNK_BYTES: [u32; 2] = [1 << 10, 1 << 20];
/// Most chunks of a bundle.
pub const CHUNKS: u64 = 16_384;
/// Longest signature file, in characters.
pub const SIGNATURE_CHARS: usize = 1024;
/// Longest permit, in characters.
const PERMIT_CHARS: usize = 4096;
/// Longest address of a server, in characters.
const URL_CHARS: usize = 1024;

/// What is offered, from where, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// SHA-256 of the bundle file, 64 lower-case hex digits.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
    /// The text of its signature file.
    pub signature: String,
    /// Where it is to be had.
    pub source: Source,
    /// What becomes of it.
    #[serde(default)]
    pub mode: Mode,
    /// The model's name, in the sender's word; held against the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its serial, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// What it asks of a device, likewise; looked at before anything is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Permit to go back to an older release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<Signed>,
    /// When fetching is given up, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
}

/// Where a bundle is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// From a server of files.
    Https(String),
    /// From whoever made the offer, over the broker.
    Mqtt {
        /// Bytes of a chunk.
        chunk_bytes: u32,
        /// SHA-256 of the list of chunks, hex.
        chunks_sha256: String,
    },
    /// A file of the device's watched folder, by its name.
    File(String),
}

/// What becomes of a model that has been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It runs from now on, on probation.
    #[default]
    Activate,
    /// It runs beside the one that counts, and is compared with it.
    Shadow,
    /// It is kept.
    Stage,
}

/// A document and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Its exact text.
    pub document: String,
    /// The text of the signature file.
    pub signature: String,
}

impl Offer {
    /// A bundle that lies on the device: its file's name and length, its digest and the text of its signature.
    pub fn of_file((name, bytes): (String, u64), (digest, signature): (String, String)) -> Self {
        Self {
            digest,
            bytes,
            signature,
            source: Source::File(name),
            mode: Mode::default(),
            name: None,
            version: None,
            serial: None,
            requires: None,
            permit: None,
            deadline: None,
        }
    }

    /// Whether the values are within their bounds.
    ///
    /// # Errors
    /// The first that is not, in words that repeat nothing of the offer.
    pub fn check(&self) -> Result<(), String> {
        let is = |good: bool, wrong: &str| if good { Ok(()) } else { Err(wrong.to_owned()) };
        is(is_digest(&self.digest), "digest must be 64 of 0-9 and a-f")?;
        is((1..=BUNDLE_BYTES).contains(&self.bytes), "bytes must lie between 1 and the most of a bundle")?;
        is((1..=SIGNATURE_CHARS).contains(&self.signature.len()), "signature must be the text of a signature file")?;
        if let Some(Signed { document, signature }) = &self.permit {
            let is_short = document.len() <= PERMIT_CHARS && signature.len() <= SIGNATURE_CHARS;
            is(is_short, "permit is too long")?;
        }
        match &self.source {
            Source::Https(url) => {
                let plain = url.len() <= URL_CHARS && url.chars().all(|c| c.is_ascii_graphic());
                is(plain && url.starts_with("https://"), "source.https must be an address that begins with https://")
            }
            Source::Mqtt { chunk_bytes, chunks_sha256 } => {
                let [least, most] = CHUNK_BYTES;
                is((least..=most).contains(chunk_bytes), "source.mqtt.chunk_bytes is out of bounds")?;
                is(self.bytes.div_ceil(u64::from(*chunk_bytes)) <= CHUNKS, "source.mqtt: too many chunks")?;
                is(is_digest(chunks_sha256), "source.mqtt.chunks_sha256 must be 64 of 0-9 and a-f")
            }
            Source::File(name) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                let is_name = (1..=128).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.');
                is(is_name, "source.file must be the name of a file in the watched folder")
            }
        }
    }
}

/// Whether this is a SHA-256 in hex.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Digest of a list of chunks, as an offer names it.
pub fn list_digest(list: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(list))
}

/// Which pieces a device asks for, on its topic `fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// `fetch/1.0`.
    pub schema: String,
    /// When, RFC 3339, by the device's clock.
    pub at: String,
    /// Of which bundle.
    pub digest: String,
    /// Of the list of chunks, or of the bundle.
    pub part: Part,
    /// The first piece.
    pub from: u32,
    /// How many.
    pub count: u32,
}

/// Most pieces that are asked for at once.
pub const FETCH_MOST: u32 = 16;

/// What pieces are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The list of chunks.
    List,
    /// The bundle.
    Data,
}

impl Part {
    /// Name in topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Data => "data",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offer(source: &serde_json::Value) -> Result<Offer, String> {
        let text = json!({ "digest": "a".repeat(64), "bytes": 100_000, "signature": "s", "source": source });
        let offer: Offer = serde_json::from_value(text).map_err(|error| error.to_string())?;
        offer.check().map(|()| offer)
    }

    #[test]
    fn an_offer_keeps_its_bounds() {
        let mqtt = |bytes: u32| json!({ "mqtt": { "chunk_bytes": bytes, "chunks_sha256": "b".repeat(64) } });
        assert_eq!(offer(&mqtt(4096)).unwrap().mode, Mode::Activate);
        offer(&json!({ "https": "https://models.example/m.ctb" })).unwrap();
        offer(&json!({ "file": "scale-vlp-tiny-0.4.0.ctb" })).unwrap();
        for source in [
            mqtt(512),
            mqtt(2 << 20),
            json!({ "https": "http://models.example/m.ctb" }),
            json!({ "https": "https://models.example/a b" }),
            json!({ "file": "../m.ctb" }),
            json!({ "file": ".hidden" }),
            json!({ "oci": "x" }),
        ] {
            offer(&source).unwrap_err();
        }
    }
}
