//! Devices in the field, over their broker: which there are, what they run, and what they are told to run.
//!
//! In: retained topics of `MQTT.md`, a bundle file. Out: [`Overview`], [`Delivery`]. It stands beside the other rooms and names
//! none of them. A device pulls a bundle piece by piece; here is only answered what it asks for, so that a lost connection,
//! a restart of a device or of this program cost nothing but what was on its way.

mod choice;
mod delivery;
mod line;
mod link;
mod overview;
mod parcel;
#[cfg(test)]
mod tests;
mod topics;

pub use choice::Choice;
pub use delivery::{Delivery, Ended, Order, Told};
pub use line::Line;
pub use link::{Broker, Heard, Tls};
pub use overview::{Overview, Row, Slot};
pub use parcel::{CHUNK_BYTES, Parcel};
pub use topics::{Topics, is_device};

use ctedge_models::offer::CHUNKS;
use std::path::PathBuf;

/// Why the fleet cannot be reached or told.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The prefix is no part of a topic.
    #[error("the prefix {prefix:?} must be of a-z, 0-9, _, - and /, no / at its ends")]
    Prefix {
        /// As given.
        prefix: String,
    },
    /// A device's name is none.
    #[error("{name:?} is no name of a device: 1 to 48 of a-z, 0-9, _ and -")]
    Device {
        /// As given.
        name: String,
    },
    /// There is no connection to the broker, or none any more.
    #[error("the broker {host}:{port} cannot be used: {reason}")]
    Broker {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// What it, or the way to it, said.
        reason: String,
    },
    /// No device says that it belongs to what was chosen.
    #[error("no device on this broker {what}; `ctedge-trainer fleet` lists those that there are")]
    Nobody {
        /// What was asked for.
        what: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Pieces of this length do not do.
    #[error(
        "{bytes} bytes in pieces of {chunk_bytes}: pieces have 1024 to 1048576 bytes, and there are {CHUNKS} at most"
    )]
    Chunks {
        /// Length of the file.
        bytes: u64,
        /// Length of a piece.
        chunk_bytes: u32,
    },
    /// The broker takes no packets as long as a piece.
    #[error("the broker takes packets of {most} bytes at most; use --chunk-bytes {} or less", most.saturating_sub(512))]
    Packet {
        /// Its limit in bytes.
        most: u32,
    },
    /// A request that devices would refuse unread.
    #[error("the request has {bytes} bytes, and devices read 8192 at most")]
    Request {
        /// Its length.
        bytes: usize,
    },
}
