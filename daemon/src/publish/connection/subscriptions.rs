//! What the broker was asked to pass on, and which of its answers belongs to what. Pure, one of these for each connection.

/// What the broker has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// Whether it passes on pieces of bundles.
    Pieces,
    /// Anything else.
    Other,
}

/// Subscriptions of a connection. An answer does not say what it answers; so pieces are asked for alone, when all else has
/// been answered.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    unanswered: u32,
    pieces_asked: bool,
}

impl Subscriptions {
    /// Something was asked for.
    pub(super) fn asked(&mut self) {
        self.unanswered += 1;
    }

    /// Whether pieces may be asked for now. From then on they have been.
    pub(super) fn may_ask_for_pieces(&mut self) -> bool {
        let may = self.unanswered == 0 && !self.pieces_asked;
        self.pieces_asked |= may;
        may
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self) -> Answered {
        if self.unanswered == 0 {
            return Answered::Pieces;
        }
        self.unanswered -= 1;
        Answered::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_asked_for_once_and_alone() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.asked();
        subscriptions.asked();
        assert_eq!(subscriptions.answered(), Answered::Other);
        assert!(!subscriptions.may_ask_for_pieces(), "an answer is outstanding");
        assert_eq!(subscriptions.answered(), Answered::Other);
        assert!(subscriptions.may_ask_for_pieces() && !subscriptions.may_ask_for_pieces());
        assert_eq!(subscriptions.answered(), Answered::Pieces);
    }
}
