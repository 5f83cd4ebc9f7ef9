//! The ledger: which series are open or being read, and what the newest result of each was.
//!
//! `work` has one row for every piece of work that has no outcome yet; `head` one for every series that has one. Each
//! function is one step of a transition and runs inside its transaction, beside the outbox rows of the same step.

pub(crate) mod attempts;
pub(crate) mod identifiers;

use crate::floor::clock;
use crate::floor::phi::{Names, SeriesKey, StudyKey};
use crate::floor::store::count;
use crate::floor::subject::{CompleteBy, Priority, Subject};
use crate::intake::Retired;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Something that happened to a series and that subscribers may want to hear.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Its first file has arrived.
    Opened(&'a SeriesKey, &'a StudyKey),
    /// It is complete.
    Completed(&'a Subject),
}

/// How the work on a series ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// Name of the outcome.
    pub(crate) outcome: &'a str,
    /// Reason code of a refusal.
    pub(crate) reason: Option<&'a str>,
}

/// Puts the message of a step into the outbox, in the step's own transaction.
pub(crate) type Announce<'a> = dyn Fn(&Transaction<'_>, Step<'_>) -> Result<(), rusqlite::Error> + 'a;

/// Notes that a series has files. Returns whether this is new; then it counts as received.
pub(in crate::series) fn open(
    transaction: &Transaction<'_>,
    series: &SeriesKey,
    study: &StudyKey,
) -> Result<bool, rusqlite::Error> {
    let added = transaction.execute(
        "INSERT OR IGNORE INTO work (series_key, study_key, state) VALUES (?1, ?2, 'open')",
        params![series.0, study.0],
    )?;
    if added > 0 {
        count(transaction, "received")?;
    }
    Ok(added > 0)
}

/// Notes what a series is called under other generations of the site's key.
pub(in crate::series) fn note_aliases(
    transaction: &Transaction<'_>,
    series: &SeriesKey,
    also: &[Names],
) -> Result<(), rusqlite::Error> {
    for Names { study_key, series_key } in also {
        transaction.execute(
            "INSERT OR IGNORE INTO aliases (series_key, also_study, also_series) VALUES (?1, ?2, ?3)",
            params![series.0, study_key.0, series_key.0],
        )?;
    }
    Ok(())
}

/// What a series is called under other generations of the site's key, newest first.
pub(crate) fn aliases(connection: &Connection, series: &SeriesKey) -> Result<Vec<Names>, rusqlite::Error> {
    let sql = "SELECT also_study, also_series FROM aliases WHERE series_key = ?1 ORDER BY also_series DESC";
    let names =
        |row: &rusqlite::Row<'_>| Ok(Names { study_key: StudyKey(row.get(0)?), series_key: SeriesKey(row.get(1)?) });
    connection.prepare(sql)?.query_map([&series.0], names)?.collect()
}

/// Forgets other names: the key has one generation.
pub(crate) fn forget_aliases(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM aliases", []).map(drop)
}

/// Whether a study has series without an outcome, or one that was chosen.
pub(in crate::series) fn is_under_way(connection: &Connection, study: &StudyKey) -> Result<bool, rusqlite::Error> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM work WHERE study_key = ?1) OR EXISTS (SELECT 1 FROM chosen WHERE study_key = ?1)";
    connection.query_row(sql, [&study.0], |row| row.get(0))
}

/// Notes that an open series is complete and frozen.
pub(in crate::series) fn ready(transaction: &Transaction<'_>, subject: &Subject) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "UPDATE work SET state = 'ready', digest = ?2, instances = ?3, expected = ?4, complete_by = ?5, completed_ms = ?6,
             urgent = ?7
         WHERE series_key = ?1 AND state = 'open'",
        params![
            subject.series_key.0,
            subject.digest,
            subject.instances,
            subject.expected,
            name(subject.complete_by),
            subject.completed_ms,
            subject.priority == Priority::Urgent
        ],
    )?;
    Ok(())
}

/// The work on a series that was complete when the daemon last stopped.
pub(in crate::series) fn resume(
    connection: &Connection,
    series: &SeriesKey,
) -> Result<Option<Subject>, rusqlite::Error> {
    connection
        .query_row(
            "SELECT study_key, digest, instances, expected, complete_by, completed_ms, urgent FROM work
             WHERE series_key = ?1 AND state = 'ready'",
            [&series.0],
            |row| {
                Ok(Subject {
                    study_key: StudyKey(row.get(0)?),
                    series_key: series.clone(),
                    digest: row.get(1)?,
                    instances: row.get(2)?,
                    expected: row.get(3)?,
                    complete_by: evidence(&row.get::<_, String>(4)?),
                    completed_ms: row.get(5)?,
                    priority: if row.get(6)? { Priority::Urgent } else { Priority::Routine },
                    revision: 1,
                    replaces: None,
                    choice: None,
                })
            },
        )
        .optional()
}

