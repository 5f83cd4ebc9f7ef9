//! The spool: every file that is ours, in the folder that says how far it has come.
//!
//! `copying/` on its way from another filesystem · `claimed/<random>` just taken from the drop folder · `unpacking/<random>/`
//! members of a claimed archive · `series/<key>/<digest>` sorted, its series still open ·
//! `work/<key>/` frozen while it is read · `done/<key>/` kept for late slices · `quarantine/<reason>/<key>/` refused ·
//! `deleting/<random>/` on its way out.
//! Names are random, keyed pseudonyms or digests: never anything out of a file. Moves are single renames within one
//! filesystem, so that a crash leaves every file in exactly one of these places.

use super::IntakeError;
use crate::floor::durable;
use crate::floor::fate::Code;
use crate::floor::phi::SeriesKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The spool's folders.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    pub(super) root: PathBuf,
}

/// Where a finished series goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Retired {
    /// Kept for a while, in case slices arrive late.
    Done,
    /// Refused: kept under its reason for an operator to look at.
    Quarantine(String),
}

impl Retired {
    /// Where a series belongs that ended with this reason code, or with flags.
    pub(crate) fn after(reason: Option<&str>) -> Self {
        let spared = |reason: &&str| Code::try_from((*reason).to_owned()).is_ok_and(Code::spares_files);
        reason.filter(|reason| !spared(reason)).map_or(Self::Done, |reason| Self::Quarantine(reason.to_owned()))
    }
}

impl Spool {
    /// Opens the spool, making its folders.
    pub(crate) fn open(root: &Path) -> Result<Self, IntakeError> {
        let spool = Self { root: root.to_owned() };
        for name in ["claimed", "copying", "unpacking", "series", "work", "done", "quarantine", "deleting"] {
            let path = spool.root.join(name);
            durable::make_folder(&path).map_err(|source| IntakeError::Spool { path, source })?;
        }
        for half in spool.list("copying")? {
            fs::remove_file(&half).map_err(|source| IntakeError::Spool { path: spool.root.join("copying"), source })?;
        }
        // The archives of what was being unpacked are still claimed.
        for name in ["unpacking", "deleting"] {
            for half in spool.list(name)? {
                let swept = fs::remove_dir_all(&half);
                swept.map_err(|source| IntakeError::Spool { path: spool.root.join(name), source })?;
            }
        }
        Ok(spool)
    }

