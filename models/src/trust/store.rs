//! What a device trusts: what was pinned when it was set up, and what has followed since.

use super::key::{TrustedKeys, entries};
use super::root::signature_files;
use super::{Root, TrustError};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The trust of a device, in two places: `pinned` is the site's (a `.pub` file, a folder of them, or a folder with a root
/// document), `accepted` is the device's own folder, where later roots and local revocations lie. Where there is a root
/// document, `.pub` files do not count.
#[derive(Debug, Clone)]
pub struct TrustStore {
    pinned: PathBuf,
    accepted: PathBuf,
    root: Option<Root>,
    keys: TrustedKeys,
}

/// What became of a root document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is the device's first, pinned on the word of whoever brought it.
    Pinned(u64),
    /// It follows the one before.
    Followed(u64),
    /// It is the one that counts already.
    Known(u64),
}

/// Ids of keys revoked on this device alone, one a line.
const REVOKED: &str = "revoked";

impl TrustStore {
    /// Reads what is there, and checks every root against the one before it.
    ///
    /// # Errors
    /// Something cannot be read or does not follow. Nothing is trusted then: an older root may name keys that were revoked.
    pub fn open(pinned: &Path, accepted: &Path) -> Result<Self, TrustError> {
        let mut documents = documents(pinned)?;
        if let Some(newest) = documents.iter().map(|(version, _)| *version).max() {
            documents.extend(self::documents(accepted)?.into_iter().filter(|(version, _)| *version > newest));
        }
        documents.sort();
        let mut root: Option<Root> = None;
        for (_, path) in &documents {
            root = Some(Root::after(root.as_ref(), path)?);
        }
        let revoked = revoked(accepted)?;
        let keys = match &root {
            Some(root) => root.keys(),
            None if pinned.exists() => TrustedKeys::load(pinned)?,
            None => TrustedKeys::default(),
        };
        let keys = keys.without(&revoked);
        Ok(Self { pinned: pinned.to_owned(), accepted: accepted.to_owned(), root, keys })
    }

    /// The keys that count for bundles.
    pub fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// SHA-256 over what counts here, hex: another one means that something has changed.
    pub fn fingerprint(&self) -> String {
        let version = self.root.as_ref().map_or(0, |root| root.version).to_string();
        let (ids, revoked) = (self.keys.ids(), self.keys.revoked().collect::<Vec<_>>());
        let all = [version.as_str(), &ids.join(" "), &revoked.join(" ")].join("\n");
        HEXLOWER.encode(&Sha256::digest(all))
    }

    /// The root document that counts, if there is one.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Takes a root document with its signatures: the first one is pinned, every other must follow. It counts once its file
    /// has its name; a device that is switched off before that has the old one.
    ///
    /// # Errors
    /// It does not follow, or cannot be written.
    pub fn accept(&mut self, document: &Path) -> Result<Accepted, TrustError> {
        let found = Root::read(document)?;
        if self.root.as_ref() == Some(&found) {
            return Ok(Accepted::Known(found.version));
        }
        let next = Root::after(self.root.as_ref(), document)?;
        let (folder, accepted) = match self.root {
            None => (&self.pinned, Accepted::Pinned(next.version)),
            Some(_) => (&self.accepted, Accepted::Followed(next.version)),
        };
        fs::create_dir_all(folder).map_err(TrustError::io(folder))?;
        let name = format!("root-{}.json", next.version);
        for signature in signature_files(document)? {
            let text = signature.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ending = text.get(document.file_name().unwrap_or_default().len()..).unwrap_or_default();
            copy(&signature, &folder.join(format!("{name}{ending}")))?;
        }
        sync(folder)?;
        copy(document, &folder.join(name))?;
        sync(folder)?;
        *self = Self::open(&self.pinned, &self.accepted)?;
        Ok(accepted)
    }

    /// From now on this device takes nothing that a key has signed. Only a root that names the key no more says so to all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn revoke(&mut self, key_id: &str) -> Result<(), TrustError> {
        let mut all = revoked(&self.accepted)?;
        all.insert(key_id.to_owned());
        fs::create_dir_all(&self.accepted).map_err(TrustError::io(&self.accepted))?;
        let lines = all.into_iter().collect::<Vec<_>>().join("\n");
        write(&self.accepted.join(REVOKED), lines.as_bytes())?;
        sync(&self.accepted)?;
        *self = Self::open(&self.pinned, &self.accepted)?;
        Ok(())
    }
}

/// The root documents of a folder, by version.
fn documents(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrustError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let version = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let version = name.strip_prefix("root-")?.strip_suffix(".json")?.parse().ok()?;
        Some((version, path))
    };
    Ok(entries(folder)?.into_iter().filter_map(version).collect())
}

/// Keys revoked on this device.
fn revoked(folder: &Path) -> Result<BTreeSet<String>, TrustError> {
    let path = folder.join(REVOKED);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(TrustError::io(path)(error)),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), TrustError> {
    write(to, &fs::read(from).map_err(TrustError::io(from))?)
}

/// Writes a file under another name first, so that there is never half of it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let partial = path.with_extension("partial");
    let written = File::create(&partial).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&partial, path)).map_err(TrustError::io(path))
}

fn sync(folder: &Path) -> Result<(), TrustError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(TrustError::io(folder))
}
