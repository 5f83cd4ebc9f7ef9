//! Engines that this device has built, told from all others: a keyed digest of what lies in their folder.
//!
//! TensorRT runs whatever it finds in its cache, so that a file that came there by another way would be believed, and a damaged
//! one might be. An engine counts only with its seal (HMAC-SHA-256, RFC 2104, under a key that is made on this device and stays
//! there); anything else is deleted and built again.

use crate::floor::durable;
use ctedge_models::bundle::file_digest;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Folder of the engines in the cache of a provider, and beside it the files of their seal and of the lock on both.
const ENGINES: &str = "engines";
const SEAL: &str = "engines.seal";
const LOCK: &str = "engines.lock";

/// The device's key for its engines: 32 bytes in a file of mode 0600.
pub(in crate::infer) struct Key([u8; 32]);

impl Key {
    /// Makes the key file where there is none.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(in crate::infer) fn make(path: &Path) -> io::Result<()> {
        if path.try_exists()? {
            return Ok(());
        }
        durable::write_private(path, HEXLOWER.encode(&durable::random::<32>()?).as_bytes())
    }

    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(in crate::infer) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let secret = HEXLOWER.decode(text.trim().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let reason = "it is no key of 64 hexadecimal digits; remove it, and engines are built again";
        secret.map(Self).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

/// What lies where engines are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) enum Kept {
    /// Nothing: they have to be built.
    Nothing,
    /// What this device has built.
    Ours,
    /// Something else, or no longer the same.
    Foreign,
}

/// The engines in the cache of a provider, for one process at a time: `ctedge doctor` beside a daemon that builds one waits for it.
pub(in crate::infer) struct Engines<'a> {
    cache: &'a Path,
    key: &'a Key,
    _lock: File,
}

/// Where a provider keeps its engines in its cache.
pub(in crate::infer) fn folder(cache: &Path) -> PathBuf {
    cache.join(ENGINES)
}

impl<'a> Engines<'a> {
    /// Those in this cache. Waits for whoever is at them; where nothing is to be built `None` says that somebody is.
    ///
    /// # Errors
    /// They cannot be locked.
    pub(in crate::infer) fn open(cache: &'a Path, key: &'a Key, which: super::Engines) -> io::Result<Option<Self>> {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(cache.join(LOCK))?;
        match which {
            super::Engines::Build => lock.lock()?,
            super::Engines::Kept => match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            },
        }
        Ok(Some(Self { cache, key, _lock: lock }))
    }

    /// What is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(in crate::infer) fn look(&self) -> io::Result<Kept> {
        let files = self.files()?;
        let seal = match fs::read_to_string(self.cache.join(SEAL)) {
            Ok(text) => HEXLOWER.decode(text.trim().as_bytes()).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && files.is_empty() => return Ok(Kept::Nothing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::Foreign),
            Err(error) => return Err(error),
        };
        let is_ours = !files.is_empty() && self.digest(&files)?.verify_slice(&seal).is_ok();
        Ok(if is_ours { Kept::Ours } else { Kept::Foreign })
    }

    /// Seals what lies there now: it was built here, and has passed.
    ///
    /// # Errors
    /// It cannot be read, or the seal not be written.
    pub(in crate::infer) fn seal(&self) -> io::Result<()> {
        let digest = self.digest(&self.files()?)?.finalize().into_bytes();
        durable::write_private(&self.cache.join(SEAL), HEXLOWER.encode(&digest).as_bytes())
    }

    /// Deletes all of it, and makes room for new ones.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub(in crate::infer) fn clear(&self) -> io::Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        gone(fs::remove_file(self.cache.join(SEAL)))?;
        gone(fs::remove_dir_all(folder(self.cache)))?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder(self.cache))
    }

    /// Files in the folder, by name.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(folder(self.cache)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        files.sort();
        Ok(files)
    }

    /// Over each file's name, its length before it, and the digest of its bytes. A folder or a link among them cannot be read as
    /// a file, or is read as what it leads to: an error, or another digest.
    fn digest(&self, files: &[PathBuf]) -> io::Result<Hmac<Sha256>> {
        let no_key = |_| io::Error::other("a key of 32 bytes");
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).map_err(no_key)?;
        for path in files {
            let name = path.file_name().unwrap_or_default().as_bytes();
            mac.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
            mac.update(name);
            mac.update(file_digest(path)?.1.as_bytes());
        }
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open<'a>(cache: &'a Path, key: &'a Key) -> Engines<'a> {
        Engines::open(cache, key, super::super::Engines::Kept).unwrap().unwrap()
    }

    type Change = (&'static str, fn(&Path));

    #[test]
    fn only_what_this_device_has_built_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        Key::make(&at("engines.key")).unwrap();
        let key = Key::read(&at("engines.key")).unwrap();
        let engines = open(folder.path(), &key);
        assert_eq!(engines.look().unwrap(), Kept::Nothing);
        engines.clear().unwrap();
        fs::write(at("engines/a.engine"), "engine").unwrap();
        fs::write(at("engines/b.timing"), "").unwrap();
        assert_eq!(engines.look().unwrap(), Kept::Foreign, "nobody has sealed it");
        engines.seal().unwrap();
        assert_eq!(engines.look().unwrap(), Kept::Ours);

        let changes: [Change; 5] = [
            ("a byte", |engines| fs::write(engines.join("a.engine"), "enginf").unwrap()),
            ("a name", |engines| fs::rename(engines.join("a.engine"), engines.join("c.engine")).unwrap()),
            ("one more", |engines| fs::write(engines.join("c.engine"), "").unwrap()),
            ("one less", |engines| fs::remove_file(engines.join("b.timing")).unwrap()),
            ("none", |engines| fs::remove_dir_all(engines).unwrap()),
        ];
        for (what, change) in changes {
            engines.clear().unwrap();
            fs::write(at("engines/a.engine"), "engine").unwrap();
            fs::write(at("engines/b.timing"), "").unwrap();
            engines.seal().unwrap();
            change(&at("engines"));
            assert_eq!(engines.look().unwrap(), Kept::Foreign, "{what}");
        }
    }

    #[test]
    fn an_engine_of_another_device_is_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let keys = ["one.key", "other.key"].map(|name| {
            Key::make(&at(name)).unwrap();
            Key::read(&at(name)).unwrap()
        });
        open(folder.path(), &keys[0]).clear().unwrap();
        fs::write(at("engines/a.engine"), "engine").unwrap();
        open(folder.path(), &keys[0]).seal().unwrap();
        assert_eq!(open(folder.path(), &keys[1]).look().unwrap(), Kept::Foreign);
        let ours = open(folder.path(), &keys[0]);
        assert_eq!(ours.look().unwrap(), Kept::Ours);
        assert!(Engines::open(folder.path(), &keys[0], super::super::Engines::Kept).unwrap().is_none(), "in use");
        // It is made once, and is nobody else's business.
        let mode = fs::metadata(at("one.key")).unwrap().permissions().mode();
        Key::make(&at("one.key")).unwrap();
        assert_eq!((mode & 0o777, Key::read(&at("one.key")).unwrap().0), (0o600, keys[0].0));
        fs::write(at("one.key"), "short").unwrap();
        assert!(Key::read(&at("one.key")).is_err());
    }
}
