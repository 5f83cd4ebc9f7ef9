//! The slots and what belongs to them in the ledger. Each function runs inside a transaction or reads.

use super::shadow::Agreement;
use super::slots::{Place, Slot, Slots};
use super::trial::{Baseline, Trial};
use crate::floor::store::{fact, forget_fact, set_fact};
use ctedge_models::bundle::Proved;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Names in the ledger's facts.
const TRIAL: &str = "model_trial";
const BASELINE: &str = "model_baseline";
const AGREEMENT: &str = "model_agreement";
const CONFIGURED: &str = "model_configured";
const SEEN: &str = "model_time_ms";
const LOADING: &str = "model_loading_ms";

/// Both slots. What cannot be read is an empty slot: the bundle that the configuration names is there, too.
pub(crate) fn slots(connection: &Connection) -> Result<Slots, rusqlite::Error> {
    Ok(Slots::kept(slot(connection, Place::A)?, slot(connection, Place::B)?))
}

fn slot(connection: &Connection, place: Place) -> Result<Option<Slot>, rusqlite::Error> {
    let sql = "SELECT record FROM slots WHERE slot = ?1";
    let record: Option<String> = connection.query_row(sql, [place.name()], |row| row.get(0)).optional()?;
    Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
}

/// Keeps both slots.
pub(crate) fn keep(transaction: &Transaction<'_>, slots: &Slots) -> Result<(), rusqlite::Error> {
    for place in Place::ALL {
        match slots.get(place) {
            None => transaction.execute("DELETE FROM slots WHERE slot = ?1", [place.name()])?,
            Some(slot) => {
                let sql = "INSERT OR REPLACE INTO slots (slot, record) VALUES (?1, ?2)";
                transaction.execute(sql, params![place.name(), text(slot)?])?
            }
        };
    }
    Ok(())
}

/// By a model's name the newest release that has proved itself here.
pub(crate) fn proved(connection: &Connection) -> Result<BTreeMap<String, Proved>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT name, serial, digest FROM serials")?;
    let rows = statement.query_map([], |row| {
        let serial: i64 = row.get(1)?;
        Ok((row.get(0)?, Proved { serial: u64::try_from(serial).unwrap_or_default(), digest: row.get(2)? }))
    })?;
    rows.collect()
}

/// A release has proved itself: none before it is installed any more, but with a permit.
pub(crate) fn proves(transaction: &Transaction<'_>, slot: &Slot) -> Result<(), rusqlite::Error> {
    let bundle = &slot.bundle;
    let sql = "INSERT INTO serials (name, serial, digest) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET serial = excluded.serial, digest = excluded.digest";
    let serial = i64::try_from(bundle.serial).unwrap_or(i64::MAX);
    transaction.execute(sql, params![bundle.name, serial, bundle.digest]).map(drop)
}

/// Whether a permit was used up.
pub(crate) fn is_used(connection: &Connection, nonce: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM permits WHERE nonce = ?1)", [nonce], |row| row.get(0))
}

/// Uses a permit up.
pub(crate) fn use_up(transaction: &Transaction<'_>, nonce: &str, now_ms: i64) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR IGNORE INTO permits (nonce, used_ms) VALUES (?1, ?2)";
    transaction.execute(sql, params![nonce, now_ms]).map(drop)
}

/// The probation that is under way.
pub(crate) fn trial(connection: &Connection) -> Result<Option<Trial>, rusqlite::Error> {
    kept(connection, TRIAL)
}

/// Keeps a probation; `None` when it is over.
pub(crate) fn keep_trial(transaction: &Transaction<'_>, trial: Option<&Trial>) -> Result<(), rusqlite::Error> {
    keep_fact(transaction, TRIAL, trial)
}

/// What the model that has proved itself is like.
pub(crate) fn baseline(connection: &Connection) -> Result<Baseline, rusqlite::Error> {
    Ok(kept(connection, BASELINE)?.unwrap_or_default())
}

/// Keeps what it is like.
pub(crate) fn keep_baseline(transaction: &Transaction<'_>, baseline: &Baseline) -> Result<(), rusqlite::Error> {
    keep_fact(transaction, BASELINE, Some(baseline))
}

/// How far the model in the shadow agrees.
pub(crate) fn agreement(connection: &Connection) -> Result<Option<Agreement>, rusqlite::Error> {
    kept(connection, AGREEMENT)
}

/// Keeps how far it agrees.
pub(crate) fn keep_agreement(transaction: &Transaction<'_>, agreement: &Agreement) -> Result<(), rusqlite::Error> {
    keep_fact(transaction, AGREEMENT, Some(agreement))
}

/// Digest of the bundle that the configuration named when it was last looked at.
pub(crate) fn configured(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    fact(connection, CONFIGURED)
}

/// Keeps which that was.
pub(crate) fn keep_configured(transaction: &Transaction<'_>, digest: &str) -> Result<(), rusqlite::Error> {
    set_fact(transaction, CONFIGURED, digest)
}

/// Milliseconds that a model took to be loaded the last time one was new, engines included.
pub(crate) fn loading_ms(connection: &Connection) -> Result<Option<u32>, rusqlite::Error> {
    Ok(fact(connection, LOADING)?.and_then(|text| text.parse().ok()))
}

/// Keeps how long that took.
pub(crate) fn keep_loading_ms(transaction: &Transaction<'_>, ms: u32) -> Result<(), rusqlite::Error> {
    set_fact(transaction, LOADING, &ms.to_string())
}

/// The newest time that a trusted signature has vouched for, ms since 1970: it is not earlier, whatever the clock says.
pub(crate) fn seen_ms(connection: &Connection) -> Result<i64, rusqlite::Error> {
    Ok(fact(connection, SEEN)?.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// A trusted signature vouches for a time.
pub(crate) fn sees(transaction: &Transaction<'_>, time_ms: i64) -> Result<(), rusqlite::Error> {
    if time_ms > seen_ms(transaction)? {
        set_fact(transaction, SEEN, &time_ms.to_string())?;
    }
    Ok(())
}

fn kept<T: DeserializeOwned>(connection: &Connection, key: &str) -> Result<Option<T>, rusqlite::Error> {
    Ok(fact(connection, key)?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn keep_fact<T: Serialize>(transaction: &Transaction<'_>, key: &str, value: Option<&T>) -> Result<(), rusqlite::Error> {
    match value {
        Some(value) => set_fact(transaction, key, &text(value)?),
        None => forget_fact(transaction, key),
    }
}

fn text<T: Serialize>(value: &T) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
