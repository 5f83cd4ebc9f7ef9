//! Phantoms written as a folder of one's own: what other programs read, and what [`super::folder`] reads back.

use super::folder::{TABLE, names};
use super::phantoms::phantom;
use crate::corpus::case::{Case, Source};
use crate::corpus::disk;
use crate::corpus::error::CorpusError;
use ctedge_models::labels::Label;
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write::{self, SeriesTags};
use ctedge_models::spec::PreprocessSpec;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// File format of written scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanFormat {
    /// One gzipped NIfTI file each.
    Nifti,
    /// One folder each, with a DICOM file a slice.
    Dicom,
}

/// Writes the phantoms of `seeds` into an empty or new folder: `scans/`, `recipes.jsonl` and, last, `cases.csv`. `spec`
/// tells at which resolution a finding counts as visible; `done` is told how many are through.
///
/// # Errors
/// The folder holds something, or a file cannot be written.
pub fn write_phantoms(
    out: &Path,
    seeds: Range<u64>,
    format: ScanFormat,
    spec: &PreprocessSpec,
    done: &dyn Fn(usize),
) -> Result<(), CorpusError> {
    make(out)?;
    let first = fs::read_dir(out).map_err(|source| CorpusError::Read { path: out.into(), source })?.next();
    if let Some(Ok(stranger)) = first {
        let stranger = stranger.file_name().to_string_lossy().into_owned();
        return Err(CorpusError::Occupied { folder: out.into(), stranger });
    }
    make(&out.join("scans"))?;
    let cases = out.join(TABLE);
    let failed = |error: csv::Error| CorpusError::Write { path: cases.clone(), source: io::Error::other(error) };
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = ["id", "patient", "path", "findings", "impression", "statement", "visible"];
    table.write_record(head.into_iter().chain(Label::all().map(Label::name))).map_err(failed)?;
    let mut recipes = String::new();
    for (count, seed) in seeds.enumerate() {
        let listed = phantom(seed, spec);
        if let Source::Phantom(recipe) = &listed.source {
            let path = scan(out, &listed.case.id, recipe, format)?;
            table.write_record(cells(&listed.case, &path)).map_err(failed)?;
            recipes.push_str(&serde_json::to_string(recipe).unwrap_or_default());
            recipes.push('\n');
        }
        done(count + 1);
    }
    disk::write(&out.join("recipes.jsonl"), recipes.as_bytes())?;
    let bytes = table.into_inner().map_err(|error| failed(error.into_error().into()))?;
    disk::write(&cases, &bytes)
}

fn cells(case: &Case, path: &Path) -> Vec<String> {
    let texts = [&case.id, &case.patient, &path.display().to_string(), &case.report.findings, &case.report.impression];
    let known = [case.statement.clone().unwrap_or_default(), names(case.visible.unwrap_or_default())];
    let labels = case.labels.unwrap_or_default().map(|flag| String::from(if flag { "1" } else { "0" }));
    texts.into_iter().cloned().chain(known).chain(labels).collect()
}

/// Writes one scan. Returns its path below `out`.
fn scan(out: &Path, id: &str, recipe: &Recipe, format: ScanFormat) -> Result<PathBuf, CorpusError> {
    let volume = recipe.volume().map_err(|source| CorpusError::Phantom { id: id.to_owned(), source })?;
    let below = match format {
        ScanFormat::Nifti => Path::new("scans").join(format!("{id}.nii.gz")),
        ScanFormat::Dicom => Path::new("scans").join(id),
    };
    let path = out.join(&below);
    let written = match format {
        ScanFormat::Nifti => write::nifti(&volume, &path),
        ScanFormat::Dicom => {
            make(&path)?;
            write::dicom_series(&volume, &SeriesTags::synthetic(recipe.seed), &path).map(drop)
        }
    };
    written.map_err(|source| CorpusError::Scan { path, source })?;
    Ok(below)
}

fn make(folder: &Path) -> Result<(), CorpusError> {
    fs::create_dir_all(folder).map_err(|source| CorpusError::Write { path: folder.into(), source })
}
