//! Making a bundle, the same bytes for the same input.

use super::digest::file_digest;
use super::{BundleDigest, BundleError, FileEntry, Manifest};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Compression level: the highest that is quick; weights hardly compress.
const LEVEL: i32 = 9;

/// Packs `files` (path in the bundle, file on disk) and `manifest` into `out`.
///
/// The manifest's own table of files is made here, whatever it held before. The archive is reproducible: manifest
/// first, then the files by path, without owners and times.
pub fn pack(manifest: &Manifest, files: &[(String, PathBuf)], out: &Path) -> Result<BundleDigest, BundleError> {
    let mut manifest = manifest.clone();
    manifest.files.clear();
    for (path, source) in files {
        let (bytes, sha256) = file_digest(source).map_err(BundleError::io(source))?;
        manifest.files.insert(path.clone(), FileEntry { bytes, sha256 });
    }
    manifest.check().map_err(|reason| BundleError::BadManifest { reason })?;
    let json =
        serde_json::to_vec_pretty(&manifest).map_err(|error| BundleError::BadManifest { reason: error.to_string() })?;

    write_archive(&json, &manifest, files, out).map_err(BundleError::io(out))?;
    BundleDigest::of(out).map_err(BundleError::io(out))
}

fn write_archive(json: &[u8], manifest: &Manifest, files: &[(String, PathBuf)], out: &Path) -> std::io::Result<()> {
    let writer = zstd::Encoder::new(BufWriter::new(File::create(out)?), LEVEL)?;
    let mut archive = tar::Builder::new(writer);
    let length = u64::try_from(json.len()).unwrap_or(u64::MAX);
    archive.append_data(&mut header(length), "manifest.json", json)?;
    for (path, entry) in &manifest.files {
        if let Some((_, source)) = files.iter().find(|(name, _)| name == path) {
            archive.append_data(&mut header(entry.bytes), path, File::open(source)?.take(entry.bytes))?;
        }
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header
}
