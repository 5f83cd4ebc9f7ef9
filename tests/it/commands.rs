//! Operators' commands over a real broker: each is carried out once, over restarts as well, and refused with a reason where it
//! must not be; and series that take too long are told.

use crate::evidence::entries;
use crate::scene::{PATIENCE, Scene};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// A time so many seconds from now, as `date` has it.
pub(crate) fn at(seconds: i64) -> String {
    let when = format!("{seconds} seconds");
    process::output(Command::new("date").args(["-u", "-d", &when, "+%Y-%m-%dT%H:%M:%SZ"])).unwrap().trim().to_owned()
}

/// A good request, with changes.
pub(crate) fn request(id: &str, params: &Value, changes: &Value) -> Value {
    let mut request =
        json!({"id": id, "issued_at": at(-1), "expires_at": at(60), "issuer": "it@test", "params": params});
    for (key, value) in changes.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

pub(crate) fn publish(scene: &Scene, below: &str, payload: &str, more: &[&str]) {
    let (port, topic) = (scene.broker.port().to_string(), format!("ctedge/v1/test/{below}"));
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", &port, "-V", "5", "-q", "1", "-t", &topic, "-m", payload]).args(more);
    process::output(&mut command).unwrap();
}

/// States of a command as they came.
pub(crate) fn states<'a>(messages: &'a [Message], name: &str, id: &str) -> Vec<&'a Value> {
    let topic = format!("ctedge/v1/test/cmd/{name}/{id}");
    messages.iter().filter(|message| message.topic == topic).map(|message| &message.payload).collect()
}

pub(crate) fn is_final(state: &Value) -> bool {
    !["accepted", "running"].contains(&state["state"].as_str().unwrap_or_default())
}

/// Waits until a command has ended.
pub(crate) fn ended(scene: &Scene, name: &str, id: &str) -> Value {
    let topic = format!("ctedge/v1/test/cmd/{name}/{id}");
    scene.wait(1, |message| message.topic == topic && is_final(&message.payload)).pop().unwrap().payload
}

/// Has `ctedge send` wait for the end of a command: exit status and last state.
fn send(scene: &Scene, arguments: &[&str]) -> (i32, Value) {
    let done = scene.appliance.command(&["send", "--wait", "--json"]).args(arguments).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let last = text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null);
    (done.status.code().unwrap(), last)
}

fn succeeds(scene: &Scene, arguments: &[&str]) -> Value {
    let (status, last) = send(scene, arguments);
    assert_eq!((status, &last["state"]), (0, &json!("succeeded")), "{last}\n{}", scene.appliance.log_end());
    last["result"].clone()
}

pub(crate) fn check(health: &Value, id: &str) -> Value {
    let checks = health["checks"].as_array().into_iter().flatten();
    checks.clone().find(|check| check["id"] == id).cloned().unwrap_or_default()
}

pub(crate) fn online(scene: &Scene, sessions: usize) {
    scene.wait(sessions, |message| message.topic.ends_with("/status") && message.text("state") == "online");
}

/// Every command.
const NAMES: [&str; 11] = [
    "cancel",
    "diag",
    "model_activate",
    "model_rollback",
    "model_update",
    "pause",
    "replay",
    "reprocess",
    "restart",
    "resume",
    "selftest",
];
const LONG_AGO: &str = "since=2020-01-01T00:00:00Z";

/// The only result comes again with its draft, and says so.
fn comes_again(scene: &Scene, first: &Message) {
    assert_eq!(succeeds(scene, &["replay", "--param", LONG_AGO]), json!({"results": 1}));
    let again = scene.wait(2, Message::is_result).remove(1).payload;
    let delivery = &again["delivery"];
    assert_eq!(
        (&delivery["replayed"], &delivery["dup_possible"], &delivery["attempt"]),
        (&json!(true), &json!(true), &json!(2))
    );
    assert_eq!(delivery["sha256"], first.payload["delivery"]["sha256"]);
    let reports = scene.wait(2, |message| message.topic.ends_with("/report"));
    assert_eq!(reports[0].payload, reports[1].payload, "its draft comes again, too");
    assert_eq!(reports[1].payload["id"], again["id"]);
    let nothing = succeeds(scene, &["replay", "--param", LONG_AGO, "--param", "outcomes=[\"failed\"]"]);
    assert_eq!(nothing, json!({"results": 0}));
}

