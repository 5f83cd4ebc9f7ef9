//! Messages that must arrive: durable before the series leaves the spool, deleted when the broker has acknowledged them.
//!
//! In: [`Message`]s, put in by the transaction that made them true. Out: [`Envelope`]s in order of urgency. Owns the
//! `outbox` table, and `sent` and `drafts`, where results and their drafts stay for a while after they were delivered. It sends
//! nothing itself.

mod history;

pub(crate) use crate::message::{Message, Receipt};
pub(crate) use history::{Page, delivered, forget_delivered, replay};

use crate::floor::clock;
use crate::floor::limits::ANSWER_TRIES;
use crate::floor::store::{count, fact, next_number, number, set_fact};
use crate::message::{Delivery, Kept, Place};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a result counts as delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whether a subscriber must say that it has a result; else the broker's word is enough.
    pub(crate) receipts: bool,
    /// Seconds for a receipt, after which a result is sent again; twice as long after every further time, up to 32 times as
    /// long, until the next connection or until somebody is heard again after a silence.
    pub(crate) receipt_s: f64,
    /// Hours for which delivered results are kept, so that they can be sent again on command.
    pub(crate) keep_h: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { receipts: false, receipt_s: 60.0, keep_h: 168.0 }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.1..=86_400.0).contains(&self.receipt_s) {
            problems.push(format!("outbox.receipt_s = {}: must lie between 0.1 and 86400 seconds", self.receipt_s));
        }
        if !(0.0..=8760.0).contains(&self.keep_h) {
            problems.push(format!("outbox.keep_h = {}: must lie between 0 and 8760 hours", self.keep_h));
        }
        problems
    }

    /// For how long a receipt may be waited for after a broker has taken the result so many times.
    fn patience(&self, times: u32) -> Duration {
        Duration::from_secs_f64(self.receipt_s) * (1 << times.saturating_sub(1).min(MOST_DOUBLINGS))
    }

    /// The first and the longest time for which a receipt is waited for.
    pub(crate) fn shortest_and_longest_patience(&self) -> [Duration; 2] {
        [self.patience(1), self.patience(u32::MAX)]
    }

    /// When a result is due again that a broker has taken so many times.
    fn due_ms(&self, now_ms: i64, times: u32) -> i64 {
        now_ms.saturating_add(i64::try_from(self.patience(times).as_millis()).unwrap_or(i64::MAX))
    }
}

/// Beyond these the pause between two attempts stays the same.
const MOST_DOUBLINGS: u32 = 5;

/// A stored message with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// Number of the row.
    pub(crate) seq: i64,
    /// What to send.
    pub(crate) message: Message,
    /// Whether it answers a command.
    pub(crate) is_answer: bool,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Messages.
    pub(crate) messages: u64,
    /// When the oldest was put in, ms since 1970.
    pub(crate) oldest_ms: Option<i64>,
}

/// The place of the next result of this device.
pub(crate) fn next_place(transaction: &Transaction<'_>) -> Result<Place, rusqlite::Error> {
    Ok(Place {
        ledger: fact(transaction, "ledger")?.unwrap_or_default(),
        seq: next_number(transaction, "seq")?,
        prev_sha256: fact(transaction, "newest_sha256")?,
    })
}

/// Stores a message in the transaction of what it tells. A result becomes the newest of the chain.
pub(crate) fn put(transaction: &Transaction<'_>, message: &Message, now_ms: i64) -> Result<i64, rusqlite::Error> {
    let Message { topic, payload, expiry_s, priority, result_id, correlation, .. } = message;
    transaction.execute(
        "INSERT INTO outbox (topic, payload, expiry_s, priority, created_ms, result_id, correlation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![topic, payload, expiry_s, priority, now_ms, result_id, correlation],
    )?;
    let seq = transaction.last_insert_rowid();
    if result_id.is_some() {
        set_fact(transaction, "newest_sha256", &message.sha256())?;
    }
    Ok(seq)
}

/// Stores the draft that belongs to the result of this id.
pub(crate) fn put_draft(
    transaction: &Transaction<'_>,
    result_id: &str,
    draft: &Message,
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    let seq = put(transaction, draft, now_ms)?;
    transaction.execute("UPDATE outbox SET draft_of = ?2 WHERE seq = ?1", params![seq, result_id]).map(drop)
}

