//! Which series of each study was chosen: the newest that ended with flags.

use super::rules::{Mode, Standing};
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::{Subject, Verdict};
use crate::series::ledger::Ending;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// The chosen series of a study, once it has flags.
pub(super) fn chosen(connection: &Connection, study: &StudyKey) -> Result<Option<Standing>, rusqlite::Error> {
    let sql = "SELECT series_key, rule, thickness_mm, coverage_mm FROM chosen WHERE study_key = ?1";
    let standing = connection.query_row(sql, [&study.0], |row| {
        Ok(Standing {
            series_key: SeriesKey(row.get(0)?),
            rule: row.get(1)?,
            thickness_mm: row.get(2)?,
            coverage_mm: row.get(3)?,
        })
    });
    standing.optional()
}

/// Notes how a series ended, in the transaction of its result: with flags it is the one that was chosen of its study. One
/// that has lost its flags, to a late slice that breaks it, is no longer.
pub(crate) fn settle(
    transaction: &Transaction<'_>,
    mode: Mode,
    subject: &Subject,
    ending: Ending<'_>,
) -> Result<(), rusqlite::Error> {
    if ending.reason.is_some() {
        let sql = "DELETE FROM chosen WHERE study_key = ?1 AND series_key = ?2";
        transaction.execute(sql, [&subject.study_key.0, &subject.series_key.0])?;
        return Ok(());
    }
    let is_chosen = subject.choice.as_ref().is_some_and(|choice| choice.verdict == Verdict::Chosen);
    if let (Mode::Best, true, Some(standing)) = (mode, is_chosen, Standing::of(subject)) {
        let Standing { series_key, rule, thickness_mm, coverage_mm } = standing;
        transaction.execute(
            "INSERT OR REPLACE INTO chosen (study_key, series_key, rule, thickness_mm, coverage_mm)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![subject.study_key.0, series_key.0, rule, thickness_mm, coverage_mm],
        )?;
    }
    Ok(())
}
