//! `pause`, `resume` and `restart`.

use super::{Commands, Ended, LOOK};
use crate::command::{Entry, Name, Reason, Refused, Told};
use crate::floor::clock;
use crate::floor::store::{StoreError, forget_fact, lock, set_fact};
use crate::message::{Check, CheckState};
use crate::pipeline::House;
use crate::series::ledger;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// The fact of the ledger that says that intake is paused.
pub(super) const PAUSED: &str = "paused";

/// Intake is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Paused {
    /// Since when, ms since 1970.
    since_ms: i64,
    /// Id of the command that asked for it last; its state holds the reason.
    pub(super) id: String,
}

/// Whether a restart waits for the series in work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// It waits until there is none.
    Awaited,
    /// It is refused while there is one.
    Required,
}

impl Commands {
    /// How it stands with intake, while it is paused.
    pub(in crate::pipeline) fn pause_check(&self) -> Option<Check> {
        let Paused { since_ms, id } = self.pause.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let (since, pause) = (clock::rfc3339(since_ms), Name::Pause.name());
        let detail = format!("paused since {since}; cmd/{pause}/{id} says why");
        Some(Check { id: "intake", state: CheckState::Degraded, detail })
    }

    pub(super) fn is_dry(entry: &Entry) -> bool {
        entry.request.as_ref().is_some_and(|request| request.dry_run)
    }
}

impl House {
    /// Has intake leave files where they are, from the next one on and over restarts.
    pub(super) fn pause(&self, entry: &Entry) -> Result<Ended, StoreError> {
        let mut pause = self.commands.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pause.as_ref().map(|pause| pause.since_ms);
        if !Commands::is_dry(entry) {
            let paused = Paused { since_ms: before.unwrap_or_else(clock::now_ms), id: entry.address.id.clone() };
            let text = json!(paused).to_string();
            lock(&self.store).commit(|transaction| set_fact(transaction, PAUSED, &text))?;
            self.commands.paused.store(true, Ordering::Relaxed);
            *pause = Some(paused);
        }
        Ok(Some(Ok(json!({"was_paused": before.is_some()}))))
    }

    /// Has intake take files again.
    pub(super) fn resume(&self, entry: &Entry) -> Result<Ended, StoreError> {
        let mut pause = self.commands.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let was_paused = pause.is_some();
        if !Commands::is_dry(entry) {
            lock(&self.store).commit(|transaction| forget_fact(transaction, PAUSED))?;
            self.commands.paused.store(false, Ordering::Relaxed);
            *pause = None;
        }
        Ok(Some(Ok(json!({"was_paused": was_paused}))))
    }

    /// Ends the daemon. The next start finds in the journal that this was begun, and tells that it is done.
    pub(super) fn restart(&self, entry: &mut Entry, idle: Idle) -> Result<Ended, StoreError> {
        if entry.begun > 1 {
            return Ok(Some(Ok(json!({"restarted": true}))));
        }
        let (mut waits, expires_ms) = (false, entry.request.as_ref().map_or(0, |request| request.expires_ms));
        loop {
            let (_, in_work) = lock(&self.store).read(ledger::queue)?;
            if Commands::is_dry(entry) {
                return Ok(Some(Ok(json!({"in_work": in_work}))));
            }
            if in_work == 0 {
                break;
            }
            if idle == Idle::Required {
                let detail = format!("{in_work} series are being worked on; when_idle waits for them");
                return Ok(Some(Err(Refused::new(Reason::Busy, detail))));
            }
            if let Some(refused) = self.commands.stopped(entry) {
                return Ok(Some(Err(refused)));
            }
            if expires_ms <= clock::now_ms() {
                let detail = "its time was over while series were being worked on";
                return Ok(Some(Err(Refused::new(Reason::Expired, detail))));
            }
            if !std::mem::replace(&mut waits, true) {
                self.commands.progress(entry, Told::at("waiting"))?;
            }
            if self.wait(LOOK) {
                return Ok(None);
            }
        }
        self.commands.progress(entry, Told::at("stopping"))?;
        self.commands.restarts.store(true, Ordering::Relaxed);
        self.tell_to_stop();
        Ok(None)
    }
}