#[test]
fn each_command_does_what_it_says() {
    let made = series::make(&Plan::small(1, 71)).unwrap();
    let scene = Scene::start();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let first = scene.results(1).remove(0);
    scene.wait(1, |message| message.topic.ends_with("/counters") && message.payload["delivery"]["published"] == 1);
    let told = |messages: &[Message]| -> BTreeSet<String> {
        let capabilities = messages.iter().filter(|message| message.payload["schema"] == "capability/1.0");
        capabilities.map(|message| message.text("name").to_owned()).collect()
    };
    assert_eq!(told(&scene.subscriber.messages()), NAMES.map(str::to_owned).into());

    comes_again(&scene, &first);
    let key = format!("series_key={}", first.text("series_key"));
    assert_eq!(succeeds(&scene, &["reprocess", "--param", &key, "--dry-run"]), json!({"series": 1, "purged": 0}));
    assert_eq!(scene.subscriber.results().len(), 2, "a dry run does nothing");
    assert_eq!(succeeds(&scene, &["reprocess", "--param", &key]), json!({"series": 1, "purged": 0}));
    let third = scene.wait(3, Message::is_result).remove(2).payload;
    for field in ["id", "revision", "flags"] {
        assert_eq!(third[field], first.payload[field], "{field}");
    }
    assert_eq!((&third["seq"], &third["input"]["complete_by"]), (&json!(2), &json!("operator")));
    assert_eq!((&third["delivery"]["dup_possible"], &third["delivery"]["attempt"]), (&json!(true), &json!(1)));
    assert_eq!(scene.balanced(2)["balanced"], true);

    for (depth, arguments) in [("golden", vec![]), ("full", vec!["--param", "depth=full"])] {
        let found = succeeds(&scene, &[vec!["selftest"], arguments].concat());
        assert_eq!((&found["depth"], &found["ep"]), (&json!(depth), &json!("cpu")));
        assert!(found["difference"].as_f64().unwrap() < 0.01, "{found}");
        assert_eq!(found["model"]["digest"], first.payload["model"]["digest"]);
    }

    let stranger = format!("study_key=sk1_{}", "a".repeat(26));
    let (status, last) = send(&scene, &["reprocess", "--param", &stranger]);
    assert_eq!((status, &last["reason_code"]), (1, &json!("not_found")));
    fs::remove_dir_all(scene.appliance.path("spool/done")).unwrap();
    let (status, last) = send(&scene, &["reprocess", "--param", &key]);
    assert_eq!((status, &last["state"], &last["reason_code"]), (1, &json!("rejected"), &json!("purged")));
    let bundle = succeeds(&scene, &["diag"]);
    let written = fs::metadata(scene.appliance.path("state").join(bundle["file"].as_str().unwrap())).unwrap();
    assert_eq!(bundle["bytes"], written.len());
    let ends = [
        "replay succeeded 0",
        "replay succeeded 0",
        "reprocess succeeded 0",
        "reprocess succeeded 0",
        "selftest succeeded 0",
        "selftest succeeded 0",
        "reprocess rejected 4",
        "reprocess rejected 4",
        "diag succeeded 0",
    ];
    assert_eq!(audited(&scene), ends);
}

/// Names, last states and outcomes of the commands in the audit log.
fn audited(scene: &Scene) -> Vec<String> {
    let of_command = |entry: Value| {
        let object = entry["objects"].get(0).filter(|object| object["kind"] == "command")?;
        let detail = |key: &str| object["detail"][key].as_str();
        Some(format!("{} {} {}", detail("name")?, detail("state")?, entry["outcome"]))
    };
    entries(scene).into_iter().filter_map(of_command).collect()
}

