//! Hostile files: each is refused with a reason, soon, within little memory, and nobody beside it notices.

mod craft;
mod kinds;

use crate::scene::{self, Scene};
use ctedge_models::scan::{self, Limits, ScanError, Urgent};
use ctedge_tests::arrival::{Dice, Manner};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::{arrival, gauge, place, tools};
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a file may cost.
const CPU: Duration = Duration::from_secs(2);
const MEMORY_KB: u64 = 512 << 10;

/// Damaged files.
const MUTANTS: usize = 20_000;

/// Reads files as the daemon's worker does, header first, and holds the cost against the limits.
fn read(what: &str, hostile: &Path, files: &[PathBuf]) -> Result<(), ScanError> {
    let before = (cpu(), gauge::forget_peak().unwrap());
    let limits = Limits::default();
    let read =
        scan::header(hostile, &limits, &Urgent::default()).and_then(|_header| scan::read(files, &limits)).map(drop);
    let (took, held_kb) = (cpu().saturating_sub(before.0), gauge::peak_resident_kb().saturating_sub(before.1));
    assert!(took <= CPU, "{what} took {took:?}");
    assert!(held_kb <= MEMORY_KB, "{what} took {held_kb} kB");
    read
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

#[test]
fn every_kind_is_refused_for_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = kinds::all();
    let names: BTreeSet<&str> = kinds.iter().map(|kind| kind.name).collect();
    assert!(names.len() == kinds.len() && kinds.len() >= 60, "{} kinds", kinds.len());
    let mut wrong = Vec::new();
    for kind in &kinds {
        let path = folder.path().join("file");
        fs::write(&path, &kind.bytes).unwrap();
        let reason =
            read(kind.name, &path, std::slice::from_ref(&path)).map_or_else(|error| error.reason.name(), |()| "read");
        if !kind.reasons.contains(&reason) {
            wrong.push(format!("{}: {reason}, not {:?}", kind.name, kind.reasons));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every file that once brought a fuzz target down.
#[test]
fn past_crashers_are_refused() {
    let files = arrival::all_files(&place::root().join("tests/fuzz/crashers")).unwrap();
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        read(&name, &path, std::slice::from_ref(&path)).unwrap_err();
    }
}

/// One of three slices, or a file of its own, damaged in some way. What comes of it is counted.
#[test]
fn damaged_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    tools::peer("seeds.py", &[folder.path()]).unwrap();
    let seeds: Vec<(String, Vec<u8>)> = arrival::files(folder.path())
        .unwrap()
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    assert!(seeds.len() >= 18, "{} seeds", seeds.len());
    let beside = [0, 2].map(|number| folder.path().join(format!("slice_{number}.dcm")));
    let mutant = folder.path().join("mutant");
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..MUTANTS {
        let (name, bytes) = &seeds[number % seeds.len()];
        let (_, other) = &seeds[below(&mut dice, seeds.len())];
        fs::write(&mutant, damaged(bytes, other, &mut dice)).unwrap();
        let single = ["one", "two", "0.dcm"].iter().any(|kind| name.starts_with(kind));
        let files =
            if single { vec![mutant.clone()] } else { vec![beside[0].clone(), mutant.clone(), beside[1].clone()] };
        let end = read(&format!("{name}, mutant {number} of seed {seed}"), &mutant, &files);
        *ends.entry(end.map_or_else(|error| error.reason.name(), |()| "read")).or_default() += 1;
    }
    println!("{ends:?}");
    // Damage that is always seen, or never, would say nothing about the reader.
    assert!(ends.len() >= 8 && ends["read"] > 1000 && ends["corrupt"] > 500, "{ends:?}");
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.below(bound.try_into().unwrap())).unwrap()
}

/// One to four injuries: bits, bytes, numbers at their edges, parts lost, doubled, or of another file.
pub(crate) fn damaged(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    const EDGES: [u32; 10] = [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fffe, u32::MAX];
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = below(dice, bytes.len());
        let length = below(dice, 64).min(bytes.len() - at);
        match dice.below(7) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            2 => {
                let edge = EDGES[below(dice, EDGES.len())].to_le_bytes();
                bytes
                    .iter_mut()
                    .skip(at)
                    .zip(edge)
                    .take(if dice.below(2) == 0 { 2 } else { 4 })
                    .for_each(|(to, byte)| *to = byte);
            }
            3 => bytes.truncate(at.max(1)),
            4 => drop(bytes.drain(at..(at + length).min(bytes.len() - 1).max(at))),
            5 => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let from = below(dice, other.len());
                let part = &other[from..(from + length).min(other.len())];
                bytes.splice(at..at, part.iter().copied());
            }
        }
    }
    bytes
}

/// The gauge of this room can fail: what takes too much is seen.
#[test]
fn cost_is_seen() {
    let before = (cpu(), gauge::forget_peak().unwrap());
    let waste = vec![1u8; 64 << 20];
    std::hint::black_box(waste.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    drop(waste);
    let held_kb = gauge::peak_resident_kb() - before.1;
    assert!((60_000..80_000).contains(&held_kb), "{held_kb} kB");
    assert!(cpu() > before.0);
}

/// A file whose series is that of no other kind.
fn of_its_own(bytes: &[u8], number: usize) -> Vec<u8> {
    const SHARED: &[u8] = b"2.25.1001";
    let own = format!("2.25.2{number:03}").into_bytes();
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(SHARED.len()).position(|window| window == SHARED) {
        bytes[at..at + SHARED.len()].copy_from_slice(&own);
    }
    bytes
}

/// All kinds at once beside a series that is well: each ends in one result, and none brings a worker down.
#[test]
fn a_series_is_read_among_hostile_files() {
    let made = series::make(&Plan::small(1, 77)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start();
    let mut files = made.series[0].clone();
    let kinds = kinds::all();
    for (number, kind) in kinds.iter().enumerate() {
        let path = folder.path().join(format!("{number}.dcm"));
        fs::write(&path, of_its_own(&kind.bytes, number)).unwrap();
        files.push(path);
    }
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    dice.shuffle(&mut files);
    scene.drop_files(&files, "all", Manner::Rename);
    let results = scene.results(kinds.len() + 1);
    scene.balanced((kinds.len() + 1).try_into().unwrap());
    assert_eq!(scene.subscriber.results().len(), results.len(), "one result each");
    let crashed = ["scan_crashed", "scan_out_of_memory", "scan_timeout", "scan_cpu"];
    assert!(results.iter().all(|result| !crashed.contains(&result.text("reason_code"))), "{results:?}");
    let read: Vec<_> = results.iter().filter(|result| scene::read(result)).collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[0].payload["input"]["slices"], 6);
    assert!(!Path::new("/tmp/ctedge-was-here").exists());
}
