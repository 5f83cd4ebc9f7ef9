//! Models to devices in the field, by the trainer's command and a real broker: the devices are paho's, and lose what they are sent.

use crate::broker::{Guarded, authority};
use crate::models::{Site, digest};
use ctedge_tests::appliance;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::place;
use ctedge_tests::process::{self, Running};
use ctedge_tests::tools;
use ctedge_tests::variant::{KEY, Strange};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A broker, devices, and a bundle with its signature.
struct Field {
    folder: TempDir,
    devices: Vec<Running>,
    broker: Mosquitto,
}

const PATIENCE: Duration = Duration::from_mins(1);

impl Field {
    fn new() -> Self {
        let broker = Mosquitto::start(Memory::Persistent).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let from = place::reference_bundle().unwrap();
        for ending in ["", ".minisig"] {
            let name = |path: &str| PathBuf::from(format!("{path}{ending}"));
            let to = name(folder.path().join("model.ctb").to_str().unwrap());
            fs::copy(name(from.to_str().unwrap()), to).unwrap();
        }
        Self { folder, devices: Vec::new(), broker }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a device. It may lose a share of what it is sent, or refuse with a code.
    fn device(&mut self, name: &str, group: &str, loss: &str, refusal: &str) {
        let mut command = Command::new(tools::python().unwrap());
        command.arg(place::root().join("tests/peers/device.py")).arg(self.broker.port().to_string());
        command.args([name, group, loss, refusal]).arg(self.at(name)).stdin(Stdio::null());
        self.devices.push(Running::start(&mut command).unwrap());
    }

    /// A command of the trainer, with this broker.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = appliance::trainer().unwrap();
        command.current_dir(self.folder.path()).arg("--json").args(words.next());
        command.args(["--broker", &format!("127.0.0.1:{}", self.broker.port())]).args(words);
        command
    }

    /// Runs it to its end: exit status and what it said.
    fn run(&self, line: &str) -> (i32, Value) {
        let done = self.command(line).output().unwrap();
        let said = serde_json::from_slice(&done.stdout);
        (done.status.code().unwrap(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr))))
    }

    /// Waits until so many devices say that they are there.
    fn wait(&self, count: usize) {
        let online = || {
            let (_, said) = self.run("fleet");
            let rows = said["devices"].as_array().unwrap().iter();
            Ok(rows.filter(|row| row["state"] == "online" && row["slots"]["a"]["state"] == "active").count() >= count)
        };
        assert!(process::wait_until(PATIENCE, online).unwrap());
    }
}

#[test]
fn three_devices_get_a_bundle_over_lost_pieces_and_a_broker_that_dies() {
    let mut field = Field::new();
    field.device("ct-1", "pilot", "0.2", "-");
    field.device("ct-2", "pilot", "0", "-");
    field.device("ct-9", "other", "0", "-");
    field.wait(3);
    // ct-3 is away when it is asked, and comes later.
    let chunks = "--chunk-bytes 32768 --kib-s 2048 --timeout 120";
    let line =
        format!("publish model.ctb --device ct-1 --device ct-2 --device ct-3 --mode shadow {chunks} --issuer it@test");
    let mut publish = field.command(&line);
    let mut publishing = publish.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let sub = |topic: &str| {
        let mut listen = Command::new("mosquitto_sub");
        listen.args(["-p", &field.broker.port().to_string(), "-W", "30", "-C", "1", "-t", topic]);
        listen.output().unwrap().status.success()
    };
    assert!(sub("ctedge/v1/ct-1/chunk/+/data/40"), "it is under way");
    field.broker.kill().unwrap();
    field.broker.resume().unwrap();
    field.device("ct-3", "late", "0.1", "-");
    assert!(publishing.wait().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut publishing.stdout.take().unwrap(), &mut said).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said["cuts"].as_u64().unwrap() >= 1, "{said}");
    let bundle = fs::read(field.at("model.ctb")).unwrap();
    for device in ["ct-1", "ct-2", "ct-3"] {
        assert!(fs::read(field.at(device)).unwrap() == bundle, "{device} has every byte");
        let result = &said["devices"][device]["heard"]["result"];
        assert_eq!((&result["state"], &result["digest"]), (&"shadow".into(), &said["model"]["digest"]));
        let signature = fs::read(field.at(&format!("{device}.minisig"))).unwrap();
        assert_eq!(signature, fs::read(field.at("model.ctb.minisig")).unwrap());
    }
    let sent = said["devices"]["ct-2"]["sent_bytes"].as_u64().unwrap();
    assert!(sent < 2 * u64::try_from(bundle.len()).unwrap(), "only what was asked for: {sent}");
    assert!(!field.at("ct-9").exists());

    let (status, fleet) = field.run("fleet");
    let rows = fleet["devices"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["device"].as_str().unwrap()).collect();
    assert_eq!((status, names), (0, vec!["ct-1", "ct-2", "ct-3", "ct-9"]));
    let shadow = &rows[0]["slots"]["b"];
    assert_eq!((&shadow["state"], &shadow["version"]), (&"shadow".into(), &said["model"]["version"]));
    assert_eq!((shadow["agreement"].as_f64(), &rows[0]["group"]), (Some(0.975), &"pilot".into()));
}