#[test]
fn a_pause_holds_over_a_kill_and_a_restart_is_done_once() {
    let made = series::make(&Plan::small(1, 72)).unwrap();
    let mut scene = Scene::start();
    let words = "QQmaintenanceQQ";
    let reason = format!("reason={words}");
    let pause = succeeds(&scene, &["pause", "--param", &reason, "--id", "stop-1", "--issuer", "QQissuerQQ"]);
    assert_eq!(pause, json!({"was_paused": false}));
    let state = ended(&scene, "pause", "stop-1");
    assert_eq!((state["reason"].as_str(), state["issuer"].as_str()), (Some(words), Some("QQissuerQQ")));
    let paused = |message: &Message| check(&message.payload, "intake")["state"] == "degraded";
    let health = scene.wait(1, |message| message.topic.ends_with("/health") && paused(message)).remove(0);
    assert!(check(&health.payload, "intake")["detail"].as_str().unwrap().contains("cmd/pause/stop-1"));
    assert!(!health.raw.contains(words), "{}", health.raw);
    scene.drop_files(&made.series[0], "s", Manner::Rename);
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    online(&scene, 2);
    std::thread::sleep(Duration::from_secs(2));
    let left = arrival::files(&scene.appliance.incoming()).unwrap().len();
    assert_eq!(left, made.series[0].len(), "nothing is taken");
    assert_eq!(succeeds(&scene, &["resume", "--param", &reason]), json!({"was_paused": true}));
    scene.results(1);
    scene.wait(1, |message| message.topic.ends_with("/health") && check(&message.payload, "intake").is_null());
    for secret in [words, "QQissuerQQ", "stop-1"] {
        assert!(!scene.appliance.log().contains(secret), "the log repeats a request");
    }

    publish(&scene, "cmd/restart/again/request", &request("again", &json!({}), &json!({})).to_string(), &[]);
    let left = process::wait_until(PATIENCE, || Ok(scene.appliance.check().is_err())).unwrap();
    assert!(left && format!("{:#}", scene.appliance.check().unwrap_err()).contains("exit status: 75"));
    scene.appliance.start().unwrap();
    // Before it is online it may tell of its commands and not hear them yet.
    online(&scene, 3);
    assert_eq!(ended(&scene, "restart", "again")["result"], json!({"restarted": true}));
    publish(&scene, "cmd/restart/again/request", &request("again", &json!({}), &json!({})).to_string(), &[]);
    let told = |messages: &[Message]| states(messages, "restart", "again").iter().filter(|s| is_final(s)).count() >= 2;
    scene.subscriber.wait(PATIENCE, told).unwrap();
    scene.appliance.check().unwrap();
}

