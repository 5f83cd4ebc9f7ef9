//! Models change on a running device: a new one is proved on the box, counts on probation, and gives way where it fails.

use crate::scene::{Scene, read};
use ctedge_models::bundle::file_digest;
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write::{self, SeriesTags};
use ctedge_tests::busy;
use ctedge_tests::subscriber::Message;
use ctedge_tests::variant::{KEY, Strange, Workshop};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A device with the reference model that trusts a workshop as well.
pub(crate) struct Site {
    pub(crate) scene: Scene,
    pub(crate) workshop: Workshop,
}

impl Site {
    /// With more lines of configuration.
    pub(crate) fn with(more: &[&str]) -> Self {
        let site = Self::waiting(more);
        site.started()
    }

    /// The same, not started.
    pub(crate) fn waiting(more: &[&str]) -> Self {
        let more: Vec<String> = more.iter().map(|line| (*line).to_owned()).collect();
        let mut scene = Scene::waiting(|setup| setup.more.extend(more));
        let workshop = Workshop::open().unwrap();
        let trust = scene.appliance.path("trust").join(format!("{KEY}.pub"));
        fs::copy(workshop.public(), trust).unwrap();
        let folder = scene.appliance.path("stick");
        fs::create_dir_all(&folder).unwrap();
        scene.appliance.environment("CTEDGE__UPDATE__FOLDER", folder);
        Self { scene, workshop }
    }

    /// Starts it, and waits until its model counts.
    pub(crate) fn started(mut self) -> Self {
        self.scene.appliance.start().unwrap();
        self.state("a", "active");
        self
    }

    /// Waits until a slot is in this state.
    pub(crate) fn state(&self, slot: &str, state: &str) -> Value {
        let topic = format!("/model/{slot}");
        let found = self.scene.wait(1, |message| message.topic.ends_with(&topic) && message.text("state") == state);
        found.into_iter().next_back().unwrap().payload
    }

