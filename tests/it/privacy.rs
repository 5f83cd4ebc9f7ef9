//! Patient data stays inside; ONNX Runtime stays in our folders.

use crate::broker::Guarded;
use crate::evidence;
use crate::scene::{PATIENCE, Scene, distinct};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use serde_json::Value;
use std::path::Path;

/// Stands in every text element of the series, in its private elements and in the names of its files.
const MARKER: &str = "ZQMARKERQZ";

/// Where a secret is told: messages, log, what watchers are answered, names of files, and the database.
fn told(scene: &Scene, secrets: &[String]) -> Vec<String> {
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for message in scene.subscriber.messages() {
        places.push((format!("message {}", message.topic), message.raw.into_bytes()));
    }
    places.extend(scene.appliance.log().lines().map(|line| (format!("the log: {line}"), line.as_bytes().to_vec())));
    for path in ["/healthz?verbose", "/metrics", "/status"] {
        places.push((format!("the answer to {path}"), scene.appliance.ask(path).unwrap().1.into_bytes()));
    }
    for arguments in [["status"].as_slice(), &["status", "--json"], &["status", "--monitor"]] {
        let done = scene.appliance.command(arguments).output().unwrap();
        assert!(!done.stdout.is_empty());
        places.push((format!("what {arguments:?} prints"), [done.stdout, done.stderr].concat()));
    }
    for arguments in [["audit", "show"].as_slice(), &["audit", "show", "--json"], &["audit", "show", "--xml"]] {
        let done = scene.appliance.command(arguments).output().unwrap();
        assert!(String::from_utf8_lossy(&done.stdout).contains("110104") || arguments.len() == 2);
        places.push((format!("what {arguments:?} prints"), [done.stdout, done.stderr].concat()));
    }
    for (name, text) in evidence::bundle(scene, &["--quick"]) {
        places.push((format!("{name} of the bundle for support"), text.into_bytes()));
    }
    for folder in ["spool", "state"] {
        names(&scene.appliance.path(folder), &mut places);
    }
    for file in arrival::files(&scene.appliance.path("state")).unwrap() {
        places.push((format!("the contents of {}", file.display()), std::fs::read(&file).unwrap()));
    }
    let holds = |text: &[u8], secret: &str| text.windows(secret.len()).any(|part| part == secret.as_bytes());
    let mut breaches = Vec::new();
    for secret in secrets {
        breaches.extend(
            places.iter().filter(|(_, text)| holds(text, secret)).map(|(place, _)| format!("{secret}: {place}")),
        );
    }
    breaches
}

/// A scene whose daemon can be watched, with more lines of configuration.
fn watched(more: &str) -> Scene {
    let port = process::free_port().unwrap();
    Scene::with(|setup| (setup.web, setup.more) = (Some(port), vec![more.to_owned()]))
}

fn names(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        places.push((format!("a name below {}", folder.display()), name.into_bytes()));
        if entry.file_type().unwrap().is_dir() {
            names(&entry.path(), places);
        }
    }
}

#[test]
fn nothing_of_the_patient_leaves_the_box() {
    let plan = Plan { marker: MARKER.to_owned(), ..Plan::small(2, 31) };
    let made = series::make(&plan).unwrap();
    let scene = watched("log.level = \"trace\"");
    scene.drop_files(&made.series[0], MARKER, Manner::Copy);
    // The second loses its end, so that errors are told, too.
    let short = tempfile::tempdir().unwrap();
    for (number, file) in made.series[1].iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(short.path().join(format!("{MARKER}{number}.dcm")), &bytes[..bytes.len() - 2000]).unwrap();
    }
    scene.drop_folder(short.path(), MARKER);
    scene.results(2);
    scene.wait(1, |message| message.topic.ends_with("/result/rejected"));
    // A command with a bad path must not repeat what the file says.
    let inspected = scene.appliance.command(&["inspect"]).arg(short.path()).output().unwrap();
    let complaint = String::from_utf8_lossy(&inspected.stderr).into_owned();
    let (study, first) = made.uids(0).unwrap();
    let (_, second) = made.uids(1).unwrap();
    let secrets: Vec<String> =
        vec![MARKER.to_owned(), study, first, second, "19480316".to_owned(), "20240102".to_owned()];
    assert_eq!(told(&scene, &secrets), Vec::<String>::new());
    for secret in &secrets[1..] {
        assert!(!complaint.contains(secret.as_str()), "{secret} in an error of inspect: {complaint}");
    }
}