#[test]
fn what_devices_refuse_is_told_with_its_reason_and_a_status() {
    let mut field = Field::new();
    field.device("ct-1", "pilot", "0", "below_floor");
    field.device("ct-2", "pilot", "0", "-");
    field.device("ct-3", "other", "0", "-");
    field.wait(3);
    let (status, said) = field.run("publish model.ctb --group pilot --timeout 60");
    let heard = |device: &str| said["devices"][device]["heard"].clone();
    assert_eq!(
        (status, &heard("ct-1")["reason_code"], &heard("ct-2")["state"]),
        (1, &"below_floor".into(), &"succeeded".into())
    );
    assert_eq!(said["devices"].as_object().unwrap().len(), 2, "{said}");
    let told =
        field.command("publish model.ctb --group pilot --timeout 60").arg("--mode").arg("stage").output().unwrap();
    assert_eq!(told.status.code(), Some(1));

    let (status, said) = field.run("activate --all --timeout 60");
    let result = &said["devices"]["ct-3"]["heard"]["result"];
    assert_eq!((status, &result["params"], said["devices"].as_object().unwrap().len()), (0, &serde_json::json!({}), 3));
    let (status, said) = field.run("rollback --device ct-2 --reason worse --timeout 60");
    assert_eq!((status, &said["devices"]["ct-2"]["heard"]["result"]["params"]["reason"]), (0, &"worse".into()));

    // Nobody there, and what cannot be right is not sent.
    let (status, said) = field.run("rollback --device ct-4 --timeout 1");
    assert_eq!((status, &said["devices"]["ct-4"]["heard"]), (1, &Value::Null));
    let complaint = |line: &str| {
        let (status, said) = field.run(line);
        assert_eq!(status, 1);
        said["error"].to_string()
    };
    assert!(complaint("publish model.ctb --group nobody").contains("no device on this broker"));
    assert!(complaint("publish model.ctb --device ct-2 --chunk-bytes 1000").contains("1024"));
    fs::remove_file(field.at("model.ctb.minisig")).unwrap();
    assert!(complaint("publish model.ctb --device ct-2").contains("ctedge-trainer sign"));
}

