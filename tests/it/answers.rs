//! Requests that name a Response Topic: an independent client of MQTT 5 (`mosquitto_rr`) is answered, also over kills and a
//! broker that is away, and no sender has the device speak where devices do.

use crate::commands::{check, ended, is_final, online, publish, request, states};
use crate::scene::{PATIENCE, Scene};
use ctedge_tests::arrival::Manner;
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// Asks and waits for the first answer, as `mosquitto_rr` prints it: Correlation Data and state.
fn ask(scene: &Scene, below: &str, payload: &Value, correlation: &str) -> (String, Value) {
    let (port, topic) = (scene.broker.port().to_string(), format!("ctedge/v1/test/{below}/request"));
    let mut command = Command::new("mosquitto_rr");
    command.args(["-p", &port, "-V", "5", "-q", "1", "-W", "60", "-e", "replies/it", "-t", &topic]);
    command.args(["-m", &payload.to_string(), "-F", "%D %p", "-D", "publish", "correlation-data", correlation]);
    let printed = process::output(&mut command).unwrap();
    let (data, state) = printed.trim().split_once(' ').unwrap();
    (data.to_owned(), serde_json::from_str(state).unwrap())
}

fn answered_on<'a>(topic: &'a str, correlation: &'a str) -> [&'a str; 8] {
    let [publish, topic_name, data] = ["publish", "response-topic", "correlation-data"];
    ["-D", publish, topic_name, topic, "-D", publish, data, correlation]
}

#[test]
fn a_client_of_its_own_is_answered() {
    let scene = Scene::start();
    let (data, state) = ask(&scene, "cmd/selftest/now", &request("now", &json!({}), &json!({})), "first");
    assert_eq!((data.as_str(), &state["schema"], &state["id"]), ("first", &json!("command/1.0"), &json!("now")));
    let end = ended(&scene, "selftest", "now");
    assert_eq!(end["state"], "succeeded");
    // The end has been told there, too, byte for byte, and whoever asks again hears it at once.
    let told = |topic: &str| {
        let messages = scene.subscriber.messages();
        messages.into_iter().filter(|message| message.topic == topic).map(|message| message.payload).collect::<Vec<_>>()
    };
    scene.wait(1, |message| message.topic == "replies/it" && message.payload == end);
    let (data, state) = ask(&scene, "cmd/selftest/now", &request("now", &json!({}), &json!({})), "second");
    assert_eq!((data.as_str(), &state), ("second", &end));
    for (id, payload, code) in [
        ("bad", json!({"id": "bad"}), "malformed"),
        (
            "late",
            request(
                "late",
                &json!({}),
                &json!({"issued_at": "2020-01-01T00:00:00Z", "expires_at": "2020-01-01T00:01:00Z"}),
            ),
            "expired",
        ),
    ] {
        let (data, state) = ask(&scene, &format!("cmd/selftest/{id}"), &payload, id);
        assert_eq!((data.as_str(), &state["reason_code"], &state["id"]), (id, &json!(code), &json!(id)), "{state}");
    }
    let own: Vec<Value> =
        ["now", "bad", "late"].iter().flat_map(|id| told(&format!("ctedge/v1/test/cmd/selftest/{id}"))).collect();
    assert!(told("replies/it").iter().all(|state| own.contains(state)), "an answer is a state that was told");
    let status = scene.subscriber.messages().into_iter().rfind(|message| message.topic.ends_with("/health")).unwrap();
    assert_eq!(check(&status.payload, "broker")["state"], "ok");
}

