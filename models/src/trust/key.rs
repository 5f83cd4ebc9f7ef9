//! Ed25519 keys and signatures in minisign's format, so that anybody can check a file with `minisign -V`.

use super::TrustError;
use data_encoding::HEXUPPER;
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The keys whose signatures a device accepts on bundles.
#[derive(Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
    revoked: BTreeSet<String>,
    floors: BTreeMap<String, u64>,
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl TrustedKeys {
    /// Reads every `*.pub` file of a folder (minisign's public key format), or one such file.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or a file holds no key.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let mut files = if path.is_dir() { entries(path)? } else { vec![path.to_owned()] };
        files.retain(|file| file.extension().is_some_and(|extension| extension == "pub"));
        let keys = files.iter().map(|file| public_key(file)).collect::<Result<_, _>>()?;
        Ok(Self { keys, ..Self::default() })
    }

    /// Those of a root document.
    pub(super) fn of(keys: Vec<PublicKey>, revoked: BTreeSet<String>, floors: BTreeMap<String, u64>) -> Self {
        Self { keys, revoked, floors }
    }

    /// The same without keys that were revoked besides, by id.
    pub(super) fn without(mut self, revoked: &BTreeSet<String>) -> Self {
        self.keys.retain(|key| !revoked.contains(&id(key)));
        self.revoked.extend(revoked.iter().cloned());
        self
    }

    /// The lowest serial of a model that is let in, by its name; `None` where any is.
    pub fn floor(&self, name: &str) -> Option<u64> {
        self.floors.get(name).copied()
    }

    /// Key ids, 16 upper-case hex digits; minisign leaves out leading zeros.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(id).collect()
    }

    /// Ids of keys that are not trusted any more.
    pub fn revoked(&self) -> impl Iterator<Item = &str> {
        self.revoked.iter().map(String::as_str)
    }

    /// Checks `file` against `signature` and returns the signer's key id.
    ///
    /// # Errors
    /// No key that counts has signed it.
    pub fn verify(&self, file: &Path, signature: &Path) -> Result<String, TrustError> {
        if !signature.exists() {
            return Err(TrustError::Unsigned { path: signature.to_owned() });
        }
        let signature = signature_of(signature)?;
        self.signer(&signature, |key| fits(key, &signature, file))
    }

    /// Checks bytes against the text of a signature; returns the signer's key id and the comment that was signed with them.
    pub(super) fn verify_bytes(&self, bytes: &[u8], signature: &str) -> Result<(String, String), TrustError> {
        let bad = |error: minisign::PError| TrustError::BadSignatureFile { reason: error.to_string() };
        let signature = SignatureBox::from_string(signature).map_err(bad)?;
        let signer = self.signer(&signature, |key| Ok(is_by(key, &signature, Cursor::new(bytes))))?;
        Ok((signer, signature.trusted_comment().map_err(bad)?))
    }

    /// The id of the trusted key that a signature is by.
    fn signer(
        &self,
        signature: &SignatureBox,
        fits: impl Fn(&PublicKey) -> Result<bool, TrustError>,
    ) -> Result<String, TrustError> {
        let signer = key_id(signature.keynum());
        if self.revoked.contains(&signer) {
            return Err(TrustError::RevokedKey { key_id: signer });
        }
        // An id is eight random bytes that anybody can give to a key of theirs: every key of this id may be meant.
        let mut named = self.keys.iter().filter(|key| key.keynum() == signature.keynum()).peekable();
        if named.peek().is_none() {
            return Err(TrustError::UntrustedKey { key_id: signer });
        }
        for key in named {
            if fits(key)? {
                return Ok(signer);
            }
        }
        Err(TrustError::WrongSignature { key_id: signer })
    }
}

/// Reads a signature file.
pub(super) fn signature_of(path: &Path) -> Result<SignatureBox, TrustError> {
    SignatureBox::from_file(path).map_err(|error| TrustError::BadSignatureFile { reason: error.to_string() })
}

/// Whose signature a text says that it is: a key's id. Whether it fits anything stays open.
///
/// # Errors
/// It is no signature.
pub fn signer(text: &str) -> Result<String, TrustError> {
    let signature = SignatureBox::from_string(text);
    let signature = signature.map_err(|error| TrustError::BadSignatureFile { reason: error.to_string() })?;
    Ok(key_id(signature.keynum()))
}

/// Whether a signature of a file is by this key.
pub(super) fn fits(key: &PublicKey, signature: &SignatureBox, file: &Path) -> Result<bool, TrustError> {
    Ok(is_by(key, signature, File::open(file).map_err(TrustError::io(file))?))
}

fn is_by(key: &PublicKey, signature: &SignatureBox, data: impl Read + Seek) -> bool {
    // Prehashed signatures only: the legacy form would need the whole file in memory.
    minisign::verify(key, signature, data, true, false, false).is_ok()
}

