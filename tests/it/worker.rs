//! What a worker process suffers stays with the series it worked on.

use crate::scene::{self, Scene};
use ctedge_models::scan::write;
use ctedge_models::volume::{Geometry, Volume, Voxels};
use ctedge_tests::arrival::Manner;
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
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
