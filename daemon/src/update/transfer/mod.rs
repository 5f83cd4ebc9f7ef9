//! How a bundle comes onto the device over the wire: from a server of files, or piece by piece over the broker.
//!
//! In: what an offer names. Out: a whole file of that digest, in `state/bundles`, synced. What came of it before a stop, a
//! crash or a lost connection is kept, and is no more believed than what comes: nothing counts but the digests. Both ways
//! block the thread that calls them, end soon after a stop, and give up at a deadline.

mod broker;
mod landing;
mod pace;
mod part;
mod pieces;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use broker::mqtt;
pub(crate) use landing::{Landing, Say};
pub(crate) use server::{https, trusted};

use super::Settings;
use crate::floor::clock;
use crate::floor::disk::{Disk, Place};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::warn;

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// SHA-256 of the bundle, 64 lower-case hex digits.
    pub(crate) digest: &'a str,
    /// Its length.
    pub(crate) bytes: u64,
}

/// How it is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    /// Bytes of a chunk.
    pub(crate) chunk_bytes: u32,
    /// SHA-256 of the list of chunks, hex.
    pub(crate) chunks_sha256: &'a str,
}

/// On which terms.
pub(crate) struct Terms<'a> {
    /// Speed, certificates, and whether the broker may be used.
    pub(crate) settings: &'a Settings,
    /// When it is given up; a day from now where nothing is said.
    pub(crate) deadline_ms: Option<i64>,
    /// Whether there is room.
    pub(crate) disk: &'a Disk,
    /// Set when the daemon stops.
    pub(crate) stop: &'a AtomicBool,
    /// Told how many bytes are there, now and then.
    pub(crate) progress: &'a dyn Fn(u64),
    /// Whether the broker has time for a bundle: false while results wait for it.
    pub(crate) may_go_on: &'a dyn Fn() -> bool,
}

/// Why a bundle has not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The daemon stops. What has come is kept, and the next start goes on from there.
    #[error("the device stops")]
    Stopped,
    /// The time is over. What has come is kept.
    #[error("the bundle did not come in time: {trouble}")]
    Deadline {
        /// What was in the way last.
        trouble: String,
    },
    /// The server does not give it, and would not if it were asked again.
    #[error("{reason}")]
    Refused {
        /// Why, without the address.
        reason: String,
    },
    /// More came than was offered, or the server says that it has another length.
    #[error("the bundle has another length than offered")]
    Length,
    /// What came is not what was offered.
    #[error("the bundle has another digest than offered")]
    Digest,
    /// This device takes no bundles over the broker.
    #[error("update.mqtt is false: this device takes no bundles over the broker")]
    MqttOff,
    /// A piece would not fit into a message.
    #[error("pieces of {chunk_bytes} bytes: this device takes messages of {most_bytes}")]
    LargeChunks {
        /// Bytes of a chunk.
        chunk_bytes: u32,
        /// `mqtt.message_bytes`.
        most_bytes: usize,
    },
    /// The broker lets this device have no pieces.
    #[error("the broker refuses the subscription to chunk/+/+/+; its access rules must let the device read there")]
    Denied,
    /// The list of chunks is not the one that was offered.
    #[error("the list of chunks has another digest than offered")]
    List,
    /// Pieces are not those of the list.
    #[error("{count} pieces in a row are not those of the list")]
    Chunks {
        /// How many.
        count: u32,
    },
    /// A file of this device: the want of room is waited for, anything else is not.
    #[error("state/bundles: {source}")]
    File {
        /// Why.
        #[from]
        source: io::Error,
    },
    /// The certificates cannot be read.
    #[error("update.ca: {reason}")]
    Certificates {
        /// Why.
        reason: String,
    },
}

impl FetchError {
    /// Name in a command's `reason_code`. They are kept.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "interrupted",
            Self::Deadline { .. } => "fetch_deadline",
            Self::Refused { .. } => "fetch_failed",
            Self::Length => "wrong_length",
            Self::Digest => "wrong_digest",
            Self::MqttOff => "mqtt_off",
            Self::LargeChunks { .. } => "chunk_too_large",
            Self::Denied => "chunk_denied",
            Self::List => "chunk_list",
            Self::Chunks { .. } => "chunk_wrong",
            Self::File { .. } | Self::Certificates { .. } => "device",
        }
    }
}

/// Time for a bundle where the offer names none.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Pause before it is looked again whether there is room.
const ROOM: Duration = Duration::from_secs(1);
const NO_ROOM: &str = "there is no room on the disk";

impl Terms<'_> {
    /// The deadline.
    fn until_ms(&self) -> i64 {
        self.deadline_ms.unwrap_or_else(|| clock::now_ms().saturating_add(DAY_MS))
    }

    /// Whether to go on; `trouble` is what was in the way last.
    fn go_on(&self, until_ms: i64, trouble: &str) -> Result<(), FetchError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(FetchError::Stopped);
        }
        let is_over = clock::now_ms() >= until_ms;
        if is_over { Err(FetchError::Deadline { trouble: trouble.to_owned() }) } else { Ok(()) }
    }

    /// Waits until so many bytes more would leave the disk with room for scans.
    fn wait_for_room(&self, until_ms: i64, bytes: u64) -> Result<(), FetchError> {
        let mut told = false;
        while !self.disk.has_room_for(Place::State, bytes) {
            if !told {
                warn!(bytes, "a bundle waits for room on the disk");
                told = true;
            }
            self.go_on(until_ms, NO_ROOM)?;
            clock::wait(ROOM, self.stop);
        }
        Ok(())
    }
}
