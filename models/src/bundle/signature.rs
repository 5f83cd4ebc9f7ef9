//! Ed25519 signatures in minisign's format, so that anybody can check a bundle with `minisign -V`.

use super::BundleError;
use data_encoding::HEXUPPER;
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The keys whose signatures a device accepts.
#[derive(Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key_id(key.keynum()))).finish()
    }
}

impl TrustedKeys {
    /// Reads every `*.pub` file of a folder (minisign's public key format), or one such file.
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        let mut files = if path.is_dir() {
            let entries = fs::read_dir(path).map_err(BundleError::io(path))?;
            entries.map(|entry| Ok(entry.map_err(BundleError::io(path))?.path())).collect::<Result<Vec<_>, _>>()?
        } else {
            vec![path.to_owned()]
        };
        files.retain(|file| file.extension().is_some_and(|extension| extension == "pub"));
        files.sort();
        let keys = files.iter().map(|file| public_key(file)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Key ids, upper-case hex as minisign prints them.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key_id(key.keynum())).collect()
    }

    /// Checks `file` against `signature` and returns the signer's key id.
    pub(super) fn verify(&self, file: &Path, signature: &Path) -> Result<String, BundleError> {
        if !signature.exists() {
            return Err(BundleError::Unsigned { path: signature.to_owned() });
        }
        let signature = SignatureBox::from_file(signature)
            .map_err(|error| BundleError::BadSignatureFile { reason: error.to_string() })?;
        let signer = key_id(signature.keynum());
        let trusted = self.keys.iter().find(|key| key.keynum() == signature.keynum());
        let key = trusted.ok_or_else(|| BundleError::UntrustedKey { key_id: signer.clone() })?;
        let data = File::open(file).map_err(BundleError::io(file))?;
        // Prehashed signatures only: the legacy form would need the whole file in memory.
        let fits = minisign::verify(key, &signature, data, true, false, false);
        fits.map_err(|_mismatch| BundleError::WrongSignature { key_id: signer.clone() })?;
        Ok(signer)
    }
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
    pub fn load(path: &Path, password: Option<String>) -> Result<Self, BundleError> {
        let text = fs::read_to_string(path).map_err(BundleError::io(path))?;
        let bad = |error: minisign::PError| BundleError::BadKey { path: path.to_owned(), reason: error.to_string() };
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
pub fn keygen(folder: &Path, name: &str, password: Option<String>) -> Result<(PathBuf, PathBuf, String), BundleError> {
    let (secret_path, public_path) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    let bad = |error: minisign::PError| BundleError::BadKey { path: secret_path.clone(), reason: error.to_string() };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(bad)?;
    let id = key_id(pair.pk.keynum());
    let secret = pair.sk.to_box(Some("ctedge model signing key: keep secret")).map_err(bad)?;
    let public = pair.pk.to_box().map_err(bad)?;
    write_new(&secret_path, &secret.into_string(), 0o600)?;
    write_new(&public_path, &public.into_string(), 0o644)?;
    Ok((secret_path, public_path, id))
}

/// Signs `file`; the signature goes beside it as `<file>.minisig`. `comment` is signed with it.
pub fn sign(file: &Path, key: &SigningKey, comment: &str) -> Result<PathBuf, BundleError> {
    let data = File::open(file).map_err(BundleError::io(file))?;
    let signature = minisign::sign(None, &key.0, data, Some(comment), Some("signature of a ctedge model bundle"))
        .map_err(|error| BundleError::BadSignatureFile { reason: error.to_string() })?;
    let path = signature_path(file);
    fs::write(&path, signature.into_string()).map_err(BundleError::io(&path))?;
    Ok(path)
}

/// Where the signature of `file` lies.
pub fn signature_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

fn public_key(path: &Path) -> Result<PublicKey, BundleError> {
    let text = fs::read_to_string(path).map_err(BundleError::io(path))?;
    let key = PublicKeyBox::from_string(&text).and_then(PublicKey::from_box);
    key.map_err(|error| BundleError::BadKey { path: path.to_owned(), reason: error.to_string() })
}

/// Minisign prints the eight bytes of a key id as one little-endian number.
fn key_id(keynum: &[u8]) -> String {
    HEXUPPER.encode(&keynum.iter().rev().copied().collect::<Vec<u8>>())
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), BundleError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(BundleError::io(path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(BundleError::io(path))
}
