//! The site's key has generations: no series loses its name, and no key is ever half a key.

use crate::evidence::told;
use crate::scene::{PATIENCE, Scene, distinct};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the contract's own recipe makes of a UID under a line of the key file.
fn recipe(key: &str, uid: &str) -> String {
    let contract = include_str!("../../daemon/MQTT.md");
    let recipe = contract.split("```python\n").find(|text| text.starts_with("import base64")).unwrap();
    let script =
        format!("{}\nimport sys\nprint(study_key(sys.argv[1], sys.argv[2]))", recipe.split("```").next().unwrap());
    let python = ctedge_tests::tools::python().unwrap();
    let told = Command::new(python).args(["-c", &script, key, uid]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

#[test]
fn late_slices_meet_their_series_under_its_old_name_and_new_series_get_new_ones() {
    let made = series::make(&Plan::small(3, 141)).unwrap();
    let mut scene = Scene::with(|setup| setup.quiet_s = 2.0);
    let (early, late) = made.series[0].split_at(4);
    scene.drop_files(early, "a", Manner::Copy);
    let first = scene.results(1).remove(0);
    assert!(first.text("series_key").starts_with("ek1_") && first.payload.get("also").is_none());
    // The third is still open when the key changes.
    scene.drop_files(&made.series[2], "c", Manner::Copy);
    scene.wait(2, |message| message.topic.ends_with("/event/study_received"));
    scene.appliance.stop().unwrap();
    assert_eq!(told(&scene, &["key", "rotate-site"]).1.lines().take(2).collect::<Vec<_>>(), ["2", "1"]);
    scene.appliance.start().unwrap();
    scene.drop_files(late, "b", Manner::Copy);
    scene.results(3);
    // All are of one study: while that is under way, it keeps its name.
    scene.balanced(3);
    scene.drop_files(&made.series[1], "d", Manner::Copy);
    let results = scene.results(4);
    scene.balanced(4);
    let of = |number: usize| {
        let (study, uid) = made.uids(number).unwrap();
        let keys = |arguments: &[&str]| told(&scene, &[&["pseudonym"], arguments].concat()).1.trim().to_owned();
        let (studies, series) = (keys(&[&study]), keys(&[&uid, "--series"]));
        let pair = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        (pair(&studies), pair(&series))
    };
    let (studies, keys) = of(0);
    let second = results.iter().find(|result| result.payload["revision"] == 2).unwrap();
    assert_eq!([second.text("series_key"), second.text("replaces")], [keys[1].as_str(), first.text("id")]);
    assert_eq!(second.payload["input"]["files"], 6, "late slices met the early ones");
    assert_eq!(second.payload["also"], json!([{"study_key": studies[0], "series_key": keys[0]}]));
    let (studies, keys) = of(1);
    let fresh = results.iter().find(|result| result.text("series_key") == keys[0]).unwrap();
    assert!(keys[0].starts_with("ek2_") && studies[0] == fresh.text("study_key"));
    assert_eq!(fresh.payload["also"], json!([{"study_key": studies[1], "series_key": keys[1]}]));
    let open = results.iter().find(|result| result.text("series_key") == of(2).1[1]).unwrap();
    assert_eq!(open.payload["input"]["files"], 6, "it kept its old name");
    let file = std::fs::read_to_string(scene.appliance.path("state/site.key")).unwrap();
    let uid = made.uids(1).unwrap().0;
    let made_by_recipe: Vec<String> = file.lines().map(|line| recipe(line, &uid)).collect();
    assert_eq!(made_by_recipe, studies, "the contract's recipe knows all generations");
}

#[test]
fn a_series_outlives_the_generation_of_its_name() {
    let made = series::make(&Plan::small(1, 142)).unwrap();
    let mut scene = Scene::with(|setup| setup.quiet_s = 3.0);
    scene.drop_files(&made.series[0], "a", Manner::Copy);
    let opened = scene.wait(1, |message| message.topic.ends_with("/event/study_received")).remove(0);
    // What is still in the drop folder would get the new key's name.
    let before = [scene.appliance.incoming(), scene.appliance.path("spool/claimed")];
    let is_sorted = || Ok(before.iter().all(|folder| arrival::all_files(folder).is_ok_and(|files| files.is_empty())));
    assert!(process::wait_until(PATIENCE, is_sorted).unwrap());
    scene.appliance.kill().unwrap();
    assert_eq!(told(&scene, &["key", "rotate-site"]).0, 0);
    assert_eq!(told(&scene, &["key", "drop-old"]).1.lines().next(), Some("2"));
    scene.appliance.start().unwrap();
    let result = scene.results(1).remove(0);
    assert_eq!(
        [result.text("series_key"), result.text("study_key")],
        [opened.text("series_key"), opened.text("study_key")]
    );
    assert_eq!((&result.payload["input"]["files"], result.payload.get("also")), (&json!(6), None));
    scene.balanced(1);
    assert_eq!(distinct(&scene.results(1), "series_key").len(), 1);
}

#[test]
fn a_change_of_the_key_that_is_killed_leaves_the_old_key_or_the_new_one() {
    let scene = Scene::waiting(|_setup| {});
    let known = || {
        let (code, text) = told(&scene, &["pseudonym", "1.2.3"]);
        assert_eq!(code, 0, "{text}");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut before = known();
    for number in 0..12 {
        let mut change = scene.appliance.command(&["key", "rotate-site"]);
        let mut change = change.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(number * 4));
        change.kill().unwrap();
        change.wait().unwrap();
        let after = known();
        assert!(after == before || after[1..] == before, "{before:?} became {after:?}");
        before = after;
    }
}
