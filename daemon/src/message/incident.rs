//! What happened to the device itself, for events.

use super::{Message, Writer};
use crate::floor::clock;
use schemars::JsonSchema;
use serde::Serialize;

/// A step that the device took because inference hung, for `event/inference`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Incident {
    /// Which: `worker_replaced`, `memory_freed`, `provider_bad`, `reboot`, `safe_mode`, `probing`, `resumed`, or one of a later version.
    pub(crate) step: &'static str,
    /// The execution provider that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<&'static str>,
    /// For people.
    pub(crate) detail: String,
}

/// What happened to the device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Told")]
pub(super) struct Told<'a, T> {
    schema: &'a str,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    #[serde(flatten)]
    incident: &'a T,
}

impl<'a, T> Told<'a, T> {
    /// At a time.
    pub(super) fn of(schema: &'a str, at: String, incident: &'a T) -> Self {
        Self { schema, at, incident }
    }
}

impl Writer {
    /// `event/inference`.
    pub(crate) fn incident(&self, incident: &Incident) -> Message {
        self.passing("event/inference", &Told::of("inference/1.0", clock::rfc3339(clock::now_ms()), incident))
    }
}