/// Series that are complete since before `before_ms` and have no outcome.
pub(crate) fn overdue(connection: &Connection, before_ms: i64) -> Result<Vec<Subject>, rusqlite::Error> {
    let mut statement =
        connection.prepare("SELECT series_key FROM work WHERE state = 'ready' AND completed_ms < ?1 ORDER BY id")?;
    let keys = statement.query_map([before_ms], |row| Ok(SeriesKey(row.get(0)?)))?.collect::<Result<Vec<_>, _>>()?;
    let subjects = keys.iter().map(|key| resume(connection, key)).collect::<Result<Vec<_>, _>>()?;
    Ok(subjects.into_iter().flatten().collect())
}

/// Notes that a series was told as overdue. Returns whether this is new.
pub(crate) fn tell_overdue(
    transaction: &Transaction<'_>,
    series: &SeriesKey,
    now_ms: i64,
) -> Result<bool, rusqlite::Error> {
    let sql = "UPDATE work SET overdue_ms = ?2 WHERE series_key = ?1 AND state = 'ready' AND overdue_ms IS NULL";
    Ok(transaction.execute(sql, params![series.0, now_ms])? > 0)
}

/// Series that have files and are not complete.
pub(in crate::series) fn open_keys(
    transaction: &Transaction<'_>,
) -> Result<Vec<(SeriesKey, StudyKey)>, rusqlite::Error> {
    let mut statement =
        transaction.prepare("SELECT series_key, study_key FROM work WHERE state = 'open' ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((SeriesKey(row.get(0)?), StudyKey(row.get(1)?))))?;
    rows.collect()
}

/// Whether a complete series has no outcome yet.
pub(crate) fn is_ready(connection: &Connection, series: &SeriesKey) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM work WHERE series_key = ?1 AND state = 'ready')";
    connection.query_row(sql, [&series.0], |row| row.get(0))
}

/// Whether series of a study are still filling. Those whose earlier files have no outcome yet do not count: they cannot
/// go on before that.
pub(crate) fn is_filling(connection: &Connection, study: &StudyKey) -> Result<bool, rusqlite::Error> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM work AS open WHERE study_key = ?1 AND state = 'open' AND NOT EXISTS
             (SELECT 1 FROM work WHERE series_key = open.series_key AND state = 'ready'))",
        [&study.0],
        |row| row.get(0),
    )
}

/// Whether a study has a result of the last hour, and a series without one.
pub(crate) fn is_half_read(connection: &Connection, now_ms: i64) -> Result<bool, rusqlite::Error> {
    const HOUR_MS: i64 = 3_600_000;
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM work JOIN head ON head.study_key = work.study_key
             WHERE head.series_key != work.series_key AND head.updated_ms > ?1)",
        [now_ms.saturating_sub(HOUR_MS)],
        |row| row.get(0),
    )
}

/// Ends the work on a series: counts its outcome, and makes `result_id` the head of the series.
///
/// Returns the subject with its revision settled: the same result id again is the same revision (a repeat), another one
/// is the next revision and names the one it replaces.
pub(crate) fn finish(
    transaction: &Transaction<'_>,
    subject: &Subject,
    result_id: &str,
    ending: Ending<'_>,
) -> Result<Subject, rusqlite::Error> {
    transaction.execute("DELETE FROM work WHERE series_key = ?1 AND state = 'ready'", [&subject.series_key.0])?;
    count(transaction, ending.outcome)?;
    let head = transaction
        .query_row(
            "SELECT result_id, revision, replaces FROM head WHERE series_key = ?1",
            [&subject.series_key.0],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<String>>(2)?)),
        )
        .optional()?;
    let (revision, replaces) = match head {
        None => (1, None),
        Some((id, revision, replaces)) if id == result_id => (revision, replaces),
        Some((id, revision, _)) => (revision.saturating_add(1), Some(id)),
    };
    transaction.execute(
        "INSERT INTO head (series_key, result_id, revision, replaces, outcome, reason, updated_ms, study_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (series_key) DO UPDATE SET result_id = excluded.result_id, revision = excluded.revision,
             replaces = excluded.replaces, outcome = excluded.outcome, reason = excluded.reason,
             updated_ms = excluded.updated_ms, study_key = excluded.study_key",
        params![
            subject.series_key.0,
            result_id,
            revision,
            replaces,
            ending.outcome,
            ending.reason,
            clock::now_ms(),
            subject.study_key.0
        ],
    )?;
    Ok(Subject { revision, replaces, ..subject.clone() })
}

