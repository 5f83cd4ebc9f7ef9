//! A case's input tensor.

use super::case::{Correction, Source, Why};
use ctedge_models::preprocess::{self, Tensor};
use ctedge_models::scan::{self, Limits, Scan, ScanError, Warning};
use ctedge_models::spec::PreprocessSpec;
use ctedge_models::volume::{Geometry, Volume, VolumeError, Voxels};
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a case has no tensor: for `skipped.csv`, free of patient data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) detail: String,
}

/// Largest distance of voxels in mm: thick slices have 10. Known broken headers state the whole field of view.
const LARGEST_SPACING_MM: f64 = 25.0;
/// Least and largest extent of a scan along each axis in mm: a part of a chest, a whole patient.
const EXTENT_MM: [f64; 2] = [50.0, 2500.0];

/// Draws or reads the volume and turns it into the input tensor, C order (z, y, x).
pub(super) fn tensor(source: &Source, root: &Path, spec: &PreprocessSpec) -> Result<Vec<f32>, Refusal> {
    let tensor = match source {
        Source::Phantom(recipe) => {
            let volume = recipe.volume().map_err(|error| implausible(error.to_string()))?;
            preprocess::tensor(&volume, spec)
        }
        Source::Scan { path, correction } => read(&root.join(path), *correction, spec)?,
    };
    Ok(tensor.into_values().into_iter().collect())
}

fn read(path: &Path, correction: Option<Correction>, spec: &PreprocessSpec) -> Result<Tensor, Refusal> {
    let files = files(path).map_err(|error| Refusal { why: Why::NoFile, detail: error.kind().to_string() })?;
    let plan = scan::plan(&files, &Limits::default())?;
    let (tensor, hounsfield) = if let Some(correction) = correction {
        let Scan { volume, facts } = plan.volume()?;
        let volume = corrected(volume, correction).map_err(|error| implausible(error.to_string()))?;
        plausible(volume.geometry())?;
        let [low, high] = facts.hu_range.map(|hu| f64::from(hu) * correction.slope + correction.intercept);
        (preprocess::tensor(&volume, spec), low <= AIR_HU && high >= TISSUE_HU)
    } else {
        plausible(plan.geometry())?;
        let (tensor, facts) = plan.tensor(spec)?;
        (tensor, !facts.warnings.contains(&Warning::ImplausibleHu))
    };
    if hounsfield { Ok(tensor) } else { Err(implausible("no voxel is near air, or none is near soft tissue".into())) }
}

/// As `scan` judges it, once more after the table's slope and intercept.
const AIR_HU: f64 = -500.0;
const TISSUE_HU: f64 = 0.0;

/// A folder stands for the files in it.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: io::Result<Vec<PathBuf>> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut files: Vec<PathBuf> = entries?.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// The same voxels with the table's scale and spacing; the order and direction of the stored axes stay.
fn corrected(volume: Volume<'static>, correction: Correction) -> Result<Volume<'static>, VolumeError> {
    let geometry = volume.geometry();
    let geometry = Geometry::new(geometry.size(), correction.spacing_mm, geometry.origin_mm(), geometry.direction())?;
    let Correction { slope, intercept, .. } = correction;
    let whole = slope.fract() == 0.0 && intercept.fract() == 0.0;
    let hu = |stored: f64| stored * slope + intercept;
    let voxels = match volume.into_voxels() {
        // HU beyond 16 bits lie outside every window: they stay beyond it.
        Voxels::I16(values) if whole => {
            let mut values = values.into_owned();
            for value in &mut values {
                *value = saturated(hu(f64::from(*value)));
            }
            Voxels::I16(Cow::Owned(values))
        }
        Voxels::I16(values) => Voxels::F32(values.iter().map(|&value| narrow(hu(f64::from(value)))).collect()),
        Voxels::F32(values) => Voxels::F32(values.iter().map(|&value| narrow(hu(f64::from(value)))).collect()),
    };
    Volume::new(geometry, voxels)
}

fn plausible(geometry: &Geometry) -> Result<(), Refusal> {
    let [least_mm, most_mm] = EXTENT_MM;
    for (&spacing_mm, voxels) in geometry.spacing_mm().iter().zip(geometry.size()) {
        if spacing_mm > LARGEST_SPACING_MM {
            return Err(implausible(format!("voxels {spacing_mm:.1} mm apart, at most {LARGEST_SPACING_MM} can be")));
        }
        let extent_mm = spacing_mm * f64::from(u32::try_from(voxels).unwrap_or(u32::MAX));
        if !(least_mm..=most_mm).contains(&extent_mm) {
            return Err(implausible(format!("{extent_mm:.0} mm along an axis, not {least_mm} to {most_mm}")));
        }
    }
    Ok(())
}

fn implausible(detail: String) -> Refusal {
    Refusal { why: Why::Implausible, detail }
}

impl From<ScanError> for Refusal {
    fn from(error: ScanError) -> Self {
        Self { why: Why::Unreadable(error.reason), detail: error.detail }
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a cast of floats to integers saturates")]
fn saturated(hu: f64) -> i16 {
    hu as i16
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "HU need no more than 24 bits")]
fn narrow(hu: f64) -> f32 {
    hu as f32
}
