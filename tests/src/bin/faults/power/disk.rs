//! A disk that keeps a log of everything that is written to it, and disks as they would be after a power cut.
//!
//! QEMU's storage daemon offers an image through FUSE and writes every change and every flush into a log, in the format of
//! the kernel's dm-log-writes; a loop device makes a disk of that.

use anyhow::{Context, ensure};
use ctedge_tests::arrival::Dice;
use ctedge_tests::process::{self, Running};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Size of the disk and the most that its log may hold; both are sparse files.
const DISK_BYTES: u64 = 64 << 20;
const LOG_BYTES: u64 = 4 << 30;
/// What a disk writes whole or not at all.
const BLOCK: usize = 4096;

/// How the log's superblock begins: magic, version, entries (Documentation/admin-guide/device-mapper/log-writes.rst).
const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: u64 = 512;
/// Flags of an entry.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A mounted disk that keeps a log.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    server: Option<Running>,
    device: String,
}

impl Disk {
    /// Makes an empty disk and mounts it.
    pub(crate) fn make() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "power cuts need loop devices and mounts: be root");
        let folder = tempfile::Builder::new().prefix("ctedge-disk-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        File::create(at("data"))?.set_len(DISK_BYTES)?;
        File::create(at("log"))?.set_len(LOG_BYTES)?;
        File::create(at("export"))?;
        fs::create_dir(at("mount"))?;
        // Everything is written now, so that nothing of it comes into the log later.
        let quiet = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4"];
        process::output(Command::new("mkfs.ext4").args(quiet).arg(at("data")))?;
        fs::copy(at("data"), at("base"))?;
        let mut disk = Self { folder, server: None, device: String::new() };
        disk.server = Some(disk.serve()?);
        let looped = process::output(Command::new("losetup").args(["-f", "--show"]).arg(disk.at("export")))?;
        looped.trim().clone_into(&mut disk.device);
        process::output(Command::new("mount").arg(&disk.device).arg(disk.mount())).context("no loop devices here")?;
        Ok(disk)
    }

    fn serve(&self) -> anyhow::Result<Running> {
        let (data, log) = (self.at("data"), self.at("log"));
        let mut command = Command::new("qemu-storage-daemon");
        command.arg("--blockdev").arg(format!("driver=file,node-name=disk,filename={}", data.display()));
        command.arg("--blockdev").arg(format!("driver=file,node-name=log,filename={}", log.display()));
        let logged = format!("driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size={SECTOR}");
        command.args(["--blockdev", &logged]);
        let offered =
            format!("type=fuse,id=fuse,node-name=logged,mountpoint={},writable=on", self.at("export").display());
        command.args(["--export", &offered]).stdin(Stdio::null());
        let mut server = Running::start(&mut command).context(MISSING)?;
        let ready = || {
            server
                .check()
                .context("QEMU's storage daemon cannot offer the disk; it needs /dev/fuse and FUSE exports")?;
            Ok(fs::metadata(self.at("export"))?.len() == DISK_BYTES)
        };
        ensure!(process::wait_until(Duration::from_secs(10), ready)?, "QEMU's storage daemon does not offer the disk");
        Ok(server)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it is mounted.
    pub(crate) fn mount(&self) -> PathBuf {
        self.at("mount")
    }

    /// What tells how much has been written, in entries of the log up to the last flush.
    pub(crate) fn counter(&self) -> anyhow::Result<impl Fn() -> u64 + Send + Sync + use<>> {
        let log = File::open(self.at("log"))?;
        Ok(move || entries(&log).unwrap_or_default())
    }

    /// Takes the disk away and reads its log.
    pub(crate) fn record(mut self) -> anyhow::Result<Record> {
        self.take_away();
        let log = File::open(self.at("log"))?;
        let (mut read, mut offset) = (Vec::new(), SECTOR);
        for _entry in 0..entries(&log).context("the disk's log is none")? {
            let [sector, sectors, flags, _] = numbers(&log, offset)?;
            read.push(Entry { sector, bytes: sectors * SECTOR, flags, offset: offset + SECTOR });
            // What is discarded has no data in the log.
            offset += SECTOR + if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        }
        ensure!(read.len() > 20, "only {} changes of the disk were seen", read.len());
        Ok(Record { base: self.at("base"), log, entries: read, _disk: self })
    }

    fn take_away(&mut self) {
        // What is not there any more needs not to be taken away.
        let quietly = |command: &mut Command| drop(command.stderr(Stdio::null()).status());
        if !self.device.is_empty() {
            quietly(Command::new("umount").arg(self.mount()));
            quietly(Command::new("umount").arg("--lazy").arg(self.mount()));
            quietly(Command::new("losetup").arg("-d").arg(&self.device));
            self.device.clear();
        }
        if let Some(server) = self.server.take() {
            drop(server.stop(Duration::from_secs(10)));
            quietly(Command::new("umount").arg("--lazy").arg(self.at("export")));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.take_away();
    }
}

const MISSING: &str =
    "qemu-storage-daemon is missing: apt-get install qemu-system-common qemu-utils, or `cargo verify --only tools`";

/// How many entries a log has, by its superblock, which is written with every flush.
fn entries(log: &File) -> Option<u64> {
    let [magic, _version, count, _sector] = numbers(log, 0).ok()?;
    (magic == MAGIC).then_some(count)
}

fn numbers(log: &File, offset: u64) -> anyhow::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    log.read_exact_at(&mut bytes, offset)?;
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(bytes.try_into()?);
    }
    Ok(numbers)
}

