//! What the kernel says of this device and this process. What it does not say is left out.

use rustix::fs::{Access, access};
use std::fs;
use std::path::Path;

/// Why files cannot be written into a folder, if they cannot.
pub(super) fn unusable(folder: &Path) -> Option<String> {
    let error = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(std::io::Error::from(error).kind().to_string())
}

/// A temperature sensor.
#[derive(Debug, PartialEq)]
pub(super) struct Zone {
    /// Name of its folder, e.g. `thermal_zone0`.
    pub(super) name: String,
    /// What it measures, in the kernel's words; several may be called the same.
    pub(super) kind: String,
    /// Degrees Celsius.
    pub(super) celsius: f64,
}

/// The kernel's sensors that can be read now, by name.
pub(super) fn zones(folder: &Path) -> Vec<Zone> {
    let mut zones: Vec<Zone> =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| zone(&entry.path())).collect();
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    zones
}

fn zone(path: &Path) -> Option<Zone> {
    let name = path.file_name()?.to_str()?.to_owned();
    if !name.starts_with("thermal_zone") {
        return None;
    }
    // Thousandths of a degree; a sensor that sleeps answers with an error.
    let thousandths: i32 = fs::read_to_string(path.join("temp")).ok()?.trim().parse().ok()?;
    let kind = fs::read_to_string(path.join("type")).unwrap_or_default().trim().to_owned();
    Some(Zone { name, kind, celsius: f64::from(thousandths) / 1000.0 })
}

/// What this process holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Bytes in memory.
    pub(super) resident_bytes: Option<u64>,
    /// Threads.
    pub(super) threads: Option<u64>,
    /// Open files and connections.
    pub(super) files: Option<usize>,
}

/// This process, as the kernel sees it.
pub(super) fn process() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Process {
        resident_bytes: field("VmRSS:").map(|kib| kib * 1024),
        threads: field("Threads:"),
        // One of them is the listing itself.
        files: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_are_read_in_degrees() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, temp) in
            [("thermal_zone1", "gpu-thermal\n", "-5500\n"), ("thermal_zone0", "cpu-thermal\n", "48250\n")]
        {
            let zone = folder.path().join(name);
            fs::create_dir(&zone).unwrap();
            fs::write(zone.join("type"), kind).unwrap();
            fs::write(zone.join("temp"), temp).unwrap();
        }
        fs::create_dir(folder.path().join("thermal_zone2")).unwrap();
        fs::create_dir(folder.path().join("cooling_device0")).unwrap();
        let told: Vec<_> = zones(folder.path()).into_iter().map(|zone| (zone.name, zone.kind, zone.celsius)).collect();
        let zone = |name: &str, kind: &str, celsius| (name.to_owned(), kind.to_owned(), celsius);
        assert_eq!(told, [zone("thermal_zone0", "cpu-thermal", 48.25), zone("thermal_zone1", "gpu-thermal", -5.5)]);
        assert!(zones(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn a_folder_that_is_gone_is_unusable() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unusable(folder.path()), None);
        assert!(unusable(&folder.path().join("gone")).is_some());
    }

    #[test]
    fn this_process_holds_something() {
        let Process { resident_bytes, threads, files } = process();
        assert!(resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{resident_bytes:?}");
        assert!(threads.is_some_and(|count| count >= 1) && files.is_some_and(|count| count >= 1));
    }
}
