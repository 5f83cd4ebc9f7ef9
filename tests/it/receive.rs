//! Other people's senders: what they send is stored as it was, and ends as a result.

use crate::scene::{self, PATIENCE, Scene, distinct};
use crate::syntax::run;
use ctedge_tests::appliance::Setup;
use ctedge_tests::arrival;
use ctedge_tests::place;
use ctedge_tests::process::{self, Running};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::tools;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A daemon that receives by network.
pub(crate) struct Hall {
    pub(crate) scene: Scene,
    pub(crate) port: u16,
}

/// Changes to the set-up that open the door.
pub(crate) fn opened(setup: &mut Setup, port: u16, more: &[&str]) {
    setup.more.push(format!("receive.listen = \"127.0.0.1:{port}\""));
    setup.more.push("receive.peers = [\"SCANNER1\", \"STORESCU\", \"ORTHANC\"]".to_owned());
    setup.more.extend(more.iter().map(|&line| line.to_owned()));
}

impl Hall {
    /// What comes goes its way.
    pub(crate) fn new(more: &[&str]) -> Self {
        Self::with(|_setup| {}, more)
    }

    /// What comes stays in the drop folder, to be looked at.
    pub(crate) fn still(more: &[&str]) -> Self {
        Self::with(|setup| setup.settle_s = 3600.0, more)
    }

    fn with(change: impl FnOnce(&mut Setup), more: &[&str]) -> Self {
        let port = process::free_port().unwrap();
        let scene = Scene::with(|setup| {
            opened(setup, port, more);
            change(setup);
        });
        process::wait_for_port(port, PATIENCE).unwrap();
        Self { scene, port }
    }

    /// DCMTK's sender; `options` end with what is to be sent.
    pub(crate) fn storescu(&self, options: &[&str]) -> Command {
        let mut command = Command::new("storescu");
        command.args(["-aec", "CTEDGE", "127.0.0.1", &self.port.to_string()]).args(options);
        command
    }

    /// What pynetdicom has to know.
    pub(crate) fn plan(&self, more: &Value) -> String {
        let mut plan = json!({ "port": self.port });
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plan.to_string()
    }

    /// Sends folders with pynetdicom, all at once, and returns what it says line by line.
    pub(crate) fn send(&self, more: &Value, folders: &[&Path]) -> Vec<Value> {
        let plan = self.plan(more);
        let arguments = [&[Path::new("send"), Path::new(&plan)], folders].concat();
        lines(&tools::peer("store.py", &arguments).unwrap())
    }

    /// Process id of the worker that listens now, as the log tells it.
    pub(crate) fn worker(&self) -> i32 {
        let log = self.scene.appliance.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let opened = lines.filter(|line| line["message"] == "receiving by network");
        opened.filter_map(|line| line["worker"].as_i64()).next_back().unwrap().try_into().unwrap()
    }

