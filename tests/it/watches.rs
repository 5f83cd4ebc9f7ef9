//! Findings that a site describes in its own words: the same scores as by other people's software, and an honest word where there
//! are none.

use ctedge_models::bundle::Manifest;
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::variant::{Strange, Workshop};
use ctedge_tests::{phantom, process, tools};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CALIBRATION: &str = "calibration = { slope = 0.5, offset = -0.25, threshold = 0.4 }";

/// A patient, and an appliance that watches.
struct Ward {
    folder: TempDir,
    appliance: Appliance,
}

impl Ward {
    fn new(watches: &[(&str, &str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom::write(&folder.path().join("scan")).unwrap();
        let mut setup = Setup::quick(process::free_port().unwrap());
        setup.more = vec!["draft.source = \"off\"".to_owned()];
        let watch = |(name, present, absent, more): &(&str, &str, &str, &str)| {
            format!("[[watch]]\nname = {name:?}\npresent = {present:?}\nabsent = {absent:?}\n{more}")
        };
        setup.more.extend(watches.iter().map(watch));
        Self { folder, appliance: Appliance::new(&setup).unwrap() }
    }

    fn scan(&self) -> PathBuf {
        self.folder.path().join("scan")
    }

    /// What the result of the patient says.
    fn result(&self) -> Value {
        let told = process::output(self.appliance.command(&["process", "--json"]).arg(self.scan())).unwrap();
        serde_json::from_str(told.trim()).unwrap()
    }

    /// The folder below `state/models` whose name ends so.
    fn models(&self, ending: &str) -> PathBuf {
        let entries = fs::read_dir(self.appliance.path("state/models")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.is_dir() && path.to_string_lossy().ends_with(ending)).unwrap()
    }

    /// Sentences whose embeddings are kept.
    fn kept(&self) -> Vec<PathBuf> {
        let inside = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        // One folder for each provider that was tried.
        inside(self.models(".cache"))
            .flat_map(inside)
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("sentence-"))
            .collect()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_finding_in_words_has_the_score_that_other_software_computes() {
    let fluid = ("fluid", "Pleural effusion is present.", "Pleural effusion is not present.");
    let node = ("node", "There is a nodule in the right upper lobe.", "No nodule is seen in the right upper lobe.");
    let ward = Ward::new(&[(fluid.0, fluid.1, fluid.2, ""), (node.0, node.1, node.2, CALIBRATION)]);
    let result = ward.result();
    let [of_fluid, of_node] = result["watch"].as_array().unwrap().as_slice() else { panic!("{result}") };

    let model = ward.appliance.model().unwrap();
    let plan = json!({ "scan": ward.scan(), "model": model, "sentences": [[fluid.1, fluid.2], [node.1, node.2]] });
    let scores: Vec<f64> =
        serde_json::from_str(&tools::peer("watches.py", &[Path::new(&plan.to_string())]).unwrap()).unwrap();
    for (watch, score) in [of_fluid, of_node].into_iter().zip(&scores) {
        assert!((number(&watch["score"]) - score).abs() < 2e-3, "{watch} is not {score}");
    }
    assert!(scores[0] > 0.0, "the phantom has an effusion: {scores:?}");
    assert_eq!((&of_fluid["name"], &of_fluid["calibrated"]), (&json!("fluid"), &json!(false)));
    assert!(of_fluid.get("p").is_none() && of_fluid.get("positive").is_none(), "a score is no probability: {of_fluid}");
    let p = 1.0 / (1.0 + (-(0.5 * number(&of_node["score"]) - 0.25)).exp());
    assert!((number(&of_node["p"]) - p).abs() < 1e-4, "{of_node}");
    assert_eq!(of_node["t"], json!(0.4));
    assert_eq!((&of_node["calibrated"], &of_node["positive"]), (&json!(true), &json!(p >= 0.4)));

    // Read once; what is kept says the same, and what is torn is read again.
    let kept = ward.kept();
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert_eq!(ward.result()["watch"], result["watch"]);
    fs::write(&kept[0], [0; 512]).unwrap();
    fs::write(&kept[1], "torn").unwrap();
    assert_eq!(ward.result()["watch"], result["watch"]);
}

#[test]
fn what_cannot_be_scored_says_why_and_the_flags_go_on() {
    // Four tokens each.
    let long = format!("The nodules have {} mm.", "1.5, ".repeat(80));
    let ward = Ward::new(&[
        ("long", &long, "Nothing.", ""),
        ("foreign", "Пневмоторакс 気胸", "Nothing.", ""),
        ("plain", "Pneumothorax.", "No pneumothorax.", ""),
    ]);
    let result = ward.result();
    let told = |result: &Value| {
        let watches = result["watch"].as_array().unwrap().clone();
        watches.iter().map(|watch| watch["unscored"].as_str().unwrap_or("scored").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&result), ["too_long", "unreadable", "scored"], "{result}");
    assert_eq!(result["flags"].as_array().map(Vec::len), Some(18));
    let doctor = ward.appliance.command(&["doctor", "--json"]).output().unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let watches = doctor["checks"].as_array().unwrap().iter().find(|check| check["check"] == "watches").unwrap();
    assert!(watches.to_string().contains("long: a sentence is longer than the model reads"), "{watches}");

    // A model that reads no sentences.
    let workshop = Workshop::open().unwrap();
    let mute = workshop.release(1, Strange::No, without_text).unwrap();
    let mut ward = Ward::new(&[("plain", "Pneumothorax.", "No pneumothorax.", "")]);
    fs::copy(workshop.public(), ward.appliance.path("trust/workshop.pub")).unwrap();
    ward.appliance.environment("CTEDGE__INFER__BUNDLE", &mute);
    assert_eq!(told(&ward.result()), ["no_text_tower"]);
}

/// A model that compares no volumes with sentences.
fn without_text(manifest: &mut Manifest) {
    let text = manifest.text.take().unwrap();
    manifest.files.remove(&text.graph.file);
    if manifest.decoder.is_none() {
        manifest.files.remove(&text.tokenizer);
    }
    manifest.evidence = None;
    manifest.files.retain(|file, _entry| !file.starts_with("evidence/"));
}

#[test]
fn what_is_no_watch_is_refused_before_anything_runs() {
    let refused = |name: &str, present: &str| {
        let ward = Ward::new(&[(name, present, "Nothing.", "")]);
        let done = ward.appliance.command(&["check-config"]).output().unwrap();
        assert!(!done.status.success());
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    let endless = refused("endless", &"a".repeat(10_000));
    assert!(endless.contains("watch endless: present has 10000 characters, not 1 to 500"), "{endless}");
    assert!(!endless.contains("aaaa"), "the text is not repeated");
    assert!(refused("lung_nodule", "A nodule.").contains("watch lung_nodule: a flag of the model has this name"));
    assert!(refused("Jane Doe", "A.").contains("watch.name"));
    assert!(refused("same", "Nothing.").contains("present and absent say the same"));
}