/// Stores an answer to the command of this number, in place of the one before it where no broker has acknowledged that: the
/// newest state is what counts. Commands that are not journalled have number 0; each of their answers stays.
pub(crate) fn answer(
    transaction: &Transaction<'_>,
    command: i64,
    message: &Message,
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM outbox WHERE answers = ?1 AND answers > 0", [command])?;
    let seq = put(transaction, message, now_ms)?;
    transaction.execute("UPDATE outbox SET answers = ?2 WHERE seq = ?1", [seq, command]).map(drop)
}

/// A connection begins: answers that were tried on so many that they may be what ended them are given up. Returns how many.
pub(crate) fn give_up(transaction: &Transaction<'_>) -> Result<usize, rusqlite::Error> {
    transaction.execute("DELETE FROM outbox WHERE answers IS NOT NULL AND attempt >= ?1", [ANSWER_TRIES])
}

/// The next messages to send: most urgent first, then oldest first. Those numbered in `except` are left out.
///
/// That they are being sent is noted before they are: whoever is stopped in between says afterwards that a subscriber may
/// have them.
pub(crate) fn next(
    transaction: &Transaction<'_>,
    now_ms: i64,
    most: usize,
    except: &[i64],
) -> Result<Vec<Envelope>, rusqlite::Error> {
    let mut statement = transaction.prepare(&format!("{ROWS} WHERE due_ms <= ?1 ORDER BY priority, seq"))?;
    let rows = statement.query_map([now_ms], envelope)?;
    let wanted = |row: &Result<(Envelope, Before), rusqlite::Error>| {
        row.as_ref().map_or(true, |(envelope, _)| !except.contains(&envelope.seq))
    };
    let rows: Vec<(Envelope, Before)> = rows.filter(wanted).take(most).collect::<Result<_, _>>()?;
    let sending = |(Envelope { seq, message, is_answer }, before): (Envelope, Before)| {
        if is_answer || message.result_id.is_some() {
            transaction.execute("UPDATE outbox SET attempt = attempt + 1 WHERE seq = ?1", [seq])?;
        }
        let Some(id) = &message.result_id else { return Ok(Envelope { seq, message, is_answer }) };
        let (attempt, replayed) = (before.attempts.saturating_add(1), before.is_replayed);
        // Another result of the same id says the same.
        let dup_possible = replayed || before.attempts > 0 || history::has(transaction, id)?;
        let message = message.delivered(Delivery { attempt, dup_possible, replayed });
        Ok(Envelope { seq, message, is_answer })
    };
    rows.into_iter().map(sending).collect()
}

/// What is known of a row before it is sent.
#[derive(Debug, Clone, Copy)]
struct Before {
    /// How often it has been sent.
    attempts: u32,
    /// Whether it was delivered before and is sent once more on command.
    is_replayed: bool,
}

/// The columns that [`envelope`] reads.
const ROWS: &str = "SELECT seq, topic, payload, expiry_s, priority, result_id, attempt, replayed IS NOT NULL, correlation, answers IS NOT NULL FROM outbox";

/// A row, and what is known of it.
fn envelope(row: &Row<'_>) -> Result<(Envelope, Before), rusqlite::Error> {
    let message = Message {
        topic: row.get(1)?,
        payload: row.get(2)?,
        retain: false,
        expiry_s: row.get(3)?,
        priority: row.get(4)?,
        result_id: row.get(5)?,
        correlation: row.get(8)?,
    };
    let before = Before { attempts: row.get(6)?, is_replayed: row.get(7)? };
    Ok((Envelope { seq: row.get(0)?, message, is_answer: row.get(9)? }, before))
}

