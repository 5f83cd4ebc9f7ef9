//! The access rules that we ship, under a real Mosquitto: each role can do what it needs, and nothing else.

use crate::scene::{PATIENCE, Scene};
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::arrival::Manner;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::{Message, Subscriber};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const ROLES: [&str; 7] = ["ct-1", "triage", "worklist", "reader", "operator", "fleet", "dashboard"];
const OF_MODELS: [&str; 4] = ["model_update", "model_activate", "model_rollback", "cancel"];
const COMMANDS: [&str; 8] = ["pause", "resume", "reprocess", "replay", "selftest", "diag", "restart", "cancel"];

/// A broker with an open door for us, and one behind which the shipped rules hold. The password of a role is its name.
fn guarded(papers: &Path) -> (Mosquitto, u16) {
    let users = papers.join("users");
    for (number, role) in ROLES.into_iter().enumerate() {
        let mut make = Command::new("mosquitto_passwd");
        make.arg("-b").args((number == 0).then_some("-c")).arg(&users).args([role, role]);
        process::output(&mut make).unwrap();
        fs::write(papers.join(role), role).unwrap();
    }
    let rules = papers.join("acl");
    fs::write(&rules, include_str!("../../daemon/mosquitto/acl.example")).unwrap();
    let port = process::free_port().unwrap();
    let door = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\n",
        users.display(),
        rules.display()
    );
    (Mosquitto::with(Memory::Persistent, &door).unwrap(), port)
}

/// Topics of every kind, of a device of one's own and of another.
fn topics() -> Vec<String> {
    let mut below: Vec<String> = [
        "status",
        "info",
        "health",
        "counters",
        "metrics",
        "event/overdue",
        "result/flagged",
        "result/clear",
        "receipt",
        "report",
        "cmd/pause",
        "cmd/pause/a",
        "cmd/model_update/a",
        "fetch",
        "chunk/aa/data/0",
        "chunk/aa/list/0",
        "chunk/aa",
        "model/a",
        "event/model_changed",
    ]
    .map(str::to_owned)
    .into();
    below.extend(OF_MODELS.map(|name| format!("cmd/{name}/a/request")));
    below.extend(COMMANDS.map(|name| format!("cmd/{name}/a/request")));
    let devices = ["ct-1", "ct-2"];
    let mut topics: Vec<String> =
        devices.iter().flat_map(|device| below.iter().map(move |name| format!("ctedge/v1/{device}/{name}"))).collect();
    topics.extend(["elsewhere".to_owned(), "ctedge/v2/ct-1/status".to_owned()]);
    topics
}

/// What the table of MQTT.md says, in other words than the rules.
fn reads(role: &str, topic: &str) -> bool {
    let Some((device, below)) = topic.strip_prefix("ctedge/v1/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    match role {
        "ct-1" => device == "ct-1" && (below == "receipt" || below.ends_with("/request") || is_piece(below)),
        "fleet" => {
            let named = ["status", "info", "health", "model/a", "event/model_changed", "fetch"].contains(&below);
            named || (below.starts_with("cmd/") && below.split('/').count() == 3)
        }
        "triage" => ["status", "counters", "result/flagged"].contains(&below),
        "worklist" => ["status", "info", "counters"].contains(&below) || below.starts_with("result/"),
        "reader" => ["status", "info", "counters", "report"].contains(&below) || below.starts_with("result/"),
        "operator" => true,
        "dashboard" => ["status", "info", "health", "counters", "metrics"].contains(&below),
        other => panic!("{other}"),
    }
}

fn is_piece(below: &str) -> bool {
    below.starts_with("chunk/") && below.split('/').count() == 4
}

fn writes(role: &str, topic: &str) -> bool {
    let Some((device, below)) = topic.strip_prefix("ctedge/v1/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    match role {
        "ct-1" => device == "ct-1",
        "worklist" | "reader" => below == "receipt",
        "fleet" => is_piece(below) || OF_MODELS.iter().any(|name| below == format!("cmd/{name}/a/request")),
        "operator" => COMMANDS.iter().any(|name| below == format!("cmd/{name}/a/request")),
        "triage" | "dashboard" => false,
        other => panic!("{other}"),
    }
}

fn client(program: &str, port: u16, role: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-V", "5", "-q", "1", "-u", role, "-P", role, "-p", &port.to_string()]);
    command
}