    /// What `ctedge model` says: exit status, and standard output as JSON.
    pub(crate) fn model(&self, arguments: &[&str]) -> (i32, Value) {
        let done = self.scene.appliance.command(&["model"]).args(arguments).arg("--json").output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        let told = said.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code().unwrap(), if said.is_empty() { json!(complaint) } else { told })
    }

    /// Installs a bundle, and says what became of it.
    pub(crate) fn install(&self, bundle: &Path, more: &[&str]) -> Value {
        let path = bundle.display().to_string();
        let (status, told) = self.model(&[&["install", path.as_str()], more].concat());
        assert_eq!(status == 0, told["state"] == "succeeded", "{told}");
        told
    }

    /// Installs a bundle that is refused, and returns the reason.
    pub(crate) fn refused(&self, bundle: &Path, more: &[&str]) -> String {
        let told = self.install(bundle, more);
        told["reason_code"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
    }

    /// Drops a synthetic patient, and waits for the result.
    pub(crate) fn patient(&self, number: usize) -> Message {
        self.drop_patient(number);
        let results = self.scene.results(number);
        results.into_iter().next_back().unwrap()
    }

    pub(crate) fn drop_patient(&self, number: usize) {
        let folder = self.workshop.at(&format!("patient-{number}"));
        fs::create_dir_all(&folder).unwrap();
        let seed = 1000 + u64::try_from(number).unwrap();
        let recipe = Recipe { seed, size: [64, 64, 40], spacing_mm: [5.0, 5.0, 8.0], findings: Vec::new() };
        write::dicom_series(&recipe.volume().unwrap(), &SeriesTags::synthetic(seed), &folder).unwrap();
        self.scene.drop_folder(&folder, &format!("patient-{number}"));
    }

    /// Digest of the model that counts, as `ctedge model list` has it.
    pub(crate) fn counts(&self) -> String {
        let (_, slots) = self.model(&["list"]);
        let counts = |slot: &Value| {
            let standing = &slot["standing"];
            *standing == "active" || standing.get("probation").is_some()
        };
        let slot = ["a", "b"].map(|place| slots[place].clone()).into_iter().find(counts).unwrap();
        slot["model"]["digest"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn digest(bundle: &Path) -> String {
    file_digest(bundle).unwrap().1
}

fn made_by(result: &Message) -> &str {
    result.payload["model"]["digest"].as_str().unwrap_or_default()
}

#[test]
fn a_new_model_counts_on_probation_proves_itself_and_is_gone_back_from() {
    let site = Site::with(&["update.probation_series = 2"]);
    let before = site.counts();
    let first = site.patient(1);
    assert!(read(&first) && made_by(&first) == before, "{:?}", first.payload);

    let bundle = site.workshop.release(1, Strange::No, |_manifest| {}).unwrap();
    let told = site.install(&bundle, &[]);
    assert_eq!((&told["result"]["slot"], &told["result"]["state"]), (&json!("b"), &json!("probation")), "{told}");
    assert_eq!(site.counts(), digest(&bundle));
    assert_eq!(site.state("a", "standby")["model"]["digest"], json!(before));

    let older = site.workshop.release(2, Strange::No, |_manifest| {}).unwrap();
    assert_eq!(site.refused(&older, &[]), "unproved");
    assert_eq!(made_by(&site.patient(2)), digest(&bundle));
    site.patient(3);
    let proved = site.state("b", "active");
    assert_eq!(proved["model"]["version"], "0.9.1");

    let (status, told) = site.model(&["rollback", "the ward asked for it"]);
    assert_eq!((status, &told["result"]["digest"]), (0, &json!(before)), "{told}");
    assert_eq!(site.state("b", "failed")["reason_code"], "rolled_back");
    assert_eq!(made_by(&site.patient(4)), before);
    let causes = site.scene.wait(4, |message| message.topic.ends_with("/event/model_changed"));
    let causes: Vec<&str> = causes.iter().map(|message| message.text("cause")).collect();
    assert_eq!(causes, ["adopted", "activated", "proved", "rolled_back"]);
    site.scene.balanced(4);
}

#[test]
fn a_model_that_goes_wrong_once_it_runs_gives_way_and_no_series_is_lost() {
    let cases = [(Strange::Nan, "faults", 1), (Strange::NanDraft, "faults", 2), (Strange::Alarmed, "flags_shift", 5)];
    for (strange, code, patients) in cases {
        let site = Site::with(&["update.probation_series = 20", "update.flags_shift = 3.0"]);
        let before = site.counts();
        (1..=patients).for_each(|number| drop(site.patient(number)));
        let bundle = site.workshop.release(1, strange, |_manifest| {}).unwrap();
        let told = site.install(&bundle, &[]);
        assert_eq!(told["result"]["state"], "probation", "{told}");
        for number in patients + 1..=2 * patients {
            let result = site.patient(number);
            assert!(read(&result), "{}", result.payload);
            assert_eq!(made_by(&result), if strange == Strange::Nan { before.clone() } else { digest(&bundle) });
        }
        let failed = site.state("b", "failed");
        assert_eq!(failed["reason_code"], code, "{failed}");
        assert_eq!(site.counts(), before);
        assert_eq!(made_by(&site.patient(2 * patients + 1)), before);
    }
}

#[test]
fn a_model_that_hangs_or_eats_memory_is_contained_and_gives_way() {
    let site = Site::with(&["infer.run_s = 2.0", "infer.memory_mib = 3000", "update.probation_faults = 0"]);
    let before = site.counts();
    for (number, strange) in [(1, Strange::Endless), (2, Strange::Huge)] {
        let bundle = site.workshop.release(u64::try_from(number).unwrap(), strange, |_manifest| {}).unwrap();
        let told = site.install(&bundle, &[]);
        assert_eq!(told["result"]["state"], "probation", "{told}");
        let result = site.patient(number);
        assert!(read(&result) && made_by(&result) == before, "{}", result.payload);
        let gave_way = |message: &Message| {
            message.topic.ends_with("/model/b")
                && message.payload["model"]["digest"] == json!(digest(&bundle))
                && message.text("state") == "failed"
        };
        assert_eq!(site.scene.wait(1, gave_way).pop().unwrap().text("reason_code"), "faults");
    }
    assert_eq!(site.counts(), before);
}

#[test]
fn a_model_in_the_shadow_is_compared_and_then_counts() {
    let mut site = Site::with(&[]);
    let before = site.counts();
    let bundle = site.workshop.release(1, Strange::No, |_manifest| {}).unwrap();
    assert_eq!(site.install(&bundle, &["--mode", "shadow"])["result"]["state"], "shadow");
    assert_eq!(made_by(&site.patient(1)), before);
    let topic = |message: &Message| message.topic.ends_with("/model/b");
    let compared =
        |series: u64| move |message: &Message| topic(message) && message.payload["shadow"]["series"] == series;
    let told = site.scene.wait(1, compared(1)).pop().unwrap().payload;
    assert_eq!((&told["shadow"]["agreement"], &told["shadow"]["against"]), (&json!(1.0), &json!(before)), "{told}");

    // It is there again after a restart, and counts on.
    site.scene.appliance.kill().unwrap();
    site.scene.appliance.start().unwrap();
    site.patient(2);
    site.scene.wait(1, compared(2));
    let (status, told) = site.model(&["activate"]);
    assert_eq!((status, &told["result"]["state"]), (0, &json!("probation")), "{told}");
    assert_eq!(made_by(&site.patient(3)), digest(&bundle));
}

#[test]
fn a_bundle_in_the_folder_is_taken_and_one_at_the_configured_place_too() {
    let mut site = Site::waiting(&["update.probation_series = 1"]);
    let configured = site.scene.appliance.path("model.ctb");
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).unwrap();
        fs::copy(from.with_extension("ctb.minisig"), to.with_extension("ctb.minisig")).unwrap();
    };
    copy(&ctedge_tests::place::reference_bundle().unwrap(), &configured);
    site.scene.appliance.environment("CTEDGE__INFER__BUNDLE", &configured);
    let mut site = site.started();
    let stick = site.workshop.release(1, Strange::No, |_manifest| {}).unwrap();
    copy(&stick, &site.scene.appliance.path("stick").join("brought.ctb"));
    assert_eq!(site.state("b", "probation")["model"]["digest"], json!(digest(&stick)));
    site.patient(1);
    site.state("b", "active");

    site.scene.appliance.stop().unwrap();
    let newer = site.workshop.release(2, Strange::No, |_manifest| {}).unwrap();
    copy(&newer, &configured);
    site.scene.appliance.start().unwrap();
    assert_eq!(site.state("a", "probation")["model"]["digest"], json!(digest(&newer)));
}

#[test]
fn on_a_busy_box_no_series_is_lost_and_each_result_names_the_model_that_counted() {
    let course = busy::play(Duration::from_millis(150)).unwrap();
    assert_eq!(course.breaches(), Vec::<String>::new());
    // How long they waited is for `faults busy` to judge, on a machine that does nothing else.
    println!("{} series, {:?}", course.sent(), course.waits().iter().max_by_key(|wait| wait.waited_ms).unwrap());
    let late = course.with_a_late_change();
    assert!(late.breaches().iter().any(|breach| breach.contains(" names ")));
    assert!(late.without_a_result().breaches().iter().any(|breach| breach.contains("no result has the number")));
}
