//! `cancel`: a command that waits is never begun, one that is carried out ends at its next stop.
//!
//! It is done when it comes, whatever waits: it has no turn. What it was about and what became of that are one commit.

use super::desk::{Commands, enter};
use crate::command::{self, Address, Entry, Lane, Order, Reason, Refused, State, Told};
use crate::floor::clock;
use rusqlite::{Connection, Transaction};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// What a `cancel` was about.
pub(super) enum Cancelled {
    /// It waited, and has ended.
    Waiting(Box<Entry>),
    /// It is being carried out.
    Running { seq: i64, lane: Lane },
}

impl Commands {
    /// Carries a `cancel` out, if that is what has come, in the transaction in which it is journalled.
    pub(super) fn cancel(
        &self,
        transaction: &Transaction<'_>,
        entry: &mut Entry,
    ) -> Result<Option<Cancelled>, rusqlite::Error> {
        let Some(Order::Cancel(target)) = entry.request.as_ref().map(|request| &request.order) else { return Ok(None) };
        let is_dry = Self::is_dry(entry);
        let (cancelled, ended) = match aim(transaction, target)? {
            Err(refused) => (None, Err(refused)),
            Ok(None) => (None, Ok(State::Cancelled)),
            Ok(Some(target)) if is_dry => (None, Ok(target.state)),
            Ok(Some(mut target)) if target.state == State::Accepted => {
                let refused = refused("it was cancelled before its turn came");
                (target.state, target.told) = (refused.state(), Told::refused(&refused));
                target.updated_ms = clock::now_ms();
                command::ends(transaction, &target)?;
                enter(transaction, &target)?;
                self.answer(transaction, &target)?;
                (Some(Cancelled::Waiting(Box::new(target))), Ok(State::Cancelled))
            }
            Ok(Some(target)) => {
                let lane = target.request.map_or(Lane::Look, |request| request.order.name().lane());
                (Some(Cancelled::Running { seq: target.seq, lane }), Ok(State::Running))
            }
        };
        (entry.state, entry.told) = match ended {
            Ok(state) => (State::Succeeded, Told::done(json!({"state": state.name()}))),
            Err(refused) => (refused.state(), Told::refused(&refused)),
        };
        command::ends(transaction, entry)?;
        enter(transaction, entry)?;
        Ok(cancelled)
    }

    /// Tells what a `cancel` was about, once that is committed.
    pub(super) fn cancels(&self, cancelled: Option<Cancelled>) {
        match cancelled {
            Some(Cancelled::Waiting(entry)) => self.tell(&entry),
            Some(Cancelled::Running { seq, lane }) => {
                self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).insert(seq);
                if lane == Lane::Model {
                    self.halt.store(true, Ordering::Relaxed);
                }
            }
            None => {}
        }
    }

    /// Why a command that is being carried out is not carried on, if it was cancelled.
    pub(in crate::pipeline) fn stopped(&self, entry: &Entry) -> Option<Refused> {
        let cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.contains(&entry.seq).then(|| refused("it was cancelled while it was carried out"))
    }

    /// A command has ended: nobody waits for it to stop any more.
    pub(super) fn is_over(&self, entry: &Entry) {
        if self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry.seq) {
            self.halt.store(false, Ordering::Relaxed);
        }
    }
}

fn refused(detail: &str) -> Refused {
    Refused::new(Reason::Cancelled, detail)
}

/// The command that is to be cancelled, if it may be; nothing where it was before.
fn aim(connection: &Connection, target: &Address) -> Result<Result<Option<Entry>, Refused>, rusqlite::Error> {
    let Some(found) = command::find(connection, target)? else {
        return Ok(Err(Refused::new(Reason::NotFound, "no command of this name and id is remembered")));
    };
    let may_stop = found.request.as_ref().is_some_and(|request| request.order.may_stop());
    Ok(match found.state {
        State::Cancelled => Ok(None),
        State::Succeeded | State::Failed | State::Rejected | State::Expired => {
            Err(Refused::new(Reason::NotFound, "it has ended already"))
        }
        State::Running if !may_stop => Err(Refused::new(Reason::Busy, "it is carried out, and ends by itself")),
        State::Accepted | State::Running => Ok(Some(found)),
    })
}

/// Commands that were cancelled while they were carried out, and that the daemon's end came before: by their numbers.
pub(super) fn still_to_stop(entries: &[Entry]) -> BTreeSet<i64> {
    let done = entries.iter().filter(|entry| entry.state == State::Succeeded);
    let targets = done.filter_map(|entry| {
        let Order::Cancel(target) = &entry.request.as_ref()?.order else { return None };
        (!Commands::is_dry(entry)).then_some(target)
    });
    let number = |target: &Address| {
        entries.iter().find(|entry| entry.address == *target && !entry.state.is_final()).map(|entry| entry.seq)
    };
    targets.filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Request;

    #[test]
    fn only_what_was_cancelled_and_has_not_ended_is_still_to_stop() {
        let address = |name: &str, id: &str| Address { name: name.to_owned(), id: id.to_owned() };
        let entry = |seq, (name, id): (&str, &str), order, state, dry_run| Entry {
            seq,
            address: address(name, id),
            request: Some(Request { order, issuer: "i".to_owned(), expires_ms: 0, dry_run }),
            reply: None,
            state,
            told: Told::default(),
            memory: None,
            begun: 1,
            received_ms: 0,
            updated_ms: 0,
        };
        let restart = |seq, id, state| entry(seq, ("restart", id), Order::Restart { when_idle: true }, state, false);
        let cancel = |seq, id: &str, state, dry_run| {
            entry(seq, ("cancel", id), Order::Cancel(address("restart", id)), state, dry_run)
        };
        let entries = [
            restart(1, "runs", State::Running),
            restart(2, "ended", State::Cancelled),
            restart(3, "refused", State::Running),
            restart(4, "asked", State::Running),
            restart(5, "left", State::Running),
            cancel(6, "runs", State::Succeeded, false),
            cancel(7, "ended", State::Succeeded, false),
            cancel(8, "refused", State::Rejected, false),
            cancel(9, "asked", State::Succeeded, true),
        ];
        assert_eq!(still_to_stop(&entries), BTreeSet::from([1]));
    }
}
