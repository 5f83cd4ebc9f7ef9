//! What a worker process suffers stays with the series it worked on.

use crate::scene::{self, Scene};
use crate::{archive, receive};
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write;
use ctedge_models::volume::{Geometry, Volume, Voxels};
use ctedge_tests::arrival::Manner;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{gauge, process};
use std::fs;
use std::process::Command;

#[test]
fn a_volume_beyond_the_workers_memory_is_rejected_and_the_next_one_is_not() {
    let scene = Scene::with(|setup| setup.more = vec!["volume.memory_mib = 256".to_owned()]);
    let size = [512, 512, 600];
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let geometry = Geometry::new(size, [0.7, 0.7, 0.5], [0.0; 3], axes).unwrap();
    let volume = Volume::new(geometry, Voxels::I16(vec![0; size.iter().product()].into())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.nii.gz");
    write::nifti(&volume, &path).unwrap();
    scene.drop_files(&[path], "large", Manner::Copy);
    let rejected = scene.wait(1, |message| message.topic.ends_with("/result/rejected")).remove(0);
    assert!(["scan_memory", "limit_exceeded"].contains(&rejected.text("reason_code")), "{}", rejected.raw);
    let made = series::make(&Plan::small(1, 51)).unwrap();
    scene.drop_files(&made.series[0], "small", Manner::Copy);
    scene.wait(1, scene::read);
    scene.balanced(2);
}

/// Process id of the newest inference worker, as the log tells it.
fn inference_worker(scene: &Scene) -> Option<u64> {
    let log = scene.appliance.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter_map(|line| line["worker"].as_u64()).next_back()
}

#[test]
fn an_inference_worker_that_is_killed_is_replaced_and_its_series_done_again() {
    let made = series::make(&Plan::small(1, 52)).unwrap();
    let scene = Scene::start();
    assert!(process::wait_until(scene::PATIENCE, || Ok(inference_worker(&scene).is_some())).unwrap());
    let worker = inference_worker(&scene).unwrap();
    process::output(Command::new("kill").args(["-9", &worker.to_string()])).unwrap();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let result = scene.results(1).remove(0);
    assert!(scene::read(&result), "{}", result.raw);
    assert!(scene.appliance.log().contains("the inference worker is lost"), "{}", scene.appliance.log_end());
    scene.balanced(1);
}

/// The roles of a daemon's workers, and the lines of their `/proc/PID/status`.
fn workers(supervisor: u32) -> Vec<(String, String)> {
    let family = gauge::family(supervisor).into_iter().filter(|pid| *pid != supervisor);
    let looked_at = family.filter_map(|pid| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some((words.split('\0').skip_while(|word| *word != "worker").nth(1)?.to_owned(), status))
    });
    looked_at.collect()
}

#[test]
fn every_worker_is_walled_in_and_series_of_every_form_go_through() {
    let port = process::free_port().unwrap();
    let scene = Scene::with(|setup| receive::opened(setup, port, &[]));
    let made = series::make(&Plan::small(2, 53)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nifti = folder.path().join("third.nii.gz");
    let (_archives, archives) = archive::kinds(&made.series[1]);
    let zip = archives.into_iter().find(|path| path.extension().is_some_and(|is| is == "zip")).unwrap();
    write::nifti(&Recipe::chest(8).volume().unwrap(), &nifti).unwrap();
    scene.drop_files(&made.series[0], "first", Manner::Copy);
    scene.drop_files(&[zip, nifti], "more", Manner::Copy);
    let results = scene.results(3);
    assert!(results.iter().all(scene::read), "{:?}", results.iter().map(|result| &result.raw).collect::<Vec<_>>());

    // The worker that reads headers stays for the next file.
    let workers = workers(scene.appliance.pid().unwrap());
    for role in ["scan", "infer", "receive"] {
        let (_, status) = workers.iter().find(|(is, _)| is == role).unwrap_or_else(|| panic!("no {role} worker"));
        for wanted in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.lines().any(|line| line == wanted), "{role}: {status}");
        }
    }
    let isolation = |message: &Message| {
        let checks = message.payload["checks"].as_array().cloned().unwrap_or_default();
        checks.iter().any(|check| check["id"] == "isolation" && check["state"] == "ok")
    };
    scene.wait(1, |message| message.topic.ends_with("/health") && isolation(message));
    scene.balanced(3);
}
