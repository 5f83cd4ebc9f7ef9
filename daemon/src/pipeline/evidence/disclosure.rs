//! Where the site publishes identifiers of patients: they leave on one topic, with their result, and nothing of them stays.

use super::super::House;
use crate::evidence::{self, Event};
use crate::floor::store::{StoreError, lock};
use crate::outbox;
use crate::report::Report;
use crate::series::{ReadIdentifiers, identifiers};
use crate::volume::HeaderReader;
use rusqlite::Transaction;
use std::sync::atomic::Ordering;
use tracing::{error, warn};

impl House {
    /// Begins as the mode says: without identifiers of an earlier mode, or with a word that some are published.
    pub(in crate::pipeline) fn begin_disclosure(&self) -> Result<(), StoreError> {
        let topic = self.writer.idmap_topic();
        let mut store = lock(&self.store);
        if self.config.phi.which().is_some() {
            warn!(mode = ?self.config.phi.mode, topic, "identifiers of patients are published");
        } else if !store.read(|connection| Ok(identifiers::any(connection)? || outbox::holds(connection, &topic)?))? {
            return Ok(());
        }
        store.delete_securely()?;
        if self.config.phi.which().is_none() {
            store.commit(|transaction| {
                identifiers::forget(transaction)?;
                outbox::discard(transaction, &topic)
            })?;
        }
        self.residue.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Who asks what identifies the patient of a file, where that is published.
    pub(in crate::pipeline) fn patients(&self) -> Option<Box<ReadIdentifiers<'_>>> {
        let which = self.config.phi.which()?;
        let spool = vec![self.config.paths.spool.clone()];
        let mut reader = HeaderReader::new(&self.config.volume, &self.config.series.urgent, spool);
        Some(Box::new(move |path| reader.identifiers(path, which)))
    }

    /// Hands the identifiers of a series to the outbox, in the transaction of its result.
    pub(in crate::pipeline) fn disclose(
        &self,
        transaction: &Transaction<'_>,
        id: &str,
        report: &Report,
        now_ms: i64,
    ) -> Result<(), rusqlite::Error> {
        if self.config.phi.which().is_none() {
            return Ok(());
        }
        let Some(identifiers) = identifiers::take(transaction, &report.subject.series_key)? else { return Ok(()) };
        outbox::put(transaction, &self.writer.idmap(id, &report.subject, &identifiers), now_ms)?;
        evidence::append(transaction, Event::Disclosed { result_id: id })?;
        self.residue.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Once no identifiers wait any more, empties the log in which the database keeps what it has written: what was deleted
    /// is overwritten in the database itself.
    pub(in crate::pipeline) fn remove_residue(&self) {
        if !self.residue.load(Ordering::Relaxed) {
            return;
        }
        let topic = self.writer.idmap_topic();
        let store = lock(&self.store);
        let removed = store.read(|connection| {
            if identifiers::any(connection)? || outbox::holds(connection, &topic)? {
                return Ok(false);
            }
            // Not while somebody else reads the database; the next time, then.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
        });
        match removed {
            Ok(removed) => self.residue.store(!removed, Ordering::Relaxed),
            Err(error) => error!(%error, "the database's log cannot be emptied of identifiers"),
        }
    }
}
