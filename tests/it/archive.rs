//! A series in an archive is a series like any other; an archive that is broken or hostile is one file that is refused.

use crate::hostile::damaged;
use crate::scene::{self, PATIENCE, Scene, distinct};
use ctedge_models::scan::{self, Limits};
use ctedge_tests::arrival::{self, Dice, Manner};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{gauge, process, tools};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Files in archives of every kind.
pub(crate) fn kinds(files: &[PathBuf]) -> (TempDir, Vec<PathBuf>) {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, file) in files.iter().enumerate() {
        fs::copy(file, folder.path().join(format!("{number:03}"))).unwrap();
    }
    tools::peer("archives.py", &[Path::new("kinds"), out.path(), folder.path()]).unwrap();
    let archives = arrival::files(out.path()).unwrap();
    assert!(archives.len() >= 13, "{archives:?}");
    (out, archives)
}

#[test]
fn every_kind_of_archive_gives_the_ids_of_the_plain_files_at_once() {
    let made = series::make(&Plan::small(2, 15)).unwrap();
    let (_folder, archives) = kinds(&made.series.concat());
    // Nobody waits for this quiet period.
    let scene = Scene::with(|setup| setup.quiet_s = 3600.0);
    scene.drop_files(&made.series.concat(), "plain", Manner::Copy);
    fs::write(scene.appliance.incoming().join("all.complete"), "").unwrap();
    let plain = scene.results(2);
    let ids: BTreeSet<&str> = plain.iter().map(|result| result.text("id")).collect();
    assert!(plain.iter().all(scene::read) && ids.len() == 2, "{plain:?}");
    for (number, archive) in archives.iter().enumerate() {
        scene.drop_files(std::slice::from_ref(archive), "archive", Manner::Copy);
        let results = scene.wait(2 * number + 4, Message::is_result);
        let ours = &results[2 * number + 2..];
        let found: BTreeSet<&str> = ours.iter().map(|result| result.text("id")).collect();
        assert_eq!(found, ids, "{}", archive.display());
        let by_archive =
            |result: &ctedge_tests::subscriber::Message| result.payload["input"]["complete_by"] == "archive";
        assert!(ours.iter().all(by_archive), "{ours:?}");
    }
    scene.balanced(2 + 2 * archives.len() as u64);
    assert!(empty(&scene, "claimed") && empty(&scene, "unpacking"));
}

fn empty(scene: &Scene, folder: &str) -> bool {
    // Folders come and go while the daemon works.
    arrival::all_files(&scene.appliance.path("spool").join(folder)).unwrap_or_default().is_empty()
}

