//! Messages that must arrive: durable before the series leaves the spool, deleted when the broker has acknowledged them.
//!
//! In: [`Message`]s, put in by the transaction that made them true. Out: [`Envelope`]s in order of urgency. Owns the
//! `outbox` table. It sends nothing itself.

pub(crate) use crate::message::Message;

use rusqlite::{Connection, Transaction, params};

/// A stored message with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// Number of the row.
    pub(crate) seq: i64,
    /// What to send.
    pub(crate) message: Message,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Messages.
    pub(crate) messages: u64,
    /// When the oldest was put in, ms since 1970.
    pub(crate) oldest_ms: Option<i64>,
}

/// Stores a message in the transaction of what it tells.
pub(crate) fn put(transaction: &Transaction<'_>, message: &Message, now_ms: i64) -> Result<i64, rusqlite::Error> {
    transaction.execute(
        "INSERT INTO outbox (topic, payload, expiry_s, priority, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![message.topic, message.payload, message.expiry_s, message.priority, now_ms],
    )?;
    Ok(transaction.last_insert_rowid())
}

/// The next messages: most urgent first, then oldest first. Those numbered in `except` are left out.
pub(crate) fn next(connection: &Connection, count: usize, except: &[i64]) -> Result<Vec<Envelope>, rusqlite::Error> {
    let mut statement =
        connection.prepare("SELECT seq, topic, payload, expiry_s, priority FROM outbox ORDER BY priority, seq")?;
    let rows = statement.query_map([], |row| {
        let message = Message {
            topic: row.get(1)?,
            payload: row.get(2)?,
            retain: false,
            expiry_s: row.get(3)?,
            priority: row.get(4)?,
        };
        Ok(Envelope { seq: row.get(0)?, message })
    })?;
    let wanted = |row: &Result<Envelope, rusqlite::Error>| row.as_ref().map_or(true, |row| !except.contains(&row.seq));
    rows.filter(wanted).take(count).collect()
}

/// Deletes a message that the broker has taken.
pub(crate) fn delete(transaction: &Transaction<'_>, seq: i64) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM outbox WHERE seq = ?1", [seq]).map(drop)
}

/// How much waits, and since when.
pub(crate) fn waiting(connection: &Connection) -> Result<Waiting, rusqlite::Error> {
    connection.query_row("SELECT COUNT(*), MIN(created_ms) FROM outbox", [], |row| {
        let messages: i64 = row.get(0)?;
        Ok(Waiting { messages: u64::try_from(messages).unwrap_or_default(), oldest_ms: row.get(1)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::store::Store;

    fn message(topic: &str, priority: u8) -> Message {
        Message { topic: topic.into(), payload: b"{}".to_vec(), retain: false, expiry_s: Some(60), priority }
    }

    #[test]
    fn urgent_first_then_oldest_until_deleted() {
        let mut store = Store::in_memory();
        let put_in =
            |store: &mut Store, topic, priority| store.commit(|t| put(t, &message(topic, priority), 5)).unwrap();
        let event = put_in(&mut store, "event", 9);
        let clear = put_in(&mut store, "clear", 4);
        let flagged = put_in(&mut store, "flagged", 0);
        let seqs = |store: &Store, count, except: &[i64]| -> Vec<i64> {
            store.read(|c| next(c, count, except)).unwrap().iter().map(|envelope| envelope.seq).collect()
        };
        assert_eq!(seqs(&store, 9, &[]), [flagged, clear, event]);
        assert_eq!(seqs(&store, 1, &[flagged]), [clear]);
        store.commit(|t| delete(t, flagged)).unwrap();
        assert_eq!(seqs(&store, 9, &[]), [clear, event]);
        assert_eq!(store.read(waiting).unwrap(), Waiting { messages: 2, oldest_ms: Some(5) });
        let first = store.read(|c| next(c, 1, &[])).unwrap().remove(0);
        assert_eq!(first.message, message("clear", 4));
    }

    #[test]
    fn what_was_rolled_back_was_never_there() {
        let mut store = Store::in_memory();
        let failed = store.commit(|t| {
            put(t, &message("result", 0), 5)?;
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        });
        assert!(failed.is_err());
        assert_eq!(store.read(waiting).unwrap(), Waiting { messages: 0, oldest_ms: None });
    }
}