    /// The sent files that lie in the drop folder, each as it was sent; and whether byte by byte.
    pub(crate) fn stored(&self, sent: &Path) -> Vec<(PathBuf, bool)> {
        let incoming = self.scene.appliance.incoming();
        let told = tools::peer("store.py", &[Path::new("stored"), sent, &incoming]).unwrap();
        let found: Vec<Value> = serde_json::from_str(&told).unwrap();
        found.iter().map(|file| (file["file"].as_str().unwrap().into(), file["bytes"].as_bool().unwrap())).collect()
    }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files that the sender was told are stored.
pub(crate) fn answered(lines: &[Value]) -> Vec<PathBuf> {
    let stored = lines.iter().filter(|line| line["status"] == 0);
    stored.map(|line| PathBuf::from(line["file"].as_str().unwrap())).collect()
}

/// Folders of made series, one for each.
pub(crate) fn folders(made: &series::Made) -> Vec<&Path> {
    made.series.iter().map(|files| files[0].parent().unwrap()).collect()
}

#[test]
fn a_chest_sent_by_storescu_ends_as_a_result() {
    let Some(chest) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let hall = Hall::new(&[]);
    process::output(&mut hall.storescu(&["+sd", chest.to_str().unwrap()])).unwrap();
    let result = hall.scene.results(1).remove(0);
    assert!(scene::read(&result), "{}", result.raw);
    let files =
        arrival::files(&chest).unwrap().iter().filter(|file| file.extension().is_some_and(|is| is == "dcm")).count();
    assert_eq!(result.payload["input"]["files"], files);
    hall.scene.balanced(1);
}

/// Transfer syntaxes that DCMTK writes, with its word for proposing it alone; empty where only a profile can.
const SYNTAXES: [(&str, &str); 14] = [
    ("1.2.840.10008.1.2", "-xi"),
    ("1.2.840.10008.1.2.1", "-xe"),
    ("1.2.840.10008.1.2.2", "-xb"),
    ("1.2.840.10008.1.2.1.99", "-xd"),
    ("1.2.840.10008.1.2.5", "-xr"),
    ("1.2.840.10008.1.2.4.50", "-xy"),
    ("1.2.840.10008.1.2.4.51", "-xx"),
    ("1.2.840.10008.1.2.4.57", ""),
    ("1.2.840.10008.1.2.4.70", "-xs"),
    ("1.2.840.10008.1.2.4.80", "-xt"),
    ("1.2.840.10008.1.2.4.81", "-xu"),
    ("1.2.840.10008.1.2.4.90", "-xv"),
    ("1.2.840.10008.1.2.4.91", "-xw"),
    // Progressive JPEG: the reader does not decode it, and so it is not agreed on.
    ("1.2.840.10008.1.2.4.55", ""),
];

#[test]
fn what_storescu_sends_is_stored_in_every_syntax_as_it_was() {
    let Some(data) = place::data("cornerstone_ct_transfer_syntaxes") else { return };
    let hall = Hall::still(&[]);
    let scratch = tempfile::tempdir().unwrap();
    for (syntax, option) in SYNTAXES {
        let named = |file: &&PathBuf| file.to_string_lossy().ends_with(&format!("_{syntax}.dcm"));
        let files = arrival::files(&data).unwrap();
        let file = files.iter().find(named).unwrap_or_else(|| panic!("no file in {syntax}"));
        let profile = scratch.path().join("profile");
        let contexts = "[[PresentationContexts]]\n[CT]\nPresentationContext1 = CTImageStorage\\Only\n";
        let text =
            format!("[[TransferSyntaxes]]\n[Only]\nTransferSyntax1 = {syntax}\n{contexts}[[Profiles]]\n[Only]\n");
        fs::write(&profile, text + "PresentationContexts = CT\n").unwrap();
        let proposed = if option.is_empty() { vec!["-xf", profile.to_str().unwrap(), "Only"] } else { vec![option] };
        let sent = hall.storescu(&[&proposed[..], &[file.to_str().unwrap()]].concat()).output().unwrap();
        assert_eq!(sent.status.success(), syntax != "1.2.840.10008.1.2.4.55", "{syntax}: {sent:?}");
    }
    assert_eq!(hall.stored(&data).len(), SYNTAXES.len() - 1);
}

#[test]
fn what_pynetdicom_sends_is_stored_byte_by_byte() {
    let Some(source) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let hall = Hall::still(&[]);
    let sent = tempfile::tempdir().unwrap();
    let source = arrival::files(&source).unwrap().remove(0);
    for name in ["htj2k", "htj2k_rpcl", "jpegxl", "encapsulated"] {
        run(&["syntax.py", name], &source, &sent.path().join(format!("{name}.dcm")));
    }
    fs::copy(&source, sent.path().join("plain.dcm")).unwrap();
    let told = hall.send(&json!({}), &[sent.path()]);
    assert_eq!(answered(&told).len(), 5, "{told:?}");
    let stored = hall.stored(sent.path());
    assert!(stored.len() == 5 && stored.iter().all(|(_, same)| *same), "{stored:?}");
}

#[test]
fn eight_series_that_pynetdicom_sends_at_once_become_eight_results() {
    let made = series::make(&Plan::small(8, 61)).unwrap();
    let hall = Hall::new(&["receive.associations = 8"]);
    let told = hall.send(&json!({}), &folders(&made));
    assert_eq!(told.iter().filter(|line| line["echo"] == 0).count(), 8, "{told:?}");
    assert_eq!(answered(&told).len(), 48, "{told:?}");
    let results = hall.scene.results(8);
    assert_eq!(distinct(&results, "series_key").len(), 8);
    assert!(results.iter().all(|result| scene::read(result) && result.payload["input"]["files"] == 6), "{results:?}");
    hall.scene.balanced(8);
}

/// An Orthanc of our own, with one modality: the daemon.
struct Orthanc {
    http: u16,
    _running: Running,
    _folder: TempDir,
}

impl Orthanc {
    fn start(daemon: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (http, dicom) = (process::free_port().unwrap(), process::free_port().unwrap());
        let config = json!({
            "StorageDirectory": folder.path(), "IndexDirectory": folder.path(), "Plugins": [],
            "HttpPort": http, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "DicomAet": "ORTHANC", "DicomPort": dicom, "DicomModalities": { "box": ["CTEDGE", "127.0.0.1", daemon] },
        });
        let path = folder.path().join("orthanc.json");
        fs::write(&path, config.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command =
            Command::new(if Path::new("/usr/sbin/Orthanc").is_file() { "/usr/sbin/Orthanc" } else { "Orthanc" });
        command.arg(&path).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let running = Running::start(&mut command)
            .unwrap_or_else(|error| panic!("{error:#}: apt-get install orthanc, or `cargo verify --only tools`"));
        process::wait_for_port(http, PATIENCE).unwrap();
        Self { http, _running: running, _folder: folder }
    }

    fn send(&self, folder: &Path) -> Value {
        let port = self.http.to_string();
        let told = tools::peer("orthanc.py", &[Path::new(&port), Path::new("box"), folder]).unwrap();
        serde_json::from_str(&told).unwrap()
    }
}

#[test]
fn a_series_that_orthanc_sends_ends_as_a_result() {
    let made = series::make(&Plan::small(2, 62)).unwrap();
    let hall = Hall::new(&[]);
    let orthanc = Orthanc::start(hall.port);
    for folder in folders(&made) {
        let told = orthanc.send(folder);
        assert_eq!((&told["InstancesCount"], &told["FailedInstancesCount"]), (&json!(6), &json!(0)), "{told}");
    }
    let results = hall.scene.results(2);
    assert!(results.iter().all(|result| scene::read(result) && result.payload["input"]["files"] == 6), "{results:?}");
    hall.scene.balanced(2);
}

#[test]
fn nothing_of_the_patient_is_told_by_the_door() {
    const MARKER: &str = "ZQMARKERQZ";
    let marked = |size, seed| series::make(&Plan { marker: MARKER.to_owned(), size, ..Plan::small(1, seed) }).unwrap();
    let (small, large) = (marked(48, 63), marked(256, 64));
    let uids = [small.uids(0).unwrap(), large.uids(0).unwrap()];
    let hall = Hall::new(&["log.level = \"trace\"", "volume.limits.file_bytes = 50000"]);
    // One is too large, so that an error is told, too; and a caller is not let in.
    let told = hall.send(&json!({}), &[folders(&small)[0], folders(&large)[0]]);
    assert_eq!(answered(&told).len(), 6, "{told:?}");
    assert_eq!(told.iter().filter(|line| line["status"] == 0xa700).count(), 6, "{told:?}");
    hall.send(&json!({ "calling": "NOBODY" }), &[]);
    let log = || hall.scene.appliance.log();
    hall.scene.results(1);
    let done = || Ok(log().contains("cannot be kept") && log().contains("were not let in"));
    assert!(process::wait_until(PATIENCE, done).unwrap(), "{}", hall.scene.appliance.log_end());
    let uids = uids.iter().flat_map(|(study, series)| [study.as_str(), series]);
    for secret in uids.chain([MARKER, "19480316"]) {
        assert!(!log().contains(secret), "{secret} in the log");
    }
}
