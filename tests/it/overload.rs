//! Too little of something: a device that is too hot, or has too little memory or room, waits, says so, and loses nothing.

use crate::receive::{Hall, folders};
use crate::scene::{self, Scene};
use ctedge_tests::appliance::Setup;
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::gauge;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Whether a message is a `health` whose check says this.
fn says(check: &'static str, state: &'static str) -> impl Fn(&Message) -> bool {
    move |message| {
        let checks = message.payload["checks"].as_array().into_iter().flatten();
        message.topic.ends_with("/health") && checks.clone().any(|one| one["id"] == check && one["state"] == state)
    }
}

/// Waits until the newest `health` says this.
fn wait_for(scene: &Scene, check: &'static str, state: &'static str) {
    let newest = |messages: &[Message]| {
        messages.iter().rev().find(|message| message.topic.ends_with("/health")).is_some_and(says(check, state))
    };
    let heard = scene.subscriber.wait(scene::PATIENCE, newest);
    assert!(heard.is_ok(), "{check} is not {state}: {heard:?}\n{}", scene.appliance.log_end());
}

fn number(result: &Message, pointer: &str) -> u64 {
    result.payload.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{}", result.raw))
}

/// The configuration with other words in it, from the next start on.
fn reconfigure(scene: &mut Scene, before: &str, after: &str) {
    scene.appliance.stop().unwrap();
    let config = fs::read_to_string(scene.appliance.config()).unwrap();
    assert!(config.contains(before));
    fs::write(scene.appliance.config(), config.replace(before, after)).unwrap();
    scene.appliance.start().unwrap();
}

#[test]
fn without_the_room_that_has_to_be_free_nothing_is_taken_in() {
    let made = series::make(&Plan::small(2, 104)).unwrap();
    let mut hall = Hall::new(&["disk.least_mib = 100000000", "disk.most_mib = 100000000", "disk.ballast_mib = 1"]);
    wait_for(&hall.scene, "receive", "degraded");
    wait_for(&hall.scene, "disk", "failed");
    let event = hall.scene.wait(1, |message| message.topic.ends_with("/event/disk_low")).remove(0);
    assert_eq!(event.payload["level"], "stopped", "{}", event.raw);
    let statuses: Vec<_> = hall.send(&json!({}), &folders(&made)[..1]).iter().map(|l| l["status"].clone()).collect();
    assert!(statuses.len() >= 6 && statuses.iter().filter_map(Value::as_u64).all(|status| status == 0xa700));
    hall.scene.drop_files(&made.series[1], "s", Manner::Rename);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(arrival::files(&hall.scene.appliance.incoming()).unwrap().len(), 6, "files stay where they are");
    assert!(!hall.scene.appliance.path("state/ballast").exists(), "room is not taken where there is none");
    reconfigure(&mut hall.scene, "_mib = 100000000", "_mib = 16");
    assert!(scene::read(&hall.scene.results(1)[0]));
    wait_for(&hall.scene, "disk", "ok");
    hall.scene.balanced(1);
}

/// A sensor as the kernel has it.
fn sensor(folder: &Path, celsius: u32) {
    let zone = folder.join("thermal_zone0");
    fs::create_dir_all(&zone).unwrap();
    let files = [
        ("type", "cpu-thermal".to_owned()),
        ("trip_point_0_type", "passive".to_owned()),
        ("trip_point_0_temp", "90000".to_owned()),
        ("temp", format!("{celsius}000")),
    ];
    for (name, text) in files {
        fs::write(zone.join(name), text).unwrap();
    }
}

#[test]
fn a_hot_device_pauses_says_so_and_loses_nothing() {
    let made = series::make(&Plan::small(3, 101)).unwrap();
    let sensors = tempfile::tempdir().unwrap();
    sensor(sensors.path(), 40);
    let thermal = format!("web.thermal = {:?}", sensors.path());
    let scene = Scene::with(|setup| setup.more.extend([thermal, "thermal.pause_s = 1.5".to_owned()]));
    let result = |number: usize| {
        scene.drop_files(&made.series[number], &format!("s{number}"), Manner::Rename);
        scene.results(number + 1).pop().unwrap()
    };
    let throttled = |result: &Message| number(result, "/timing_ms/throttled_ms");
    assert_eq!(throttled(&result(0)), 0);
    sensor(sensors.path(), 91);
    wait_for(&scene, "thermal", "degraded");
    let hot = result(1);
    assert!(throttled(&hot) >= 1500 && throttled(&hot) <= number(&hot, "/timing_ms/queue_ms"), "{}", hot.raw);
    assert!(scene::read(&hot), "{}", hot.raw);
    // Just below the trip point it has not cooled down.
    sensor(sensors.path(), 89);
    std::thread::sleep(std::time::Duration::from_secs(3));
    wait_for(&scene, "thermal", "degraded");
    sensor(sensors.path(), 60);
    wait_for(&scene, "thermal", "ok");
    assert_eq!(throttled(&result(2)), 0);
    scene.balanced(3);
}

#[test]
fn a_series_waits_for_memory_and_is_read_when_there_is_some() {
    let made = series::make(&Plan::small(1, 102)).unwrap();
    // More than any device has.
    let mut scene = Scene::with(|setup: &mut Setup| setup.more.push("volume.spare_mib = 100000000".to_owned()));
    scene.drop_files(&made.series[0], "s", Manner::Rename);
    wait_for(&scene, "memory", "degraded");
    assert!(scene.subscriber.results().is_empty());
    reconfigure(&mut scene, "spare_mib = 100000000", "spare_mib = 256");
    assert!(scene::read(&scene.results(1)[0]));
    wait_for(&scene, "memory", "ok");
    scene.balanced(1);
}

#[test]
fn a_model_that_takes_too_much_memory_is_stopped_and_workers_die_before_the_supervisor() {
    // A volume that is larger than what is left beside the model.
    let made = series::make(&Plan { slices: 160, size: 512, ..Plan::small(1, 103) }).unwrap();
    let mut scene = Scene::start();
    let worker = |scene: &Scene| {
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let family = gauge::family(scene.appliance.pid().unwrap());
        family.into_iter().find(|pid| name(pid).contains("infer"))
    };
    scene.wait(1, |message| message.topic.ends_with("/info") && message.payload["model"].is_object());
    let held_mib = gauge::resident_kb(worker(&scene).unwrap()) / 1024;
    let score = |pid: u32| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned();
    assert_eq!(score(worker(&scene).unwrap()), "500");
    assert_ne!(score(scene.appliance.pid().unwrap()), "500");
    scene.appliance.stop().unwrap();
    let config = fs::read_to_string(scene.appliance.config()).unwrap();
    let limit = format!("{config}infer.memory_mib = {}\n", held_mib + 10);
    fs::write(scene.appliance.config(), limit).unwrap();
    scene.appliance.start().unwrap();
    arrival::drop_files(&made.series[0], &scene.appliance.incoming(), "s", Manner::Rename).unwrap();
    let result = scene.results(1).pop().unwrap();
    let told = (result.text("outcome"), result.text("reason_code"));
    assert_eq!(told, ("failed", "infer_memory"), "{}\n{}", result.raw, scene.appliance.log_end());
    scene.balanced(1);
}
