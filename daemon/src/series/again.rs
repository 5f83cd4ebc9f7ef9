//! Series that are read again because an operator asks for it.

use super::gather::Gather;
use super::{Room, SeriesError};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::CompleteBy;
use crate::intake::Claim;
use rusqlite::{Connection, params};
use std::time::Duration;
use tracing::info;

impl Room<'_> {
    /// Opens a finished series again; it is complete at once. One whose files are gone meanwhile stays as it is.
    pub(super) fn again(&mut self, key: &SeriesKey, gather: &mut Gather, now: Duration) -> Result<(), SeriesError> {
        if !self.spool.open_again(key, self.settings.keep())? && !gather.knows(key) {
            info!(series = %key, "a series cannot be read again: its files are gone");
            return Ok(());
        }
        for path in self.spool.open_files(key)? {
            let answer = self.ask_again(&path)?;
            self.place(&Claim { path, source: None, since: Stopwatch::start() }, answer, gather, now)?;
            clock::next_piece();
        }
        gather.ends(key, CompleteBy::Operator);
        Ok(())
    }
}

/// Series that had a result: one, those of a study, or all; of those the ones whose newest result is of these times (ms since
/// 1970, both included). At most `most`, oldest first.
pub(crate) fn found(
    connection: &Connection,
    (series, study): (Option<&SeriesKey>, Option<&StudyKey>),
    (since_ms, until_ms): (i64, i64),
    most: usize,
) -> Result<Vec<SeriesKey>, rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT series_key FROM head WHERE (?1 IS NULL OR series_key = ?1) AND (?2 IS NULL OR study_key = ?2)
             AND updated_ms BETWEEN ?3 AND ?4 ORDER BY updated_ms, series_key LIMIT ?5",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let parameters = params![series.map(|key| &key.0), study.map(|key| &key.0), since_ms, until_ms, most];
    let rows = statement.query_map(parameters, |row| Ok(SeriesKey(row.get(0)?)))?;
    rows.collect()
}

/// Whether a series is filling or being read, or has had a result since then (ms since 1970).
pub(crate) fn is_under_way(connection: &Connection, key: &SeriesKey, since_ms: i64) -> Result<bool, rusqlite::Error> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM work WHERE series_key = ?1)
             OR EXISTS (SELECT 1 FROM head WHERE series_key = ?1 AND updated_ms >= ?2)",
        params![key.0, since_ms],
        |row| row.get(0),
    )
}