#[test]
fn each_role_may_do_what_it_needs_and_nothing_else() {
    let papers = TempDir::new().unwrap();
    let (broker, port) = guarded(papers.path());
    let subscriber = Subscriber::of_strangers(broker.port()).unwrap();
    let topics = topics();
    let session = |role: &str, more: &[&str]| {
        let mut command = client("mosquitto_sub", port, role);
        command.args(["-c", "-x", "600", "-i", &format!("session-{role}"), "-t", "#", "-F", "%t"]).args(more);
        command.output().unwrap().stdout
    };
    for role in ROLES {
        session(role, &["-E"]);
    }
    let open = broker.port().to_string();
    for topic in &topics {
        process::output(Command::new("mosquitto_pub").args(["-p", &open, "-q", "1", "-t", topic, "-m", "all"]))
            .unwrap();
    }
    for role in ROLES {
        let heard = String::from_utf8(session(role, &["-W", "1"])).unwrap();
        let heard: BTreeSet<&str> = heard.lines().collect();
        let may: BTreeSet<&str> = topics.iter().map(String::as_str).filter(|topic| reads(role, topic)).collect();
        assert_eq!(heard, may, "{role} reads");
    }
    for role in ROLES {
        for topic in &topics {
            // Where it may not, the program says so and the broker passes nothing on.
            drop(client("mosquitto_pub", port, role).args(["-t", topic, "-m", role]).output().unwrap());
        }
    }
    process::output(Command::new("mosquitto_pub").args(["-p", &open, "-q", "1", "-t", "end", "-m", "end"])).unwrap();
    let messages = subscriber.wait(PATIENCE, |messages| messages.iter().any(|m| m.topic == "end")).unwrap();
    for role in ROLES {
        let of = |message: &&Message| message.raw.ends_with(&format!(" {role}"));
        let heard: BTreeSet<&str> = messages.iter().filter(of).map(|message| message.topic.as_str()).collect();
        let may: BTreeSet<&str> = topics.iter().map(String::as_str).filter(|topic| writes(role, topic)).collect();
        assert_eq!(heard, may, "{role} writes");
    }
}

#[test]
fn a_device_works_under_the_rules() {
    let papers = TempDir::new().unwrap();
    let (broker, port) = guarded(papers.path());
    let subscriber = Subscriber::start(broker.port()).unwrap();
    let password = |role: &str| format!("mqtt.password_file={:?}", papers.path().join(role));
    let more = ["outbox.receipts = true".to_owned(), "mqtt.username = \"ct-1\"".to_owned(), password("ct-1")];
    let setup = Setup { device: "ct-1".to_owned(), more: more.to_vec(), ..Setup::quick(port) };
    let mut appliance = Appliance::new(&setup).unwrap();
    appliance.start().unwrap();
    let scene = Scene { subscriber, appliance, broker };
    scene.wait(1, |message| message.topic.ends_with("/status") && message.text("state") == "online");
    let as_role = |role: &str, arguments: &[&str]| {
        let user = format!("mqtt.username={role}");
        let mut command = scene.appliance.command(&["--set", &user, "--set", &password(role)]);
        command.args(arguments).output().unwrap()
    };
    let done = as_role("operator", &["send", "selftest", "--wait"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // Asked to answer where it may not write, it tells the state where it may, and holds nothing back.
    let now = |seconds| crate::commands::at(seconds);
    let request =
        json!({"id": "answer", "issuer": "it", "params": {}, "issued_at": now(-1), "expires_at": now(60)}).to_string();
    let mut ask = client("mosquitto_pub", port, "operator");
    ask.args(["-t", "ctedge/v1/ct-1/cmd/selftest/answer/request", "-m", &request]);
    process::output(ask.args(["-D", "publish", "response-topic", "elsewhere/it"])).unwrap();
    let is_done =
        |message: &Message| message.topic.ends_with("/cmd/selftest/answer") && message.text("state") == "succeeded";
    scene.wait(1, is_done);
    let refused = || Ok(scene.appliance.log().contains("the broker refuses an answer to a command"));
    assert!(process::wait_until(PATIENCE, refused).unwrap(), "{}", scene.appliance.log_end());
    let denied = as_role("triage", &["send", "selftest"]);
    // The broker says that it is not authorized, or closes the connection.
    assert_eq!(denied.status.code(), Some(1), "{}", String::from_utf8_lossy(&denied.stderr));
    let asked = |message: &&Message| message.topic.contains("/cmd/selftest/") && message.topic.ends_with("/request");
    assert_eq!(scene.subscriber.messages().iter().filter(asked).count(), 2, "the operator's alone came through");

    let made = series::make(&Plan::small(1, 75)).unwrap();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let result = scene.results(1).remove(0).payload;
    let receipt = json!({"id": result["id"], "sha256": result["delivery"]["sha256"]}).to_string();
    let topic = "ctedge/v1/ct-1/receipt";
    process::output(client("mosquitto_pub", port, "worklist").args(["-t", topic, "-m", &receipt])).unwrap();
    scene.wait(1, |message| message.topic.ends_with("/counters") && message.payload["delivery"]["receipted"] == 1);
    let messages = scene.subscriber.messages();
    let ill = |message: &&Message| message.topic.ends_with("/health") && message.raw.contains("messages refused");
    assert_eq!(messages.iter().find(ill).map(|message| &message.raw), None, "an answer that is refused is no fault");
    assert!(messages.iter().all(|message| message.topic != "elsewhere/it"));
}