    /// Takes a file out of the drop folder. One rename, or a durable copy when the drop folder is another filesystem.
    pub(super) fn claim(&self, file: &Path) -> io::Result<PathBuf> {
        let name = durable::random_name()?;
        let target = self.root.join("claimed").join(&name);
        match durable::rename(file, &target) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                // Under another name until it is whole: a crash half-way must not leave half a file as a claim.
                let half = self.root.join("copying").join(&name);
                durable::copy(file, &half)?;
                durable::move_to(&half, &target)?;
                fs::remove_file(file)?;
            }
            other => other?,
        }
        Ok(target)
    }

    /// Files that were claimed and not yet sorted into a series.
    pub(super) fn claimed(&self) -> Result<Vec<PathBuf>, IntakeError> {
        self.list("claimed")
    }

    /// A fresh folder for the members of an archive. What is left in it goes with the value.
    pub(crate) fn unpacking(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("").tempdir_in(self.root.join("unpacking"))
    }

    /// The members in such a folder, made durable: a move may outlive a power cut that its file's bytes do not, and what is
    /// left then would be taken for another file of the series.
    pub(crate) fn members(unpacking: &TempDir) -> io::Result<Vec<PathBuf>> {
        durable::sync_all(unpacking.path())?;
        files(unpacking.path())
    }

    /// Deletes a claimed archive, once the moves of its members into their series are durable.
    pub(crate) fn let_go(&self, archive: &Path) -> io::Result<()> {
        durable::sync_all(&self.root)?;
        fs::remove_file(archive)?;
        durable::sync_folder(&self.root.join("claimed"))
    }

    /// Puts a claimed file into its open series, named by its digest: the same bytes land on the same name.
    pub(crate) fn sort_in(&self, claimed: &Path, key: &SeriesKey, digest: &str) -> io::Result<()> {
        let folder = self.root.join("series").join(&key.0);
        durable::make_folder(&folder)?;
        durable::rename(claimed, &folder.join(digest))
    }

    /// Freezes an open series for reading. Returns `None` while an earlier batch of it is still being read.
    ///
    /// Files of an earlier result that are still kept join it, so that late slices meet the ones they belong to.
    pub(crate) fn freeze(&self, key: &SeriesKey) -> io::Result<Option<PathBuf>> {
        let (open, work, done) = (self.at("series", key), self.at("work", key), self.at("done", key));
        if work.exists() {
            return Ok(None);
        }
        durable::make_folder(&open)?;
        if done.exists() {
            merge(&done, &open)?;
        }
        durable::move_to(&open, &work)?;
        Ok(Some(work))
    }

    /// Undoes [`Spool::freeze`], for a series that froze in the moment of a crash.
    pub(crate) fn thaw(&self, key: &SeriesKey) -> io::Result<()> {
        let open = self.at("series", key);
        durable::make_folder(&open)?;
        merge(&self.at("work", key), &open)
    }

    /// The folder of a frozen series.
    pub(crate) fn frozen(&self, key: &SeriesKey) -> PathBuf {
        self.at("work", key)
    }

    /// Files of a frozen series.
    pub(crate) fn frozen_files(&self, key: &SeriesKey) -> io::Result<Vec<PathBuf>> {
        files(&self.at("work", key))
    }

    /// Moves a frozen series to where it ends. Does nothing when it is not there: a restart may do it twice.
    pub(crate) fn retire(&self, key: &SeriesKey, retired: Retired) -> io::Result<()> {
        let work = self.at("work", key);
        if !work.exists() {
            return Ok(());
        }
        let target = match retired {
            Retired::Done => self.at("done", key),
            Retired::Quarantine(reason) => self.root.join("quarantine").join(reason).join(&key.0),
        };
        if target.exists() {
            return merge(&work, &target);
        }
        durable::make_folder(target.parent().unwrap_or(&self.root))?;
        durable::move_to(&work, &target)
    }

    /// Keys of the open series, as the disk has them.
    pub(crate) fn open_keys(&self) -> Result<Vec<SeriesKey>, IntakeError> {
        self.keys("series")
    }

    /// Keys of the frozen series.
    pub(crate) fn frozen_keys(&self) -> Result<Vec<SeriesKey>, IntakeError> {
        self.keys("work")
    }

    /// Whether files of a series are here that others would join.
    pub(crate) fn holds(&self, key: &SeriesKey) -> bool {
        ["series", "work", "done"].into_iter().any(|stage| self.at(stage, key).is_dir())
    }

    /// Folders in which the files of a series may lie now, without changing anything: kept, refused, or on their way.
    pub(crate) fn folders_of(root: &Path, key: &SeriesKey) -> io::Result<Vec<PathBuf>> {
        let mut stages: Vec<PathBuf> = ["done", "work", "series"].map(|stage| root.join(stage)).into();
        stages.extend(files(&root.join("quarantine"))?);
        Ok(stages.into_iter().map(|stage| stage.join(&key.0)).filter(|folder| folder.is_dir()).collect())
    }

    /// Files of an open series.
    pub(crate) fn open_files(&self, key: &SeriesKey) -> io::Result<Vec<PathBuf>> {
        files(&self.at("series", key))
    }

    /// Digests of a frozen series' files: their names, sorted.
    pub(crate) fn digests(&self, key: &SeriesKey) -> io::Result<Vec<String>> {
        let names = self.frozen_files(key)?;
        Ok(names.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    /// Opens finished and refused series of the last `keep` again: the ledger that knew whether their results were sent is
    /// lost. Stopped half-way it may be done again.
    pub(crate) fn reopen(&self, keep: Duration) -> io::Result<u64> {
        let mut folders = vec![self.root.join("done")];
        folders.extend(files(&self.root.join("quarantine"))?);
        let mut reopened = 0;
        for series in folders.iter().map(|folder| files(folder)).collect::<io::Result<Vec<_>>>()?.concat() {
            let Some(key) = series.file_name().map(|name| SeriesKey(name.to_string_lossy().into_owned())) else {
                continue;
            };
            if fs::metadata(&series)?.modified()?.elapsed().unwrap_or_default() <= keep {
                let open = self.at("series", &key);
                durable::make_folder(&open)?;
                merge(&series, &open)?;
                reopened += 1;
            }
        }
        Ok(reopened)
    }

    pub(super) fn at(&self, stage: &str, key: &SeriesKey) -> PathBuf {
        self.root.join(stage).join(&key.0)
    }

    fn keys(&self, stage: &str) -> Result<Vec<SeriesKey>, IntakeError> {
        let name = |path: PathBuf| Some(SeriesKey(path.file_name()?.to_string_lossy().into_owned()));
        Ok(self.list(stage)?.into_iter().filter_map(name).collect())
    }

    fn list(&self, stage: &str) -> Result<Vec<PathBuf>, IntakeError> {
        let path = self.root.join(stage);
        files(&path).map_err(|source| IntakeError::Spool { path, source })
    }
}

/// Paths in a folder, sorted; an absent folder is empty.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Moves every file of `from` into `to` and removes `from`.
pub(super) fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for path in files(from)? {
        if let Some(name) = path.file_name() {
            durable::rename(&path, &to.join(name))?;
        }
    }
    durable::sync_folder(to)?;
    fs::remove_dir(from)
}
