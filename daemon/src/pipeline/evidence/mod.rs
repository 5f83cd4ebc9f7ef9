//! The daemon's own moments entered into the audit log, and what has to be done for the log now and then.

mod diag;
mod disclosure;
mod ran;

pub(crate) use diag::{Heard, diag};
pub(crate) use ran::Ran;

use super::House;
use crate::evidence::{self, Alarm, Alarms, Delivered, Event, Haste};
use crate::floor::clock;
use crate::floor::store::{Store, StoreError, lock};
use crate::publish::{TurnedAway, Witness};
use crate::series::ledger;
use ctedge_models::trust::TrustStore;
use rusqlite::Transaction;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{error, info};

/// Enters that a result was delivered, for the publisher.
pub(super) fn delivered(
    transaction: &Transaction<'_>,
    result_id: &str,
    witness: Witness,
) -> Result<(), rusqlite::Error> {
    let to = match witness {
        Witness::Broker => Delivered::Broker,
        Witness::Subscriber => Delivered::Subscriber,
    };
    evidence::append(transaction, Event::Delivered { result_id, to })
}

/// Counts messages to the device that are refused, for the publisher.
pub(super) fn turned_away(alarms: &Arc<Mutex<Alarms>>) -> Box<TurnedAway> {
    let alarms = Arc::clone(alarms);
    Box::new(move |why| alarms.lock().unwrap_or_else(PoisonError::into_inner).raise(Alarm::Message, 1, why))
}

impl House {
    /// Enters the start, and before it what has changed since the last one.
    pub(super) fn enter_start(&self) -> Result<(), StoreError> {
        let is_aside = Store::has_set_aside(&self.config.paths.database());
        // Where it cannot be read no model is loaded, and `health` says why.
        let trust = TrustStore::open(&self.config.infer.trust, &self.config.paths.of_models().trust).ok();
        let trust = trust.map(|trust| trust.fingerprint());
        lock(&self.store).commit(|transaction| {
            if is_aside && evidence::head(transaction)?.is_none() {
                evidence::append(transaction, Event::Rebuilt)?;
            }
            evidence::note_digest(transaction, "configuration", &self.config.digest_of_all())?;
            evidence::note_digest(transaction, "site_key", &self.site.fingerprint())?;
            if let Some(trust) = &trust {
                evidence::note_digest(transaction, "trust", trust)?;
            }
            if self.site.generations().len() == 1 {
                ledger::forget_aliases(transaction)?;
            }
            evidence::append(transaction, Event::Started)
        })
    }

    /// Enters the model, if it is not the one of the last time.
    pub(super) fn enter_model(&self, digest: &str) {
        let entered = lock(&self.store).commit(|transaction| evidence::note_digest(transaction, "model", digest));
        tell(entered);
    }

    /// Enters that the daemon stops because it was told to.
    pub(super) fn enter_stop(&self) {
        self.enter_alarms(Haste::Now);
        tell(lock(&self.store).commit(|transaction| evidence::append(transaction, Event::Stopped)));
    }

    /// Somebody was turned away so often; `detail` says who or why the last time, without patient data.
    pub(super) fn alarm(&self, alarm: Alarm, times: u64, detail: &str) {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).raise(alarm, times, detail);
    }

    /// Enters whoever was turned away.
    pub(super) fn enter_alarms(&self, haste: Haste) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        tell(alarms.enter(haste, |work| lock(&self.store).commit(|transaction| work(transaction))));
    }

    /// Deletes entries that are older than the site keeps them.
    pub(super) fn forget_old_entries(&self) {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let before = clock::now_ms() - i64::from(self.config.evidence.audit_keep_d) * DAY_MS;
        match lock(&self.store).commit(|transaction| evidence::forget(transaction, before)) {
            Ok(0) => {}
            Ok(entries) => info!(entries, "old entries of the audit log are deleted"),
            Err(error) => error!(%error, "old entries of the audit log cannot be deleted"),
        }
    }
}

fn tell(entered: Result<(), StoreError>) {
    if let Err(error) = entered {
        error!(%error, "the audit log cannot be written");
    }
}