#[test]
fn identifiers_leave_on_one_topic_where_the_site_says_so_and_nothing_stays() {
    for (mode, patient_id) in [("accession", Value::Null), ("full", MARKER.into())] {
        let made = series::make(&Plan { marker: MARKER.to_owned(), ..Plan::small(2, 34) }).unwrap();
        let port = process::free_port().unwrap();
        let guarded = Guarded::with(
            |_papers| {},
            |setup| {
                setup.web = Some(port);
                let sentence = "Identifiers of patients leave this device, and this site is allowed to let them.";
                setup.more.extend([format!("phi.mode = {mode:?}"), format!("phi.acknowledgement = {sentence:?}")]);
                setup.more.push("log.level = \"trace\"".to_owned());
            },
        );
        let scene = &guarded.scene;
        for (number, files) in made.series.iter().enumerate() {
            scene.drop_files(files, &format!("{MARKER}{number}"), Manner::Copy);
        }
        std::fs::write(scene.appliance.incoming().join("letter"), "no scan").unwrap();
        let results = scene.results(3);
        let maps = scene.wait(2, |message| message.topic.ends_with("/idmap"));
        scene.balanced(3);
        let of = |messages: &[Message]| distinct(messages, "id").into_iter().map(str::to_owned).collect::<Vec<_>>();
        let scans: Vec<Message> =
            results.iter().filter(|result| result.text("outcome") != "rejected").cloned().collect();
        assert_eq!((of(&maps), maps.len()), (of(&scans), 2), "one for each result of a scan");
        for map in &maps {
            assert_eq!((&map.payload["accession_number"], &map.payload["patient_id"]), (&MARKER.into(), &patient_id));
        }
        // They are nowhere else, and what lay in the ledger until they were sent is gone.
        let elsewhere = || {
            let mut breaches = told(scene, &[MARKER.to_owned()]);
            breaches.retain(|breach| !breach.ends_with("/idmap"));
            breaches
        };
        process::wait_until(PATIENCE, || Ok(elsewhere().is_empty())).unwrap();
        assert_eq!(elsewhere(), Vec::<String>::new(), "mode {mode}");
        let disclosed =
            String::from_utf8(scene.appliance.command(&["audit", "show"]).output().unwrap().stdout).unwrap();
        assert_eq!(disclosed.matches("identifiers of its patient go to the broker").count(), 2, "{disclosed}");
    }
}

#[test]
fn no_process_of_the_daemon_leaves_a_core_dump() {
    let mut scene = Scene::start();
    let daemon = scene.appliance.pid().unwrap().to_string();
    let parent = |process: &str| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("PPid:")).map(|pid| pid.trim().to_owned())
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let workers: Vec<String> = names.filter(|name| parent(name).as_ref() == Some(&daemon)).collect();
    assert!(!workers.is_empty(), "the inference worker is a child of the daemon");
    for process in workers.iter().chain([&daemon]) {
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "process {process}: {core}");
    }
    scene.appliance.stop().unwrap();
}

#[test]
fn rules_of_choice_read_words_that_nobody_hears() {
    let plan = Plan { marker: MARKER.to_owned(), ..Plan::small(2, 33) };
    let made = series::make(&plan).unwrap();
    // The pattern fits the marker, which stands in the kernel, too; of the second series a slice is missing.
    let rule = "choice.rules = [{ name = 'any', kernel = ['z*k?rq*'], slices = [6, 6] }]";
    let scene = watched(&format!("{rule}\nlog.level = \"trace\""));
    scene.drop_files(&made.series[0], MARKER, Manner::Copy);
    scene.drop_files(&made.series[1][1..], MARKER, Manner::Rename);
    let results = scene.results(2);
    let heard =
        |result: &Message| (result.text("reason_detail").to_owned(), result.payload["choice"]["kernel"].clone());
    let mut all: Vec<_> = results.iter().map(heard).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all, [(String::new(), "z*k?rq*".into()), ("no rule fits (any: slices 5)".to_owned(), Value::Null)]);
    assert_eq!(told(&scene, &[MARKER.to_owned()]), Vec::<String>::new());
}

#[test]
fn a_run_leaves_home_and_temporary_folder_empty() {
    let made = series::make(&Plan::small(1, 32)).unwrap();
    let mut scene = Scene::waiting(|_setup| {});
    for (variable, folder) in [("HOME", "home"), ("TMPDIR", "tmp"), ("XDG_CACHE_HOME", "cache")] {
        std::fs::create_dir(scene.appliance.path(folder)).unwrap();
        let path = scene.appliance.path(folder);
        scene.appliance.environment(variable, path);
    }
    scene.appliance.start().unwrap();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    scene.results(1);
    scene.appliance.stop().unwrap();
    for folder in ["home", "tmp", "cache"] {
        let left = arrival::all_files(&scene.appliance.path(folder)).unwrap();
        assert!(left.is_empty(), "the run left {left:?}");
    }
}
