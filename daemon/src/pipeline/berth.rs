//! Joins the place where pieces of bundles land to the broker.

use super::House;
use crate::floor::store::lock;
use crate::message::{Fetch, Writer};
use crate::outbox;
use crate::publish::{Berth, Board, Dock};
use crate::update::transfer::{Landing, Say};
use std::sync::{Arc, PoisonError};

/// The place where pieces land, with a voice to the broker.
pub(super) fn landing(message_bytes: usize, board: &Arc<Board>, writer: &Writer) -> Arc<Landing> {
    let (board, writer) = (Arc::clone(board), writer.clone());
    let voice = move |say: Say<'_>| match say {
        Say::Listen => board.wake(),
        Say::Ask(digest, run) => {
            board.mention(writer.fetch(&Fetch { digest, part: run.part.name(), from: run.from, count: run.count }));
        }
    };
    Arc::new(Landing::new(message_bytes, Box::new(voice)))
}

impl Dock for Landing {
    fn is_wanted(&self) -> bool {
        Landing::is_wanted(self)
    }

    fn granted(&self) {
        Landing::granted(self);
    }

    fn denied(&self) {
        Landing::denied(self);
    }

    fn lost(&self) {
        Landing::lost(self);
    }

    fn land(&self, topic: &str, bytes: &[u8]) {
        Landing::land(self, topic, bytes);
    }
}

impl House {
    /// Where the publisher puts pieces of bundles.
    pub(super) fn berth(&self) -> Berth {
        Berth { root: self.writer.chunks(), dock: Arc::<Landing>::clone(&self.landing) }
    }

    /// Whether the broker has time for a bundle: nothing waits for it but what it has refused.
    pub(super) fn broker_has_time(&self) -> bool {
        let refused = self.link.lock().unwrap_or_else(PoisonError::into_inner).refused.map_or(0, |(count, _)| count);
        let waiting = lock(&self.store).read(outbox::waiting);
        waiting.is_ok_and(|waiting| usize::try_from(waiting.messages).is_ok_and(|waiting| waiting <= refused))
    }
}