/// What must not be done is refused, whatever the version of MQTT says of a retained message, and a broker that has lost its
/// memory is told again.
fn refusals(version: &str) {
    let mut scene = Scene::waiting(|setup| setup.more = vec![format!("mqtt.version = {version:?}")]);
    let good = json!({"reason": "why"});
    // Before the device is there: the broker keeps it.
    let kept = request("kept", &good, &json!({})).to_string();
    publish(&scene, "cmd/pause/kept/request", &kept, &["-r"]);
    scene.appliance.start().unwrap();
    assert_eq!(ended(&scene, "pause", "kept")["reason_code"], "retained");
    let cases = [
        ("pause", "late", request("late", &good, &json!({"expires_at": at(0), "issued_at": at(-60)})), "expired"),
        ("pause", "ahead", request("ahead", &good, &json!({"expires_at": at(900), "issued_at": at(600)})), "clock"),
        ("pause", "other", request("another", &good, &json!({})), "malformed"),
        ("pause", "text", json!("pause"), "malformed"),
        ("pause", "why", request("why", &json!({"reasons": "x"}), &json!({})), "parameter"),
        ("pause", "large", request("large", &json!({"reason": "x".repeat(9000)}), &json!({})), "too_large"),
        ("stop", "now", request("now", &good, &json!({})), "unknown_command"),
    ];
    for (name, id, payload, code) in &cases {
        publish(&scene, &format!("cmd/{name}/{id}/request"), &payload.to_string(), &[]);
        let state = ended(&scene, name, id);
        let expected = if *code == "expired" { "expired" } else { "rejected" };
        assert_eq!((&state["reason_code"], &state["state"]), (&json!(code), &json!(expected)), "{state}");
    }
    // An id is used once: a good request under it changes nothing.
    let before = states(&scene.subscriber.messages(), "pause", "late").len();
    publish(&scene, "cmd/pause/late/request", &request("late", &good, &json!({})).to_string(), &[]);
    let again = |messages: &[Message]| states(messages, "pause", "late").len() > before;
    let messages = scene.subscriber.wait(PATIENCE, again).unwrap();
    assert_eq!(states(&messages, "pause", "late").last().unwrap()["state"], "expired");
    publish(&scene, "cmd/Pause/a.b/request", "{}", &[]);
    assert_eq!(send(&scene, &["pause", "--param", "reason=x", "--dry-run"]).1["result"], json!({"was_paused": false}));

    let told = scene.subscriber.messages().len();
    scene.broker.stop().unwrap();
    scene.broker.wipe().unwrap();
    scene.broker.resume().unwrap();
    let port = scene.broker.port().to_string();
    let listen = ["-p", &port, "-V", "5", "-q", "1", "-t", "ctedge/v1/test/cmd/+/+", "-C", "8", "-W", "60", "-F", "%t"];
    let heard = process::output(Command::new("mosquitto_sub").args(listen)).unwrap();
    let topics: BTreeSet<&str> = heard.lines().collect();
    assert!(cases.iter().all(|(name, id, ..)| topics.contains(format!("ctedge/v1/test/cmd/{name}/{id}").as_str())));
    assert!(told > 0 && topics.contains("ctedge/v1/test/cmd/pause/kept"), "{heard}");
    scene.appliance.stop().unwrap();
    let entered: Vec<String> =
        entries(&scene).iter().filter_map(|it| it["detail"].as_str().map(str::to_owned)).collect();
    let times = |detail: &String| detail.strip_prefix("message refused, ")?.split_once(' ')?.0.parse::<usize>().ok();
    // Beside the cases: the one that was kept, and the one without a word.
    assert_eq!(entered.iter().filter_map(times).sum::<usize>(), cases.len() + 2, "{entered:#?}");
}

#[test]
fn requests_that_must_not_be_done_are_refused_in_mqtt_5() {
    refusals("5");
}

#[test]
fn requests_that_must_not_be_done_are_refused_in_mqtt_3_1_1() {
    refusals("3.1.1");
}

#[test]
fn what_a_kill_interrupts_is_finished() {
    const LETTERS: usize = 40;
    let mut scene = Scene::start();
    for number in 0..LETTERS {
        fs::write(scene.appliance.incoming().join(format!("{number}.txt")), format!("letter {number}")).unwrap();
    }
    scene.results(LETTERS);
    let delivered = |message: &Message| message.payload["delivery"]["published"] == LETTERS;
    scene.wait(1, |message| message.topic.ends_with("/counters") && delivered(message));
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    for (name, id) in [("replay", "all"), ("reprocess", "all")] {
        publish(&scene, &format!("cmd/{name}/{id}/request"), &request(id, &since, &json!({})).to_string(), &[]);
    }
    // Both are journalled: a request that the device has not taken when it is killed is lost, as MQTT.md says.
    let taken =
        |messages: &[Message]| ["replay", "reprocess"].iter().all(|name| !states(messages, name, "all").is_empty());
    scene.subscriber.wait(PATIENCE, taken).unwrap();
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    assert_eq!(ended(&scene, "replay", "all")["result"], json!({"results": LETTERS}));
    assert_eq!(ended(&scene, "reprocess", "all")["result"], json!({"series": LETTERS, "purged": 0}));
    let all = |messages: &[Message], replayed: bool| {
        let of =
            |message: &&Message| message.is_result() && (message.payload["delivery"]["replayed"] == true) == replayed;
        messages.iter().filter(of).map(|message| message.payload["seq"].as_u64().unwrap()).collect::<BTreeSet<u64>>()
    };
    let complete =
        |messages: &[Message]| all(messages, true).len() == LETTERS && all(messages, false).len() == 2 * LETTERS;
    if let Err(error) = scene.subscriber.wait(PATIENCE, complete) {
        panic!("{error:#}\n{}", scene.appliance.log_end());
    }
    assert_eq!(scene.balanced(2 * u64::try_from(LETTERS).unwrap())["balanced"], true);
}