/// The broker has taken a message. It is done with, unless it is a result whose receipt is waited for. Returns the id of a
/// result that is delivered by this.
pub(crate) fn taken(
    transaction: &Transaction<'_>,
    seq: i64,
    now_ms: i64,
    settings: &Settings,
) -> Result<Option<String>, rusqlite::Error> {
    if history::replay_taken(transaction, seq)? {
        return Ok(None);
    }
    let sql = "SELECT result_id, taken FROM outbox WHERE seq = ?1";
    let row = transaction.query_row(sql, [seq], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, u32>(1)?)));
    // Its receipt may have come before the broker's word.
    let Some((result_id, before)) = row.optional()? else { return Ok(None) };
    if result_id.is_some() && settings.receipts {
        let due_ms = settings.due_ms(now_ms, before.saturating_add(1));
        let sql = "UPDATE outbox SET taken = taken + 1, due_ms = ?2 WHERE seq = ?1";
        transaction.execute(sql, [seq, due_ms])?;
        return Ok(None);
    }
    if result_id.is_some() {
        count(transaction, "published")?;
        history::keep(transaction, seq, now_ms)?;
    }
    history::keep_draft(transaction, seq, now_ms)?;
    transaction.execute("DELETE FROM outbox WHERE seq = ?1", [seq])?;
    Ok(result_id)
}

/// Results that wait for their receipt do so from now on as if for the first time: a connection begins, and receipts may have
/// come while there was none; or somebody who was away sends receipts again, and a broker may not have kept all for them.
pub(crate) fn wait_anew(
    transaction: &Transaction<'_>,
    now_ms: i64,
    settings: &Settings,
) -> Result<(), rusqlite::Error> {
    let due_ms = settings.due_ms(now_ms, 1);
    let sql = "UPDATE outbox SET taken = 1, due_ms = MIN(due_ms, ?1) WHERE taken > 0";
    transaction.execute(sql, [due_ms]).map(drop)
}

/// A subscriber has a result. Returns whether one of ours was meant that was not known to be there.
pub(crate) fn receipted(transaction: &Transaction<'_>, receipt: &Receipt) -> Result<bool, rusqlite::Error> {
    let mut statement = transaction.prepare(&format!("{ROWS} WHERE result_id = ?1 AND replayed IS NULL"))?;
    let rows = statement.query_map([&receipt.id], envelope)?.collect::<Result<Vec<_>, _>>()?;
    let Some((meant, _)) = rows.into_iter().find(|(row, _)| row.message.sha256() == receipt.sha256) else {
        return Ok(false);
    };
    history::keep(transaction, meant.seq, clock::now_ms())?;
    transaction.execute("DELETE FROM outbox WHERE seq = ?1", [meant.seq])?;
    count(transaction, "receipted")?;
    Ok(true)
}

/// Whether a result has not been delivered yet.
pub(crate) fn owes(connection: &Connection, result_id: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM outbox WHERE result_id = ?1)", [result_id], |row| row.get(0))
}

/// Whether messages of a topic wait.
pub(crate) fn holds(connection: &Connection, topic: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM outbox WHERE topic = ?1)", [topic], |row| row.get(0))
}

/// Forgets messages of a topic that are not wanted any more.
pub(crate) fn discard(transaction: &Transaction<'_>, topic: &str) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM outbox WHERE topic = ?1", [topic]).map(drop)
}

/// How much waits to be sent, and since when.
pub(crate) fn waiting(connection: &Connection) -> Result<Waiting, rusqlite::Error> {
    connection.query_row("SELECT COUNT(*), MIN(created_ms) FROM outbox WHERE taken = 0", [], |row| {
        let messages: i64 = row.get(0)?;
        Ok(Waiting { messages: u64::try_from(messages).unwrap_or_default(), oldest_ms: row.get(1)? })
    })
}

/// The results that are here, for the books.
pub(crate) fn kept(connection: &Connection) -> Result<Kept, rusqlite::Error> {
    let sql = "SELECT COALESCE(SUM(taken = 0), 0), COALESCE(SUM(taken > 0), 0) FROM outbox
         WHERE result_id IS NOT NULL AND replayed IS NULL";
    let (queued, unreceipted) =
        connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok(Kept {
        queued: u64::try_from(queued).unwrap_or_default(),
        unreceipted: u64::try_from(unreceipted).unwrap_or_default(),
        ledger: fact(connection, "ledger")?.unwrap_or_default(),
        last_seq: number(connection, "seq")?,
    })
}

#[cfg(test)]
mod tests;
