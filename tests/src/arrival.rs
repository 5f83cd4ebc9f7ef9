//! The ways in which a scan arrives in a drop folder.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How one file is put into the drop folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Written under its final name, as `cp` does.
    Copy,
    /// Written under a temporary name and renamed, as careful senders do.
    Rename,
    /// Written in pieces with pauses, as a slow network does.
    Slow,
}

/// The files of a folder, sorted by name, folders left out.
pub fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// All files below a path, or the path itself if it is a file.
pub fn all_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = files(path)?;
    for entry in fs::read_dir(path)? {
        let inner = entry?.path();
        if inner.is_dir() {
            found.extend(all_files(&inner)?);
        }
    }
    found.sort();
    Ok(found)
}

/// Puts files into a drop folder, one after the other, under names that do not clash with those of other drops.
///
/// The names begin with `label` and a number; endings are kept, since `.nii.gz` is told from its name by many programs.
pub fn drop_files(files: &[PathBuf], incoming: &Path, label: &str, manner: Manner) -> anyhow::Result<()> {
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().context("a file name")?.to_string_lossy();
        drop_file(file, &incoming.join(format!("{label}-{number:04}-{name}")), manner)?;
    }
    Ok(())
}

/// Puts one file at its place in a drop folder.
pub fn drop_file(file: &Path, target: &Path, manner: Manner) -> anyhow::Result<()> {
    match manner {
        Manner::Copy => {
            fs::copy(file, target).with_context(|| file.display().to_string())?;
        }
        Manner::Rename => {
            let mut temporary = target.as_os_str().to_owned();
            temporary.push(".part");
            fs::copy(file, &temporary).with_context(|| file.display().to_string())?;
            fs::rename(&temporary, target)?;
        }
        Manner::Slow => slowly(&fs::read(file)?, target)?,
    }
    Ok(())
}

fn slowly(bytes: &[u8], target: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = fs::File::create(target)?;
    for piece in bytes.chunks(bytes.len().div_ceil(3).max(1)) {
        out.write_all(piece)?;
        out.sync_data()?;
        std::thread::sleep(Duration::from_millis(60));
    }
    Ok(())
}

/// Numbers for shuffling and for random moments: the same seed, the same numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that always fall alike for a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Dice with a seed of the clock, for tests that print it.
    pub fn any() -> (Self, u64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = now.as_secs() ^ u64::from(now.subsec_nanos());
        (Self::new(seed), seed)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    /// Puts a list into a random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            let other = u64::try_from(place + 1).map_or(0, |bound| self.below(bound));
            list.swap(place, usize::try_from(other).unwrap_or(0));
        }
    }
}
