//! The synthetic patient of the demo.

use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write::{self, SeriesTags};
use std::path::{Path, PathBuf};

/// Writes a synthetic chest CT with findings as a DICOM series. Returns its files.
pub fn write(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let recipe = Recipe::example();
    std::fs::create_dir_all(folder)?;
    Ok(write::dicom_series(&recipe.volume()?, &SeriesTags::synthetic(recipe.seed), folder)?)
}
