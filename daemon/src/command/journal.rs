//! The journal: every command under its name and id, and how far it is. Each function runs inside a transaction.

use super::{Address, Lane, Name, Order, Reason, Refused, Reply, Request, State, Told, request};
use crate::floor::limits::{COMMANDS_KEPT, COMMANDS_WAITING};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// A command in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Number of the row; 0 for what is told and not kept.
    pub(crate) seq: i64,
    /// Under which name and id.
    pub(crate) address: Address,
    /// What is asked for; `None` where that was no request.
    pub(crate) request: Option<Request>,
    /// Where it is answered, beside its own topic.
    pub(crate) reply: Option<Reply>,
    /// How far it is.
    pub(crate) state: State,
    /// What is known beside that.
    pub(crate) told: Told,
    /// What whoever carries it out needs in order to go on after a restart.
    pub(crate) memory: Option<String>,
    /// How often it was begun.
    pub(crate) begun: u32,
    /// When it came, ms since 1970.
    pub(crate) received_ms: i64,
    /// When its state last changed, ms since 1970.
    pub(crate) updated_ms: i64,
}

/// What became of a request that came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Taken {
    /// It is journalled now, to be carried out or refused; another one may have been forgotten for it.
    New(Entry, Option<Address>),
    /// It had been journalled before: its state is told again.
    Again(Entry),
    /// It is refused, and there is no room to remember that.
    Unkept(Entry),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Came<'a> {
    /// What it holds.
    pub(crate) payload: &'a [u8],
    /// Whether the broker had kept it.
    pub(crate) retained: Retained,
    /// Where its sender wants to be answered.
    pub(crate) reply: Option<Reply>,
}

/// Takes a request as it came: journals it, accepted or refused, unless its name and id are known. Whoever asks again is
/// answered from then on; a copy that the broker kept changes nothing.
pub(crate) fn take(
    transaction: &Transaction<'_>,
    address: Address,
    Came { payload, retained, reply }: Came<'_>,
    known: &[Name],
    now_ms: i64,
) -> Result<Taken, rusqlite::Error> {
    if let Some(mut entry) = find(transaction, &address)? {
        if retained == Retained::No && reply.is_some() {
            entry.reply = reply;
            answer_to(transaction, &entry)?;
        }
        return Ok(Taken::Again(entry));
    }
    let read = match retained {
        Retained::Yes => {
            Err(Refused::new(Reason::Retained, "a retained request is never carried out; clear its topic"))
        }
        Retained::No => request::read(&address, payload, now_ms),
    };
    let has = |request: &Request| known.contains(&request.order.name());
    let read = match read {
        Ok(request) if !has(&request) => Err(request::unknown()),
        // It waits for nothing.
        Ok(request) if matches!(request.order, Order::Cancel(_)) => Ok(request),
        Ok(request) if waiting(transaction, request.order.name().lane())? >= COMMANDS_WAITING => {
            Err(Refused::new(Reason::QueueFull, format!("{COMMANDS_WAITING} commands wait already")))
        }
        other => other,
    };
    let (request, state, told) = match read {
        Ok(request) => (Some(request), State::Accepted, Told::default()),
        Err(refused) => (None, refused.state(), Told::refused(&refused)),
    };
    let entry = Entry {
        seq: 0,
        address,
        request,
        reply,
        state,
        told,
        memory: None,
        begun: 0,
        received_ms: now_ms,
        updated_ms: now_ms,
    };
    let (has_room, forgotten) = make_room(transaction, now_ms)?;
    if !has_room {
        let full = Refused::new(Reason::QueueFull, format!("{COMMANDS_KEPT} commands of the last days are remembered"));
        let (state, told) =
            if state == State::Accepted { (full.state(), Told::refused(&full)) } else { (state, entry.told) };
        return Ok(Taken::Unkept(Entry { request: None, state, told, ..entry }));
    }
    let seq = insert(transaction, &entry)?;
    Ok(Taken::New(Entry { seq, ..entry }, forgotten))
}

/// Whether the broker had kept a request for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retained {
    /// It had: when it was meant is not known.
    Yes,
    /// It came as it was sent.
    No,
}

/// The next command of a lane: one that was begun, else the oldest that waits. It is noted as begun.
pub(crate) fn next(transaction: &Transaction<'_>, lane: Lane, now_ms: i64) -> Result<Option<Entry>, rusqlite::Error> {
    let sql = format!(
        "{COLUMNS} WHERE lane = ?1 AND state IN ('running', 'accepted') ORDER BY state = 'running' DESC, seq LIMIT 1"
    );
    let Some(mut entry) = transaction.query_row(&sql, [lane.name()], entry).optional()? else { return Ok(None) };
    let sql = "UPDATE commands SET state = 'running', begun = begun + 1, updated_ms = ?2 WHERE seq = ?1";
    let expires_ms = entry.request.as_ref().map_or(i64::MAX, |request| request.expires_ms);
    if entry.state == State::Accepted && expires_ms <= now_ms {
        let refused = Refused::new(Reason::Expired, "its time was over before its turn came");
        (entry.state, entry.told, entry.updated_ms) = (refused.state(), Told::refused(&refused), now_ms);
        ends(transaction, &entry)?;
        return Ok(Some(entry));
    }
    transaction.execute(sql, params![entry.seq, now_ms])?;
    (entry.state, entry.begun, entry.updated_ms) = (State::Running, entry.begun.saturating_add(1), now_ms);
    Ok(Some(entry))
}

/// Notes how far a running command is, and what is needed in order to go on.
pub(crate) fn goes_on(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
    transaction
        .execute(
            "UPDATE commands SET told = ?2, memory = ?3, updated_ms = ?4 WHERE seq = ?1",
            params![entry.seq, text(&entry.told), entry.memory, entry.updated_ms],
        )
        .map(drop)
}

