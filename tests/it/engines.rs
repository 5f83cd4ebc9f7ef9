//! Engines, by a runtime that pretends to have a GPU (`tests/pretend`): no series waits for one that is built, and only what this
//! device has built is used.

use crate::commands;
use crate::scene::{self, Scene};
use ctedge_tests::arrival::Manner;
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::variant::{Strange, Workshop};
use ctedge_tests::{place, process, runtime};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A library that pretends, and how long its engines take.
struct Pretended {
    folder: TempDir,
}

impl Pretended {
    fn new(build_ms: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Beside the folder of this test's own program.
        let test = std::env::current_exe().unwrap();
        let made = test.ancestors().nth(2).unwrap().join("examples/libpretend.so");
        fs::copy(&made, folder.path().join("libpretend.so")).unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build -p ctedge-tests --examples` makes it", made.display())
        });
        std::os::unix::fs::symlink(runtime::library().unwrap(), folder.path().join("real.so")).unwrap();
        let pretended = Self { folder };
        pretended.takes(build_ms);
        pretended
    }

    fn takes(&self, build_ms: &str) {
        fs::write(self.folder.path().join("build_ms"), build_ms).unwrap();
    }

    /// From now on a run on the GPU takes so much memory.
    fn hungers(&self, mib: &str) {
        fs::write(self.folder.path().join("hungry_mib"), mib).unwrap();
    }

    fn scene(&self, more: &[&str]) -> Scene {
        self.scene_on(r#"["tensorrt", "cuda", "cpu"]"#, more)
    }

    fn scene_on(&self, providers: &str, more: &[&str]) -> Scene {
        let mut scene = Scene::waiting(|setup| {
            setup.web = Some(process::free_port().unwrap());
            setup.more.push(format!("infer.providers = {providers}"));
            setup.more.extend(more.iter().map(|line| (*line).to_owned()));
        });
        scene.appliance.environment("CTEDGE__INFER__LIBRARY", self.folder.path().join("libpretend.so"));
        scene.appliance.start().unwrap();
        commands::online(&scene, 1);
        scene
    }
}

/// Drops one series more, and says on what the model ran.
fn provider(scene: &Scene, made: &Made, number: usize) -> String {
    scene.drop_files(&made.series[number], &format!("s{number}"), Manner::Rename);
    let result = scene.results(number + 1).pop().unwrap();
    assert!(scene::read(&result), "{}", result.raw);
    result.payload["model"]["ep"].as_str().unwrap().to_owned()
}

/// The state of a check and what it says; nothing where there is none of this name.
fn check(scene: &Scene, name: &str) -> Option<(String, String)> {
    // Nobody answers while it starts.
    let (_, body) = scene.appliance.ask("/healthz?verbose").ok()?;
    let health: Value = serde_json::from_str(&body).unwrap();
    let check = health["checks"].as_array().unwrap().iter().find(|check| check["id"] == name)?.clone();
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("detail")))
}

/// Waits until something holds of the scene.
fn until(scene: &Scene, what: &str, holds: impl Fn(&Scene) -> bool) {
    let held = process::wait_until(scene::PATIENCE, || Ok(holds(scene))).unwrap();
    assert!(held, "{what}: never\n{}", scene.appliance.log_end());
}

fn runs_on(provider: &'static str) -> impl Fn(&Scene) -> bool {
    move |scene| {
        let page = scene.appliance.ask("/metrics").map(|(_, page)| page).unwrap_or_default();
        page.contains(&format!(r#"ep="{provider}""#))
    }
}

/// The only engine on the device.
fn engine(scene: &Scene) -> PathBuf {
    let mut found = Vec::new();
    gather(&scene.appliance.path("state/models"), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, found);
        } else if path.extension().is_some_and(|it| it == "engine") {
            found.push(path);
        }
    }
}

#[test]
fn series_are_read_without_the_engine_until_it_is_built_and_only_that_of_this_device_is_used() {
    let made = series::make(&Plan::small(6, 511)).unwrap();
    let pretended = Pretended::new("15000");
    let mut scene = pretended.scene(&[]);
    assert_eq!(provider(&scene, &made, 0), "cuda", "nobody waits");
    let (state, detail) = check(&scene, "engine").unwrap();
    assert!(state == "degraded" && detail.contains("is being built since"), "{state} {detail}");
    let (state, detail) = check(&scene, "provider").unwrap();
    assert!(state == "degraded" && detail.contains("tensorrt: its engine for this model is not built"), "{detail}");
    // Another program that needs it waits for it, and builds no second one.
    let mut bench = scene.appliance.command(&["bench", "--json", "--runs", "1", "--drafts", "0"]);
    let told: Value = serde_json::from_str(&process::output(&mut bench).unwrap()).unwrap();
    assert_eq!(told["provider"], "tensorrt", "{told}");
    until(&scene, "the engine takes over", runs_on("tensorrt"));
    assert_eq!(provider(&scene, &made, 1), "tensorrt");
    assert_eq!(scene.appliance.log().matches("an engine is built beside").count(), 1);
    assert_eq!((check(&scene, "engine"), check(&scene, "provider").unwrap().0), (None, "ok".to_owned()));
    let (_, page) = scene.appliance.ask("/metrics").unwrap();
    let took = page.lines().find_map(|line| line.strip_prefix("ctedge_engine_build_seconds ")).unwrap();
    assert!(took.parse::<f64>().unwrap() > 15.0, "{took}");
    let built = fs::read_to_string(engine(&scene)).unwrap();
    for told in ["trt_profile_min_shapes = volume:1x1x64x80x80", "trt_profile_max_shapes = volume:1x1x64x80x80"] {
        assert!(built.contains(told), "{built}");
    }

    // It is here now: the next start uses it at once.
    pretended.takes("it cannot");
    scene.appliance.stop().unwrap();
    scene.appliance.start().unwrap();
    assert_eq!(provider(&scene, &made, 2), "tensorrt");

    // One that was changed meanwhile is none of ours, however well it would run.
    scene.appliance.stop().unwrap();
    fs::write(engine(&scene), format!("{built}another")).unwrap();
    pretended.takes("3000");
    scene.appliance.start().unwrap();
    assert_eq!(provider(&scene, &made, 3), "cuda");
    until(&scene, "it is built again", runs_on("tensorrt"));
    assert_eq!(provider(&scene, &made, 4), "tensorrt");
    assert_eq!(fs::read_to_string(engine(&scene)).unwrap(), built);
    assert!(scene.appliance.log().contains("without this device's seal"), "{}", scene.appliance.log_end());
    scene.balanced(5);
}

#[test]
fn an_engine_that_cannot_be_built_costs_its_speed_and_no_series() {
    let made = series::make(&Plan::small(2, 512)).unwrap();
    let pretended = Pretended::new("it cannot");
    let scene = pretended.scene(&[]);
    assert_eq!(provider(&scene, &made, 0), "cuda");
    until(&scene, "the reason is told", |scene| {
        check(scene, "provider").is_some_and(|(_, detail)| detail.contains("no engine can be built"))
    });
    assert_eq!(check(&scene, "engine"), None, "it is said once");
    assert_eq!(provider(&scene, &made, 1), "cuda");
    scene.balanced(2);
}

#[test]
fn where_the_policy_allows_nothing_else_series_wait_for_the_engine() {
    let made = series::make(&Plan::small(1, 513)).unwrap();
    let pretended = Pretended::new("4000");
    let scene = pretended.scene(&[r#"infer.policy = "fail""#]);
    assert_eq!(provider(&scene, &made, 0), "tensorrt");
    assert_eq!(check(&scene, "engine"), None);
}

#[test]
fn what_stops_the_building_stops_nothing_else() {
    let made = series::make(&Plan::small(2, 514)).unwrap();
    let pretended = Pretended::new("600000");
    let mut scene = pretended.scene(&[]);
    until(&scene, "building begins", |scene| check(scene, "engine").is_some());
    assert_eq!(provider(&scene, &made, 0), "cuda");
    // Nobody waits for it: a stop in good order is one.
    let since = std::time::Instant::now();
    scene.appliance.stop().unwrap();
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    pretended.takes("6000");
    scene.appliance.start().unwrap();
    until(&scene, "building begins again", |scene| check(scene, "engine").is_some());
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    until(&scene, "it is built after a crash", runs_on("tensorrt"));
    assert_eq!(provider(&scene, &made, 1), "tensorrt");
    scene.balanced(2);
}

#[test]
fn a_provider_that_takes_more_memory_than_there_is_is_left_out_and_no_series_is_lost() {
    let made = series::make(&Plan::small(3, 515)).unwrap();
    let pretended = Pretended::new("it cannot");
    let scene = pretended.scene_on(r#"["cuda", "cpu"]"#, &["infer.memory_mib = 700"]);
    assert_eq!(provider(&scene, &made, 0), "cuda");
    // On every volume but the golden one.
    pretended.hungers("800 1");
    assert_eq!(provider(&scene, &made, 1), "cpu", "its second death was the provider's fault");
    let told = |id, words: &str| {
        let (state, detail) = check(&scene, id).unwrap();
        assert!(state == "degraded" && detail.contains(words), "{id} {state} {detail}");
    };
    told("inference", "cuda: bad since");
    told("provider", "its runs take more memory than there is");
    let steps = scene.wait(2, |message| message.topic.ends_with("/event/inference"));
    let steps: Vec<&str> = steps.iter().map(|step| step.text("step")).collect();
    assert_eq!(steps, ["memory_freed", "provider_bad"]);
    assert_eq!(provider(&scene, &made, 2), "cpu");
    scene.balanced(3);
}

#[test]
fn a_provider_on_which_loading_takes_too_much_memory_is_left_out() {
    let made = series::make(&Plan::small(1, 517)).unwrap();
    let pretended = Pretended::new("it cannot");
    pretended.hungers("800");
    let scene = pretended.scene_on(r#"["cuda", "cpu"]"#, &["infer.memory_mib = 700"]);
    assert_eq!(provider(&scene, &made, 0), "cpu");
    scene.balanced(1);
}

#[test]
fn a_model_waits_for_the_memory_that_it_takes() {
    let total = fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = total.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    let workshop = Workshop::open().unwrap();
    let bundle = workshop.release(1, Strange::No, |manifest| manifest.requires.memory_mib = kib / 1024).unwrap();
    let made = series::make(&Plan::small(1, 516)).unwrap();
    let mut scene = Scene::waiting(|setup| setup.web = Some(process::free_port().unwrap()));
    scene.appliance.environment("CTEDGE__INFER__BUNDLE", bundle);
    fs::copy(workshop.public(), scene.appliance.path("trust/workshop.pub")).unwrap();
    scene.appliance.start().unwrap();
    scene.drop_files(&made.series[0], "s0", Manner::Rename);
    until(&scene, "it says what it lacks", |scene| {
        check(scene, "model").is_some_and(|(state, detail)| state == "failed" && detail.contains("MiB are free"))
    });
    assert!(scene.subscriber.results().is_empty());
    assert_eq!(check(&scene, "inference").unwrap().0, "ok", "no provider is at fault");
    scene.appliance.environment("CTEDGE__INFER__BUNDLE", place::reference_bundle().unwrap());
    scene.appliance.stop().unwrap();
    scene.appliance.start().unwrap();
    assert!(scene::read(&scene.results(1)[0]));
}
