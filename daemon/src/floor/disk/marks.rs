//! How full is too full. Pure: only [`Fill::of`] looks at a disk.

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// When a disk counts as filling up. Percent are those of `df`: what is used of what we may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Percent from which nothing is kept that nobody needs.
    pub(crate) retain_percent: u64,
    /// Percent from which finished series are deleted before their time.
    pub(crate) purge_percent: u64,
    /// Percent from which nothing new is taken in.
    pub(crate) stop_percent: u64,
    /// MiB that have to be free, however small the disk; twice as many before purging, four times before sparing.
    pub(crate) least_mib: u64,
    /// MiB that are enough, however large the disk; again twice and four times.
    pub(crate) most_mib: u64,
    /// MiB that are set aside for the ledger in `state/ballast`; 0 for none.
    pub(crate) ballast_mib: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retain_percent: 80,
            purge_percent: 90,
            stop_percent: 95,
            least_mib: 512,
            most_mib: 51_200,
            ballast_mib: 64,
        }
    }
}

/// What follows from how full a disk is. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// There is room.
    #[default]
    Roomy,
    /// Nothing is kept that nobody needs.
    Sparing,
    /// Finished series are deleted before their time.
    Purging,
    /// Nothing new is taken in.
    Stopped,
}

impl Level {
    /// Name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Roomy => "roomy",
            Self::Sparing => "sparing",
            Self::Purging => "purging",
            Self::Stopped => "stopped",
        }
    }
}

/// How full a filesystem is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Bytes that we use or may use.
    pub(crate) total_bytes: u64,
    /// Bytes that we may still write.
    pub(crate) free_bytes: u64,
    /// Files that there are or may be; 0 where the filesystem has no such bound.
    pub(crate) total_files: u64,
    /// Files that we may still make.
    pub(crate) free_files: u64,
}

impl Fill {
    /// How full the filesystem of a folder is, and the number of its device.
    pub(crate) fn of(folder: &Path) -> io::Result<(u64, Self)> {
        let (device, stat) = (fs::metadata(folder)?.dev(), statvfs(folder)?);
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        let used_files = stat.f_files.saturating_sub(stat.f_ffree);
        // Filesystems that make room for files as they come tell no number of them.
        let total_files = if stat.f_files == 0 { 0 } else { used_files.saturating_add(stat.f_favail) };
        let fill = Self {
            total_bytes: bytes(used.saturating_add(stat.f_bavail)),
            free_bytes: bytes(stat.f_bavail),
            total_files,
            free_files: stat.f_favail,
        };
        Ok((device, fill))
    }

    /// The same when so much of it is gone.
    pub(crate) fn without(self, bytes: u64, files: u64) -> Self {
        Self {
            free_bytes: self.free_bytes.saturating_add(bytes),
            free_files: self.free_files.saturating_add(files),
            ..self
        }
    }

    /// Percent that are used, rounded up; of bytes or files, whichever are scarcer.
    pub(crate) fn used_percent(&self) -> u64 {
        let of = |free: u64, total: u64| {
            if total == 0 { 0 } else { total.saturating_sub(free).saturating_mul(100).div_ceil(total) }
        };
        of(self.free_bytes, self.total_bytes).max(of(self.free_files, self.total_files))
    }
}

