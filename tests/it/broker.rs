//! A broker that wants certificates and a password, and one that is spoken to in MQTT 3.1.1.

use crate::scene::{PATIENCE, Scene};
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::arrival::Manner;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::{Message, Subscriber};
use ctedge_tests::{place, process};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A broker with an open door for the subscriber, and one that wants a certificate and a password for the daemon.
pub(crate) struct Guarded {
    pub(crate) scene: Scene,
    pub(crate) papers: TempDir,
}

impl Guarded {
    /// The daemon knows its papers, but for what `change` makes of them.
    fn new(change: impl FnOnce(&Path)) -> Self {
        Self::with(change, |_setup| {})
    }

    /// The same with changes to the daemon's set-up.
    pub(crate) fn with(change: impl FnOnce(&Path), set: impl FnOnce(&mut Setup)) -> Self {
        let papers = tempfile::tempdir().unwrap();
        authority(papers.path(), "ca");
        for name in ["server", "client"] {
            certificate(papers.path(), name);
        }
        let at = |name: &str| papers.path().join(name).display().to_string();
        run(Command::new("mosquitto_passwd").args(["-b", "-c", &at("users"), "box", "open sesame"]));
        std::fs::write(papers.path().join("password"), "open sesame\n").unwrap();
        let port = process::free_port().unwrap();
        let door = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\ncafile {}\ncertfile {}\nkeyfile {}\n\
             require_certificate true\n",
            at("users"),
            at("ca.pem"),
            at("server.pem"),
            at("server.key")
        );
        let broker = Mosquitto::with(Memory::Persistent, &door).unwrap();
        let subscriber = Subscriber::start(broker.port()).unwrap();
        change(papers.path());
        let more = [
            format!("mqtt.tls.ca = {:?}", at("ca.pem")),
            format!("mqtt.tls.certificate = {:?}", at("client.pem")),
            format!("mqtt.tls.key = {:?}", at("client.key")),
            "mqtt.username = \"box\"".to_owned(),
            format!("mqtt.password_file = {:?}", at("password")),
        ];
        let mut setup = Setup { host: "localhost".to_owned(), more: more.to_vec(), ..Setup::quick(port) };
        set(&mut setup);
        let mut appliance = Appliance::new(&setup).unwrap();
        appliance.start().unwrap();
        Self { scene: Scene { subscriber, appliance, broker }, papers }
    }

    fn is_kept_out(&mut self) {
        let scene = &mut self.scene;
        let told = || Ok(scene.appliance.log().contains("no connection to the broker"));
        assert!(process::wait_until(PATIENCE, told).unwrap(), "{}", scene.appliance.log_end());
        scene.appliance.check().unwrap();
        assert!(scene.subscriber.messages().is_empty(), "nothing got in");
        assert!(!scene.appliance.log().contains("sesame"), "a password is no part of a log");
        assert!(self.papers.path().is_dir());
    }
}

fn run(command: &mut Command) {
    process::output(command).unwrap();
}

fn openssl(folder: &Path, arguments: &str) {
    run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

pub(crate) fn authority(folder: &Path, name: &str) {
    openssl(folder, &format!("req -x509 {KEY} -keyout {name}.key -out {name}.pem -days 2 -subj /CN=test-{name}"));
}

pub(crate) fn certificate(folder: &Path, name: &str) {
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(folder, &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN=test-{name}"));
    let signed = format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem");
    openssl(folder, &format!("{signed} -extfile names"));
}

#[test]
pub(crate) fn certificate_and_password_open_the_door() {
    let made = series::make(&Plan::small(1, 41)).unwrap();
    let guarded = Guarded::new(|_papers| {});
    guarded.scene.drop_files(&made.series[0], "s", Manner::Copy);
    guarded.scene.results(1);
}

#[test]
fn a_wrong_password_does_not() {
    Guarded::new(|papers| std::fs::write(papers.join("password"), "sesame").unwrap()).is_kept_out();
}

#[test]
fn a_broker_of_another_authority_is_not_trusted() {
    Guarded::new(|papers| authority(papers, "ca")).is_kept_out();
}

#[test]
fn results_arrive_in_mqtt_3_1_1_too() {
    let made = series::make(&Plan::small(1, 42)).unwrap();
    let scene = Scene::with(|setup| setup.more = vec!["mqtt.version = \"3.1.1\"".to_owned()]);
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    scene.results(1);
    assert!(scene.appliance.log().contains("3.1.1"), "{}", scene.appliance.log_end());
}

#[test]
fn the_contract_can_be_had_from_the_broker() {
    let scene = Scene::with(|setup| setup.more = vec!["mqtt.schemas = true".to_owned()]);
    let contract = place::root().join("daemon/contract");
    let committed = std::fs::read(contract.join("result.schema.json")).unwrap();
    let committed: serde_json::Value = serde_json::from_slice(&committed).unwrap();
    let came = |messages: &[Message]| {
        messages.iter().any(|message| message.topic.ends_with("/schema/result/1") && message.payload == committed)
    };
    scene.subscriber.wait(PATIENCE, came).unwrap();
}
