//! What the fuzz targets share: files in memory, because the reader takes paths.

use ctedge_models::scan::Limits;
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// A file in memory; it goes with its owner.
#[derive(Debug)]
pub struct Memory(File);

impl Memory {
    /// A file with these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut file = File::from(rustix::fs::memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
        file.write_all(bytes).expect("memory");
        Self(file)
    }

    /// Where it can be opened.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Limits under which no input takes long.
pub fn limits() -> Limits {
    Limits { voxels: 1 << 22, files: 64, ..Limits::default() }
}
