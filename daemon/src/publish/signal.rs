//! What happens on a connection, whichever version of MQTT it speaks.

use std::io;

/// Version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 5.
    Five,
    /// MQTT 3.1.1.
    ThreeOneOne,
}

impl Version {
    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Five => "5",
            Self::ThreeOneOne => "3.1.1",
        }
    }
}

/// What the broker grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    /// Messages on their way at a time.
    pub(super) in_flight: u16,
    /// Largest packet in bytes.
    pub(super) packet_bytes: Option<u32>,
}

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Signal {
    /// The broker has accepted us.
    Connected(Grant),
    /// The oldest message handed over is on the wire.
    Sent(u16),
    /// The broker has answered a message.
    Answered(u16, Verdict),
    /// The broker has accepted a subscription.
    Subscribed,
    /// The broker has refused a subscription.
    Denied,
    /// A message for us.
    Message(Heard),
}

/// A message from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its topic.
    pub(crate) topic: String,
    /// Its payload.
    pub(crate) payload: Vec<u8>,
    /// Whether the broker had kept it: it was sent before we subscribed.
    pub(crate) retained: bool,
    /// Where its sender wants to be answered (MQTT 5 only).
    pub(crate) response_topic: Option<String>,
    /// What its sender wants to have back with an answer (MQTT 5 only).
    pub(crate) correlation: Option<Vec<u8>>,
}

/// The broker's answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken.
    Taken,
    /// Taken, and nobody is subscribed (MQTT 5 only).
    Nobody,
    /// Refused (MQTT 5 only).
    Refused(&'static str),
}

impl Verdict {
    /// Name of the answer; there are a handful.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Nobody => "no_matching_subscribers",
            Self::Refused(reason) => reason,
        }
    }
}

/// The connection could not be made, or is gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// A file with a secret or a certificate cannot be read.
    #[error("{what}: {source}")]
    File {
        /// Which setting names it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The broker did not answer.
    #[error("the broker does not answer")]
    Timeout,
    /// The connection failed or was closed.
    #[error("{reason}")]
    Lost {
        /// What the client says.
        reason: String,
    },
}