#[test]
fn an_archive_is_processed_and_inspected_without_the_daemon() {
    let made = series::make(&Plan::small(2, 16)).unwrap();
    let (_folder, archives) = kinds(&made.series.concat());
    let scene = Scene::waiting(|_setup| {});
    let zip = archives.iter().find(|path| path.ends_with("macos.zip")).unwrap().to_str().unwrap();
    for command in ["process", "inspect"] {
        let done = scene.appliance.command(&[command, zip, "--json"]).output().unwrap();
        let lines = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{command}: {lines}{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(lines.lines().count(), 2, "{command}: {lines}");
    }
}

/// Hostile archives and what becomes of each: a number of members, or the reason of its refusal.
fn hostile() -> (TempDir, Map<String, Value>) {
    let folder = tempfile::tempdir().unwrap();
    tools::peer("archives.py", &[Path::new("hostile"), folder.path()]).unwrap();
    let expected = fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_str(&expected).unwrap();
    assert!(expected.len() >= 30, "{expected:?}");
    (folder, expected)
}

const OUTSIDE: &str = "/tmp/ctedge-was-here";

#[test]
fn hostile_archives_cost_little_and_write_nothing_elsewhere() {
    const CPU: Duration = Duration::from_secs(5);
    const MEMORY_KB: u64 = 64 << 10;
    let cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    let (folder, expected) = hostile();
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let (path, into) = (folder.path().join(name), tempfile::tempdir().unwrap());
        assert_eq!(scan::is_archive(&path), expected != "no archive", "{name}");
        let before = (cpu(), gauge::forget_peak().unwrap());
        let unpacked = scan::unpack(&path, into.path(), &Limits::default());
        let (took, held_kb) = (cpu().saturating_sub(before.0), gauge::peak_resident_kb().saturating_sub(before.1));
        assert!(took <= CPU && held_kb <= MEMORY_KB, "{name} took {took:?} and {held_kb} kB");
        let found = match unpacked {
            Ok(unpacked) => Value::from(unpacked.members),
            Err(_) if expected == "no archive" => continue,
            Err(error) => Value::from(error.reason.name()),
        };
        if found != *expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
        if let Some(members) = expected.as_u64() {
            let names: Vec<PathBuf> = arrival::all_files(into.path()).unwrap();
            assert_eq!(names.len() as u64, members, "{name}: {names:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!Path::new(OUTSIDE).exists());
}

#[test]
fn damaged_archives_are_unpacked_or_refused() {
    const MUTANTS: usize = 150;
    let made = series::make(&Plan::small(1, 19)).unwrap();
    let (folder, archives) = kinds(&made.series.concat());
    let whole: Vec<Vec<u8>> = archives.iter().map(|path| fs::read(path).unwrap()).collect();
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for (number, bytes) in whole.iter().enumerate() {
        for _ in 0..MUTANTS {
            let (path, into) = (folder.path().join("mutant"), tempfile::tempdir().unwrap());
            fs::write(&path, damaged(bytes, &whole[(number + 1) % whole.len()], &mut dice)).unwrap();
            let unpacked = scan::unpack(&path, into.path(), &Limits::default());
            if let Ok(unpacked) = &unpacked {
                assert_eq!(arrival::all_files(into.path()).unwrap().len(), unpacked.members);
            }
            *ends.entry(unpacked.map_or_else(|error| error.reason.name(), |_| "unpacked")).or_default() += 1;
        }
    }
    println!("{ends:?}");
    assert!(!ends.contains_key("unreadable") && ends["unpacked"] > 50 && ends["corrupt"] > 50, "{ends:?}");
}

#[test]
fn hostile_archives_end_in_one_refusal_each_and_a_good_one_beside_them_is_read() {
    let (folder, expected) = hostile();
    let made = series::make(&Plan::small(1, 17)).unwrap();
    let (_folder, archives) = kinds(&made.series.concat());
    let scene = Scene::with(|setup| setup.quiet_s = 3600.0);
    let mut files: Vec<PathBuf> = expected.keys().map(|name| folder.path().join(name)).collect();
    files.push(archives[0].clone());
    scene.drop_files(&files, "hostile", Manner::Rename);
    let strays: u64 = expected.values().map(|value| value.as_u64().unwrap_or(1)).sum();
    scene.balanced(strays + 1);
    let results = scene.results(usize::try_from(strays).unwrap() + 1);
    let reasons = |wanted: &str| results.iter().filter(|result| result.text("reason_code") == wanted).count();
    for reason in ["truncated", "corrupt", "limit_exceeded", "unsupported_archive"] {
        let count = expected.values().filter(|value| *value == reason).count();
        assert_eq!(reasons(reason), count, "{reason}: {results:?}");
    }
    assert_eq!(results.iter().filter(|result| scene::read(result)).count(), 1, "{results:?}");
    assert!(!results.iter().any(|result| result.text("reason_code").starts_with("scan_")), "{results:?}");
    assert!(empty(&scene, "claimed") && empty(&scene, "unpacking") && !Path::new(OUTSIDE).exists());
}

#[test]
fn killed_while_it_unpacks_every_series_has_one_result() {
    const KILLS: u64 = 20;
    let made = series::make(&Plan { slices: 60, size: 128, ..Plan::small(4, 18) }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A file that is complete by itself, and first: it must not be taken for one of its own after a restart.
    let text = folder.path().join("text");
    fs::write(&text, "for the physician").unwrap();
    let (_folder, archives) = kinds(&[vec![text], made.series.concat()].concat());
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    let mut scene = Scene::waiting(|setup| setup.quiet_s = 0.5);
    let zip = archives.iter().find(|path| path.ends_with("deflated.zip")).unwrap();
    scene.drop_files(std::slice::from_ref(zip), "zip", Manner::Copy);
    let mut inside = 0;
    for kill in 1..=KILLS {
        scene.appliance.start().unwrap();
        let begun = || Ok(["unpacking", "work", "done", "quarantine"].iter().any(|folder| !empty(&scene, folder)));
        assert!(process::wait_until(PATIENCE, begun).unwrap(), "{}", scene.appliance.log_end());
        // Not a wait for something, but the random moment itself.
        std::thread::sleep(Duration::from_millis(dice.below(20 * kill)));
        scene.appliance.kill().unwrap();
        if empty(&scene, "claimed") {
            break;
        }
        inside += 1;
    }
    println!("{inside} times while it unpacked");
    assert!(inside > 2, "seed {seed}: {inside}");
    scene.appliance.start().unwrap();
    scene.balanced(5);
    let results = scene.results(5);
    assert_eq!((distinct(&results, "series_key").len(), distinct(&results, "id").len()), (5, 5), "{results:?}");
    assert!(results.iter().all(|result| result.payload["revision"] == 1), "{results:?}");
    assert_eq!(results.iter().filter(|result| scene::read(result)).count(), 4, "{results:?}");
    assert!(empty(&scene, "claimed") && empty(&scene, "unpacking"));
}
