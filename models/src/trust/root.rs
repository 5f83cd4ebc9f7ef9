//! The root document: which keys count, and who may change that.

use super::TrustError;
use super::key::{ENDING, TrustedKeys, canonical_id, entries, fits, id, signature_of};
use minisign::{PublicKey, SignatureBox};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The format that this version reads and writes.
pub const SCHEMA: &str = "ctedge-root/1";

/// Largest root document in bytes.
const ROOT_BYTES: u64 = 64 << 10;
/// Most keys of a role, and most signatures that are looked at.
const KEYS: usize = 32;

/// Which keys count, from its version to the next. The exact bytes of the file are signed, by several keys: each signature
/// lies beside it as `<file>.<key id>.minisig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// [`SCHEMA`].
    pub schema: String,
    /// 1 for the first; each following one is higher by one.
    pub version: u64,
    /// When it was written, RFC 3339.
    pub created: String,
    /// How many of the root keys must sign the next root.
    pub threshold: usize,
    /// Public keys that sign roots, as the second line of a `.pub` file. They sign nothing else and are kept offline.
    pub root_keys: Vec<String>,
    /// Public keys that sign bundles; one is enough for a bundle.
    pub bundle_keys: Vec<String>,
    /// Ids of keys that count no more, for good.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<String>,
    /// By a model's name the lowest serial that may still be installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, u64>,
}

