//! Where the sender of a request wants to be answered: MQTT 5's Response Topic, and the Correlation Data that go back with
//! every answer.
//!
//! The sender names a topic and the device writes there with rights of its own, so the topic has bounds: nobody makes the
//! device say something where devices speak, or something that a broker closes a connection for.

use crate::floor::limits::{CORRELATION_BYTES, REPLY_TOPIC_BYTES, REPLY_TOPIC_LEVELS};
use std::fmt;

/// Where a command's states are told beside their own topic. `Debug` leaves the sender's words out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The topic; it has kept its bounds.
    pub(crate) topic: String,
    /// What goes back as it came.
    pub(crate) correlation: Option<Vec<u8>>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl Reply {
    /// Reads what came with a request; `prefix` is the begin of all devices' topics.
    ///
    /// # Errors
    /// Why nothing is answered there, in our words: nothing of what came is repeated.
    pub(crate) fn read(
        topic: Option<&str>,
        correlation: Option<&[u8]>,
        prefix: &str,
    ) -> Result<Option<Self>, &'static str> {
        let Some(topic) = topic else { return Ok(None) };
        if !(1..=REPLY_TOPIC_BYTES).contains(&topic.len()) || topic.split('/').count() > REPLY_TOPIC_LEVELS {
            return Err("the response topic is empty, or longer than an answer's may be");
        }
        if topic.starts_with('$') || topic.chars().any(is_unsafe) {
            return Err("the response topic has characters that an answer's may not have");
        }
        if topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err("the response topic is one of a device's own");
        }
        if correlation.is_some_and(|data| data.len() > CORRELATION_BYTES) {
            return Err("the correlation data are longer than an answer's may be");
        }
        Ok(Some(Self { topic: topic.to_owned(), correlation: correlation.map(<[u8]>::to_vec) }))
    }
}

/// Wildcards, and what a broker may take for a malformed packet: control characters and what is no character (MQTT 5, 1.5.4).
fn is_unsafe(character: char) -> bool {
    let code = u32::from(character);
    matches!(character, '+' | '#')
        || character.is_control()
        || code & 0xfffe == 0xfffe
        || (0xfdd0..=0xfdef).contains(&code)
}
