//! Bundles over the wire to a real daemon: from a server that breaks off, over brokers of both versions, killed half-way,
//! refused by the broker. `faults carry` breaks the connection.

use crate::commands::{self, at, is_final, request};
use crate::scene::{PATIENCE, Scene};
use ctedge_tests::appliance;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::parcel::{Parcel, Publisher};
use ctedge_tests::process::{self, Running};
use ctedge_tests::subscriber::Message;
use ctedge_tests::{place, tools};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A daemon that has its model and trusts the one that comes.
fn scene(parcel: &Parcel, more: &[String]) -> Scene {
    let scene = Scene::with(|setup| setup.more = more.to_vec());
    ready(scene, parcel)
}

fn ready(scene: Scene, parcel: &Parcel) -> Scene {
    fs::copy(&parcel.public, scene.appliance.path("trust").join("parcel.pub")).unwrap();
    scene.wait(1, |message| message.topic.ends_with("/info") && !message.payload["model"].is_null());
    scene
}

fn ask(scene: &Scene, id: &str, offer: &Value) {
    let mut params = offer.clone();
    params["mode"] = json!("stage");
    let request = request(id, &params, &json!({"expires_at": at(3600)}));
    let file = scene.appliance.path("request");
    fs::write(&file, request.to_string()).unwrap();
    let mut publish = Command::new("mosquitto_pub");
    publish.args(["-h", "127.0.0.1", "-q", "1", "-p", &scene.broker.port().to_string()]);
    publish.args(["-t", &format!("ctedge/v1/test/cmd/model_update/{id}/request"), "-f"]).arg(file);
    process::output(&mut publish).unwrap();
}

/// How a command ended.
fn end(scene: &Scene, id: &str) -> Value {
    let topic = format!("/cmd/model_update/{id}");
    let ended = |message: &Message| message.topic.ends_with(&topic) && is_final(&message.payload);
    scene.wait(1, ended).remove(0).payload
}

fn is_here(scene: &Scene, parcel: &Parcel) -> bool {
    let path = scene.appliance.path("state/bundles").join(format!("{}.ctb", parcel.digest));
    ctedge_models::bundle::file_digest(&path).is_ok_and(|(_, digest)| digest == parcel.digest)
}

fn staged(scene: &Scene, parcel: &Parcel, id: &str) {
    let end = end(scene, id);
    assert_eq!(end["state"], "succeeded", "{end}\n{}", scene.appliance.log_end());
    assert_eq!((&end["result"]["state"], &end["result"]["digest"]), (&json!("staged"), &json!(parcel.digest)));
    assert!(is_here(scene, parcel));
}

/// Bytes that are there of a bundle that still comes.
fn there(scene: &Scene, parcel: &Parcel) -> u64 {
    let path = scene.appliance.path("state/bundles").join(format!("{}.part", parcel.digest));
    fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default()
}

#[test]
fn killed_half_way_it_asks_for_the_rest_only() {
    let parcel = Parcel::of(3).unwrap();
    let mut scene = scene(&parcel, &["update.kib_s = 3000".to_owned()]);
    let publisher = Publisher::start(&parcel.path, scene.broker.port(), "honest").unwrap();
    ask(&scene, "carry", &publisher.offer);
    for share in 1..=2 {
        let enough = || Ok(there(&scene, &parcel) > parcel.bytes * share / 3);
        assert!(process::wait_until(PATIENCE, enough).unwrap(), "{}", scene.appliance.log_end());
        scene.appliance.kill().unwrap();
        scene.appliance.start().unwrap();
    }
    staged(&scene, &parcel, "carry");
    let twice = publisher.sent() - parcel.bytes;
    // The list each time, and what was on its way.
    assert!(twice < 400_000, "{twice} bytes were sent twice");
}