/// Where the files of a series belong by its newest result. `None` when it never had one.
pub(in crate::series) fn retired(
    transaction: &Transaction<'_>,
    series: &SeriesKey,
) -> Result<Option<Retired>, rusqlite::Error> {
    let sql = "SELECT reason FROM head WHERE series_key = ?1";
    let reason = |row: &rusqlite::Row<'_>| row.get::<_, Option<String>>(0);
    let retired = transaction.query_row(sql, [&series.0], |row| Ok(Retired::after(reason(row)?.as_deref())));
    retired.optional()
}

/// How it stands with a series whose files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// More of it has come, or it has no outcome yet.
    AtWork,
    /// This ledger knows nothing of it.
    Unknown,
    /// It has ended.
    Ended {
        /// Its newest result.
        result_id: String,
        /// Reason code of a refusal.
        reason: Option<String>,
    },
}

/// How it stands with a series.
pub(crate) fn standing(connection: &Connection, series: &SeriesKey) -> Result<Standing, rusqlite::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM work WHERE series_key = ?1)";
    if connection.query_row(sql, [&series.0], |row| row.get(0))? {
        return Ok(Standing::AtWork);
    }
    let ended = |row: &rusqlite::Row<'_>| Ok(Standing::Ended { result_id: row.get(0)?, reason: row.get(1)? });
    let sql = "SELECT result_id, reason FROM head WHERE series_key = ?1";
    Ok(connection.query_row(sql, [&series.0], ended).optional()?.unwrap_or(Standing::Unknown))
}

/// A counter: name, value today, value in all.
pub(crate) type Counter = (String, u64, u64);

/// The books: every counter, and how much work has no outcome yet.
pub(crate) fn books(connection: &Connection) -> Result<(Vec<Counter>, u64), rusqlite::Error> {
    let today = clock::day(clock::now_ms());
    let mut statement = connection.prepare(
        "SELECT name, SUM(CASE WHEN day = ?1 THEN value ELSE 0 END), SUM(value) FROM counters GROUP BY name ORDER BY name",
    )?;
    let rows = statement.query_map([today], |row| Ok((row.get(0)?, unsigned(row, 1)?, unsigned(row, 2)?)))?;
    let counters = rows.collect::<Result<Vec<_>, _>>()?;
    let pending = connection.query_row("SELECT COUNT(*) FROM work", [], |row| unsigned(row, 0))?;
    Ok((counters, pending))
}

/// When series last ended with each outcome, ms since 1970.
pub(crate) fn newest(connection: &Connection) -> Result<Vec<(String, i64)>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT outcome, MAX(updated_ms) FROM head GROUP BY outcome")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// How many series are filling, and how many are complete and have no outcome yet.
pub(crate) fn queue(connection: &Connection) -> Result<(u64, u64), rusqlite::Error> {
    let sql = "SELECT COALESCE(SUM(state = 'open'), 0), COALESCE(SUM(state = 'ready'), 0) FROM work";
    connection.query_row(sql, [], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))
}

fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let value: i64 = row.get(column)?;
    Ok(u64::try_from(value).unwrap_or_default())
}

const EVIDENCE: [(CompleteBy, &str); 6] = [
    (CompleteBy::QuietPeriod, "quiet_period"),
    (CompleteBy::ExpectedCount, "expected_count"),
    (CompleteBy::Marker, "marker"),
    (CompleteBy::Archive, "archive"),
    (CompleteBy::SingleFile, "single_file"),
    (CompleteBy::Operator, "operator"),
];

fn name(evidence: CompleteBy) -> &'static str {
    EVIDENCE.iter().find(|(known, _)| *known == evidence).map_or("quiet_period", |(_, name)| name)
}

fn evidence(name: &str) -> CompleteBy {
    EVIDENCE.iter().find(|(_, known)| *known == name).map_or(CompleteBy::QuietPeriod, |(evidence, _)| *evidence)
}
