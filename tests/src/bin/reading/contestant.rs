//! What ctedge does by itself, each in a process of its own.

use crate::{GRIDS, PLANE};
use anyhow::{Context, bail};
use clap::Subcommand;
use ctedge_models::preprocess;
use ctedge_models::scan::{self, Limits};
use ctedge_models::spec::{Orientation, PreprocessSpec};
use ctedge_models::volume::{Volume, Voxels};
use ctedge_tests::progress::say;
use ctedge_tests::{arrival, gauge};
use rayon::prelude::*;
use serde_json::json;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One timed piece of work of ours, printed as JSON.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Contestant {
    /// A folder to a volume
    Read { folder: PathBuf },
    /// A folder to a volume in a NIfTI file
    Convert { folder: PathBuf, nifti: PathBuf },
    /// The bytes of a folder's files into memory, and the pixels of each into a volume, nothing decoded
    Floor { folder: PathBuf },
    /// A folder to a tensor, without the volume
    Stream { folder: PathBuf, grid: usize },
    /// A volume to a tensor; the volume is left for numpy
    Tensor { folder: PathBuf, grid: usize, npy: PathBuf },
    /// Reads every slice that the tensor depends on, and writes as much as the tensor
    TensorFloor { folder: PathBuf, grid: usize },
}

/// Does it, and prints the seconds it took and the most memory it held.
pub(crate) fn compete(contestant: &Contestant) -> anyhow::Result<()> {
    let volume = |folder: &Path| anyhow::Ok(scan::read(&arrival::files(folder)?, &Limits::default())?.volume);
    let seconds = match contestant {
        Contestant::Read { folder } => timed(|| volume(folder))?,
        Contestant::Convert { folder, nifti } => timed(|| Ok(scan::write::nifti(&volume(folder)?, nifti)?))?,
        Contestant::Floor { folder } => timed(|| floor(&arrival::files(folder)?))?,
        Contestant::Stream { folder, grid } => {
            let spec = spec(*grid)?;
            timed(|| Ok(scan::plan(&arrival::files(folder)?, &Limits::default())?.tensor(&spec)?))?
        }
        Contestant::Tensor { folder, grid, npy } => {
            let (volume, spec) = (volume(folder)?, spec(*grid)?);
            write_npy(&volume, npy)?;
            timed(|| Ok(preprocess::tensor(&volume, &spec)))?
        }
        Contestant::TensorFloor { folder, grid } => {
            let (volume, spec) = (volume(folder)?, spec(*grid)?);
            timed(|| touched(&volume, &spec))?
        }
    };
    say(&json!({ "seconds": seconds, "peak_kb": gauge::peak_resident_kb() }).to_string());
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let done = work()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(black_box(done));
    Ok(seconds)
}

fn spec(grid: usize) -> anyhow::Result<PreprocessSpec> {
    let (_, grid) = GRIDS.get(grid).context("a grid")?;
    let orientation = Orientation::try_from("LPS".to_owned())?;
    let (window_hu, output_range) = ([-1000.0, 1000.0], [-1.0, 1.0]);
    Ok(PreprocessSpec { orientation, grid: grid.clone(), window_hu, output_range, fill_hu: -1000.0 })
}

/// What no reader can do without: every byte read, every voxel written.
fn floor(files: &[PathBuf]) -> anyhow::Result<Vec<i16>> {
    let mut volume = vec![0i16; files.len() * PLANE];
    let read = |bytes: &mut Vec<u8>, (path, plane): (&PathBuf, &mut [i16])| {
        bytes.clear();
        File::open(path)?.read_to_end(bytes)?;
        let pixels = bytes.get(bytes.len().saturating_sub(2 * PLANE)..).unwrap_or_default();
        let pairs = pixels.as_chunks::<2>().0.iter().cycle();
        plane.iter_mut().zip(pairs).for_each(|(voxel, &pair)| *voxel = i16::from_ne_bytes(pair));
        anyhow::Ok(())
    };
    files.par_iter().zip(volume.par_chunks_mut(PLANE)).map_init(Vec::new, read).collect::<anyhow::Result<()>>()?;
    Ok(volume)
}

/// What no sampler can do without: the slices it looks at read, the tensor written. Returns the tensor's stand-in.
fn touched(volume: &Volume<'_>, spec: &PreprocessSpec) -> anyhow::Result<(i64, Vec<f32>)> {
    let Voxels::I16(voxels) = volume.voxels() else { bail!("a volume of 16 bits") };
    let slices = voxels.len() / PLANE;
    let used = slices.min(2 * spec.grid.size()[0]);
    let every: Vec<&[i16]> = voxels.chunks_exact(PLANE).collect();
    let picked: Vec<&[i16]> = (0..used).filter_map(|number| every.get(number * slices / used).copied()).collect();
    let sum = picked.par_iter().map(|plane| plane.iter().map(|&voxel| i64::from(voxel)).sum::<i64>()).sum();
    let mut tensor = vec![0f32; spec.grid.size().iter().product()];
    tensor.par_chunks_mut(PLANE).for_each(|plane| plane.fill(0.5));
    Ok((sum, tensor))
}

/// A volume as numpy loads it: `[k][j][i]`.
fn write_npy(volume: &Volume<'_>, path: &Path) -> anyhow::Result<()> {
    let Voxels::I16(voxels) = volume.voxels() else { bail!("a volume of 16 bits") };
    let [columns, rows, slices] = volume.geometry().size();
    let header = format!("{{'descr': '<i2', 'fortran_order': False, 'shape': ({slices}, {rows}, {columns}), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat();
    bytes.extend(voxels.iter().flat_map(|voxel| voxel.to_le_bytes()));
    Ok(fs::write(path, bytes)?)
}