impl Root {
    /// Reads a document and looks whether it makes sense; whose it is stays open.
    ///
    /// # Errors
    /// It cannot be read, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let bad = |reason: String| TrustError::BadRoot { path: path.to_owned(), reason };
        let mut text = Vec::new();
        let file = File::open(path).map_err(TrustError::io(path))?;
        file.take(ROOT_BYTES + 1).read_to_end(&mut text).map_err(TrustError::io(path))?;
        if text.len() > usize::try_from(ROOT_BYTES).unwrap_or(usize::MAX) {
            return Err(bad(format!("it has more than {ROOT_BYTES} bytes")));
        }
        let root: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        root.check().map_err(bad)?;
        Ok(root)
    }

    /// Whether it makes sense in itself.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {:?} is not {SCHEMA:?}, the one this version reads", self.schema));
        }
        if self.version == 0 {
            return Err("versions begin with 1".to_owned());
        }
        self.created.parse::<jiff::Timestamp>().map_err(|_error| "created is no time as in RFC 3339".to_owned())?;
        let (roots, bundles) = (keys(&self.root_keys)?, keys(&self.bundle_keys)?);
        let all: BTreeSet<Vec<u8>> = roots.iter().chain(&bundles).map(PublicKey::to_bytes).collect();
        if all.len() != roots.len() + bundles.len() {
            return Err("a key is named twice: each has one role".to_owned());
        }
        if roots.len() > KEYS || bundles.len() > KEYS {
            return Err(format!("more than {KEYS} keys of a role"));
        }
        if !(1..=roots.len()).contains(&self.threshold) {
            return Err(format!("threshold {} with {} root keys", self.threshold, roots.len()));
        }
        // Written otherwise, it would revoke nobody.
        if let Some(other) = self.revoked.iter().find(|text| canonical_id(text).as_ref() != Some(text)) {
            return Err(format!("revoked: {other:?} is no id of a key, 16 of 0-9 and A-F"));
        }
        match roots.iter().chain(&bundles).map(id).find(|id| self.revoked.contains(id)) {
            Some(id) => Err(format!("key {id} is named and revoked at once")),
            None => Ok(()),
        }
    }

    /// Reads the document that comes after `before`, or the first one, and checks who signed it.
    ///
    /// # Errors
    /// It is no document, does not follow, takes something back that must stay, or too few have signed it: of the keys before,
    /// or of its own.
    pub fn after(before: Option<&Self>, path: &Path) -> Result<Self, TrustError> {
        let root = Self::read(path)?;
        let signatures = signatures(path)?;
        if let Some(before) = before {
            if before.version.checked_add(1) != Some(root.version) {
                return Err(TrustError::RootVersion { found: root.version, current: before.version });
            }
            root.takes_nothing_back(before).map_err(|reason| TrustError::BadRoot { path: path.to_owned(), reason })?;
            before.signed(&root, &signatures, path)?;
        }
        root.signed(&root, &signatures, path)?;
        Ok(root)
    }

    /// Revoked keys stay revoked, and floors do not sink.
    fn takes_nothing_back(&self, before: &Self) -> Result<(), String> {
        if let Some(id) = before.revoked.difference(&self.revoked).next() {
            return Err(format!("key {id} was revoked by root {}, and this one forgets that", before.version));
        }
        let sunk = before.floors.iter().find(|(name, floor)| self.floors.get(*name).is_none_or(|now| now < *floor));
        sunk.map_or(Ok(()), |(name, floor)| Err(format!("the floor of {name} is {floor}, and this one lowers it")))
    }

    /// Whether enough of our root keys have signed a document. Keys count, not signatures, and not ids: an id can be copied.
    fn signed(&self, root: &Self, signatures: &[SignatureBox], path: &Path) -> Result<(), TrustError> {
        let keys = keys(&self.root_keys).map_err(|reason| TrustError::BadRoot { path: path.to_owned(), reason })?;
        let mut have = 0;
        for key in &keys {
            let by_this = |signature: &&SignatureBox| signature.keynum() == key.keynum();
            let mut fitting = signatures.iter().filter(by_this).map(|signature| fits(key, signature, path));
            if fitting.try_fold(false, |before, fits| Ok::<bool, TrustError>(before || fits?))? {
                have += 1;
            }
        }
        if have >= self.threshold {
            return Ok(());
        }
        Err(TrustError::RootThreshold { version: root.version, of: self.version, have, need: self.threshold })
    }

    /// The keys that sign bundles, and what is said of them: none is named and revoked at once.
    pub(super) fn keys(&self) -> TrustedKeys {
        // They were read when the document was checked.
        let keys = keys(&self.bundle_keys).unwrap_or_default();
        TrustedKeys::of(keys, self.revoked.clone(), self.floors.clone())
    }

    /// Names a key no more, by its id, in either role. Returns whether it was named.
    pub fn drop_key(&mut self, key_id: &str) -> bool {
        let is_other = |text: &String| PublicKey::from_base64(text).is_ok_and(|key| id(&key) != key_id);
        let before = self.root_keys.len() + self.bundle_keys.len();
        self.root_keys.retain(is_other);
        self.bundle_keys.retain(is_other);
        self.root_keys.len() + self.bundle_keys.len() < before
    }

    /// A key counts no more, for good.
    pub fn revoke_key(&mut self, key_id: &str) {
        self.drop_key(key_id);
        self.revoked.insert(key_id.to_owned());
    }

    /// Ids of the root keys and of the bundle keys.
    pub fn ids(&self) -> [Vec<String>; 2] {
        [&self.root_keys, &self.bundle_keys].map(|texts| keys(texts).unwrap_or_default().iter().map(id).collect())
    }
}

/// Keys as they stand in a document.
fn keys(texts: &[String]) -> Result<Vec<PublicKey>, String> {
    let read = |text: &String| PublicKey::from_base64(text).map_err(|_error| format!("{text:?} is no public key"));
    texts.iter().map(read).collect()
}

/// The signatures beside a document.
fn signatures(path: &Path) -> Result<Vec<SignatureBox>, TrustError> {
    signature_files(path)?.iter().map(|file| signature_of(file)).collect()
}

/// Paths of the signatures beside a document; of too many, the first.
pub(super) fn signature_files(path: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_one = |file: &PathBuf| {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        file.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(ENDING))
    };
    Ok(entries(folder)?.into_iter().filter(is_one).take(KEYS * 2).collect())
}
