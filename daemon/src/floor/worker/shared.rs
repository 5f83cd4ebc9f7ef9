//! Voxels in memory that processes share: written by one, sealed, then read by another.

use memmap2::{Mmap, MmapMut};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// Nothing may change the memory any more, nor its size.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

/// Memory that is being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    file: File,
    map: MmapMut,
}

impl Filling {
    /// Memory of this many bytes, all zero.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("ctedge-voxels", flags)?);
        ftruncate(&file, u64::try_from(bytes).map_err(io::Error::other)?)?;
        #[expect(unsafe_code, reason = "mapping a file is unsafe where others may change it")]
        // SAFETY: the file was made above and nobody else has its descriptor.
        let map = unsafe { MmapMut::map_mut(&file) }?;
        Ok(Self { file, map })
    }

    /// The memory as numbers.
    pub(crate) fn as_mut<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        bytemuck::try_cast_slice_mut(&mut self.map).unwrap_or_default()
    }

    /// Seals it against every change and gives it up to be sent.
    pub(crate) fn seal(self) -> io::Result<OwnedFd> {
        drop(self.map);
        fcntl_add_seals(&self.file, SEALS)?;
        Ok(self.file.into())
    }
}

/// Sealed memory, to be read.
#[derive(Debug)]
pub(crate) struct Sealed(Mmap);

impl Sealed {
    /// Takes memory that another process has filled and sealed.
    pub(crate) fn open(descriptor: OwnedFd) -> io::Result<Self> {
        if !fcntl_get_seals(&descriptor)?.contains(SEALS) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared memory without its seals"));
        }
        #[expect(unsafe_code, reason = "mapping a file is unsafe where others may change it")]
        // SAFETY: the seals just checked let nobody write, shrink or grow it.
        let map = unsafe { Mmap::map(&File::from(descriptor)) }?;
        Ok(Self(map))
    }

    /// The memory as numbers; empty if its length does not fit them.
    pub(crate) fn as_slice<T: bytemuck::Pod>(&self) -> &[T] {
        bytemuck::try_cast_slice(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_and_cannot_change() {
        let mut filling = Filling::new(8).unwrap();
        filling.as_mut::<i16>().copy_from_slice(&[1, -2, 3, -1024]);
        let descriptor = filling.seal().unwrap();
        assert!(ftruncate(&descriptor, 4).is_err());
        assert!(rustix::io::write(&descriptor, b"x").is_err());
        let sealed = Sealed::open(descriptor).unwrap();
        assert_eq!(sealed.as_slice::<i16>(), [1, -2, 3, -1024]);
    }

    #[test]
    fn memory_without_seals_is_refused() {
        let file = memfd_create("loose", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&file, 8).unwrap();
        assert!(Sealed::open(file).is_err());
    }
}