/// Files that have to be free, however few there may be, and that are enough, however many.
const FILES: (u64, u64) = (1_000, 1_000_000);
const MIB: u64 = 1 << 20;

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let percent = [self.retain_percent, self.purge_percent, self.stop_percent];
        if !percent.is_sorted_by(|a, b| a < b) || percent.iter().any(|percent| !(1..=99).contains(percent)) {
            problems.push(format!(
                "disk.retain_percent, purge_percent and stop_percent = {percent:?}: must rise, and lie between 1 and 99"
            ));
        }
        if self.least_mib > self.most_mib {
            problems.push(format!("disk.least_mib = {}: more than disk.most_mib", self.least_mib));
        }
        if self.ballast_mib > 65_536 {
            problems.push(format!("disk.ballast_mib = {}: 65536 at most", self.ballast_mib));
        }
        problems
    }

    /// The level of a disk that was at another one before. Back down it goes only with a quarter more room than it took
    /// to get there, so that it does not go back and forth.
    pub(crate) fn level(&self, fill: &Fill, before: Level) -> Level {
        let levels = [
            (Level::Stopped, self.stop_percent, 1),
            (Level::Purging, self.purge_percent, 2),
            (Level::Sparing, self.retain_percent, 4),
        ];
        let is_reached = |&(level, percent, times): &(Level, u64, u64)| {
            let slack = if before >= level { 4 } else { 0 };
            let is_below = |free: u64, total: u64, (least, most): (u64, u64)| {
                let share = total / 100 * 100_u64.saturating_sub(percent);
                let mark = share.min(most.saturating_mul(times)).max(least.saturating_mul(times));
                free < mark.saturating_add(mark.checked_div(slack).unwrap_or_default())
            };
            let bytes = (self.least_mib.saturating_mul(MIB), self.most_mib.saturating_mul(MIB));
            is_below(fill.free_bytes, fill.total_bytes, bytes)
                || (fill.total_files > 0 && is_below(fill.free_files, fill.total_files, FILES))
        };
        levels.iter().find(|level| is_reached(level)).map_or(Level::Roomy, |(level, ..)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn fill(total_bytes: u64, free_bytes: u64) -> Fill {
        Fill { total_bytes, free_bytes, total_files: 0, free_files: 0 }
    }

    #[test]
    fn levels_follow_the_percent_and_the_bounds_of_small_and_huge_disks() {
        let level = |total, free| Settings::default().level(&fill(total, free), Level::Roomy);
        let hundred: Vec<Level> = [21, 19, 9, 4].map(|free| level(100 * GIB, free * GIB)).into();
        assert_eq!(hundred, [Level::Roomy, Level::Sparing, Level::Purging, Level::Stopped]);
        // Of 4 GB five percent would be less than one scan.
        assert_eq!(level(4 * GIB, 500 << 20), Level::Stopped);
        assert_eq!(level(4 * GIB, 600 << 20), Level::Purging);
        // Of 20 TB they would be a terabyte.
        assert_eq!(level(20_000 * GIB, 300 * GIB), Level::Roomy);
        assert_eq!(level(20_000 * GIB, 49 * GIB), Level::Stopped);
    }

    #[test]
    fn a_level_is_left_with_more_room_than_it_is_entered_with() {
        let level = |free: u64, before| Settings::default().level(&fill(1000 * GIB, free * GIB), before);
        assert_eq!(level(49, Level::Purging), Level::Stopped);
        assert_eq!(level(51, Level::Roomy), Level::Purging);
        assert_eq!(level(51, Level::Stopped), Level::Stopped);
        assert_eq!(level(63, Level::Stopped), Level::Purging);
        assert_eq!(level(126, Level::Purging), Level::Sparing);
        assert_eq!(level(260, Level::Stopped), Level::Roomy);
    }

    #[test]
    fn files_count_as_bytes_do_where_they_are_bounded() {
        let files = |free_files| Fill { total_files: 100_000, free_files, ..fill(100 * GIB, 90 * GIB) };
        assert_eq!(Settings::default().level(&files(50_000), Level::Roomy), Level::Roomy);
        assert_eq!(Settings::default().level(&files(4_000), Level::Roomy), Level::Stopped);
        assert_eq!(files(4_000).used_percent(), 96);
        assert_eq!(Settings::default().level(&files(0).without(0, 90_000), Level::Stopped), Level::Roomy);
        assert_eq!(fill(100 * GIB, 90 * GIB).used_percent(), 10);
    }

    #[test]
    fn a_disk_says_how_full_it_is_as_df_does() {
        let folder = tempfile::tempdir().unwrap();
        let (device, fill) = Fill::of(folder.path()).unwrap();
        assert_eq!(device, fs::metadata(folder.path()).unwrap().dev());
        let output = std::process::Command::new("df").args(["-B1", "--output=used,avail"]).arg(folder.path()).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let told: Vec<u64> = text.lines().nth(1).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
        // Others write to the disk meanwhile.
        assert!((told[0] + told[1]).abs_diff(fill.total_bytes) <= fill.total_bytes / 100, "{told:?} {fill:?}");
        assert!(Fill::of(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        assert_eq!(Settings::default().problems(), Vec::<String>::new());
        let odd = Settings { purge_percent: 96, least_mib: 60_000, ballast_mib: 1 << 20, ..Settings::default() };
        assert_eq!(odd.problems().len(), 3);
    }
}
