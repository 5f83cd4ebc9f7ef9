//! Bundles on this device, in `state/bundles`, each under its digest; and the places they are brought to.

use super::Slots;
use crate::floor::durable;
use ctedge_models::bundle::file_digest;
use ctedge_models::trust::signature_path;
use rustix::fs::{Mode, OFlags, open};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which models are in the slots, for the day on which the ledger is lost.
const SLOTS: &str = "slots.json";

/// The folder of bundles.
#[derive(Debug, Clone)]
pub(crate) struct Stock {
    folder: PathBuf,
}

/// Why a file that was brought is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untaken {
    /// It cannot be read, or there is no room.
    #[error("the bundle cannot be copied: {0}")]
    Io(#[from] io::Error),
    /// It is a link, has another name beside this one, or is no file.
    #[error("it is not a plain file with one name: links are not followed")]
    Link,
    /// It is not the file that was announced.
    #[error("the file is not the one that was announced: its digest differs")]
    Other,
}

impl Stock {
    /// Below the daemon's state.
    pub(crate) fn below(state: &Path) -> Self {
        Self { folder: state.join("bundles") }
    }

    /// The folder that `ctedge model install` copies bundles to.
    pub(crate) fn inbox(state: &Path) -> PathBuf {
        state.join("inbox")
    }

    /// Where the bundle of this digest is.
    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.ctb"))
    }

    /// Where it is while it arrives.
    pub(crate) fn partial(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.part"))
    }

    /// Makes the folder.
    pub(crate) fn open(&self) -> io::Result<()> {
        durable::make_folder(&self.folder)
    }

    /// Whether the bundle is here, whole and with a signature beside it.
    pub(crate) fn has(&self, digest: &str) -> bool {
        let path = self.path(digest);
        signature_path(&path).exists() && file_digest(&path).is_ok_and(|(_, found)| found == digest)
    }

    /// Copies a bundle that lies somewhere else to where it arrives.
    pub(crate) fn bring(&self, from: &Path, digest: &str) -> Result<(), Untaken> {
        self.open()?;
        let mut source = plain(from)?;
        let partial = self.partial(digest);
        drop(fs::remove_file(&partial));
        let mut target = File::create_new(&partial)?;
        let copied = io::copy(&mut source, &mut target).and_then(|_bytes| target.sync_all());
        let found = copied.and_then(|()| file_digest(&partial));
        match found {
            Ok((_, found)) if found == digest => Ok(()),
            Ok(_other) => {
                drop(fs::remove_file(&partial));
                Err(Untaken::Other)
            }
            Err(error) => {
                drop(fs::remove_file(&partial));
                Err(error.into())
            }
        }
    }

    /// What has arrived whole gets its name. The signature is there before.
    pub(crate) fn keep(&self, digest: &str, signature: &str) -> io::Result<()> {
        let path = self.path(digest);
        durable::write_private(&signature_path(&path), signature.as_bytes())?;
        durable::move_to(&self.partial(digest), &path)
    }

    /// Deletes what an operator has brought, but for these: a kill may have come between the copy and its end.
    pub(crate) fn clear_inbox(state: &Path, but: &[String]) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(Self::inbox(state)) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            let is_needed = path.file_stem().is_some_and(|stem| but.iter().any(|digest| stem == digest.as_str()));
            if !is_needed {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Notes the slots beside the ledger.
    pub(crate) fn note(&self, slots: &Slots) -> io::Result<()> {
        let noted = self.folder.join(SLOTS);
        let text = serde_json::to_vec(slots).map_err(io::Error::other)?;
        // Most changes are of what belongs to a slot, not of the slots.
        if fs::read(&noted).is_ok_and(|before| before == text) {
            return Ok(());
        }
        durable::write_private(&noted, &text)
    }

    /// The slots as they were noted last.
    pub(crate) fn noted(&self) -> Option<Slots> {
        let text = fs::read(self.folder.join(SLOTS)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Deletes all bundles but these, here and where `models` has them unpacked.
    pub(crate) fn keep_only(&self, digests: &[&str], models: &Path) -> io::Result<()> {
        for folder in [&self.folder, models] {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let digest = name.split('.').next().unwrap_or_default();
                if !ctedge_models::offer::is_digest(digest) || digests.contains(&digest) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Opens a regular file that is no link and has one name only: what is read is what lies there, and nothing else is
/// reached through it.
fn plain(path: &Path) -> Result<File, Untaken> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::LOOP => Untaken::Link,
        other => Untaken::Io(other.into()),
    })?;
    let file = File::from(opened);
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() == 1 { Ok(file) } else { Err(Untaken::Link) }
}

/// Bundles in a folder that have a signature beside them: name and length, by name.
pub(crate) fn brought(folder: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(String, u64)> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "ctb"))
        .filter(|entry| signature_path(&entry.path()).exists())
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?.len())))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_with_one_name_is_taken_and_only_the_one_that_was_announced() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Stock::below(folder.path());
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.ctb"), b"a bundle").unwrap();
        let (_, digest) = file_digest(&at("a.ctb")).unwrap();
        stock.bring(&at("a.ctb"), &digest).unwrap();
        stock.keep(&digest, "signature").unwrap();
        assert!(stock.has(&digest));
        assert!(matches!(stock.bring(&at("a.ctb"), &"0".repeat(64)), Err(Untaken::Other)));
        std::os::unix::fs::symlink(at("a.ctb"), at("soft.ctb")).unwrap();
        assert!(matches!(stock.bring(&at("soft.ctb"), &digest), Err(Untaken::Link)));
        fs::hard_link(at("a.ctb"), at("hard.ctb")).unwrap();
        assert!(matches!(stock.bring(&at("hard.ctb"), &digest), Err(Untaken::Link)));
        assert!(matches!(stock.bring(folder.path(), &digest), Err(Untaken::Link)));
        assert!(matches!(stock.bring(&at("none.ctb"), &digest), Err(Untaken::Io(_))));

        let models = at("models");
        fs::create_dir_all(models.join(&digest)).unwrap();
        fs::create_dir_all(models.join("cuda.cache")).unwrap();
        stock.keep_only(&[digest.as_str()], &models).unwrap();
        assert!(stock.has(&digest));
        stock.keep_only(&[], &models).unwrap();
        assert!(!stock.has(&digest) && !models.join(&digest).exists() && models.join("cuda.cache").exists());
    }
}