/// Notes how a command ended.
pub(crate) fn ends(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
    transaction
        .execute(
            "UPDATE commands SET state = ?2, told = ?3, memory = NULL, updated_ms = ?4 WHERE seq = ?1",
            params![entry.seq, entry.state.name(), text(&entry.told), entry.updated_ms],
        )
        .map(drop)
}

/// Every command that is remembered, oldest first.
pub(crate) fn entries(connection: &Connection) -> Result<Vec<Entry>, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("{COLUMNS} ORDER BY seq"))?;
    let rows = statement.query_map([], entry)?;
    rows.collect()
}

/// Forgets what ended before `before_ms`, but for `but`, and returns under which names and ids.
pub(crate) fn forget(
    transaction: &Transaction<'_>,
    before_ms: i64,
    but: Option<&Address>,
) -> Result<Vec<Address>, rusqlite::Error> {
    let old = |entry: &Entry| entry.state.is_final() && entry.updated_ms < before_ms && Some(&entry.address) != but;
    let old: Vec<Entry> = entries(transaction)?.into_iter().filter(old).collect();
    for entry in &old {
        transaction.execute("DELETE FROM commands WHERE seq = ?1", [entry.seq])?;
    }
    Ok(old.into_iter().map(|entry| entry.address).collect())
}

/// A command, if it is remembered.
pub(crate) fn find(connection: &Connection, address: &Address) -> Result<Option<Entry>, rusqlite::Error> {
    let sql = format!("{COLUMNS} WHERE name = ?1 AND id = ?2");
    connection.query_row(&sql, [&address.name, &address.id], entry).optional()
}

/// How many of a lane wait or are being carried out.
fn waiting(connection: &Connection, lane: Lane) -> Result<u64, rusqlite::Error> {
    let sql = "SELECT COUNT(*) FROM commands WHERE lane = ?1 AND state IN ('running', 'accepted')";
    let count: i64 = connection.query_row(sql, [lane.name()], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Makes room for one more where the journal is full: the oldest refusal goes, for that would be refused again. What was
/// carried out stays: it must not be carried out twice. Returns whether there is room, and what was forgotten for it.
fn make_room(transaction: &Transaction<'_>, now_ms: i64) -> Result<(bool, Option<Address>), rusqlite::Error> {
    let count: i64 = transaction.query_row("SELECT COUNT(*) FROM commands", [], |row| row.get(0))?;
    if u64::try_from(count).unwrap_or_default() < COMMANDS_KEPT {
        return Ok((true, None));
    }
    let sql = "DELETE FROM commands WHERE seq = (SELECT seq FROM commands
             WHERE state IN ('rejected', 'expired') OR (state IN ('succeeded', 'failed', 'cancelled') AND received_ms < ?1)
             ORDER BY state IN ('rejected', 'expired') DESC, seq LIMIT 1) RETURNING name, id";
    let over_ms = now_ms.saturating_sub(request::LIFE_MS);
    let address = |row: &Row<'_>| Ok(Address { name: row.get(0)?, id: row.get(1)? });
    let forgotten = transaction.query_row(sql, [over_ms], address).optional()?;
    Ok((forgotten.is_some(), forgotten))
}

fn answer_to(transaction: &Transaction<'_>, Entry { seq, reply, .. }: &Entry) -> Result<(), rusqlite::Error> {
    let (topic, correlation) = columns(reply.as_ref());
    let sql = "UPDATE commands SET reply_topic = ?2, correlation = ?3 WHERE seq = ?1";
    transaction.execute(sql, params![seq, topic, correlation]).map(drop)
}

fn columns(reply: Option<&Reply>) -> (Option<&str>, Option<&[u8]>) {
    (reply.map(|reply| reply.topic.as_str()), reply.and_then(|reply| reply.correlation.as_deref()))
}

fn insert(transaction: &Transaction<'_>, entry: &Entry) -> Result<i64, rusqlite::Error> {
    let request = entry.request.as_ref().map(text);
    let (topic, correlation) = columns(entry.reply.as_ref());
    let lane = entry.request.as_ref().map_or(Lane::Look, |request| request.order.name().lane());
    transaction.execute(
        "INSERT INTO commands (name, id, request, lane, state, told, received_ms, updated_ms, reply_topic, correlation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)",
        params![
            entry.address.name,
            entry.address.id,
            request,
            lane.name(),
            entry.state.name(),
            text(&entry.told),
            entry.received_ms,
            topic,
            correlation
        ],
    )?;
    Ok(transaction.last_insert_rowid())
}

/// The columns that [`entry`] reads.
const COLUMNS: &str = "SELECT seq, name, id, request, state, told, memory, begun, received_ms, updated_ms, reply_topic, correlation FROM commands";

fn entry(row: &Row<'_>) -> Result<Entry, rusqlite::Error> {
    let request: Option<String> = row.get(3)?;
    let (state, told): (String, String) = (row.get(4)?, row.get(5)?);
    let (topic, correlation): (Option<String>, _) = (row.get(10)?, row.get(11)?);
    Ok(Entry {
        seq: row.get(0)?,
        address: Address { name: row.get(1)?, id: row.get(2)? },
        request: request.and_then(|text| serde_json::from_str(&text).ok()),
        reply: topic.map(|topic| Reply { topic, correlation }),
        state: State::of(&state),
        told: serde_json::from_str(&told).unwrap_or_default(),
        memory: row.get(6)?,
        begun: row.get(7)?,
        received_ms: row.get(8)?,
        updated_ms: row.get(9)?,
    })
}

/// These structs always become JSON: their maps have text keys.
fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
