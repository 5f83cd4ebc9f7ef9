//! Identifiers of patients, where the site publishes them: kept in the ledger from a series' first file to its result, and
//! nowhere else. Owns its table `identifiers`, which is empty in any other mode.

use crate::floor::phi::SeriesKey;
use ctedge_models::scan::Identifiers;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Keeps the identifiers of a series that has been opened.
pub(in crate::series) fn keep(
    transaction: &Transaction<'_>,
    series: &SeriesKey,
    identifiers: &Identifiers,
) -> Result<(), rusqlite::Error> {
    let Identifiers { accession_number, patient_id } = identifiers;
    transaction
        .execute(
            "INSERT OR REPLACE INTO identifiers (series_key, accession_number, patient_id) VALUES (?1, ?2, ?3)",
            params![series.0, accession_number, patient_id],
        )
        .map(drop)
}

/// Takes the identifiers of a series that has its result; while later files of it wait, they stay for these.
pub(crate) fn take(transaction: &Transaction<'_>, series: &SeriesKey) -> Result<Option<Identifiers>, rusqlite::Error> {
    let sql = "SELECT accession_number, patient_id FROM identifiers WHERE series_key = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok(Identifiers { accession_number: row.get(0)?, patient_id: row.get(1)? });
    let kept = transaction.query_row(sql, [&series.0], row).optional()?;
    let sql = "DELETE FROM identifiers WHERE series_key = ?1
        AND NOT EXISTS (SELECT 1 FROM work WHERE series_key = ?1 AND state = 'open')";
    transaction.execute(sql, [&series.0])?;
    Ok(kept)
}

/// Whether any are kept.
pub(crate) fn any(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM identifiers)", [], |row| row.get(0))
}

/// Forgets all of them: the site publishes none any more.
pub(crate) fn forget(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM identifiers", []).map(drop)
}
