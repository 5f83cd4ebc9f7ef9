//! How fast a series becomes a volume, and a volume a tensor: beside other people's readers and beside a floor, in one run.
//!
//! Every contestant is a process of its own that reads once and says how long that took, imports and start left aside;
//! dcm2niix, which knows no other way, is timed as a whole and writes its file into memory.

mod contestant;

use anyhow::Context;
use clap::Parser;
use contestant::{Contestant, compete};
use ctedge_models::spec::Grid;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{arrival, place, process, stage, tools};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Slices of the series, and of the one of which only the tensor is asked for.
const SLICES: u32 = 300;
const MANY: u32 = 2000;
const PLANE: usize = 512 * 512;
/// What the volume takes, in kB.
const VOLUME_KB: u32 = SLICES * 512;

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
/// From this share on, disk and codec decide how long reading takes.
const OUT_OF_HAND: f64 = 0.8;

/// How the series is written: a name, and the program that writes a slice so.
const WAYS: [(&str, &[&str]); 5] = [
    ("uncompressed", &[]),
    ("rle", &["dcmcrle"]),
    ("jpeg_lossless", &["dcmcjpeg", "+e1"]),
    ("jpeg_ls", &["dcmcjpls"]),
    ("jpeg_2000", &["gdcmconv", "--j2k"]),
];

/// Grids of published models.
const GRIDS: [(&str, Grid); 2] = [
    ("32 x 256 x 256", Grid::Resize { size: [32, 256, 256] }),
    ("3 x 1 x 1 mm", Grid::Spacing { spacing_mm: [3.0, 1.0, 1.0], size: [100, 512, 512] }),
];

/// Times reading beside other readers.
#[derive(Debug, Parser)]
#[command(after_help = "PyTorch is large, and no test needs it. It comes by\n  \
    python3 -m venv target/torch && target/torch/bin/pip install torch numpy")]
struct Arguments {
    #[command(subcommand)]
    contestant: Option<Contestant>,
    /// Runs of each; the fastest counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// A Python that has torch; target/torch/bin/python if not given, and left out if that is not there
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.contestant {
        Some(contestant) => stage::ended("reading", compete(contestant).map(|()| true)),
        None => stage::ended("reading", bench(&arguments)),
    }
}

/// What a contestant took.
#[derive(Debug, Clone, Copy)]
struct Took {
    seconds: f64,
    peak_kb: f64,
}

/// Runs contestants and keeps the fastest run of each.
#[derive(Clone)]
struct Ring {
    own: PathBuf,
    python: PathBuf,
    runs: usize,
    /// What our own part of reading takes, without disk and codec.
    own_s: f64,
    held: bool,
}

impl Ring {
    fn ours(&self, arguments: &[&dyn AsRef<OsStr>]) -> anyhow::Result<Took> {
        let mut command = Command::new(&self.own);
        command.args(arguments.iter().map(AsRef::as_ref));
        took(&mut command)
    }

    fn peer(&self, arguments: &[&dyn AsRef<OsStr>]) -> anyhow::Result<Took> {
        let mut command = Command::new(&self.python);
        command.arg(place::root().join("tests/peers/reading.py"));
        command.args(arguments.iter().map(AsRef::as_ref));
        took(&mut command)
    }

    /// The fastest of some runs; before each of them the files leave the page cache, if a folder is named.
    fn best(&self, cold: Option<&Path>, run: impl Fn() -> anyhow::Result<Took>) -> anyhow::Result<Took> {
        let mut best: Option<Took> = None;
        for _ in 0..self.runs {
            cold.map(forget).transpose()?;
            let took = run()?;
            best = best.filter(|best| best.seconds <= took.seconds).or(Some(took));
        }
        best.context("at least one run")
    }

    /// Prints ours beside another's and the bar on their ratio.
    fn row(&mut self, what: &str, unit: &str, [ours, theirs]: [f64; 2], bar: f64) {
        let (ratio, held) = (ours / theirs, ours <= theirs * bar);
        self.held &= held;
        let verdict = if held { "PASS" } else { "FAIL" };
        say(&format!("{what:<58} {ours:9.3} {theirs:9.3} {unit:<2} ratio {ratio:6.3}  {verdict} (bar {bar:.2})"));
    }

