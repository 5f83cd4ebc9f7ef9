//! Results that were delivered, and their drafts, kept for a while so that a command can have them sent again.

use crate::floor::limits::REPLAY_PAGE;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

/// What of the delivered results is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Their topics: one for each outcome that is wanted.
    pub(crate) topics: Vec<String>,
    /// Those stored at this time or later, ms since 1970.
    pub(crate) since_ms: i64,
    /// Those after this number.
    pub(crate) after: i64,
    /// At most so many more.
    pub(crate) most: u32,
}

/// Replays come after everything else.
const REPLAY_PRIORITY: u8 = 10;

/// A result in the outbox is delivered: keeps it, in the transaction that takes it out of there.
pub(super) fn keep(transaction: &Transaction<'_>, seq: i64, now_ms: i64) -> Result<(), rusqlite::Error> {
    transaction
        .execute(
            "INSERT INTO sent (seq, topic, payload, expiry_s, result_id, attempt, created_ms, closed_ms)
             SELECT seq, topic, payload, expiry_s, result_id, attempt, created_ms, ?2 FROM outbox WHERE seq = ?1",
            [seq, now_ms],
        )
        .map(drop)
}

/// A draft in the outbox, if this row is one, is delivered: keeps it. One that is sent again is kept already.
pub(super) fn keep_draft(transaction: &Transaction<'_>, seq: i64, now_ms: i64) -> Result<(), rusqlite::Error> {
    transaction
        .execute(
            "INSERT OR IGNORE INTO drafts (draft_of, topic, payload, expiry_s, closed_ms)
             SELECT draft_of, topic, payload, expiry_s, ?2 FROM outbox WHERE seq = ?1 AND draft_of IS NOT NULL",
            [seq, now_ms],
        )
        .map(drop)
}

/// Whether a result of this id is kept.
pub(super) fn has(connection: &Connection, result_id: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM sent WHERE result_id = ?1)", [result_id], |row| row.get(0))
}

/// The broker has taken a row that may be a replay: then it is done with. Returns whether it was one.
pub(super) fn replay_taken(transaction: &Transaction<'_>, seq: i64) -> Result<bool, rusqlite::Error> {
    let sql = "DELETE FROM outbox WHERE seq = ?1 AND replayed IS NOT NULL RETURNING replayed, attempt";
    let row = transaction.query_row(sql, [seq], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)));
    let Some((original, attempt)) = row.optional()? else { return Ok(false) };
    transaction.execute("UPDATE sent SET attempt = ?2 WHERE seq = ?1", params![original, attempt])?;
    Ok(true)
}

/// How many delivered results are kept.
pub(crate) fn delivered(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let count: i64 = connection.query_row("SELECT COUNT(*) FROM sent", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Forgets results and drafts that were delivered before `before_ms`. Returns how many results.
pub(crate) fn forget_delivered(transaction: &Transaction<'_>, before_ms: i64) -> Result<usize, rusqlite::Error> {
    transaction.execute("DELETE FROM drafts WHERE closed_ms < ?1", [before_ms])?;
    transaction.execute("DELETE FROM sent WHERE closed_ms < ?1", [before_ms])
}

/// Puts some delivered results into the outbox once more, each with its draft after it. Returns the numbers of those that were,
/// in order; none when there are no more, and `None` while enough replayed ones wait there already.
pub(crate) fn replay(
    transaction: &Transaction<'_>,
    page: &Page,
    now_ms: i64,
) -> Result<Option<Vec<i64>>, rusqlite::Error> {
    let waiting: u32 =
        transaction.query_row("SELECT COUNT(*) FROM outbox WHERE replayed IS NOT NULL", [], |row| row.get(0))?;
    let free = REPLAY_PAGE.saturating_sub(waiting);
    if free == 0 {
        return Ok(None);
    }
    let numbers = wanted(transaction, page, free.min(page.most))?;
    for seq in &numbers {
        transaction.execute(
            "INSERT INTO outbox (topic, payload, expiry_s, priority, created_ms, result_id, attempt, replayed)
             SELECT topic, payload, expiry_s, ?2, ?3, result_id, attempt, seq FROM sent WHERE seq = ?1",
            params![seq, REPLAY_PRIORITY, now_ms],
        )?;
        transaction.execute(
            "INSERT INTO outbox (topic, payload, expiry_s, priority, created_ms, draft_of)
             SELECT drafts.topic, drafts.payload, drafts.expiry_s, ?2, ?3, draft_of
             FROM drafts JOIN sent ON draft_of = result_id WHERE seq = ?1",
            params![seq, REPLAY_PRIORITY, now_ms],
        )?;
    }
    Ok(Some(numbers))
}

impl Page {
    /// How many results are meant.
    pub(crate) fn count(&self, connection: &Connection) -> Result<u64, rusqlite::Error> {
        Ok(u64::try_from(wanted(connection, self, self.most)?.len()).unwrap_or(u64::MAX))
    }
}

/// Numbers of results that are meant, oldest first.
fn wanted(connection: &Connection, page: &Page, most: u32) -> Result<Vec<i64>, rusqlite::Error> {
    let marks = vec!["?"; page.topics.len()].join(", ");
    let sql = format!(
        "SELECT seq FROM sent WHERE seq > {} AND created_ms >= {} AND topic IN ({marks}) ORDER BY seq LIMIT {most}",
        page.after, page.since_ms
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(&page.topics), |row| row.get(0))?;
    rows.collect()
}
