//! Reports to messages: the MQTT contract of `MQTT.md` as types.

/// One MQTT message, ready to be stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}