/// What lies in a folder, by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let entries = fs::read_dir(folder).map_err(TrustError::io(folder))?;
    let paths = entries.map(|entry| Ok(entry.map_err(TrustError::io(folder))?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, TrustError>>()?;
    paths.sort();
    Ok(paths)
}

/// A secret key, ready to sign.
pub struct SigningKey(SecretKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", key_id(self.0.keynum()))
    }
}

impl SigningKey {
    /// Reads a secret key file. `password` is `None` for a key that was made without one.
    ///
    /// # Errors
    /// The file cannot be read, holds no key, or the password does not open it.
    pub fn load(path: &Path, password: Option<String>) -> Result<Self, TrustError> {
        let text = fs::read_to_string(path).map_err(TrustError::io(path))?;
        let bad = |error: minisign::PError| TrustError::BadKey { path: path.to_owned(), reason: error.to_string() };
        let sealed = SecretKeyBox::from_string(&text).map_err(bad)?;
        let key = match password {
            Some(password) => sealed.into_secret_key(Some(password)),
            None => sealed.into_unencrypted_secret_key(),
        };
        Ok(Self(key.map_err(bad)?))
    }

    /// Key id, upper-case hex as minisign prints it.
    pub fn id(&self) -> String {
        key_id(self.0.keynum())
    }
}

/// Makes a key pair: `<name>.key` (mode 0600, encrypted when there is a password) and `<name>.pub` in `folder`.
///
/// Existing files are never overwritten. Returns the two paths and the key id.
///
/// # Errors
/// A file is there already or cannot be written.
pub fn keygen(folder: &Path, name: &str, password: Option<String>) -> Result<(PathBuf, PathBuf, String), TrustError> {
    let (secret_path, public_path) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    let bad = |error: minisign::PError| TrustError::BadKey { path: secret_path.clone(), reason: error.to_string() };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(bad)?;
    let id = id(&pair.pk);
    let secret = pair.sk.to_box(Some("ctedge signing key: keep secret")).map_err(bad)?;
    let public = pair.pk.to_box().map_err(bad)?;
    write_new(&secret_path, &secret.into_string(), 0o600)?;
    write_new(&public_path, &public.into_string(), 0o644)?;
    Ok((secret_path, public_path, id))
}

/// Signs `file`, which one signer signs; the signature goes beside it as `<file>.minisig`. `comment` is signed with it.
///
/// # Errors
/// The file cannot be read or the signature not written.
pub fn sign(file: &Path, key: &SigningKey, comment: &str) -> Result<PathBuf, TrustError> {
    write_signature(file, signature_path(file), (key, comment))
}

/// The same for a file that several sign: `<file>.<key id>.minisig`.
///
/// # Errors
/// As [`sign`].
pub fn sign_beside(file: &Path, key: &SigningKey, comment: &str) -> Result<PathBuf, TrustError> {
    write_signature(file, with_ending(file, &format!(".{}{ENDING}", key.id())), (key, comment))
}

fn write_signature(file: &Path, to: PathBuf, (key, comment): (&SigningKey, &str)) -> Result<PathBuf, TrustError> {
    let data = File::open(file).map_err(TrustError::io(file))?;
    let signature = minisign::sign(None, &key.0, data, Some(comment), Some("signature by ctedge-trainer"))
        .map_err(|error| TrustError::BadSignatureFile { reason: error.to_string() })?;
    fs::write(&to, signature.into_string()).map_err(TrustError::io(&to))?;
    Ok(to)
}

/// Ending of signature files.
pub(super) const ENDING: &str = ".minisig";

/// Where the signature of a file lies that one signer signs.
pub fn signature_path(file: &Path) -> PathBuf {
    with_ending(file, ENDING)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The key in a `.pub` file as one word, as a root document names it and `minisign -P` takes it.
///
/// # Errors
/// The file cannot be read or holds no key.
pub fn key_text(path: &Path) -> Result<String, TrustError> {
    public_key(path).map(|key| key.to_base64())
}

/// Reads a `.pub` file.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, TrustError> {
    let text = fs::read_to_string(path).map_err(TrustError::io(path))?;
    let key = PublicKeyBox::from_string(&text).and_then(PublicKey::from_box);
    key.map_err(|error| TrustError::BadKey { path: path.to_owned(), reason: error.to_string() })
}

/// An id as it is written here: 16 upper-case hex digits. Minisign leaves out leading zeros. `None` where it is no id.
pub fn canonical_id(text: &str) -> Option<String> {
    let is_one = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| format!("{:0>16}", text.to_ascii_uppercase()))
}

/// Id of a key.
pub(super) fn id(key: &PublicKey) -> String {
    key_id(key.keynum())
}

/// Minisign prints the eight bytes of a key id as one little-endian number.
fn key_id(keynum: &[u8]) -> String {
    HEXUPPER.encode(&keynum.iter().rev().copied().collect::<Vec<u8>>())
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), TrustError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(TrustError::io(path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(TrustError::io(path))
}
