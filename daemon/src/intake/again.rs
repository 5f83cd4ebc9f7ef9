//! Finished series that are read again because somebody asks for it.

use super::Spool;
use super::spool::{files, merge};
use crate::floor::durable;
use crate::floor::phi::SeriesKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A finished series that will be deleted as soon as this is left alone: it may go while it is being moved.
const DELETED_SOON: Duration = Duration::from_mins(1);

impl Spool {
    /// Whether files of a finished or refused series are here and stay; finished ones do for `keep`.
    pub(crate) fn keeps(&self, key: &SeriesKey, keep: Duration) -> io::Result<bool> {
        Ok(stays(&self.at("done", key), keep) || !self.refused(key)?.is_empty())
    }

    /// Opens a finished or refused series again. Returns whether there was one.
    ///
    /// Refused files go by way of `done/`, in one step: from there a series is whole again whenever this is interrupted,
    /// since freezing fetches what is left.
    pub(crate) fn open_again(&self, key: &SeriesKey, keep: Duration) -> io::Result<bool> {
        let (done, open) = (self.at("done", key), self.at("series", key));
        let refused = self.refused(key)?;
        for folder in &refused {
            // It is as old as its refusal, and the sweep must not take it for one that was kept for long enough.
            durable::touch(folder)?;
            if done.exists() { merge(folder, &done)? } else { durable::move_to(folder, &done)? }
        }
        if refused.is_empty() && !stays(&done, keep) {
            return Ok(false);
        }
        durable::make_folder(&open)?;
        merge(&done, &open)?;
        Ok(true)
    }

    /// Where refused files of a series are.
    fn refused(&self, key: &SeriesKey) -> io::Result<Vec<PathBuf>> {
        let reasons = files(&self.root.join("quarantine"))?.into_iter();
        Ok(reasons.map(|reason| reason.join(&key.0)).filter(|folder| folder.is_dir()).collect())
    }
}

fn stays(done: &Path, keep: Duration) -> bool {
    let age = fs::metadata(done).and_then(|data| data.modified()).map(|at| at.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age <= keep.saturating_sub(DELETED_SOON))
}