#[test]
fn what_is_fetched_can_be_cancelled_and_what_waits_behind_it() {
    let parcel = Parcel::of(3).unwrap();
    let mut scene = scene(&parcel, &["update.kib_s = 100".to_owned()]);
    let publisher = Publisher::start(&parcel.path, scene.broker.port(), "honest").unwrap();
    ask(&scene, "first", &publisher.offer);
    ask(&scene, "behind", &publisher.offer);
    let comes = |scene: &Scene| process::wait_until(PATIENCE, || Ok(there(scene, &parcel) > 0)).unwrap();
    assert!(comes(&scene), "{}", scene.appliance.log_end());
    let cancel = |scene: &Scene, id: &str, target: &str| {
        let params = json!({"name": "model_update", "id": target});
        commands::publish(
            scene,
            &format!("cmd/cancel/{id}/request"),
            &request(id, &params, &json!({})).to_string(),
            &[],
        );
        commands::ended(scene, "cancel", id)
    };
    assert_eq!(cancel(&scene, "a", "behind")["result"], json!({"state": "cancelled"}));
    assert_eq!(end(&scene, "behind")["reason_code"], "cancelled");
    assert_eq!(cancel(&scene, "b", "first")["result"], json!({"state": "running"}));
    let ended = end(&scene, "first");
    assert_eq!((&ended["state"], &ended["reason_code"]), (&json!("cancelled"), &json!("cancelled")), "{ended}");
    assert!(there(&scene, &parcel) == 0 && !is_here(&scene, &parcel), "nobody wants what was here of it");
    assert_eq!(cancel(&scene, "c", "first")["result"], json!({"state": "cancelled"}), "it is so already");
    assert_eq!(cancel(&scene, "d", "nobody")["reason_code"], "not_found");

    // A daemon that dies before it has stopped remembers it.
    ask(&scene, "again", &publisher.offer);
    assert!(comes(&scene), "{}", scene.appliance.log_end());
    assert_eq!(cancel(&scene, "e", "again")["state"], "succeeded");
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    assert_eq!(end(&scene, "again")["state"], "cancelled");
    scene.appliance.check().unwrap();
}

#[test]
fn the_trainers_own_publisher_serves_a_device() {
    let parcel = Parcel::of(1).unwrap();
    let scene = scene(&parcel, &[]);
    let mut publish = appliance::trainer().unwrap();
    publish.arg("publish").arg(&parcel.path).args(["--broker", &format!("127.0.0.1:{}", scene.broker.port())]);
    process::output(publish.args(["--device", "test", "--mode", "stage"])).unwrap();
    assert!(is_here(&scene, &parcel));
}

#[test]
fn a_broker_that_speaks_3_1_1_carries_bundles() {
    let parcel = Parcel::of(0).unwrap();
    let scene = scene(&parcel, &["mqtt.version = \"3.1.1\"".to_owned()]);
    let publisher = Publisher::start(&parcel.path, scene.broker.port(), "honest").unwrap();
    ask(&scene, "carry", &publisher.offer);
    staged(&scene, &parcel, "carry");
    assert!(publisher.sent() < parcel.bytes * 101 / 100);
}

#[test]
fn a_broker_that_refuses_pieces_is_named_and_takes_results_all_the_same() {
    let parcel = Parcel::of(0).unwrap();
    let papers = tempfile::TempDir::new().unwrap();
    let security = papers.path().join("security.json");
    let acl = json!({"acltype": "subscribePattern", "topic": "ctedge/v1/test/chunk/#", "priority": 10, "allow": false});
    let all = json!({"publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true});
    let rules = json!({
        "defaultACLAccess": all, "anonymousGroup": "all", "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "no-pieces"}]}],
        "roles": [{"rolename": "no-pieces", "acls": [acl]}],
    });
    fs::write(&security, rules.to_string()).unwrap();
    // The broker's user may be another one.
    fs::set_permissions(papers.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let port = process::free_port().unwrap();
    let door = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nplugin {}\nplugin_opt_config_file {}\n",
        plugin().display(),
        security.display()
    );
    let broker = Mosquitto::with(Memory::Persistent, &door).unwrap();
    let subscriber = ctedge_tests::subscriber::Subscriber::start(broker.port()).unwrap();
    let setup = appliance::Setup::quick(port);
    let mut appliance = appliance::Appliance::new(&setup).unwrap();
    appliance.start().unwrap();
    let scene = ready(Scene { subscriber, appliance, broker }, &parcel);
    let publisher = Publisher::start(&parcel.path, scene.broker.port(), "honest").unwrap();
    ask(&scene, "carry", &publisher.offer);
    let ended = end(&scene, "carry");
    assert_eq!((&ended["state"], &ended["reason_code"]), (&json!("failed"), &json!("chunk_denied")), "{ended}");
    // Commands reach it, and it does not say that they do not.
    ask(&scene, "again", &publisher.offer);
    assert_eq!(end(&scene, "again")["reason_code"], "chunk_denied");
    let deaf =
        |message: &&Message| message.topic.ends_with("/health") && message.raw.contains("refuses a subscription");
    assert_eq!(scene.subscriber.messages().iter().find(deaf).map(|message| &message.raw), None);
}

/// Mosquitto's own plugin: by an access file it grants every subscription, and passes nothing on.
fn plugin() -> PathBuf {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join("mosquitto_dynamic_security.so"));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("it comes with mosquitto"))
}

