//! Small CT series written by pydicom, so that the daemon reads files that our own code did not write.

use crate::tools;
use anyhow::Context;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What to make.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// Number of series; all belong to one study.
    pub series: usize,
    /// Slices of each.
    pub slices: usize,
    /// Rows and columns.
    pub size: usize,
    /// Other seeds make other voxels and other UIDs.
    pub seed: u64,
    /// Text that stands in every text element; nothing if empty.
    pub marker: String,
}

impl Plan {
    /// Series small enough that a test is about the daemon and not about voxels.
    pub fn small(series: usize, seed: u64) -> Self {
        Self { series, slices: 6, size: 48, seed, marker: String::new() }
    }
}

/// Series on disk; they go with their owner.
#[derive(Debug)]
pub struct Made {
    folder: TempDir,
    /// Files of each series, sorted by name.
    pub series: Vec<Vec<PathBuf>>,
}

impl Made {
    /// Study and Series Instance UID of a series.
    pub fn uids(&self, number: usize) -> anyhow::Result<(String, String)> {
        let text = std::fs::read_to_string(self.folder.path().join(format!("{number}.uid")))?;
        let (study, series) = text.split_once(' ').context("two UIDs")?;
        Ok((study.to_owned(), series.to_owned()))
    }
}

/// Makes series by `tests/peers/make_series.py`.
pub fn make(plan: &Plan) -> anyhow::Result<Made> {
    let folder = tempfile::Builder::new().prefix("ctedge-series-").tempdir()?;
    write(plan, folder.path())?;
    let series = (0..plan.series).map(|number| crate::arrival::files(&folder.path().join(number.to_string())));
    Ok(Made { series: series.collect::<anyhow::Result<_>>()?, folder })
}

/// The same into a folder that stays; series number n is in its folder n.
pub fn write(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string(plan)?;
    tools::peer("make_series.py", &[folder, Path::new(&text)]).map(drop)
}

/// Makes one broken file of each kind by `tests/peers/make_broken.py`; each is named by the reason that it must be refused
/// with.
pub fn make_broken() -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("ctedge-broken-").tempdir()?;
    tools::peer("make_broken.py", &[folder.path()])?;
    Ok(folder)
}
