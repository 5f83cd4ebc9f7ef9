//! How much memory there is, and how much a process holds, as the kernel tells.

use std::fs;

/// The memory of this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes in all.
    pub(crate) total_bytes: u64,
    /// Bytes that may be taken without anybody else having to give some up.
    pub(crate) available_bytes: u64,
}

impl Memory {
    /// How it is now; `None` where the kernel does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn of(text: &str) -> Option<Self> {
        Some(Self { total_bytes: field(text, "MemTotal:")?, available_bytes: field(text, "MemAvailable:")? })
    }
}

/// Most bytes that a process has had in memory at a time, those that it shares included; `None` when it has gone.
pub(crate) fn peak_bytes(pid: u32) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// A field in kB (proc(5)), in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_bytes() {
        let told = Memory::of("MemTotal:       24683520 kB\nMemFree:         1000 kB\nMemAvailable:   23000000 kB\n");
        assert_eq!(told, Some(Memory { total_bytes: 24_683_520 << 10, available_bytes: 23_000_000 << 10 }));
        assert_eq!(Memory::of("MemTotal: 1 kB\n"), None, "a kernel of before 2014");
        let now = Memory::now().unwrap();
        assert!(now.available_bytes > 0 && now.available_bytes <= now.total_bytes);
        assert!(peak_bytes(std::process::id()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(peak_bytes(u32::MAX), None);
    }
}
