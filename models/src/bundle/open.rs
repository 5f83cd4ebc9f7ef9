//! Taking a bundle: every check of `BUNDLE.md`, in its order, before anything of it is used.

use super::digest::{copy_digest, file_digest};
use super::{
    Admission, BUNDLE_BYTES, BUNDLE_FILES, BundleDigest, BundleError, Device, FileEntry, MANIFEST_BYTES, Manifest,
    preflight,
};
use crate::trust::{TrustedKeys, signature_path};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

/// A bundle whose signature, completeness and contents have been checked, unpacked in a folder. Only [`open`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBundle {
    manifest: Manifest,
    digest: BundleDigest,
    signer: String,
    folder: PathBuf,
}

impl VerifiedBundle {
    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the bundle file: the model's identity.
    pub fn digest(&self) -> &BundleDigest {
        &self.digest
    }

    /// Id of the trusted key that signed it.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// Folder with `manifest.json` and every file at its path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the bundle on disk.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.manifest.files.contains_key(name).then(|| self.folder.join(name))
    }
}

/// Checks the bundle `file` and unpacks it into a folder of its own below `into`, named by its digest.
///
/// Order: size, signature by a trusted key over the whole file, manifest, the floor of its name, then every entry streamed to
/// disk against its length and digest; nothing extra, nothing missing; then its graphs. The folder appears only when all of it is good.
///
/// # Errors
/// The first check that fails.
pub fn open(file: &Path, trusted: &TrustedKeys, into: &Path) -> Result<VerifiedBundle, BundleError> {
    checked(file, trusted, into, &Asked { device: None, admission: None })
}

/// The same for a device that is to run it: after the floor comes what the bundle requires.
///
/// # Errors
/// The first check that fails.
pub fn open_on(
    device: &Device,
    file: &Path,
    trusted: &TrustedKeys,
    into: &Path,
) -> Result<VerifiedBundle, BundleError> {
    checked(file, trusted, into, &Asked { device: Some(device), admission: None })
}

/// The same for a device to which it is new: after the signature comes whether it is the one that was offered, and after the
/// floor whether it may be installed.
///
/// # Errors
/// The first check that fails.
pub fn open_new(
    (device, admission): (&Device, &Admission),
    file: &Path,
    trusted: &TrustedKeys,
    into: &Path,
) -> Result<VerifiedBundle, BundleError> {
    checked(file, trusted, into, &Asked { device: Some(device), admission: Some(admission) })
}

/// What is asked beyond soundness.
struct Asked<'a> {
    device: Option<&'a Device>,
    admission: Option<&'a Admission>,
}

fn checked(
    file: &Path,
    trusted: &TrustedKeys,
    into: &Path,
    Asked { device, admission }: &Asked<'_>,
) -> Result<VerifiedBundle, BundleError> {
    let bytes = fs::metadata(file).map_err(BundleError::io(file))?.len();
    if bytes > BUNDLE_BYTES {
        return Err(BundleError::TooLarge { bytes });
    }
    let signer = trusted.verify(file, &signature_path(file))?;
    let digest = BundleDigest::of(file).map_err(BundleError::io(file))?;
    admission.map_or(Ok(()), |admission| admission.is_offered(digest.as_str()))?;
    let folder = into.join(digest.as_str());
    let manifest = manifest_of(file)?;
    let Manifest { name, serial, requires, .. } = &manifest;
    if let Some(floor) = trusted.floor(name).filter(|floor| serial < floor) {
        return Err(BundleError::BelowFloor { name: name.clone(), serial: *serial, floor });
    }
    admission.map_or(Ok(()), |admission| admission.admits(&manifest))?;
    device.map_or(Ok(()), |device| requires.met_by(device))?;
    if !is_unpacked(&manifest, &folder) {
        unpack(file, into, &folder)?;
    }
    Ok(VerifiedBundle { manifest, digest, signer, folder })
}

/// The manifest of a bundle file without checking its signature, for tools that show it.
pub fn manifest_of(file: &Path) -> Result<Manifest, BundleError> {
    let mut archive = archive(file)?;
    let mut entries = archive.entries().map_err(bad_archive)?;
    read_manifest(entries.next()).map(|(manifest, _)| manifest)
}

type Archive = tar::Archive<std::io::Take<zstd::Decoder<'static, BufReader<File>>>>;
type Entry<'a> = tar::Entry<'a, std::io::Take<zstd::Decoder<'static, BufReader<File>>>>;

