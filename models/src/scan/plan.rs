//! One series: its geometry first, its voxels second.

use super::dicom::{self, Content, Instance, Pixels, Slice};
use super::geometry::resample::{self, Resampling};
use super::geometry::{self, Placed, Stack};
use super::labels::{self, Labels, Patterns, Traits};
use super::voxels::{self, Extremes, Hu, Scale};
use super::{Facts, FillError, Format, Limits, Reason, Scan, ScanError, VoxelKind, Warning, file, nifti};
use crate::preprocess::{self, Blocks, Tensor};
use crate::spec::PreprocessSpec;
use crate::volume::{Geometry, Volume, Voxels};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A series whose headers have been read and found good.
#[derive(Debug)]
pub struct Plan {
    geometry: Geometry,
    kind: VoxelKind,
    source: Source,
    /// Complete but for what only the voxels tell.
    facts: Facts,
}

#[derive(Debug)]
enum Source {
    Dicom { slices: Vec<Placed>, resampling: Option<Resampling> },
    Nifti(Box<nifti::Image>),
}

/// Least extent along the patient of a whole chest, in mm.
const CHEST_MM: f64 = 150.0;
/// Some voxel of a CT is at most this (lung, air about the patient), in HU.
const AIR_HU: f64 = -500.0;
/// Some voxel of a CT is at least this (soft tissue), in HU.
const TISSUE_HU: f64 = 0.0;

/// Reads the headers of one series' files and settles its geometry.
///
/// # Errors
/// The first reason for which the series cannot become a volume; see [`Reason`].
pub fn plan(files: &[PathBuf], limits: &Limits) -> Result<Plan, ScanError> {
    if files.len() > limits.files {
        let detail = format!("{} files, the limit is {}", files.len(), limits.files);
        return Err(ScanError::new(Reason::LimitExceeded, detail));
    }
    let read = |path: &PathBuf| match file::open(path, limits)? {
        (file, Format::Dicom) => dicom::instance(path, file).map(Some),
        (_, Format::Nifti) => Ok(None),
    };
    let instances = files.par_iter().map(read).collect::<Result<Vec<Option<Instance>>, ScanError>>()?;
    match (instances.as_slice(), files) {
        ([], _) => Err(ScanError::new(Reason::TooFewSlices, "no files")),
        ([None], [path]) => Ok(plan_nifti(nifti::Image::open(path, limits)?)),
        _ => {
            let mixed = || ScanError::new(Reason::MixedGeometry, "a NIfTI file among other files of one series");
            plan_dicom(instances.into_iter().collect::<Option<_>>().ok_or_else(mixed)?, files, limits)
        }
    }
}

fn plan_nifti(image: nifti::Image) -> Plan {
    let (geometry, kind) = (image.geometry().clone(), image.voxel_kind());
    let facts = facts(Format::Nifti, 1, &geometry);
    Plan { geometry, kind, source: Source::Nifti(Box::new(image)), facts }
}

fn plan_dicom(instances: Vec<Instance>, files: &[PathBuf], limits: &Limits) -> Result<Plan, ScanError> {
    let syntaxes: BTreeSet<&str> = instances.iter().map(|instance| instance.transfer_syntax).collect();
    let transfer_syntax = Some(syntaxes.into_iter().collect::<Vec<_>>().join(","));
    let expected = instances.iter().filter_map(|instance| instance.expected).max();
    let handed_in = u32::try_from(files.len()).unwrap_or(u32::MAX);
    let stack = geometry::stack(instances, limits).map_err(|error| cause(error, files, limits))?;
    let Stack { slices, geometry, dropped, tilt_deg, gaps, mut warnings, resampling } = stack;
    if expected.is_some_and(|expected| handed_in < expected) {
        warnings.insert(Warning::FewerThanExpected);
    }
    let is_whole = |placed: &Placed| Scale { slope: placed.slice.slope, intercept: placed.slice.intercept }.is_whole();
    let kind = if slices.iter().all(is_whole) { VoxelKind::I16 } else { VoxelKind::F32 };
    let mut facts = facts(Format::Dicom, handed_in, &geometry);
    warnings.extend(facts.warnings);
    facts.warnings = warnings.into_iter().collect();
    let facts = Facts { dropped, transfer_syntax, gaps, tilt_deg, ..facts };
    Ok(Plan { geometry, kind, source: Source::Dicom { slices, resampling }, facts })
}