#[test]
fn answers_survive_kills_and_a_broker_that_is_away() {
    let made = series::make(&Plan::small(1, 76)).unwrap();
    let mut scene = Scene::waiting(|_setup| {});
    // Without a model the series stays in work, and the restart waits for it.
    scene.appliance.environment("CTEDGE__INFER__BUNDLE", scene.appliance.path("no-model.ctb"));
    scene.appliance.start().unwrap();
    let port = scene.broker.port().to_string();
    let asker = |more: &[&str]| {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-p", &port, "-V", "5", "-q", "1", "-c", "-x", "600", "-i", "asker", "-t", "replies/it"]);
        // It ends with an error when it has listened for as long as it was told to.
        let done = command.args(["--retain-as-published", "-F", "%q %r %E %D %p"]).args(more).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    asker(&["-E"]);
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    scene.wait(1, |message| message.topic.ends_with("/event/series_complete"));
    let payload = request("once", &json!({"when_idle": true}), &json!({})).to_string();
    publish(&scene, "cmd/restart/once/request", &payload, &answered_on("replies/it", "tag-1"));
    let waits = |state: &&Value| state["stage"] == "waiting";
    scene.subscriber.wait(PATIENCE, |messages| states(messages, "restart", "once").iter().any(waits)).unwrap();
    scene.appliance.kill().unwrap();
    scene.broker.stop().unwrap();
    // Taken up again and ended where nobody hears it, and then killed once more.
    scene.appliance.start().unwrap();
    let stored = process::wait_until(PATIENCE, || Ok(scene.appliance.log().contains("succeeded"))).unwrap();
    assert!(stored, "{}", scene.appliance.log_end());
    scene.appliance.kill().unwrap();
    scene.broker.resume().unwrap();
    scene.appliance.start().unwrap();
    assert_eq!(ended(&scene, "restart", "once")["result"], json!({"restarted": true}));
    scene.wait(1, |message| message.topic == "replies/it" && is_final(&message.payload));
    let heard = asker(&["-W", "2"]);
    let answers: Vec<(&str, Value)> = heard
        .lines()
        .map(|line| line.rsplit_once(" {").map(|(head, body)| (head, format!("{{{body}"))).unwrap())
        .map(|(head, body)| (head, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"))))
        .collect();
    let names: BTreeSet<&str> = answers.iter().map(|(_, state)| state["state"].as_str().unwrap()).collect();
    assert!(names.contains("running"), "{heard}");
    assert_eq!(answers.last().unwrap().1["state"], "succeeded", "{heard}");
    for (head, _) in &answers {
        let parts: Vec<&str> = head.split(' ').collect();
        assert_eq!((parts[0], parts[1], parts[3]), ("1", "0", "tag-1"), "{heard}");
        assert!((600_000..=604_800).contains(&parts[2].parse::<u32>().unwrap()), "seven days: {heard}");
    }
}

#[test]
fn nobody_has_the_device_speak_where_devices_do() {
    let scene = Scene::start();
    let long = format!("QQ/{}", "x".repeat(254));
    let topics = ["ctedge/v1/test/status", "ctedge/v1/QQother/result/clear", "ctedge/QQ", "ctedge", "$QQ/a", &long];
    for (number, topic) in topics.iter().enumerate() {
        let id = format!("deputy-{number}");
        let payload = request(&id, &json!({}), &json!({"dry_run": true})).to_string();
        publish(&scene, &format!("cmd/selftest/{id}/request"), &payload, &answered_on(topic, "QQdata"));
        assert_eq!(ended(&scene, "selftest", &id)["state"], "succeeded", "the state is told all the same");
    }
    let much = "QQ".repeat(129);
    let payload = request("much", &json!({}), &json!({"dry_run": true})).to_string();
    publish(&scene, "cmd/selftest/much/request", &payload, &answered_on("replies/it", &much));
    ended(&scene, "selftest", "much");
    // Answers come before whatever is put in later: after this one no other can.
    let (data, _) = ask(&scene, "cmd/selftest/last", &request("last", &json!({}), &json!({"dry_run": true})), "end");
    assert_eq!(data, "end");
    std::thread::sleep(Duration::from_millis(500));
    for message in scene.subscriber.messages() {
        let is_state = message.topic.starts_with("ctedge/v1/test/cmd/") || !message.raw.contains("command/1.0");
        assert!(is_state || (message.topic == "replies/it" && message.text("id") == "last"), "{}", message.raw);
    }
    let log = scene.appliance.log();
    assert_eq!(log.matches("not answered but on the command's own topic").count(), topics.len() + 1, "{log}");
    assert!(!log.contains("QQ"), "the log repeats what came");
    online(&scene, 1);
}

#[test]
fn in_mqtt_3_1_1_there_is_the_commands_own_topic_alone() {
    let scene = Scene::with(|setup| setup.more = vec!["mqtt.version = \"3.1.1\"".to_owned()]);
    let payload = request("old", &json!({}), &json!({"dry_run": true})).to_string();
    publish(&scene, "cmd/selftest/old/request", &payload, &answered_on("replies/it", "tag"));
    assert_eq!(ended(&scene, "selftest", "old")["state"], "succeeded");
    scene.wait(1, |message| message.topic.ends_with("/info") && !message.payload["model"].is_null());
    assert!(scene.subscriber.messages().iter().all(|message| message.topic != "replies/it"));
}
