//! The numbers of the device in one small message, for whoever watches over MQTT instead of by Prometheus.

use super::{Message, Writer};
use schemars::JsonSchema;
use serde::Serialize;

/// Seconds after which nobody wants a number any more.
pub(super) const METRICS_EXPIRY_S: u32 = 120;

/// Numbers of the device, for `metrics`. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Metrics {
    /// Seconds since the daemon started.
    pub(crate) uptime_s: u64,
    /// Series without an outcome yet.
    pub(crate) pending: u64,
    /// Messages that the broker has not acknowledged.
    pub(crate) outbox_messages: u64,
    /// Age of the oldest of them, in seconds; 0 where there is none.
    pub(crate) outbox_oldest_s: u64,
    /// Bytes that may still be written, by place.
    pub(crate) disk_free_bytes: DiskFree,
    /// The hottest of the kernel's sensors, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hottest_celsius: Option<f64>,
    /// Bytes in memory of the supervisor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_bytes: Option<u64>,
    /// Series that have ended since the daemon started.
    pub(crate) ended: u64,
    /// Seconds from complete series to finished report, the mean of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complete_to_result_mean_s: Option<f64>,
    /// The same of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complete_to_result_last_s: Option<f64>,
}

/// Bytes that may still be written to the filesystems of the daemon's folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DiskFree {
    /// The drop folder's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incoming: Option<u64>,
    /// The spool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spool: Option<u64>,
    /// The ledger's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<u64>,
}

impl Writer {
    /// `metrics`: no state, and of no use later.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> Message {
        let message = self.versioned("metrics", "metrics/1.0", metrics);
        Message { retain: false, expiry_s: Some(METRICS_EXPIRY_S), ..message }
    }
}
