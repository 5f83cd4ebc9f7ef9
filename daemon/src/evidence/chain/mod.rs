//! The audit log as a chain: every entry names the digest of the one before it, and the newest one's digest is published.
//!
//! It lies in the ledger, so that an entry and what it tells are one commit: a file beside it would need a sync of its own
//! for every series, and could disagree after a power cut.

use crate::evidence::event::{Entry, Event};
use crate::floor::clock;
use crate::floor::store::{fact, set_fact};
use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The newest entry: whoever knows it notices when the end of the log is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Number of the entry.
    pub(crate) seq: i64,
    /// Its digest, hex.
    pub(crate) sha256: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.sha256)
    }
}

impl FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(seq, sha256)| Some((seq.parse().ok()?, sha256.to_owned())));
        let (seq, sha256) = parts.ok_or_else(|| "a head is SEQ:SHA256, as `counters` publishes it".to_owned())?;
        Ok(Self { seq, sha256 })
    }
}

/// Where the chain is broken first, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Number of the entry.
    pub(crate) seq: i64,
    /// What is wrong with it.
    pub(crate) reason: &'static str,
}

/// Name of the newest entry among the ledger's facts.
const HEAD: &str = "audit_head";

/// Adds an entry, in the transaction of what it tells.
pub(crate) fn append(transaction: &Transaction<'_>, event: Event<'_>) -> Result<(), rusqlite::Error> {
    let before = head(transaction)?;
    let seq = before.as_ref().map_or(0, |head| head.seq).saturating_add(1);
    let at_ms = clock::now_ms();
    let entry = Entry::of(event, seq, before.map(|head| head.sha256), clock::rfc3339(at_ms));
    let record = serde_json::json!(entry).to_string();
    transaction.execute("INSERT INTO audit (seq, at_ms, record) VALUES (?1, ?2, ?3)", (seq, at_ms, &record))?;
    let head = Head { seq, sha256: digest(&record) };
    set_fact(transaction, HEAD, &head.to_string())
}

/// Enters that something that decides on results is not what it was when it was last looked at. The first look enters
/// nothing.
pub(crate) fn note_digest(transaction: &Transaction<'_>, what: &str, now: &str) -> Result<(), rusqlite::Error> {
    let key = format!("audit_{what}");
    let before = fact(transaction, &key)?;
    if let Some(before) = before.as_deref().filter(|before| *before != now) {
        append(transaction, Event::Changed { what, before, now })?;
    }
    if before.as_deref() == Some(now) { Ok(()) } else { set_fact(transaction, &key, now) }
}

/// The newest entry, as the ledger has it.
pub(crate) fn head(connection: &Connection) -> Result<Option<Head>, rusqlite::Error> {
    Ok(fact(connection, HEAD)?.and_then(|text| text.parse().ok()))
}

/// The entries since `since_ms` (ms since 1970), oldest first, each with its text. Those that cannot be read are left out;
/// [`verify`] finds them.
pub(crate) fn entries(connection: &Connection, since_ms: i64) -> Result<Vec<(String, Entry)>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT record FROM audit WHERE at_ms >= ?1 ORDER BY seq")?;
    let records = statement.query_map([since_ms], |row| row.get::<_, String>(0))?;
    let read = |record: String| {
        let entry = serde_json::from_str(&record).ok()?;
        Some((record, entry))
    };
    Ok(records.collect::<Result<Vec<_>, _>>()?.into_iter().filter_map(read).collect())
}

/// Deletes entries from before `before_ms` (ms since 1970), and enters that it did: the first entry that is left goes on
/// from a digest that the log itself still names.
pub(crate) fn forget(transaction: &Transaction<'_>, before_ms: i64) -> Result<usize, rusqlite::Error> {
    // Up to the first one that is kept: a clock that was set back leaves no hole.
    let sql = "SELECT seq, record FROM audit
        WHERE seq < (SELECT COALESCE(MIN(seq), 0) FROM audit WHERE at_ms >= ?1) ORDER BY seq DESC LIMIT 1";
    let last = transaction.query_row(sql, [before_ms], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
    let Some((seq, record)) = last.optional()? else { return Ok(0) };
    append(transaction, Event::Forgotten { seq, sha256: &digest(&record) })?;
    transaction.execute("DELETE FROM audit WHERE seq <= ?1", [seq])
}

/// Looks whether the log is whole: no entry changed, left out, put elsewhere or cut off.
///
/// `published` is a head that somebody outside has heard: without it whoever can write the ledger could write the whole
/// chain anew.
pub(crate) fn verify(
    connection: &Connection,
    published: Option<&Head>,
) -> Result<Result<usize, Fault>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT seq, record FROM audit ORDER BY seq")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
    Ok(whole(&rows, head(connection)?.as_ref(), published).map(|()| rows.len()))
}

fn whole(rows: &[(i64, String)], head: Option<&Head>, published: Option<&Head>) -> Result<(), Fault> {
    let fault = |seq, reason| Err(Fault { seq, reason });
    let mut before: Option<Head> = None;
    let mut begin = None;
    let mut forgotten = None;
    for (seq, record) in rows {
        let seq = *seq;
        let Ok(entry) = serde_json::from_str::<Entry>(record) else { return fault(seq, "is no entry") };
        if entry.seq != seq {
            return fault(seq, "stands in another's place");
        }
        match &before {
            None => begin = Some((seq, entry.prev_sha256.clone())),
            Some(last) if last.seq + 1 != seq => return fault(last.seq + 1, "is missing"),
            Some(last) if entry.prev_sha256.as_ref() != Some(&last.sha256) => {
                return fault(last.seq, "was changed, or the one after it was");
            }
            Some(_) => {}
        }
        if let Some((through, sha256)) = entry.forgotten() {
            forgotten = Some((through, sha256.to_owned()));
        }
        let here = Head { seq, sha256: digest(record) };
        if published.is_some_and(|published| published.seq == seq && *published != here) {
            return fault(seq, "is not what was published");
        }
        before = Some(here);
    }
    // What is left goes on from what an entry says was deleted.
    let expected = forgotten.map_or((1, None), |(through, sha256)| (through + 1, Some(sha256)));
    match begin {
        Some(begin) if begin != expected => {
            return fault(begin.0 - 1, "is missing, and no entry says that it was deleted");
        }
        Some(_) | None => {}
    }
    let last = before.as_ref().map_or(0, |last| last.seq);
    if [head, published].into_iter().flatten().any(|head| head.seq > last) {
        return fault(last + 1, "is missing: the end of the log was cut off");
    }
    if before.as_ref() == head { Ok(()) } else { fault(last, "is not the one that the ledger knows as its newest") }
}

fn digest(record: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(record.as_bytes()))
}

#[cfg(test)]
mod tests;
