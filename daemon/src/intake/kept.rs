//! What is kept of series that have ended, and how it goes.

use super::spool::{Spool, files};
use crate::floor::durable;
use crate::floor::phi::SeriesKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where ended series are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shelf {
    /// Finished: late slices may meet them.
    Done,
    /// Refused: an operator may look at them.
    Quarantine,
}

impl Shelf {
    /// Name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The files of a series that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which series.
    pub(crate) key: SeriesKey,
    /// Where they are kept.
    pub(crate) shelf: Shelf,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// How long nobody has added to them.
    pub(crate) age: Duration,
    folder: PathBuf,
}

impl Spool {
    /// What is kept of ended series, the oldest first.
    pub(crate) fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = shelved(Shelf::Done, &self.root.join("done"))?;
        for reason in files(&self.root.join("quarantine"))? {
            kept.extend(shelved(Shelf::Quarantine, &reason)?);
        }
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.age));
        Ok(kept)
    }

    /// Whether files of a series are being read, or have not been moved to where they end.
    pub(crate) fn is_at_work(&self, key: &SeriesKey) -> bool {
        self.frozen(key).exists()
    }

    /// Takes kept files off their shelf, at once and as a whole; they are deleted when the value says so, or at the next
    /// start. `None` when they have gone meanwhile.
    pub(crate) fn take_down(&self, kept: &Kept) -> io::Result<Option<Doomed>> {
        let folder = self.root.join("deleting").join(durable::random_name()?);
        match durable::rename(&kept.folder, &folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            moved => moved.map(|()| Some(Doomed(folder))),
        }
    }
}

/// Files that nobody will find any more.
#[derive(Debug)]
pub(crate) struct Doomed(PathBuf);

impl Doomed {
    /// Deletes them.
    pub(crate) fn delete(self) -> io::Result<()> {
        fs::remove_dir_all(self.0)
    }
}

fn shelved(shelf: Shelf, folder: &Path) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for folder in files(folder)? {
        let Some(name) = folder.file_name() else { continue };
        let key = SeriesKey(name.to_string_lossy().into_owned());
        // Whatever goes while we look, an operator has taken: it is no longer kept.
        let Ok(metadata) = fs::metadata(&folder) else { continue };
        let age = metadata.modified()?.elapsed().unwrap_or_default();
        let Ok(inside) = files(&folder) else { continue };
        let bytes = inside.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum();
        all.push(Kept { key, shelf, bytes, age, folder });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_and_goes_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        for (place, files) in [("done/ek1_a", 2), ("quarantine/truncated/ek1_b", 1)] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            for number in 0..files {
                fs::write(folder.path().join(place).join(number.to_string()), [0; 100]).unwrap();
            }
        }
        let kept = spool.kept().unwrap();
        let told = |shelf| kept.iter().find(|kept| kept.shelf == shelf).map(|kept| (kept.key.0.as_str(), kept.bytes));
        assert_eq!(told(Shelf::Done), Some(("ek1_a", 200)));
        assert_eq!(told(Shelf::Quarantine), Some(("ek1_b", 100)));
        let doomed: Vec<Doomed> = kept.iter().filter_map(|kept| spool.take_down(kept).unwrap()).collect();
        assert_eq!((spool.kept().unwrap(), doomed.len()), (Vec::new(), 2));
        assert!(spool.take_down(&kept[0]).unwrap().is_none(), "gone");
        let mut doomed = doomed.into_iter();
        doomed.next().unwrap().delete().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("deleting")).unwrap().count(), 1);
        Spool::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("deleting")).unwrap().count(), 0, "what a crash has left");
    }
}
