//! What proves afterwards what happened: the audit log, the flight recorder and its replay, the bundle for support.

use crate::receive::{Hall, opened};
use crate::scene::{PATIENCE, Scene};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::{place, process, tools};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The files of a bundle for support, by name.
pub(crate) fn bundle(scene: &Scene, arguments: &[&str]) -> BTreeMap<String, String> {
    let path = scene.appliance.path("bundle.tar.zst");
    let output = ["--output", path.to_str().unwrap()];
    let (code, text) = told(scene, &[&["diag"], output.as_slice(), arguments].concat());
    assert_eq!(code, 0, "{text}");
    let bytes = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string().replace("ctedge-diag/", "");
        (name, std::io::read_to_string(&mut entry).unwrap())
    };
    archive.entries().unwrap().map(read).collect()
}

/// Status and output of a command.
pub(crate) fn told(scene: &Scene, arguments: &[&str]) -> (i32, String) {
    let done = scene.appliance.command(arguments).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr))
}

/// The audit log.
pub(crate) fn entries(scene: &Scene) -> Vec<Value> {
    let (code, text) = told(scene, &["audit", "show", "--json"]);
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Somebody changes the ledger behind the daemon's back, with other people's SQLite.
fn tamper(scene: &Scene, sql: &str) {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as ledger: ledger.executescript(sys.argv[2])";
    let ledger = scene.appliance.path("state/ctedge.db");
    process::output(Command::new(tools::python().unwrap()).args(["-c", script]).arg(ledger).arg(sql)).unwrap();
}

type Said = (String, Option<String>, String, u8, BTreeMap<String, Vec<String>>);

#[test]
fn the_log_tells_every_moment_and_notices_every_change() {
    let made = series::make(&Plan::small(1, 131)).unwrap();
    let port = process::free_port().unwrap();
    let mut scene = Scene::waiting(|setup| opened(setup, port, &[]));
    scene.appliance.start().unwrap();
    process::wait_for_port(port, PATIENCE).unwrap();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let result = scene.results(1).remove(0);
    let hall = Hall { scene, port };
    hall.send(&json!({ "calling": "NOBODY" }), &[]);
    let Hall { mut scene, .. } = hall;
    let is_in = |scene: &Scene, words: &str| entries(scene).iter().any(|entry| entry.to_string().contains(words));
    for words in ["association refused", result.text("id")] {
        assert!(process::wait_until(PATIENCE, || Ok(is_in(&scene, words))).unwrap(), "{words} is not in the log");
    }
    // Without a word it dies; with another setting it starts again.
    scene.appliance.kill().unwrap();
    let mut config = std::fs::read_to_string(scene.appliance.config()).unwrap();
    config.push_str("report.thresholds.emphysema = 0.5\n");
    std::fs::write(scene.appliance.config(), config).unwrap();
    scene.appliance.start().unwrap();
    assert!(process::wait_until(PATIENCE, || Ok(is_in(&scene, "configuration"))).unwrap());
    scene.appliance.stop().unwrap();

    let (code, xml) = told(&scene, &["audit", "show", "--xml"]);
    assert_eq!(code, 0, "{xml}");
    let file = scene.appliance.path("audit.xml");
    std::fs::write(&file, &xml).unwrap();
    let schema = place::root().join("tests/data/audit/message.rng");
    let said: Vec<Said> =
        serde_json::from_str(&tools::peer("audit.py", &[&schema, Path::new(&file)]).unwrap()).unwrap();
    let codes = |of: &Said| format!("{} {} {} {}", of.0, of.1.as_deref().unwrap_or("-"), of.2, of.3);
    let moments: Vec<String> = said.iter().filter(|of| of.0 != "110101").map(codes).collect();
    let count = |moment: &str| moments.iter().filter(|of| *of == moment).count();
    assert_eq!(moments[0], "110100 110120 E 0", "{moments:?}");
    assert_eq!(moments.last().unwrap(), "110100 110121 E 0", "{moments:?}");
    for (moment, times) in [
        ("110100 110120 E 0", 2), // started
        ("110104 - C 0", 1),      // taken in
        ("110106 - R 0", 1),      // delivered
        ("110113 110126 E 4", 1), // not let in
        ("110113 110131 E 0", 1), // configured otherwise
        ("110100 110121 E 0", 1), // stopped; the kill left no word
    ] {
        assert_eq!(count(moment), times, "{moment} in {moments:#?}");
    }
    let objects = |code: &str| said.iter().find(|of| of.0 == code).unwrap().4.clone();
    assert_eq!(objects("110104")["series_key"], [result.text("series_key")]);
    assert_eq!(objects("110104")["study_key"], [result.text("study_key")]);
    assert_eq!(objects("110106")["result"], [result.text("id")]);
    assert!(said.iter().any(|of| of.0 == "110101"), "that it was read is an entry, too");
    for secret in [made.uids(0).unwrap().0, made.uids(0).unwrap().1] {
        assert!(!xml.contains(&secret));
    }
    changes_are_found(&scene);
}

/// Each change is made to the log as the one before has left it, so that every one begins with a whole log.
fn changes_are_found(scene: &Scene) {
    let heard = scene.subscriber.messages().into_iter().rfind(|message| message.topic.ends_with("/counters")).unwrap();
    let head = &heard.payload["audit"];
    let published = format!("{}:{}", head["seq"], head["sha256"].as_str().unwrap());
    let verify = |more: &[&str]| told(scene, &[&["audit", "verify"], more].concat());
    let (code, text) = verify(&["--head", &published]);
    assert_eq!((code, text.starts_with("whole: ")), (0, true), "{text}");
    let last: i64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    tamper(scene, "CREATE TABLE kept AS SELECT * FROM audit; CREATE TABLE kept_facts AS SELECT * FROM facts");
    let found = |sql: &str, what: &str| {
        tamper(scene, sql);
        let (code, text) = verify(&["--head", &published]);
        assert_eq!((code, text.trim_end()), (1, format!("BROKEN: entry {what}").as_str()), "{sql}");
        tamper(
            scene,
            "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;
            DELETE FROM facts; INSERT INTO facts SELECT * FROM kept_facts",
        );
        assert_eq!(verify(&[]).0, 0);
    };
    found(
        "UPDATE audit SET record = replace(record, 'ctedge ', 'ctegde ') WHERE seq = 1",
        "1 was changed, or the one after it was",
    );
    found("DELETE FROM audit WHERE seq = 2", "2 is missing");
    found("DELETE FROM audit WHERE seq < 3", "2 is missing, and no entry says that it was deleted");
    let swap = "UPDATE audit SET record = (SELECT record FROM kept WHERE seq = 6 - audit.seq) WHERE seq IN (2, 4)";
    found(swap, "2 stands in another's place");
    let cut = format!("{} is missing: the end of the log was cut off", last - 1);
    found(&format!("DELETE FROM audit WHERE seq > {}", last - 2), &cut);
    found(
        "DELETE FROM audit; DELETE FROM facts WHERE key = 'audit_head'",
        "1 is missing: the end of the log was cut off",
    );
    let forged = format!("{}:{}", head["seq"], "00".repeat(32));
    assert_eq!(
        verify(&["--head", &forged]).1.trim_end(),
        format!("BROKEN: entry {} is not what was published", head["seq"])
    );
    let (code, text) = verify(&["--ledger", "nowhere"]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn a_result_is_done_once_more_from_what_was_kept() {
    let made = series::make(&Plan::small(2, 132)).unwrap();
    let mut scene = Scene::start();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let good = scene.results(1).remove(0);
    // The second loses the end of every slice.
    let short = tempfile::tempdir().unwrap();
    for (number, file) in made.series[1].iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(short.path().join(number.to_string()), &bytes[..bytes.len() - 2000]).unwrap();
    }
    std::fs::write(short.path().join("letter"), "no scan").unwrap();
    scene.drop_folder(short.path(), "short");
    let results = scene.results(3);
    scene.balanced(3);
    scene.appliance.stop().unwrap();
    for result in &results {
        for name in [result.text("id"), result.text("series_key")] {
            let (code, text) = told(&scene, &["replay", name, "--json"]);
            assert_eq!(code, 0, "{text}");
            let told: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!([&told["same"], &told["logits"]["same"]], [true, true], "{told}");
            assert_eq!(told["outcome"], json!([result.text("outcome"), result.text("outcome")]));
            let ran = if result.payload["model"].is_null() { 0 } else { 18 };
            assert_eq!(told["logits"]["count"], json!([ran, ran]));
        }
    }
    let replay = |more: &[&str]| told(&scene, &[&["replay", good.text("id")], more].concat());
    let (code, text) = replay(&["--set", "report.thresholds.emphysema=0.5"]);
    assert!(code == 2 && text.contains("settings"), "{code} {text}");
    assert_eq!(told(&scene, &["replay", "r1_unknown"]).0, 2);
    // What was recorded is another number: it does not pass for the same.
    tamper(
        &scene,
        "CREATE TABLE kept AS SELECT * FROM decisions; UPDATE decisions SET record =
        json_set(record, '$.logits[3]', 7.5, '$.logits_sha256', '00')",
    );
    let (code, text) = replay(&[]);
    assert!(code == 1 && text.starts_with("ANOTHER RESULT") && text.contains("differ by"), "{code} {text}");
    tamper(
        &scene,
        "UPDATE decisions SET record = json_set((SELECT record FROM kept WHERE kept.id = decisions.id),
        '$.model.digest', '00')",
    );
    let (code, text) = replay(&[]);
    assert!(code == 2 && text.contains("--bundle"), "{code} {text}");
    tamper(&scene, "UPDATE decisions SET record = (SELECT record FROM kept WHERE kept.id = decisions.id)");
    let folder = scene.appliance.path("spool/done").join(good.text("series_key"));
    let first = arrival::files(&folder).unwrap().remove(0);
    std::fs::remove_file(first).unwrap();
    let (code, text) = replay(&[]);
    assert!(code == 2 && text.contains("are not those"), "{code} {text}");
    std::fs::remove_dir_all(folder).unwrap();
    let (code, text) = replay(&[]);
    assert!(code == 2 && text.contains("deleted"), "{code} {text}");
}

#[test]
fn the_bundle_for_support_names_nobody() {
    let made = series::make(&Plan { marker: "ZQMARKERQZ".to_owned(), ..Plan::small(1, 133) }).unwrap();
    let port = process::free_port().unwrap();
    let scene = Scene::with(|setup| setup.web = Some(port));
    scene.drop_files(&made.series[0], "ZQMARKERQZ", Manner::Copy);
    std::fs::write(scene.appliance.incoming().join("ZQMARKERQZ.txt"), "ZQMARKERQZ").unwrap();
    scene.results(2);
    scene.balanced(2);
    let secret = scene.appliance.path("ZQPASSQZ");
    std::fs::write(&secret, "ZQWORDQZ").unwrap();
    let planted = [
        "mqtt.host=zqhostqz.invalid".to_owned(),
        "mqtt.username=ZQUSERQZ".to_owned(),
        format!("mqtt.password_file={}", secret.display()),
        "receive.listen=127.0.0.1:1".to_owned(),
        "receive.peers=[\"ZQPEERQZ\"]".to_owned(),
        "receive.addresses=[\"192.0.2.77\"]".to_owned(),
    ];
    let set: Vec<&str> = planted.iter().flat_map(|key| ["--set", key.as_str()]).collect();
    let files = bundle(&scene, &set);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "about.json",
        "config.json",
        "decisions.json",
        "doctor.json",
        "health.json",
        "ledger.json",
        "metrics.txt",
        "quarantine.json",
        "status.json",
    ];
    assert_eq!(names, expected);
    let json = |name: &str| serde_json::from_str::<Value>(&files[name]).unwrap();
    assert_eq!(json("status.json")["counters"]["total"]["received"], 2);
    assert_eq!(json("ledger.json")["audit"]["whole"], true);
    assert_eq!(json("decisions.json").as_array().unwrap().len(), 2);
    assert_eq!(json("quarantine.json")[0]["reason"], "not_a_scan");
    assert_eq!(json("config.json")["mqtt"]["port"], scene.broker.port());
    assert_eq!(json("config.json")["mqtt"]["username"], "[redacted]");
    assert!(json("doctor.json").as_array().unwrap().iter().any(|row| row["check"] == "broker" && row["ok"] == false));
    assert!(files["metrics.txt"].contains("ctedge_series_received_total 2"), "{}", files["metrics.txt"]);
    let (study, series) = made.uids(0).unwrap();
    let folder = scene.appliance.path("").display().to_string();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let mut secrets = vec![study, series, folder.trim_end_matches('/').to_owned(), "192.0.2.77".to_owned()];
    // A shorter one stands in a pseudonym by chance.
    secrets.extend(Some(host).filter(|host| host.len() > 3));
    secrets.extend(
        ["ZQMARKERQZ", "zqhostqz", "ZQUSERQZ", "ZQPASSQZ", "ZQWORDQZ", "ZQPEERQZ", "19480316"].map(str::to_owned),
    );
    for (name, text) in &files {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {name}:\n{text}");
        }
    }
}