fn archive(file: &Path) -> Result<Archive, BundleError> {
    let reader = File::open(file).map_err(BundleError::io(file))?;
    let reader = zstd::Decoder::new(reader).map_err(bad_archive)?;
    Ok(tar::Archive::new(reader.take(BUNDLE_BYTES)))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn bad_archive(error: std::io::Error) -> BundleError {
    BundleError::BadArchive { reason: error.to_string() }
}

/// Unpacks into a staging folder beside `folder` and moves it there once everything fits.
fn unpack(file: &Path, into: &Path, folder: &Path) -> Result<(), BundleError> {
    let staging = into.join(format!(".staging-{}", std::process::id()));
    drop(fs::remove_dir_all(&staging));
    fs::create_dir_all(&staging).map_err(BundleError::io(&staging))?;
    unpack_into(file, &staging).inspect_err(|refused| {
        drop(fs::remove_dir_all(&staging));
        // An older version may have unpacked what this one refuses.
        if matches!(refused, BundleError::Onnx { .. }) {
            drop(fs::remove_dir_all(folder));
        }
    })?;
    // An older copy that no longer fits its manifest is in the way.
    drop(fs::remove_dir_all(folder));
    fs::rename(&staging, folder).map_err(BundleError::io(folder))?;
    File::open(into).and_then(|parent| parent.sync_all()).map_err(BundleError::io(into))
}

fn unpack_into(file: &Path, staging: &Path) -> Result<(), BundleError> {
    let mut archive = archive(file)?;
    let mut entries = archive.entries().map_err(bad_archive)?;
    let (manifest, json) = read_manifest(entries.next())?;
    write_synced(&staging.join("manifest.json"), &mut json.as_slice())?;
    let mut missing: BTreeSet<&String> = manifest.files.keys().collect();
    for entry in entries {
        let mut entry = entry.map_err(bad_archive)?;
        let path = plain_path(&entry)?;
        let expected = manifest.files.get(&path).filter(|_| missing.remove(&path));
        let expected = expected.ok_or_else(|| BundleError::Unlisted { path: path.clone() })?;
        let target = staging.join(&path);
        let parent = target.parent().unwrap_or(staging);
        fs::create_dir_all(parent).map_err(BundleError::io(parent))?;
        let found = write_synced(&target, &mut (&mut entry).take(expected.bytes.saturating_add(1)))?;
        if found != (expected.bytes, expected.sha256.clone()) {
            return Err(BundleError::WrongDigest { path });
        }
    }
    if let Some(path) = missing.first() {
        return Err(BundleError::Missing { path: (*path).clone() });
    }
    check_graphs(&manifest, staging)
}

fn check_graphs(manifest: &Manifest, folder: &Path) -> Result<(), BundleError> {
    preflight(manifest, &manifest.files.keys().map(|name| (name.clone(), folder.join(name))).collect())
}

fn read_manifest(first: Option<std::io::Result<Entry<'_>>>) -> Result<(Manifest, Vec<u8>), BundleError> {
    let mut entry = first.ok_or(BundleError::NoManifest)?.map_err(bad_archive)?;
    if plain_path(&entry)? != "manifest.json" || entry.size() > MANIFEST_BYTES {
        return Err(BundleError::NoManifest);
    }
    let mut json = Vec::new();
    entry.read_to_end(&mut json).map_err(bad_archive)?;
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| BundleError::BadManifest { reason: error.to_string() })?;
    manifest.check().map_err(|reason| BundleError::BadManifest { reason })?;
    if manifest.files.len() > BUNDLE_FILES {
        return Err(BundleError::BadManifest { reason: format!("more than {BUNDLE_FILES} files") });
    }
    Ok((manifest, json))
}

/// The path of an entry that is a regular file at a relative path of plain names.
fn plain_path(entry: &Entry<'_>) -> Result<String, BundleError> {
    let path = entry.path().map_err(bad_archive)?;
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    if entry.header().entry_type() != tar::EntryType::Regular || !plain {
        return Err(BundleError::UnsafeEntry);
    }
    path.to_str().map(str::to_owned).ok_or(BundleError::UnsafeEntry)
}

fn write_synced(path: &Path, from: &mut impl Read) -> Result<(u64, String), BundleError> {
    let mut file = File::create_new(path).map_err(BundleError::io(path))?;
    let found = copy_digest(from, &mut file).map_err(BundleError::io(path))?;
    file.sync_all().map_err(BundleError::io(path))?;
    Ok(found)
}

/// Whether a folder holds the bundle from an earlier unpacking: its manifest, every file of it whole, and its graphs pass.
fn is_unpacked(manifest: &Manifest, folder: &Path) -> bool {
    let kept = fs::read(folder.join("manifest.json")).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let is_whole = |(path, entry): (&String, &FileEntry)| {
        file_digest(&folder.join(path)).is_ok_and(|found| found == (entry.bytes, entry.sha256.clone()))
    };
    kept.as_ref() == Some(manifest) && manifest.files.iter().all(is_whole) && check_graphs(manifest, folder).is_ok()
}
