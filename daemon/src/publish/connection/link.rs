//! What is on its way to the broker. Pure bookkeeping, one of these for each connection.

use std::collections::{BTreeMap, VecDeque};

/// What a message is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ticket {
    /// A row of the outbox.
    Row(i64),
    /// A row of the outbox that answers a command.
    Answer(i64),
    /// State: the next one replaces it.
    State,
    /// The word that a topic has no state any more, of this version of the board.
    Clearing(u64),
}

/// Messages handed to the client, in order, until they are acknowledged.
#[derive(Debug)]
pub(super) struct Link {
    most: usize,
    /// Handed over, without a packet number yet.
    queued: VecDeque<Ticket>,
    /// On the wire, by packet number.
    sent: BTreeMap<u16, Ticket>,
    /// Rows that the broker refused; they wait for the next connection.
    held: Vec<i64>,
}

impl Link {
    /// At most `most` messages on their way at a time.
    pub(super) fn new(most: u16) -> Self {
        Self { most: usize::from(most.max(1)), queued: VecDeque::new(), sent: BTreeMap::new(), held: Vec::new() }
    }

    /// How many more may be handed over.
    pub(super) fn free(&self) -> usize {
        self.most.saturating_sub(self.under_way())
    }

    /// How many are not acknowledged.
    pub(super) fn under_way(&self) -> usize {
        self.queued.len() + self.sent.len()
    }

    /// A message was handed over.
    pub(super) fn handed_over(&mut self, ticket: Ticket) {
        self.queued.push_back(ticket);
    }

    /// The client has put the oldest one on the wire under this packet number.
    pub(super) fn sent(&mut self, packet: u16) {
        if let Some(ticket) = self.queued.pop_front() {
            self.sent.insert(packet, ticket);
        }
    }

    /// The broker has answered a packet.
    pub(super) fn answered(&mut self, packet: u16) -> Option<Ticket> {
        self.sent.remove(&packet)
    }

    /// Keeps a row back until the next connection.
    pub(super) fn hold(&mut self, row: i64) {
        self.held.push(row);
    }

    /// Rows that the broker refused on this connection.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Rows that must not be handed over now.
    pub(super) fn rows(&self) -> Vec<i64> {
        let under_way = self.queued.iter().chain(self.sent.values());
        let rows = under_way.filter_map(|ticket| match ticket {
            Ticket::Row(row) | Ticket::Answer(row) => Some(*row),
            Ticket::State | Ticket::Clearing(_) => None,
        });
        rows.chain(self.held.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_lead_back_to_rows() {
        let mut link = Link::new(3);
        link.handed_over(Ticket::Row(7));
        link.handed_over(Ticket::State);
        link.handed_over(Ticket::Answer(9));
        assert_eq!((link.free(), link.rows()), (0, vec![7, 9]));
        link.sent(1);
        link.sent(2);
        assert_eq!(link.answered(2), Some(Ticket::State));
        assert_eq!(link.answered(2), None, "an answer nobody waits for");
        assert_eq!(link.answered(1), Some(Ticket::Row(7)));
        assert_eq!((link.free(), link.rows()), (2, vec![9]));
        link.hold(7);
        link.sent(3);
        assert_eq!(link.answered(3), Some(Ticket::Answer(9)));
        assert_eq!((link.under_way(), link.held(), link.rows()), (0, 1, vec![7]));
    }
}
