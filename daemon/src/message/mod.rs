//! Reports and the daemon's own state to messages: the MQTT contract of `MQTT.md` as types.
//!
//! In: [`Report`]s, health, counters. Out: [`Message`]s. Pure; owns nothing on disk. State is retained, events and results
//! never are. Nothing here can hold patient data: it is made of pseudonyms, numbers and our own words.

mod command;
mod counters;
mod incident;
mod metrics;
mod model;
mod payload;
mod result;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use command::{Capability, CommandRequest, CommandState, Fetch};
pub(crate) use counters::{AuditHead, Counters, Kept};
pub(crate) use incident::Incident;
pub(crate) use metrics::{DiskFree, Metrics};
pub(crate) use model::{Agreed, ModelChanged, Named, Probation, Shadow, SlotModel, SlotState};
pub(crate) use payload::{COMMAND_EXPIRY_S, Check, CheckState, DiskLow, Health, Info, State, StepKind, Writer};
pub(crate) use schema::{asyncapi, documents};

use crate::report::Report;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Major version of every payload schema; it also stands in the topic root.
pub(crate) const SCHEMA_MAJOR: u32 = 1;

/// One MQTT message, ready to be stored and sent. `Debug` leaves the payload out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Full topic.
    pub(crate) topic: String,
    /// JSON.
    pub(crate) payload: Vec<u8>,
    /// Whether the broker keeps it for late subscribers: state yes, events and results never.
    pub(crate) retain: bool,
    /// Seconds after which nobody wants it any more.
    pub(crate) expiry_s: Option<u32>,
    /// Order of sending: lower first.
    pub(crate) priority: u8,
    /// Id of the result that it is, if it is one.
    pub(crate) result_id: Option<String>,
    /// With MQTT 5: what the sender of a request has given back with its answer.
    pub(crate) correlation: Option<Vec<u8>>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.payload.len();
        f.debug_struct("Message").field("topic", &self.topic).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// Where a result stands in the chain of this device's results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Name of the ledger that counts: another one begins anew.
    pub(crate) ledger: String,
    /// Rises by one with every result.
    pub(crate) seq: i64,
    /// Digest of the result before it.
    pub(crate) prev_sha256: Option<String>,
}

/// What a repeat says in addition to what was said the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// How often it has been handed to a broker, this time included.
    pub(crate) attempt: u32,
    /// Whether a subscriber may have it already.
    pub(crate) dup_possible: bool,
    /// Whether somebody asked for it once more.
    pub(crate) replayed: bool,
}

impl Message {
    /// SHA-256 of the payload as it is stored, hex: what the chain and receipts name.
    pub(crate) fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.payload))
    }

    /// The result with its last field, `delivery`, which is no part of what the digest covers.
    pub(crate) fn delivered(mut self, delivery: Delivery) -> Self {
        let Delivery { attempt, dup_possible, replayed } = delivery;
        let replayed = replayed.then_some(true);
        let told = DeliveryPayload { sha256: &self.sha256(), attempt, dup_possible, replayed };
        let told = serde_json::to_vec(&told).unwrap_or_default();
        if self.payload.pop() == Some(b'}') {
            self.payload.extend([br#","delivery":"#, told.as_slice(), b"}"].concat());
        }
        self
    }
}

/// How a result came. Always its last field.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
struct DeliveryPayload<'a> {
    /// SHA-256 of the payload before it (closed by its own brace), hex.
    sha256: &'a str,
    /// How often the device has sent it, this time included.
    #[schemars(range(min = 1))]
    attempt: u32,
    /// Whether you may have it already: it has been sent before, or another result of this id has.
    dup_possible: bool,
    /// True where somebody has asked for it again, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
}

/// A subscriber's word that it has a result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) struct Receipt {
    /// `id` of the result.
    pub(crate) id: String,
    /// `delivery.sha256` of the result.
    pub(crate) sha256: String,
}

/// A prefix or device name that is no part of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TopicError {
    /// The device name.
    #[error("mqtt.device = {name:?}: must be 1 to 48 of a-z, 0-9, _ and -")]
    Device {
        /// As configured.
        name: String,
    },
    /// The prefix.
    #[error("mqtt.prefix = {prefix:?}: must be 1 to 64 of a-z, 0-9, _, - and /, no / at its ends")]
    Prefix {
        /// As configured.
        prefix: String,
    },
}

/// The topics of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topics {
    prefix: String,
    root: String,
}

impl Topics {
    /// Topics below `{prefix}/v1/{device}`.
    pub(crate) fn new(prefix: &str, device: &str) -> Result<Self, TopicError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if !(1..=48).contains(&device.len()) || !device.bytes().all(plain) {
            return Err(TopicError::Device { name: device.to_owned() });
        }
        let levels = prefix.split('/').all(|level| !level.is_empty() && level.bytes().all(plain));
        if !(1..=64).contains(&prefix.len()) || !levels {
            return Err(TopicError::Prefix { prefix: prefix.to_owned() });
        }
        Ok(Self { prefix: prefix.to_owned(), root: format!("{prefix}/v{SCHEMA_MAJOR}/{device}") })
    }

    /// The begin of all devices' topics.
    fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A topic or filter below this device's root.
    pub(crate) fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }
}

/// The id of a result: `r1_` and 26 base32 characters of a SHA-256 over what determines it. The same input, model and
/// settings give the same id, so that a repeat is recognised as one.
pub(crate) fn result_id(series_digest: &str, model_digest: &str, config_digest: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [series_digest, model_digest, config_digest] {
        hasher.update(part.as_bytes());
        hasher.update(b"\n");
    }
    hasher.update(SCHEMA_MAJOR.to_be_bytes());
    let text = BASE32_NOPAD.encode(&hasher.finalize()).to_ascii_lowercase();
    format!("r1_{}", text.get(..26).unwrap_or(&text))
}

/// Order of sending: results by urgency, then events.
fn urgency(report: &Report) -> u8 {
    let place = crate::report::Outcome::ALL.iter().position(|outcome| *outcome == report.outcome);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(EVENT_PRIORITY)
}

/// Events come after every result.
const EVENT_PRIORITY: u8 = 9;
