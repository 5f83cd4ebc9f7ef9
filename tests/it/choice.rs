//! Several series of one study: which is read, and what becomes of the others.

use crate::scene::{self, PATIENCE, Scene, distinct};
use crate::syntax::run;
use ctedge_tests::arrival::{self, Dice, Manner};
use ctedge_tests::process;
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{appliance::Setup, place};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Soft tissue before lung, and nothing else.
const RULES: &str = "choice.rules = [{ name = 'soft', kernel = ['b3*', 'B4?f'], coverage_mm = [150, 600] }, \
                     { name = 'lung', kernel = ['B7*'] }]";

fn best(setup: &mut Setup) {
    setup.more = [RULES, "choice.mode = 'best'", "choice.study_quiet_s = 3.0"].map(str::to_owned).to_vec();
}

fn change(files: &[PathBuf], elements: &[&str]) {
    let mut command = Command::new("dcmodify");
    command.arg("-nb").args(elements.iter().flat_map(|element| ["-i", element])).args(files);
    process::output(&mut command).unwrap();
}

/// Small series of one study, with these kernels.
fn study(kernels: &[&str], seed: u64) -> Made {
    let made = series::make(&Plan::small(kernels.len(), seed)).unwrap();
    for (files, kernel) in made.series.iter().zip(kernels) {
        change(files, &[&format!("(0018,1210)={kernel}")]);
    }
    made
}

/// The two kernels of a real chest, and a localizer of the same study.
fn chest() -> Option<(Vec<PathBuf>, Vec<PathBuf>, tempfile::TempDir)> {
    let [soft, lung] = ["B40f", "B70f"].map(|kernel| place::data(&format!("lung_pet_ct_dx_A0002/{kernel}")));
    let [soft, lung] = [soft?, lung?].map(|folder| arrival::files(&folder).unwrap());
    let folder = series::make_broken().unwrap();
    let uid = Command::new("dcmdump").args(["+P", "0020,000d", "-q"]).arg(&soft[0]).output().unwrap().stdout;
    let uid = String::from_utf8(uid).unwrap().split(['[', ']']).nth(1).unwrap().to_owned();
    change(&[folder.path().join("localizer.dcm")], &[&format!("(0020,000d)={uid}")]);
    Some((soft, lung, folder))
}

/// The result of the series of which this is true.
fn only(results: &[Message], is: impl Fn(&Message) -> bool) -> &Message {
    let found: Vec<&Message> = results.iter().filter(|result| is(result)).collect();
    assert_eq!(found.len(), 1, "{results:#?}");
    found[0]
}

fn with_rule<'a>(results: &'a [Message], rule: &str) -> &'a Message {
    only(results, |result| result.payload["choice"]["rule"] == *rule)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn of_a_whole_chest_only_what_a_rule_fits_is_read() {
    let Some((soft, lung, broken)) = chest() else { return };
    let only_soft = RULES.split(", { name = 'lung'").next().unwrap().to_owned() + "]";
    let scene = Scene::with(|setup| setup.more = vec![only_soft]);
    scene.drop_files(&[broken.path().join("localizer.dcm")], "localizer", Manner::Copy);
    scene.drop_files(&soft, "soft", Manner::Copy);
    scene.drop_files(&lung, "lung", Manner::Copy);
    let results = scene.results(3);
    let read = with_rule(&results, "soft");
    assert!(scene::read(read), "{}", read.raw);
    let choice = json!({"verdict": "chosen", "rule": "soft", "rank": 1, "of": 1, "kernel": "B4?f", "thickness_mm": 8.0,
                        "coverage_mm": 240.0});
    assert_eq!(read.payload["choice"], choice);
    let left = only(&results, |result| result.text("reason_code") == "not_chosen");
    assert_eq!((left.text("outcome"), left.text("reason_detail")), ("rejected", "no rule fits (soft: kernel)"));
    assert_eq!((&left.payload["choice"]["rule"], &left.payload["choice"]["rank"]), (&Value::Null, &Value::Null));
    let localizer = only(&results, |result| result.text("reason_code") == "localizer");
    assert_eq!(localizer.payload.get("choice"), None, "refused for what it is, before the rules were asked");
    assert_eq!(distinct(&results, "study_key").len(), 1);
    scene.balanced(3);
    assert_eq!(
        names(&scene.appliance.path("spool/quarantine")),
        ["localizer"],
        "good files are no case for an operator"
    );
    let mut done = [read.text("series_key"), left.text("series_key")];
    done.sort_unstable();
    assert_eq!(names(&scene.appliance.path("spool/done")), done);
}