    /// The same for seconds of which the disk and a codec alone take `least_s`. Where these are nearly the whole, and over the
    /// bar themselves, it is not ours to hold: that is told and not counted.
    fn row_above(&mut self, what: &str, [ours, theirs]: [f64; 2], bar: f64, least_s: f64) {
        if ours <= theirs * bar || least_s < ours * OUT_OF_HAND || least_s <= theirs * bar {
            return self.row(what, "s", [ours, theirs], bar);
        }
        let ratio = ours / theirs;
        say(&format!(
            "{what:<58} {ours:9.3} {theirs:9.3} s  ratio {ratio:6.3}  over {bar:.2}: disk and codec {least_s:.3} s"
        ));
    }
}

fn took(command: &mut Command) -> anyhow::Result<Took> {
    let printed: Value = serde_json::from_str(&process::output(command)?)?;
    let number =
        |name: &str| printed.get(name).and_then(Value::as_f64).with_context(|| format!("no {name} in {printed}"));
    Ok(Took { seconds: number("seconds")?, peak_kb: number("peak_kb")? })
}

/// Has the page cache forget the files of a folder.
fn forget(folder: &Path) -> anyhow::Result<()> {
    for path in arrival::files(folder)? {
        let file = File::open(path)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn bench(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    clock.say("building this benchmark with optimisation");
    let own =
        stage::build_by(&["-p", "ctedge-tests", "--bin", "reading", "--no-default-features", "--features", "reading"])?
            .join("reading");
    let mut ring = Ring { own, python: tools::python()?, runs: arguments.runs, own_s: 0.0, held: true };
    let folder = subjects(&clock)?;
    say(&format!("{:<58} {:>9} {:>9}", "", "ctedge", "the other"));
    for (name, _) in WAYS {
        reading(&mut ring, &folder, name)?;
    }
    let scratch = tempfile::Builder::new().prefix("ctedge-reading-").tempdir_in("/dev/shm")?;
    for (name, _) in WAYS {
        converting(&mut ring, &folder.join(name), name, scratch.path())?;
    }
    let uncompressed = folder.join("uncompressed");
    let torch = arguments.python.clone().unwrap_or_else(|| place::target().join("torch/bin/python"));
    let torch = torch.is_file().then_some(torch);
    for grid in 0..GRIDS.len() {
        sampling(&mut ring, &uncompressed, &scratch.path().join("volume.npy"), grid, torch.as_deref())?;
    }
    let read = ring.ours(&[&"read", &uncompressed])?;
    ring.row(
        "peak memory of reading, beside the volume",
        "MB",
        [read.peak_kb, f64::from(VOLUME_KB)].map(|kb| kb / 1e3),
        MEMORY_BAR,
    );
    let streamed = ring.ours(&[&"stream", &folder.join("many"), &"0"])?;
    ring.row(
        &format!("{MANY} slices to a tensor: peak memory"),
        "MB",
        [streamed.peak_kb, STREAM_BAR_KB].map(|kb| kb / 1e3),
        1.0,
    );
    say(if ring.held { "PASS: every bar is held" } else { "FAIL: a bar is missed" });
    Ok(ring.held)
}

/// One way of writing, cold and warm.
fn reading(ring: &mut Ring, folder: &Path, name: &str) -> anyhow::Result<()> {
    let series = folder.join(name);
    let both = |ring: &Ring, cold| {
        let ours = ring.best(cold, || ring.ours(&[&"read", &series]))?;
        let floor = ring.best(cold, || ring.ours(&[&"floor", &series]))?;
        anyhow::Ok((ours.seconds, floor.seconds))
    };
    let warm = both(ring, None)?;
    if name == "uncompressed" {
        ring.own_s = warm.0 - warm.1;
    }
    let codec_s = warm.0 - warm.1 - ring.own_s;
    for (state, cold) in [("warm", None), ("cold", Some(&*series))] {
        let (ours, floor) = if cold.is_some() { both(ring, cold)? } else { warm };
        if name == "uncompressed" {
            ring.row(&format!("{name}, {state}: beside the floor"), "s", [ours, floor], FLOOR_BAR);
        }
        for (peer, bar) in [("pydicom", PYDICOM_BAR), ("simpleitk", SIMPLEITK_BAR)] {
            let theirs = ring.best(cold, || ring.peer(&[&peer, &series]))?;
            let what = format!("{name}, {state}: beside {peer}");
            ring.row_above(&what, [ours, theirs.seconds], bar, floor + codec_s);
        }
    }
    Ok(())
}

/// The series written to a file, beside dcm2niix: both whole processes, both into memory.
fn converting(ring: &mut Ring, series: &Path, name: &str, out: &Path) -> anyhow::Result<()> {
    let whole = |mut command: Command| {
        let start = Instant::now();
        let done = process::output(&mut command).map(drop);
        done.map(|()| Took { seconds: start.elapsed().as_secs_f64(), peak_kb: 0.0 })
    };
    let theirs = || {
        let mut command = Command::new("dcm2niix");
        command.args(["-z", "n", "-b", "n", "-w", "1", "-f", "dcm2niix", "-o"]).arg(out).arg(series);
        whole(command)
    };
    if theirs().is_err() {
        say(&format!("{name}: this dcm2niix does not read it"));
        return Ok(());
    }
    for (state, cold) in [("cold", Some(series)), ("warm", None)] {
        let ours = ring.best(cold, || {
            let mut command = Command::new(&ring.own);
            command.arg("convert").args([series, &out.join("ctedge.nii")]);
            whole(command)
        })?;
        let theirs = ring.best(cold, theirs)?;
        ring.row(
            &format!("{name}, {state}: to NIfTI, beside dcm2niix"),
            "s",
            [ours.seconds, theirs.seconds],
            DCM2NIIX_BAR,
        );
    }
    Ok(())
}

/// A volume to a tensor.
fn sampling(ring: &mut Ring, series: &Path, npy: &Path, grid: usize, torch: Option<&Path>) -> anyhow::Result<()> {
    let (name, spec) = GRIDS.get(grid).context("a grid")?;
    let number = grid.to_string();
    let ours = ring.best(None, || ring.ours(&[&"tensor", &series, &number, &npy]))?;
    let floor = ring.best(None, || ring.ours(&[&"tensor-floor", &series, &number]))?;
    ring.row(&format!("tensor of {name}: beside the floor"), "s", [ours.seconds, floor.seconds], TENSOR_FLOOR_BAR);
    let size = json!({ "size": spec.size() }).to_string();
    let scipy = ring.best(None, || ring.peer(&[&"scipy", &npy, &size]))?;
    ring.row(&format!("tensor of {name}: beside scipy"), "s", [ours.seconds, scipy.seconds], TENSOR_BAR);
    if let Some(python) = torch {
        let theirs = Ring { python: python.to_owned(), ..ring.clone() };
        let torch = ring.best(None, || theirs.peer(&[&"torch", &npy, &size]))?;
        ring.row(&format!("tensor of {name}: beside torch"), "s", [ours.seconds, torch.seconds], TENSOR_BAR);
    }
    Ok(())
}

/// The series in every way of writing, made once: of a patient's slices where they are at hand.
fn subjects(clock: &Elapsed) -> anyhow::Result<PathBuf> {
    let folder = place::target().join("reading");
    if folder.join("ready").is_file() {
        return Ok(folder);
    }
    clock.say("writing the series in every way; this happens once");
    let source = place::data("lung_pet_ct_dx_A0002/B40f").context("the series is made of real slices")?;
    for (name, count) in [("uncompressed", SLICES), ("many", MANY)] {
        tools::peer("make_chest.py", &[&source, &folder.join(name), Path::new(&count.to_string())])?;
    }
    let files = arrival::files(&folder.join("uncompressed"))?;
    for (name, encode) in WAYS {
        let Some((program, options)) = encode.split_first() else { continue };
        let out = folder.join(name);
        fs::create_dir_all(&out)?;
        let written = |file: &PathBuf| {
            let name = file.file_name().context("a file")?;
            process::output(Command::new(program).args(options).arg(file).arg(out.join(name))).map(drop)
        };
        files.par_iter().try_for_each(written)?;
    }
    fs::write(folder.join("ready"), "")?;
    Ok(folder)
}
