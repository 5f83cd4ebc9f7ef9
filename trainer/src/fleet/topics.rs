//! Where on the broker devices stand.

use super::FleetError;

/// Longest name of a device, as the daemon takes it.
const DEVICE_CHARS: usize = 48;

/// The topics of all devices below one prefix.
#[derive(Debug, Clone)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// Topics below `{prefix}/v1`.
    ///
    /// # Errors
    /// The prefix is no part of a topic.
    pub fn new(prefix: &str) -> Result<Self, FleetError> {
        if prefix.split('/').all(is_plain) {
            return Ok(Self { root: format!("{prefix}/v1/") });
        }
        Err(FleetError::Prefix { prefix: prefix.to_owned() })
    }

    /// A topic of one device.
    pub fn of(&self, device: &str, below: &str) -> String {
        format!("{}{device}/{below}", self.root)
    }

    /// The same topic of every device, as a filter.
    pub fn all(&self, below: &str) -> String {
        self.of("+", below)
    }

    /// The device of a topic, and what stands behind it. `None` where it is no device's.
    pub fn split<'t>(&self, topic: &'t str) -> Option<(&'t str, &'t str)> {
        topic.strip_prefix(&self.root)?.split_once('/').filter(|(device, _)| is_device(device))
    }
}

/// Whether a text may be the name of a device.
pub fn is_device(name: &str) -> bool {
    is_plain(name) && name.len() <= DEVICE_CHARS
}

fn is_plain(level: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    !level.is_empty() && level.bytes().all(plain)
}