/// A slice that cannot be read is told before the stack that it fails to make: the sender can mend the one.
fn cause(error: ScanError, files: &[PathBuf], limits: &Limits) -> ScanError {
    let readable = |path: &PathBuf| match dicom::instance(path, file::open(path, limits)?.0)?.content {
        Content::Slices { slices, pixels, .. } => {
            let pixels = pixels.open(path)?;
            slices.iter().try_for_each(|slice| pixels.frame(slice, &mut Vec::new()))
        }
        Content::Localizer | Content::Other(_) => Ok(()),
    };
    let broken = || files.iter().find_map(|path| readable(path).err());
    if error.reason == Reason::TooFewSlices { broken().unwrap_or(error) } else { error }
}

fn facts(format: Format, instances: u32, geometry: &Geometry) -> Facts {
    let size = geometry.size();
    let [.., slices] = size;
    Facts {
        format,
        instances,
        slices: u32::try_from(slices).unwrap_or(u32::MAX),
        dropped: BTreeMap::new(),
        transfer_syntax: None,
        size,
        spacing_mm: geometry.spacing_mm(),
        orientation: geometry.orientation(),
        gaps: 0,
        tilt_deg: 0.0,
        hu_range: [0.0, 0.0],
        warnings: if labels::coverage_mm(geometry) < CHEST_MM { vec![Warning::ShortCoverage] } else { Vec::new() },
    }
}

impl Plan {
    /// Where the volume will lie.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How the series was made, as far as `patterns` ask.
    pub fn traits(&self, patterns: &Patterns) -> Traits {
        let labels: Vec<&Labels> = match &self.source {
            Source::Dicom { slices, .. } => slices.iter().map(|placed| &placed.slice.labels).collect(),
            Source::Nifti(_) => Vec::new(),
        };
        Traits::of(&labels, patterns, &self.geometry)
    }

    /// The voxel type to try first. [`FillError::TooWide`] asks for [`VoxelKind::F32`] instead of 16 bit.
    pub fn kind(&self) -> VoxelKind {
        self.kind
    }

    /// Decodes all voxels into `voxels`, C order `[k][j][i]`, one per grid point.
    pub fn fill_i16(&self, voxels: &mut [i16]) -> Result<Facts, FillError> {
        self.fill(voxels)
    }

    /// As [`Plan::fill_i16`], for values that do not fit 16 bits or are not whole.
    pub fn fill_f32(&self, voxels: &mut [f32]) -> Result<Facts, FillError> {
        self.fill(voxels)
    }

    fn fill<T: Hu>(&self, voxels: &mut [T]) -> Result<Facts, FillError> {
        let (expected, [columns, rows, _]) = (self.geometry.voxel_count(), self.geometry.size());
        if voxels.len() != expected {
            let detail = format!("a buffer of {} voxels for {expected}", voxels.len());
            return Err(ScanError::new(Reason::LimitExceeded, detail).into());
        }
        let extremes = match &self.source {
            Source::Nifti(image) => image.fill(voxels)?,
            Source::Dicom { slices, resampling: None } => decoded(slices, columns * rows, voxels)?,
            Source::Dicom { slices, resampling: Some(resampling) } => {
                let plane: usize = resampling.source.iter().product();
                let mut acquired = vec![0f32; plane * slices.len()];
                let mut extremes = decoded(slices, plane, &mut acquired)?;
                if resampling.is_sheared() {
                    extremes = extremes.join(Extremes::of(resample::FILL_HU));
                }
                if !extremes.fit::<T>() {
                    return Err(FillError::TooWide);
                }
                resampling.fill(&acquired, [columns, rows], voxels);
                extremes
            }
        };
        Ok(self.told(extremes))
    }

    /// What is known of the series once its voxels are.
    fn told(&self, extremes: Extremes) -> Facts {
        let mut facts = Facts { hu_range: extremes.range(), ..self.facts.clone() };
        if extremes.0 > AIR_HU || extremes.1 < TISSUE_HU {
            facts.warnings.push(Warning::ImplausibleHu);
            facts.warnings.sort_unstable();
        }
        facts
    }
}

/// Decodes slices of so many voxels, one file after the other on each thread.
fn decoded<T: Hu>(slices: &[Placed], plane: usize, voxels: &mut [T]) -> Result<Extremes, FillError> {
    type Planes<'a, T> = (&'a Pixels, Vec<(&'a Slice, &'a mut [T])>);
    let mut files: BTreeMap<&Path, Planes<'_, T>> = BTreeMap::new();
    for (placed, plane) in slices.iter().zip(voxels.chunks_mut(plane)) {
        let (_pixels, planes) = files.entry(&placed.path).or_insert_with(|| (&placed.pixels, Vec::new()));
        planes.push((&placed.slice, plane));
    }
    let joined = |a: Extremes, b| Ok(a.join(b));
    let of_file = |(path, (pixels, planes)): (&Path, Planes<'_, T>)| {
        let pixels = pixels.open(path)?;
        let of_slice = |values: &mut Vec<u8>, (slice, plane): (&Slice, &mut [T])| {
            pixels.frame(slice, values)?;
            voxels::slice(values, slice, plane)
        };
        planes.into_par_iter().map_init(Vec::new, of_slice).try_reduce(|| Extremes::NONE, joined)
    };
    files.into_par_iter().map(of_file).try_reduce(|| Extremes::NONE, joined)
}