/// One change of the disk, or a flush.
#[derive(Debug, Clone, Copy)]
struct Entry {
    sector: u64,
    bytes: u64,
    flags: u64,
    /// Where in the log its data stand.
    offset: u64,
}

/// Everything that was written to a disk, in order.
#[derive(Debug)]
pub(crate) struct Record {
    base: PathBuf,
    log: File,
    entries: Vec<Entry>,
    // Keeps the files.
    _disk: Disk,
}

impl Record {
    /// How many changes and flushes there are.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// Writes the disk as it may be after a power cut at a moment: all that was written before the last flush, and of
    /// what came later each block with some probability in percent. Returns how many blocks are missing.
    pub(crate) fn cut(&self, at: u64, percent: u64, dice: &mut Dice, image: &Path) -> anyhow::Result<usize> {
        fs::copy(&self.base, image)?;
        let image = File::options().write(true).open(image)?;
        let until = self.entries.get(..usize::try_from(at)?).context("a moment of this record")?;
        let flushed = until.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or_default();
        let mut missing = 0;
        for (number, entry) in until.iter().enumerate().filter(|(_, entry)| entry.flags & DISCARD == 0) {
            let mut bytes = vec![0; usize::try_from(entry.bytes)?];
            self.log.read_exact_at(&mut bytes, entry.offset)?;
            let durable = number <= flushed || entry.flags & FUA != 0;
            for (block, bytes) in (0u64..).zip(bytes.chunks(BLOCK)) {
                if durable || dice.below(100) < percent {
                    image.write_all_at(bytes, entry.sector * SECTOR + block * u64::try_from(BLOCK)?)?;
                } else {
                    missing += 1;
                }
            }
        }
        Ok(missing)
    }
}

/// A disk after a power cut, mounted, which replays the file system's journal.
#[derive(Debug)]
pub(crate) struct Survivor {
    folder: TempDir,
}

impl Survivor {
    /// Has an image made and mounts it.
    pub(crate) fn mount(make: impl FnOnce(&Path) -> anyhow::Result<usize>) -> anyhow::Result<(Self, usize)> {
        let folder = tempfile::Builder::new().prefix("ctedge-cut-").tempdir()?;
        let (image, at) = (folder.path().join("image"), folder.path().join("mount"));
        fs::create_dir(&at)?;
        let missing = make(&image)?;
        process::output(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok((Self { folder }, missing))
    }

    /// Where it is mounted.
    pub(crate) fn place(&self) -> PathBuf {
        self.folder.path().join("mount")
    }
}

impl Drop for Survivor {
    fn drop(&mut self) {
        // Workers of a daemon that was killed may still have a file open there, and let go of it later.
        drop(Command::new("umount").arg("--lazy").arg(self.place()).status());
    }
}