#[test]
fn of_a_whole_chest_only_the_best_is_read_and_a_repeat_changes_nothing() {
    let Some((soft, lung, _broken)) = chest() else { return };
    let scene = Scene::with(best);
    scene.drop_files(&lung, "lung", Manner::Copy);
    scene.drop_files(&soft, "soft", Manner::Copy);
    let results = scene.results(2);
    let (read, left) = (with_rule(&results, "soft"), with_rule(&results, "lung"));
    assert!(scene::read(read) && read.payload["choice"]["verdict"] == "chosen", "{}", read.raw);
    assert_eq!((left.text("outcome"), left.text("reason_code")), ("rejected", "other_chosen"));
    assert_eq!(left.payload["choice"]["chosen_series_key"], read.text("series_key"));
    let books = scene.balanced(2);
    assert_eq!(scene::count(&books, "rejected"), 1);
    scene.drop_files(&lung, "again", Manner::Copy);
    let results = scene.wait(3, Message::is_result);
    assert_eq!(results[2].text("id"), left.text("id"), "{}", results[2].raw);
    // The same choice where no daemon runs.
    let both = tempfile::tempdir().unwrap();
    for (number, file) in soft.iter().chain(&lung).enumerate() {
        fs::copy(file, both.path().join(number.to_string())).unwrap();
    }
    let printed = scene.appliance.command(&["process", "--json"]).arg(both.path()).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let printed: Vec<Value> =
        String::from_utf8(printed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = printed.iter().map(|result| (&result["id"], &result["choice"])).collect();
    let heard = [read, left].map(|result| (&result.payload["id"], &result.payload["choice"]));
    assert_eq!(told, heard);
}

/// Drops a study whose best series is damaged in one slice, and expects the next best to be read.
fn the_next_is_read(seed: u64, code: &[&str], damage: fn(&mut Vec<u8>)) -> Message {
    let made = study(&["B70f", "B40f"], seed);
    let folder = tempfile::tempdir().unwrap();
    let mut damaged = Vec::new();
    for (number, file) in made.series[1].iter().enumerate() {
        damaged.push(folder.path().join(number.to_string()));
        run(code, file, &damaged[number]);
    }
    let mut bytes = fs::read(&damaged[3]).unwrap();
    damage(&mut bytes);
    fs::write(&damaged[3], bytes).unwrap();
    let scene = Scene::with(best);
    scene.drop_files(&damaged, "soft", Manner::Copy);
    scene.drop_files(&made.series[0], "lung", Manner::Copy);
    let results = scene.results(2);
    let read = with_rule(&results, "lung");
    assert!(scene::read(read) && read.payload["choice"]["verdict"] == "chosen", "{}", read.raw);
    scene.balanced(2);
    let broken = only(&results, |result| !scene::read(result)).clone();
    assert_eq!(names(&scene.appliance.path("spool/quarantine")), [broken.text("reason_code")]);
    broken
}

#[test]
fn the_next_best_is_read_when_the_best_is_cut_short() {
    let broken = the_next_is_read(71, &["gdcmconv", "--raw"], |bytes| bytes.truncate(bytes.len() - 2000));
    assert_eq!((broken.text("outcome"), broken.text("reason_code")), ("rejected", "truncated"), "{}", broken.raw);
}

#[test]
fn the_next_best_is_read_when_the_best_turns_out_to_be_broken_only_as_it_is_decoded() {
    let broken = the_next_is_read(74, &["gdcmconv", "--jpegls"], |bytes| {
        let begin = bytes.windows(3).rposition(|window| window == [0xff, 0xd8, 0xff]).unwrap();
        bytes[begin + 2..begin + 40].fill(0);
    });
    assert_eq!((broken.text("outcome"), broken.text("reason_code")), ("rejected", "corrupt"), "{}", broken.raw);
    assert_eq!(
        (&broken.payload["choice"]["verdict"], &broken.payload["choice"]["rule"]),
        (&"chosen".into(), &"soft".into())
    );
}

#[test]
fn a_better_series_that_comes_late_is_read_as_well() {
    let made = study(&["B70f", "B40f", "B40f"], 72);
    change(&made.series[2], &["(0018,0050)=45"]);
    let scene = Scene::with(best);
    scene.drop_files(&made.series[0], "lung", Manner::Copy);
    let first = scene.results(1).remove(0);
    assert!(scene::read(&first), "{}", first.raw);
    scene.drop_files(&made.series[1], "soft", Manner::Copy);
    let second = scene.results(2).remove(1);
    assert!(scene::read(&second), "{}", second.raw);
    assert_eq!(second.payload["choice"]["instead_of"], first.text("series_key"));
    scene.drop_files(&made.series[2], "thick", Manner::Copy);
    let third = scene.results(3).remove(2);
    assert_eq!(third.text("reason_code"), "other_chosen", "{}", third.raw);
    assert_eq!(third.payload["choice"]["chosen_series_key"], second.text("series_key"));
    scene.balanced(3);
}

#[test]
fn killed_while_a_study_waits_it_is_decided_all_the_same() {
    let made = study(&["B70f", "B40f", "B40f"], 73);
    change(&made.series[2], &["(0018,0050)=45"]);
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    let mut scene = Scene::waiting(|setup| {
        best(setup);
        setup.quiet_s = 0.5;
    });
    for (number, files) in made.series.iter().enumerate() {
        scene.drop_files(files, &format!("s{number}"), Manner::Copy);
    }
    scene.appliance.start().unwrap();
    scene.wait(3, |message| message.topic.ends_with("/event/series_complete"));
    // Random moments: while the study waits, while its best is read, while the others are closed.
    for _ in 0..10 {
        scene.appliance.kill().unwrap();
        scene.appliance.start().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(dice.below(6000)));
        scene.appliance.check().unwrap();
    }
    scene.balanced(3);
    let results = scene.results(3);
    assert_eq!(distinct(&results, "id").len(), 3, "seed {seed}: one id a series: {results:#?}");
    assert_eq!(distinct(&results, "series_key").len(), 3, "seed {seed}: {results:#?}");
    let read: Vec<&Message> = results.iter().filter(|result| scene::read(result)).collect();
    assert!(!read.is_empty() && results.len() > read.len(), "seed {seed}: {results:#?}");
    for result in &results {
        let choice = &result.payload["choice"];
        let is_best = choice["rule"] == "soft" && choice["thickness_mm"] == 40.0;
        assert_eq!(scene::read(result), is_best, "seed {seed}: {}", result.raw);
    }
    assert!(process::wait_until(PATIENCE, || Ok(names(&scene.appliance.path("spool/work")).is_empty())).unwrap());
}