/// Slices of a block, of which there is one in memory when only the tensor is asked for.
const BLOCK: usize = 32;

impl Plan {
    /// Decodes the volume into this process's memory.
    ///
    /// # Errors
    /// The first reason for which the series cannot become a volume.
    pub fn volume(self) -> Result<Scan, ScanError> {
        let count = self.geometry.voxel_count();
        let (voxels, facts) = self.widest(
            |plan| {
                let mut voxels = vec![0i16; count];
                plan.fill(&mut voxels).map(|facts| (Voxels::I16(Cow::Owned(voxels)), facts))
            },
            |plan| {
                let mut voxels = vec![0f32; count];
                plan.fill(&mut voxels).map(|facts| (Voxels::F32(Cow::Owned(voxels)), facts))
            },
        )?;
        let volume = Volume::new(self.geometry, voxels);
        let volume = volume.map_err(|error| ScanError::new(Reason::MixedGeometry, error.to_string()))?;
        Ok(Scan { volume, facts })
    }

    /// The tensor of the volume, bit for bit [`preprocess::tensor`]'s, without the volume: slices are decoded in blocks,
    /// and each is forgotten once the tensor has what it needs of it. Where slices have to be resampled, or do not follow
    /// the tensor's first axis, and for NIfTI, the volume is read after all.
    ///
    /// # Errors
    /// As for [`Plan::volume`]: every slice is decoded, whether the tensor depends on it or not.
    pub fn tensor(self, spec: &PreprocessSpec) -> Result<(Tensor, Facts), ScanError> {
        if let Some(streamed) = self.widest(|plan| plan.streamed::<i16>(spec), |plan| plan.streamed::<f32>(spec))? {
            return Ok(streamed);
        }
        let Scan { volume, facts } = self.volume()?;
        Ok((preprocess::tensor(&volume, spec), facts))
    }

    /// Tries 16 bits if they may do, and 32 where they do not.
    fn widest<R>(
        &self,
        narrow: impl Fn(&Self) -> Result<R, FillError>,
        wide: impl Fn(&Self) -> Result<R, FillError>,
    ) -> Result<R, ScanError> {
        if self.kind == VoxelKind::I16 {
            match narrow(self) {
                Ok(read) => return Ok(read),
                Err(FillError::Scan(error)) => return Err(error),
                Err(FillError::TooWide) => {}
            }
        }
        wide(self).map_err(|error| match error {
            FillError::Scan(error) => error,
            FillError::TooWide => ScanError::new(Reason::NotHounsfield, "voxels beyond 32-bit numbers"),
        })
    }

    /// `None` where slices cannot be taken one by one.
    fn streamed<T: Hu + Default + Into<f32>>(
        &self,
        spec: &PreprocessSpec,
    ) -> Result<Option<(Tensor, Facts)>, FillError> {
        let Source::Dicom { slices, resampling: None } = &self.source else { return Ok(None) };
        let Some(mut blocks) = Blocks::new(&self.geometry, spec) else { return Ok(None) };
        let [columns, rows, _] = self.geometry.size();
        let plane = columns * rows;
        let mut extremes = Extremes::NONE;
        let mut block = vec![T::default(); BLOCK.min(slices.len()) * plane];
        let (mut first, mut kept) = (0, 0);
        while first + 1 < slices.len() {
            let count = BLOCK.min(slices.len() - first);
            block.truncate(count * plane);
            let new = slices.get(first + kept..first + count).unwrap_or_default();
            extremes = extremes.join(decoded(new, plane, block.get_mut(kept * plane..).unwrap_or_default())?);
            blocks.add(first, &block);
            // The last slice of a block is the first of the next.
            block.copy_within((count - 1) * plane.., 0);
            (first, kept) = (first + count - 1, 1);
        }
        Ok(Some((blocks.tensor(), self.told(extremes))))
    }
}

/// Reads the files of one series into a volume in this process's memory.
///
/// # Errors
/// The first reason for which the series cannot become a volume.
pub fn read(files: &[PathBuf], limits: &Limits) -> Result<Scan, ScanError> {
    plan(files, limits)?.volume()
}
