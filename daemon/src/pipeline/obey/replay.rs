//! `replay`: delivered results are sent once more, a page at a time, so that new ones go first.

use super::{Ended, LOOK};
use crate::command::{Entry, Told};
use crate::floor::clock::{self, next_piece};
use crate::floor::store::{StoreError, lock};
use crate::outbox::{self, Page};
use crate::pipeline::House;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is needed in order to go on after a restart.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Memory {
    after: i64,
    sent: u32,
    of: u64,
}

impl House {
    /// Puts the results into the outbox again; it is done when the last of them lies there.
    pub(super) fn replay(
        &self,
        entry: &mut Entry,
        (since_ms, outcomes, limit): (i64, &[String], u32),
    ) -> Result<Ended, StoreError> {
        let topics = outcomes.iter().map(|outcome| self.writer.result_topic(outcome)).collect();
        let mut page = Page { topics, since_ms, after: 0, most: limit };
        let known = entry.memory.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut memory = match known {
            Some(memory) => memory,
            None => Memory { of: lock(&self.store).read(|connection| page.count(connection))?, ..Memory::default() },
        };
        if entry.request.as_ref().is_some_and(|request| request.dry_run) {
            return Ok(Some(Ok(json!({"results": memory.of}))));
        }
        loop {
            if let Some(refused) = self.commands.stopped(entry) {
                return Ok(Some(Err(refused)));
            }
            (page.after, page.most) = (memory.after, limit.saturating_sub(memory.sent));
            // The rows and the memory of them are one commit: none is sent twice, and none is left out.
            let put = lock(&self.store).commit(|transaction| {
                let put = outbox::replay(transaction, &page, clock::now_ms())?;
                if let Some(numbers) = &put {
                    memory.after = numbers.last().copied().unwrap_or(memory.after);
                    memory.sent = memory.sent.saturating_add(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
                    (entry.memory, entry.updated_ms) = (serde_json::to_string(&memory).ok(), clock::now_ms());
                    entry.told = at(memory);
                    self.commands.goes_on(transaction, entry)?;
                }
                Ok(put)
            })?;
            if put.as_ref().is_some_and(Vec::is_empty) {
                return Ok(Some(Ok(json!({"results": memory.sent}))));
            }
            if put.is_some() {
                self.commands.tell(entry);
                next_piece();
            } else if self.wait(LOOK) {
                return Ok(None);
            }
        }
    }
}

fn at(memory: Memory) -> Told {
    let share = u32::try_from(memory.of).map(|of| f64::from(memory.sent) / f64::from(of.max(1)));
    Told { progress: share.ok(), ..Told::at("sending") }
}

#[cfg(test)]
mod tests {
    use crate::command::OUTCOMES;
    use crate::report::Outcome;

    #[test]
    fn outcomes_of_requests_are_those_of_reports() {
        let mut known = Outcome::ALL.map(Outcome::name);
        known.sort_unstable();
        let mut ours = OUTCOMES;
        ours.sort_unstable();
        assert_eq!(ours, known);
    }
}
