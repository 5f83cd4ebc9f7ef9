//! The synthetic patient of the demo.

use std::path::Path;

/// Writes a synthetic chest CT with findings as a DICOM series.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    anyhow::bail!("no phantom in {}", folder.display())
}
