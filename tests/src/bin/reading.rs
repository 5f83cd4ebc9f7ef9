//! How fast a series becomes a volume, and a volume a tensor: beside other people's readers and beside a floor, in one run.
//!
//! Every contestant is a process of its own that reads once and says how long that took, imports and start left aside;
//! dcm2niix, which knows no other way, is timed as a whole and writes its file into memory.

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use ctedge_models::preprocess;
use ctedge_models::scan::{self, Limits};
use ctedge_models::spec::{Grid, Orientation, PreprocessSpec};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{arrival, gauge, place, process, stage, tools};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Slices of the series, and of the one of which only the tensor is asked for.
const SLICES: usize = 300;
const MANY: usize = 2000;
const PLANE: usize = 512 * 512;

/// The bars, as the most that our share may be: of the floor, of pydicom's time, SimpleITK's, dcm2niix's; of scipy's and
/// the floor's for the tensor; of the volume's bytes.
const FLOOR_BAR: f64 = 1.5;
const PYDICOM_BAR: f64 = 1.0 / 5.0;
const SIMPLEITK_BAR: f64 = 1.0 / 3.0;
const DCM2NIIX_BAR: f64 = 1.0;
const TENSOR_BAR: f64 = 1.0 / 3.0;
const TENSOR_FLOOR_BAR: f64 = 2.0;
const MEMORY_BAR: f64 = 1.3;
const STREAM_BAR_KB: f64 = 400.0 * 1024.0;

/// How the series is written: a name, and the program that writes a slice so.
const WAYS: [(&str, &[&str]); 5] = [
    ("uncompressed", &[]),
    ("rle", &["dcmcrle"]),
    ("jpeg_lossless", &["dcmcjpeg", "+e1"]),
    ("jpeg_ls", &["dcmcjpls"]),
    ("jpeg_2000", &["gdcmconv", "--j2k"]),
];

/// Grids of published models: name, and tensor size (z, y, x) and spacing in mm where it has one.
const GRIDS: [&str; 2] = ["resize", "spacing"];

/// Times reading beside other readers.
#[derive(Debug, Parser)]
#[command(after_help = "PyTorch is large, and no test needs it. It comes by\n  \
    python3 -m venv target/torch && target/torch/bin/pip install torch numpy")]
struct Arguments {
    #[command(subcommand)]
    contestant: Option<Contestant>,
    /// Runs of each; the fastest counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A Python that has torch; target/torch/bin/python if not given, and left out if that is not there
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

/// One timed piece of work of ours, printed as JSON.
#[derive(Debug, Clone, Subcommand)]
enum Contestant {
    /// A folder to a volume
    Read { folder: PathBuf },
    /// The bytes of a folder's files into memory, and the pixels of each into a volume, nothing decoded
    Floor { folder: PathBuf },
    /// A folder to a tensor, without the volume
    Stream { folder: PathBuf, grid: String },
    /// A volume to a tensor; with a path, the volume is written there for numpy
    Tensor { folder: PathBuf, grid: String, npy: Option<PathBuf> },
    /// Reads every voxel that the tensor depends on, and writes the tensor
    TensorFloor { folder: PathBuf, grid: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.contestant {
        Some(contestant) => stage::ended("reading", one(contestant).map(|()| true)),
        None => stage::ended("reading", bench(&arguments)),
    }
}

fn one(contestant: &Contestant) -> anyhow::Result<()> {
    let (seconds, said) = match contestant {
        Contestant::Read { folder } => {
            let files = arrival::files(folder)?;
            timed(|| Ok(scan::read(&files, &Limits::default())?.volume.geometry().size()))?
        }
        Contestant::Floor { folder } => {
            let files = arrival::files(folder)?;
            timed(|| floor(&files))?
        }
        Contestant::Stream { folder, grid } => {
            let files = arrival::files(folder)?;
            let spec = spec(grid)?;
            timed(|| {
                let plan = scan::plan(&files, &Limits::default())?;
                Ok(plan.tensor(&spec)?.0.values().len())
            })
            .map(|(seconds, voxels)| (seconds, [voxels, 1, 1]))?
        }
        Contestant::Tensor { folder, grid, npy } => {
            let volume = scan::read(&arrival::files(folder)?, &Limits::default())?.volume;
            if let Some(path) = npy {
                write_npy(&volume, path)?;
            }
            let spec = spec(grid)?;
            timed(|| Ok(preprocess::tensor(&volume, &spec).values().len())).map(|(s, voxels)| (s, [voxels, 1, 1]))?
        }
        Contestant::TensorFloor { folder, grid } => {
            let volume = scan::read(&arrival::files(folder)?, &Limits::default())?.volume;
            let spec = spec(grid)?;
            timed(|| tensor_floor(&volume, &spec)).map(|(s, voxels)| (s, [voxels, 1, 1]))?
        }
    };
    say(&json!({ "seconds": seconds, "size": said, "peak_kb": gauge::peak_resident_kb() }).to_string());
    Ok(())
}
