//! However a series arrives, its result has the same id; what is no series is refused by name.

use crate::scene::{self, Scene, distinct};
use ctedge_tests::arrival::{self, Dice, Manner};
use ctedge_tests::series::{self, Made, Plan};
use std::collections::BTreeSet;

/// Ids of the results when the two series of `made` arrive in some way.
fn ids(made: &Made, arrive: impl FnOnce(&Scene, &Made)) -> BTreeSet<String> {
    let scene = Scene::with(|setup| setup.quiet_s = 2.0);
    arrive(&scene, made);
    scene.results(made.series.len());
    scene.balanced(made.series.len().try_into().unwrap());
    let results = scene.subscriber.results();
    assert!(results.iter().all(scene::read), "{results:?}");
    assert_eq!(results.len(), made.series.len(), "one result each: {results:?}");
    results.iter().map(|result| result.text("id").to_owned()).collect()
}

#[test]
fn every_manner_of_arriving_gives_the_same_ids() {
    let made = series::make(&Plan::small(2, 11)).unwrap();
    let plain = ids(&made, |scene, made| {
        made.series.iter().enumerate().for_each(|(n, files)| scene.drop_files(files, &format!("s{n}"), Manner::Copy));
    });
    assert_eq!(plain.len(), 2);
    let slow = ids(&made, |scene, made| {
        made.series.iter().enumerate().for_each(|(n, files)| scene.drop_files(files, &format!("s{n}"), Manner::Slow));
    });
    assert_eq!(slow, plain, "slowly");
    let mixed = ids(&made, |scene, made| {
        let (mut dice, seed) = Dice::any();
        println!("seed {seed}");
        let mut files = made.series.concat();
        dice.shuffle(&mut files);
        scene.drop_files(&files, "mixed", Manner::Rename);
    });
    assert_eq!(mixed, plain, "both at once, in random order, by rename");
    let double = ids(&made, |scene, made| {
        let files = [made.series.concat(), made.series.concat()].concat();
        scene.drop_files(&files, "double", Manner::Copy);
    });
    assert_eq!(double, plain, "every file twice");
}

#[test]
fn a_series_that_comes_again_is_no_new_result() {
    let made = series::make(&Plan::small(2, 12)).unwrap();
    let scene = Scene::start();
    scene.drop_files(&made.series[0], "first", Manner::Copy);
    scene.results(1);
    scene.drop_files(&made.series[0], "again", Manner::Copy);
    // The second series comes after the repetition and shows that the daemon has gone past it.
    scene.drop_files(&made.series[1], "other", Manner::Copy);
    let results = scene.results(2);
    assert_eq!(distinct(&results, "id").len(), 2, "{results:?}");
    assert!(results.iter().all(|result| result.payload["revision"] == 1), "{results:?}");
}

#[test]
fn a_late_slice_makes_a_new_revision_that_replaces_the_old_result() {
    let made = series::make(&Plan::small(1, 13)).unwrap();
    let scene = Scene::start();
    let (late, early) = made.series[0].split_last().unwrap();
    scene.drop_files(early, "early", Manner::Copy);
    let first = scene.results(1).remove(0);
    scene.drop_files(std::slice::from_ref(late), "late", Manner::Copy);
    let second = scene.results(2).pop().unwrap();
    assert_eq!(second.payload["revision"], 2, "{}", second.raw);
    assert_eq!(second.text("replaces"), first.text("id"));
    assert_eq!(second.text("series_key"), first.text("series_key"));
}

#[test]
fn what_is_no_series_is_refused_by_name_and_the_daemon_goes_on() {
    let broken = series::make_broken().unwrap();
    let files = arrival::files(broken.path()).unwrap();
    let scene = Scene::start();
    scene.drop_files(&files, "bad", Manner::Copy);
    let rejected = scene.wait(files.len(), |message| message.topic.ends_with("/result/rejected"));
    let stem = |path: &std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let expected: BTreeSet<String> = files.iter().map(stem).collect();
    let reasons: BTreeSet<String> = rejected.iter().map(|message| message.text("reason_code").to_owned()).collect();
    assert_eq!(reasons, expected);
    assert_eq!(rejected.len(), files.len(), "one rejection each: {rejected:?}");
    for reason in &expected {
        let folder = scene.appliance.path("spool/quarantine").join(reason);
        assert!(folder.is_dir(), "operators look for the file in {}", folder.display());
    }
    let healthy = series::make(&Plan::small(1, 14)).unwrap();
    scene.drop_files(&healthy.series[0], "good", Manner::Copy);
    scene.wait(1, |message| message.is_result() && scene::read(message));
    scene.balanced(files.len() as u64 + 1);
}
