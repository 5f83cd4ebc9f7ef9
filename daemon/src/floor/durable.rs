//! The only file that renames: writes and moves that survive a power cut.
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced. Without the last step 115 of 150
//! simulated power cuts lost acknowledged data.

use data_encoding::HEXLOWER;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes a whole file with mode 0600, durably and atomically: readers see the old file or the new one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path)?;
    make_folder(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    synced(file.sync_all())?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

/// Moves a file or folder within one filesystem and syncs both folders.
pub(crate) fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let (source, target) = (parent(from)?, parent(to)?);
    sync_folder(target)?;
    if source == target { Ok(()) } else { sync_folder(source) }
}

/// Moves a file between two places that are both searched at start: no sync, since after a power cut it is found in one
/// of them.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Copies a file to another filesystem and makes the copy durable before returning. What could not be copied whole leaves
/// nothing behind, as far as the disk allows.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o640).open(to)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_bytes| synced(target.sync_all()));
    if copied.is_err() {
        drop(fs::remove_file(to));
    }
    copied.and_then(|()| sync_folder(parent(to)?))
}

/// Makes a folder and its parents, readable by our user and group only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// Makes a folder as young as if a file had just been added to it.
pub(crate) fn touch(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(File::open(folder)?, &Timestamps { last_access: now, last_modification: now })?)
}

/// Makes what was renamed into or out of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    synced(File::open(path)?.sync_all())
}

/// Makes a file and its name durable.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    synced(File::open(path)?.sync_all())?;
    sync_folder(parent(path)?)
}

/// Makes everything on the filesystem of a folder durable: one call in place of two for each of thousands of files.
pub(crate) fn sync_all(folder: &Path) -> io::Result<()> {
    synced(rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from))
}

/// What could not be made durable, whatever the reason.
#[derive(Debug, thiserror::Error)]
#[error("not durable: {source}")]
struct Unsynced {
    source: io::Error,
}

/// After a sync that failed nobody knows what is on the disk, and the next one would say that all is well: no error of
/// this kind is waited out, not even the want of room. The daemon stops, and looks at its next start.
fn synced(result: io::Result<()>) -> io::Result<()> {
    result.map_err(|source| io::Error::other(Unsynced { source }))
}

/// A name that no other file has, and that says nothing: 32 hexadecimal digits.
pub(crate) fn random_name() -> io::Result<String> {
    Ok(HEXLOWER.encode(&random::<16>()?))
}

/// Bytes of the operating system's randomness, for names and secrets.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a parent folder"))
}
