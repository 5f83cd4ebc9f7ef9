//! What a process and its children take: memory and processor time, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A process and all its descendants.
pub fn family(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(parent) = stat(child).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(child);
        }
    }
    let (mut found, mut next) = (vec![pid], 0);
    while let Some(parent) = found.get(next) {
        found.extend(children.get(parent).into_iter().flatten().copied().collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` after the name: state, parent, and so on (proc(5) counts them from 3).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Memory in kB that a family takes: each page counted once, shared ones by share (PSS). The daemon lets nobody but root
/// see that; to others, what each of them holds.
pub fn memory_kb(pid: u32) -> u64 {
    let share = |member| line_kb(&format!("/proc/{member}/smaps_rollup"), "Pss:");
    family(pid).into_iter().map(|member| share(member).unwrap_or_else(|| resident_kb(member))).sum()
}

/// Resident memory in kB of one process.
pub fn resident_kb(pid: u32) -> u64 {
    line_kb(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or_default()
}

/// Lets the kernel measure the peak of this process anew, and returns what it holds now, in kB.
pub fn forget_peak() -> std::io::Result<u64> {
    // proc(5), /proc/pid/clear_refs: 5 resets the peak resident set size.
    fs::write("/proc/self/clear_refs", "5")?;
    Ok(resident_kb(std::process::id()))
}

/// The most that this process has held at once, in kB, since it began or since [`forget_peak`].
pub fn peak_resident_kb() -> u64 {
    line_kb("/proc/self/status", "VmHWM:").unwrap_or_default()
}

/// The most resident memory in kB that a process has held at once; nothing when it has gone.
pub fn peak_kb(pid: u32) -> u64 {
    line_kb(&format!("/proc/{pid}/status"), "VmHWM:").unwrap_or_default()
}

/// What a process of the daemon is there for: the last word of its command without the options, e.g. `run` or `scan`.
pub fn role(pid: u32) -> String {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').rfind(|word| !word.is_empty() && !word.starts_with('-')).unwrap_or_default().to_owned()
}

fn line_kb(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processor time that a family has used, in hundredths of a second (the kernel's clock ticks).
pub fn processor_ticks(pid: u32) -> u64 {
    let ticks = |member| {
        let fields = stat(member)?;
        let (user, system) = (fields.get(11)?.parse::<u64>().ok()?, fields.get(12)?.parse::<u64>().ok()?);
        Some(user + system)
    };
    family(pid).into_iter().filter_map(ticks).sum()
}

/// Watches the memory of a family until it is asked for the peak.
#[derive(Debug)]
pub struct Peak {
    stop: Arc<AtomicBool>,
    highest_kb: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Peak {
    /// Starts to sample every 20 ms.
    pub fn watch(pid: u32) -> anyhow::Result<Self> {
        let (stop, highest_kb) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, peak) = (Arc::clone(&stop), Arc::clone(&highest_kb));
        let sample = move || {
            while !ends.load(Ordering::Relaxed) {
                peak.fetch_max(memory_kb(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let thread = std::thread::Builder::new().name("gauge".to_owned()).spawn(sample)?;
        Ok(Self { stop, highest_kb, thread: Some(thread) })
    }

    /// The largest sample in kB.
    pub fn peak_kb(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
        self.highest_kb.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_counted_whole() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let own = std::process::id();
        let members = family(own);
        assert!(members.contains(&own) && members.contains(&child.id()), "{members:?}");
        assert!(memory_kb(own) > 100 && resident_kb(own) > 100);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
