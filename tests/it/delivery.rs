//! A result is delivered when a subscriber has said so, nothing is repeated without a mark, and a ledger that is lost is
//! made anew.

use crate::evidence::told;
use crate::scene::{PATIENCE, Scene, distinct};
use ctedge_tests::arrival::Manner;
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

fn receipt(port: u16, payload: &str) {
    let port = port.to_string();
    let topic = "ctedge/v1/test/receipt";
    process::output(
        Command::new("mosquitto_pub").args(["-p", &port, "-V", "5", "-q", "1", "-t", topic, "-m", payload]),
    )
    .unwrap();
}

/// The newest of the books.
fn books(messages: &[Message]) -> Option<&Value> {
    messages.iter().rev().find(|message| message.topic.ends_with("/counters")).map(|message| &message.payload)
}

fn attempts(results: &[Message]) -> Vec<(u64, bool)> {
    let of = |result: &Message| {
        let delivery = &result.payload["delivery"];
        (delivery["attempt"].as_u64().unwrap(), delivery["dup_possible"].as_bool().unwrap())
    };
    results.iter().map(of).collect()
}

#[test]
fn a_result_comes_again_until_somebody_has_it() {
    let made = series::make(&Plan::small(1, 61)).unwrap();
    let mut scene = Scene::with(|setup| {
        setup.more.extend(["outbox.receipts = true".to_owned(), "outbox.receipt_s = 0.5".to_owned()]);
    });
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let results = scene.subscriber.wait(PATIENCE, |messages| repeats(messages) >= 3).unwrap();
    let results: Vec<Message> = results.into_iter().filter(Message::is_result).collect();
    assert_eq!(attempts(&results)[..3], [(1, false), (2, true), (3, true)]);
    assert_eq!(distinct(&results, "id").len(), 1);
    let sha256: BTreeSet<&str> = results.iter().filter_map(|r| r.payload["delivery"]["sha256"].as_str()).collect();
    assert_eq!(sha256.len(), 1, "a repeat is the same but for its delivery");
    let (id, sha256) = (results[0].text("id").to_owned(), sha256.into_iter().next().unwrap().to_owned());
    // What is no receipt, or one for other bytes, closes nothing.
    for wrong in ["", "{", r#"{"id": 7}"#, &json!({"id": id, "sha256": "00"}).to_string()] {
        receipt(scene.broker.port(), wrong);
    }
    let seen = results.len();
    scene.subscriber.wait(PATIENCE, |messages| repeats(messages) > seen).unwrap();
    // The memory of both survives a kill.
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    let seen = repeats(&scene.subscriber.messages());
    scene.subscriber.wait(PATIENCE, |messages| repeats(messages) > seen).unwrap();
    assert!(attempts(&scene.subscriber.results()).iter().skip(1).all(|(_, dup_possible)| *dup_possible));
    receipt(scene.broker.port(), &json!({"id": id, "sha256": sha256}).to_string());
    let closed = |messages: &[Message]| books(messages).is_some_and(|books| books["delivery"]["receipted"] == 1);
    let messages = scene.subscriber.wait(PATIENCE, closed).unwrap();
    assert_eq!(books(&messages).unwrap()["balanced"], true);
    assert_eq!(books(&messages).unwrap()["delivery"]["unreceipted"], 0);
    let after = repeats(&scene.subscriber.messages());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(repeats(&scene.subscriber.messages()), after, "it is not sent any more");
}

fn repeats(messages: &[Message]) -> usize {
    messages.iter().filter(|message| message.is_result()).count()
}

#[test]
fn the_contracts_own_recipe_checks_the_chain() {
    let made = series::make(&Plan::small(3, 62)).unwrap();
    let scene = Scene::start();
    for (number, files) in made.series.iter().enumerate() {
        scene.drop_files(files, &format!("s{number}"), Manner::Copy);
    }
    let results = scene.results(3);
    let contract = include_str!("../../daemon/MQTT.md");
    let recipe = contract.split("```python\n").find(|text| text.starts_with("import hashlib")).unwrap();
    let recipe = recipe.split("```").next().unwrap();
    let mut raw: Vec<String> =
        results.iter().map(|result| result.raw[result.raw.find('{').unwrap()..].to_owned()).collect();
    raw.sort_by_key(|text| serde_json::from_str::<Value>(text).unwrap()["seq"].as_u64());
    let script = format!(
        "{recipe}\nimport sys\nbefore = None\nfor line in json.loads(sys.argv[1]):\n    \
         check(line.encode(), before)\n    before = json.loads(line)\nprint('whole')\n"
    );
    let python = ctedge_tests::tools::python().unwrap();
    let checked = |lines: &[String]| {
        let output = Command::new(&python).args(["-c", &script, &json!(lines).to_string()]).output().unwrap();
        output.status.success()
    };
    assert!(checked(&raw), "{raw:?}");
    assert!(!checked(&[raw[0].clone(), raw[2].clone()]), "one left out is seen");
    assert!(!checked(&[raw[0].replace("\"revision\":1", "\"revision\":2")]), "one changed is seen");
    let seqs: Vec<u64> =
        raw.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn a_damaged_ledger_is_made_anew_from_the_spool() {
    let made = series::make(&Plan::small(3, 63)).unwrap();
    let mut scene = Scene::start();
    for (number, files) in made.series.iter().take(2).enumerate() {
        scene.drop_files(files, &format!("s{number}"), Manner::Copy);
    }
    fs::write(scene.appliance.incoming().join("letter.txt"), "no scan").unwrap();
    let first = scene.results(3);
    let before = distinct(&first, "id");
    scene.balanced(3);
    scene.appliance.stop().unwrap();
    for (number, damage) in [b"no database at all".to_vec(), vec![0x5a; 20_000]].into_iter().enumerate() {
        for name in ["ctedge.db-wal", "ctedge.db-shm"] {
            fs::remove_file(scene.appliance.path("state").join(name)).ok();
        }
        fs::write(scene.appliance.path("state/ctedge.db"), damage).unwrap();
        let heard = scene.subscriber.messages().len();
        scene.appliance.start().unwrap();
        let again = |messages: &[Message]| {
            let new: Vec<Message> = messages.iter().skip(heard).filter(|m| m.is_result()).cloned().collect();
            distinct(&new, "id") == before
        };
        scene.subscriber.wait(PATIENCE, again).unwrap();
        let rebuilt = |messages: &[Message]| {
            let health = messages.iter().rev().find(|message| message.topic.ends_with("/health"));
            let text = health.map(|message| message.payload["checks"].to_string()).unwrap_or_default();
            text.contains("rebuilt") && books(messages).is_some_and(|books| books["balanced"] == true)
        };
        scene.subscriber.wait(PATIENCE, rebuilt).unwrap();
        let kept = fs::read_dir(scene.appliance.path("state")).unwrap().filter_map(Result::ok);
        let kept = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("ctedge.db.damaged-")).count();
        assert_eq!(kept, number + 1);
        // The new audit log begins with that, and is whole.
        let (code, log) = told(&scene, &["audit", "show"]);
        assert!(code == 0 && log.lines().next().unwrap().contains("Audit Recording Stopped"), "{log}");
        assert_eq!(told(&scene, &["audit", "verify"]).0, 0);
        scene.appliance.stop().unwrap();
    }
    scene.appliance.start().unwrap();
    scene.drop_files(&made.series[2], "late", Manner::Copy);
    assert_eq!(distinct(&scene.results(4), "series_key").len(), 4);
}