#[test]
fn a_series_that_takes_too_long_is_told_once() {
    let made = series::make(&Plan::small(1, 73)).unwrap();
    let mut scene = Scene::waiting(|setup| setup.more = vec!["series.overdue_s = 1.0".to_owned()]);
    scene.appliance.environment("CTEDGE__INFER__BUNDLE", scene.appliance.path("no-model.ctb"));
    scene.appliance.start().unwrap();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let event = scene.wait(1, |message| message.topic.ends_with("/event/overdue")).remove(0).payload;
    assert_eq!((&event["instances"], event["completed_at"].is_string()), (&json!(made.series[0].len()), true));
    scene.wait(1, |message| {
        message.topic.ends_with("/health") && check(&message.payload, "series")["state"] == "degraded"
    });
    // Nothing is done while a series is in work, and a test of the model says why it cannot be.
    let (status, last) = send(&scene, &["restart"]);
    assert_eq!((status, &last["reason_code"]), (1, &json!("busy")));
    let (status, last) = send(&scene, &["restart", "--param", "when_idle=true", "--expires-s", "1"]);
    assert_eq!((status, &last["state"]), (1, &json!("expired")));
    let (status, last) = send(&scene, &["selftest"]);
    assert_eq!((status, &last["state"], &last["reason_code"]), (1, &json!("failed"), &json!("model")));
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    online(&scene, 2);
    std::thread::sleep(Duration::from_secs(3));
    let told = scene.subscriber.messages().iter().filter(|message| message.topic.ends_with("/event/overdue")).count();
    assert_eq!(told, 1, "once, over restarts");
}

#[test]
fn the_contracts_own_recipes_receive_and_command() {
    let made = series::make(&Plan::small(1, 74)).unwrap();
    let scene = Scene::with(|setup| setup.more = vec!["outbox.receipts = true".to_owned()]);
    let contract = include_str!("../../daemon/MQTT.md");
    let recipe = |begin: &str| {
        let found = contract.split("```python\n").find(|text| text.starts_with(begin)).unwrap();
        found.split("```").next().unwrap()
    };
    let script = format!(
        "{}\n{}\nimport sys, time\nresults, states = [], []\n\
         client = subscribe('127.0.0.1', int(sys.argv[1]), 'worklist', results.append)\nclient.loop_start()\n\
         def until(what):\n    begin = time.monotonic()\n    while not what():\n        \
         assert time.monotonic() < begin + 100, (results, states)\n        time.sleep(0.05)\n\
         until(lambda: results)\n\
         client.message_callback_add('ctedge/v1/+/cmd/#', lambda c, u, m: states.append(json.loads(m.payload)))\n\
         command(client, 'test', 'replay', since=results[0]['produced_at'][:10] + 'T00:00:00Z')\n\
         until(lambda: states and states[-1]['state'] == 'succeeded')\n\
         print(json.dumps([len(results), states[-1]['issuer']]))\n",
        recipe("import json, paho"),
        recipe("import datetime"),
    );
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let python = ctedge_tests::tools::python().unwrap();
    let port = scene.broker.port().to_string();
    let printed = process::output(Command::new(python).args(["-c", &script, &port])).unwrap();
    assert_eq!(printed.trim(), "[1, \"worklist\"]");
    let closed =
        |message: &Message| message.topic.ends_with("/counters") && message.payload["delivery"]["receipted"] == 1;
    scene.wait(1, closed);
}
