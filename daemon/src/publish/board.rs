//! The retained state: the newest message of each topic, sent again after every connect. And what is only mentioned.

use crate::outbox::Message;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What the broker should hold for late subscribers. Any thread may post; the publisher sends.
#[derive(Debug, Default)]
pub(crate) struct Board {
    messages: Mutex<BTreeMap<String, (u64, Message)>>,
    mentioned: Mutex<BTreeMap<String, Message>>,
    changed: Notify,
    answers: Mutex<BTreeMap<&'static str, u64>>,
}

impl Board {
    /// Replaces the message of its topic.
    pub(crate) fn post(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let version = messages.values().map(|(version, _)| *version).max().unwrap_or_default().saturating_add(1);
        messages.insert(message.topic.clone(), (version, message));
        drop(messages);
        self.wake();
    }

    /// Mentions a message that nobody waits for: sent at once where there is a connection, and else dropped. A newer one
    /// of its topic replaces it.
    pub(crate) fn mention(&self, message: Message) {
        self.mentioned.lock().unwrap_or_else(PoisonError::into_inner).insert(message.topic.clone(), message);
        self.wake();
    }

    /// Takes what was mentioned and has not been taken.
    pub(super) fn mentioned(&self) -> Vec<Message> {
        std::mem::take(&mut *self.mentioned.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    /// The broker has heard that a topic has no state any more: it need not be told again.
    pub(super) fn cleared(&self, version: u64) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|_, (posted, message)| *posted != version || !message.payload.is_empty());
    }

    /// Says that the outbox has something new.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Counts an answer of the broker to a message of the outbox.
    pub(super) fn count(&self, answer: &'static str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = answers.entry(answer).or_default();
        *count = count.saturating_add(1);
    }

    /// How often the broker has answered what since the daemon started.
    pub(crate) fn answers(&self) -> BTreeMap<&'static str, u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for either.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The oldest message that is newer than version `seen`, and its version.
    pub(super) fn after(&self, seen: u64) -> Option<(u64, Message)> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.values().filter(|(version, _)| *version > seen).min_by_key(|(version, _)| *version).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_mention_is_left_and_it_is_no_state() {
        let board = Board::default();
        let message = |payload: &[u8]| Message {
            topic: "t".to_owned(),
            payload: payload.to_vec(),
            retain: false,
            expiry_s: None,
            priority: 0,
            result_id: None,
            correlation: None,
        };
        board.mention(message(b"1"));
        board.mention(message(b"2"));
        assert_eq!(board.after(0), None);
        board.mention(Message { topic: "another".to_owned(), ..message(b"3") });
        let payloads: Vec<Vec<u8>> = board.mentioned().into_iter().map(|message| message.payload).collect();
        assert_eq!(payloads, [b"3", b"2"]);
        assert_eq!(board.mentioned(), []);
    }
}