#[test]
fn a_real_device_is_seen_through_a_door_that_wants_a_certificate_and_a_password() {
    let mut port = 0;
    let guarded = Guarded::with(|_papers| {}, |setup| port = setup.port);
    let at = |name: &str| guarded.papers.path().join(name);
    let fleet = |ca: &str, password: &str| {
        let mut command = appliance::trainer().unwrap();
        command.args(["--json", "fleet", "--username", "box", "--broker", &format!("localhost:{port}")]);
        command.arg("--ca").arg(at(ca)).arg("--certificate").arg(at("client.pem")).arg("--key").arg(at("client.key"));
        let done = command.arg("--password-file").arg(at(password)).output().unwrap();
        (done.status.code().unwrap(), serde_json::from_slice::<Value>(&done.stdout).unwrap())
    };
    let online = || {
        let (status, said) = fleet("ca.pem", "password");
        assert_eq!(status, 0, "{said}");
        Ok(said["devices"][0]["state"] == "online" && said["devices"][0]["device"] == "test")
    };
    assert!(process::wait_until(PATIENCE, online).unwrap());
    authority(guarded.papers.path(), "other");
    fs::write(at("wrong"), "open barley\n").unwrap();
    for (ca, password) in [("other.pem", "password"), ("ca.pem", "wrong")] {
        let (status, said) = fleet(ca, password);
        let said = said["error"].to_string();
        assert!(status == 1 && said.contains("cannot be used") && !said.contains("barley"), "{said}");
    }
}

#[test]
fn a_real_device_takes_models_gives_them_up_and_goes_down_with_a_permit_once() {
    let site = Site::with(&["update.probation_series = 1", "update.group = \"pilot\""]);
    let broker = format!("127.0.0.1:{}", site.scene.broker.port());
    let trainer = |words: &[&str]| {
        let mut command = appliance::trainer().unwrap();
        let done = command.current_dir(site.workshop.at("")).arg("--json").args(words).output().unwrap();
        (done.status.code().unwrap(), serde_json::from_slice::<Value>(&done.stdout).unwrap())
    };
    let told = |words: &[&str]| {
        let (status, said) = trainer(&[words, &["--broker", &broker, "--timeout", "60"]].concat());
        (status, said["devices"]["test"]["heard"].clone())
    };
    let text = |path: &Path| path.display().to_string();
    let newer = site.workshop.release(3, Strange::No, |_manifest| {}).unwrap();
    let trust = text(&site.workshop.public());
    let (status, heard) = told(&["publish", &text(&newer), "--group", "pilot", "--mode", "shadow", "--trust", &trust]);
    assert_eq!((status, &heard["result"]["state"]), (0, &"shadow".into()), "{heard}");
    site.state("b", "shadow");
    let (_, fleet) = trainer(&["fleet", "--broker", &broker]);
    let row = &fleet["devices"][0];
    assert_eq!((&row["group"], &row["state"]), (&"pilot".into(), &"online".into()), "{row}");
    assert!(row["health"].is_string() && row["last_seen"].is_string(), "{row}");
    let slots = ["a", "b"].map(|slot| row["slots"][slot]["state"].as_str().unwrap());
    assert_eq!((slots, &row["slots"]["b"]["digest"]), (["active", "shadow"], &digest(&newer).into()));

    let (status, heard) = told(&["activate", "--all", "--digest", &digest(&newer)]);
    assert_eq!((status, &heard["result"]["state"]), (0, &"probation".into()), "{heard}");
    site.patient(1);
    site.state("b", "active");

    // Down to a release before it: not without a permit, with one once.
    let older = site.workshop.release(2, Strange::No, |_manifest| {}).unwrap();
    let publish = ["publish", &text(&older), "--device", "test"];
    let (status, heard) = told(&publish);
    assert_eq!((status, &heard["reason_code"]), (1, &"older".into()), "{heard}");
    let key = text(&site.workshop.at(&format!("{KEY}.key")));
    let (status, said) = trainer(&["permit", &text(&older), "--device", "test", "--key", &key]);
    assert_eq!(status, 0, "{said}");
    let permitted = [publish.as_slice(), &["--permit", "permit.json"]].concat();
    let (status, heard) = told(&permitted);
    assert_eq!((status, &heard["result"]["digest"]), (0, &digest(&older).into()), "{heard}");
    site.patient(2);
    let (status, heard) = told(&["rollback", "--device", "test", "--reason", "it was a try"]);
    assert_eq!((status, &heard["result"]["digest"]), (0, &digest(&newer).into()), "{heard}");
    let (status, heard) = told(&permitted);
    assert_eq!((status, &heard["reason_code"]), (1, &"used_permit".into()), "{heard}");
}
