//! A virtual machine: the same Debian under a kernel of its own, with what a container borrows from its host.

use anyhow::{Context, ensure};
use ctedge_tests::{place, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Size of the disk; what is not written takes no room.
const DISK: &str = "4G";

/// Boots a root filesystem until it switches itself off. Returns a folder with its `/opt`.
pub(super) fn boot(root: &Path, folder: &Path, patience_s: &str) -> anyhow::Result<PathBuf> {
    let (disk, out) = (folder.join("disk"), folder.join("out"));
    for old in [&disk, &out] {
        process::output(Command::new("rm").args(["--recursive", "--force"]).arg(old))?;
    }
    fs::create_dir_all(&out)?;
    let mut make = Command::new("mke2fs");
    process::output(make.args(["-q", "-t", "ext4", "-d"]).arg(root).arg(&disk).arg(DISK))?;
    let (kernel, first) = (newest(root, "vmlinuz-")?, newest(root, "initrd.img-")?);
    let mut machine = Command::new("timeout");
    machine.args([patience_s, "qemu-system-x86_64", "-m", "2048", "-smp", "2", "-nographic", "-no-reboot"]);
    // By emulation: a processor's help is there on few machines, and within a virtual machine it fails in ways of its own.
    machine.args(["-accel", "tcg", "-cpu", "max", "-nic", "none", "-kernel"]).arg(kernel).arg("-initrd").arg(first);
    machine.args(["-append", "root=/dev/vda rw console=ttyS0 panic=-1"]);
    machine.arg("-drive").arg(format!("file={},if=virtio,format=raw,cache=writeback", disk.display()));
    let console = fs::File::create(place::target().join("service/console"))?;
    let missing = "qemu-system-x86_64 cannot be run: apt install qemu-system-x86";
    let ended = machine.stdin(Stdio::null()).stdout(console).status().context(missing)?;
    ensure!(ended.success(), "the machine: {ended}; target/service/console has what it said");
    let mut take = Command::new("debugfs");
    process::output(take.arg("-R").arg(format!("rdump /opt {}", out.display())).arg(&disk))?;
    fs::remove_file(disk)?;
    Ok(out)
}

/// The newest file of a kind in `/boot`.
fn newest(root: &Path, kind: &str) -> anyhow::Result<PathBuf> {
    let names = fs::read_dir(root.join("boot"))?.filter_map(Result::ok).map(|entry| entry.path());
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind));
    names.filter(is_it).max().with_context(|| format!("no {kind}* in its /boot"))
}