#[test]
fn a_server_that_breaks_off_is_asked_for_the_rest_also_after_a_kill() {
    let parcel = Parcel::of(3).unwrap();
    let papers = tempfile::TempDir::new().unwrap();
    let [certificate, key] = ["server.pem", "server.key"].map(|name| papers.path().join(name));
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test".split(' '));
    openssl.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
    process::output(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).unwrap();
    let (_server, port) = server(&[parcel.path.clone(), certificate.clone(), key]);
    let more = [format!("update.ca = {:?}", certificate.display().to_string()), "update.kib_s = 3000".to_owned()];
    let mut scene = scene(&parcel, &more);
    assert_eq!(doctor(&scene, &[]), json!(true));
    assert_eq!(doctor(&scene, &["--set", "update.ca=gone.pem"]), json!(false));
    let offer = |path: &str| {
        let signature = fs::read_to_string(format!("{}.minisig", parcel.path.display())).unwrap();
        json!({"digest": parcel.digest, "bytes": parcel.bytes, "signature": signature,
               "source": {"https": format!("https://localhost:{port}/{path}")}})
    };
    for (path, code) in [("endless", "wrong_length"), ("plain", "fetch_failed")] {
        ask(&scene, path, &offer(path));
        assert_eq!(end(&scene, path)["reason_code"], code);
        assert_eq!(there(&scene, &parcel), 0, "{path}");
    }
    ask(&scene, "fetch", &offer("cutting"));
    let enough = || Ok(there(&scene, &parcel) > parcel.bytes / 4);
    assert!(process::wait_until(PATIENCE, enough).unwrap(), "{}", scene.appliance.log_end());
    scene.appliance.kill().unwrap();
    let before = there(&scene, &parcel);
    scene.appliance.start().unwrap();
    staged(&scene, &parcel, "fetch");
    let asked = asked(port, &certificate);
    let first: Vec<&Value> = asked.iter().filter(|asked| asked[0] == "/cutting").map(|asked| &asked[1]).collect();
    assert_eq!((first[0], first[1]), (&Value::Null, &json!(format!("bytes={before}-"))), "{asked:?}");
    assert!(!scene.appliance.log().contains("localhost"), "an address may hold a secret");
}

/// Whether `ctedge doctor` finds authorities for servers.
fn doctor(scene: &Scene, more: &[&str]) -> Value {
    let told = scene.appliance.command(&[more, &["doctor", "--json"]].concat()).output().unwrap().stdout;
    let told: Value = serde_json::from_slice(&told).unwrap();
    told["checks"].as_array().unwrap().iter().find(|row| row["check"] == "servers of models").unwrap()["ok"].clone()
}

fn server(files: &[PathBuf]) -> (Running, u16) {
    let script = place::root().join("tests/peers/serve_file.py");
    let mut command = Command::new(tools::python().unwrap());
    let mut running = Running::start(command.arg(script).args(files).stdout(Stdio::piped())).unwrap();
    let mut port = String::new();
    BufReader::new(running.child().stdout.take().unwrap()).read_line(&mut port).unwrap();
    (running, port.trim().parse().unwrap())
}

/// What the server was asked for: paths and ranges.
fn asked(port: u16, certificate: &std::path::Path) -> Vec<Value> {
    let script = format!(
        "import ssl, sys, urllib.request\ncontext = ssl.create_default_context(cafile=sys.argv[1])\n\
         print(urllib.request.urlopen('https://localhost:{port}/count', context=context).read().decode())"
    );
    let printed = process::output(Command::new(tools::python().unwrap()).args(["-c", &script]).arg(certificate));
    serde_json::from_str(&printed.unwrap()).unwrap()
}
