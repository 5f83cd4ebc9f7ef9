//! Decoders that go wrong: the flags go out all the same, and no draft is sent without its mark or with a false word about itself.

use ctedge_models::bundle::Manifest;
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::variant::{Strange, Workshop};
use ctedge_tests::{phantom, process};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A patient, and an appliance whose model is a release of the workshop.
struct Ward {
    folder: TempDir,
    appliance: Appliance,
}

impl Ward {
    fn new(workshop: &Workshop, strange: Strange, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom::write(&folder.path().join("scan")).unwrap();
        let mut setup = Setup::quick(process::free_port().unwrap());
        setup.more = settings.iter().map(|line| (*line).to_owned()).collect();
        let mut appliance = Appliance::new(&setup).unwrap();
        fs::copy(workshop.public(), appliance.path("trust/workshop.pub")).unwrap();
        appliance.environment("CTEDGE__INFER__BUNDLE", workshop.release(1, strange, |_manifest| {}).unwrap());
        Self { folder, appliance }
    }

    fn scan(&self) -> PathBuf {
        self.folder.path().join("scan")
    }

    /// Result and report of the patient.
    fn told(&self) -> [Value; 2] {
        let mut command = self.appliance.command(&["process", "--json", "--drafts"]);
        let told = process::output(command.arg(self.scan())).unwrap();
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: [Value; 2] = told.try_into().unwrap();
        let [result, report] = &told;
        assert_eq!(result["flags"].as_array().map(Vec::len), Some(18), "{result}");
        for message in &told {
            assert_eq!(message["review_status"], json!("unverified_draft"), "{message}");
        }
        assert_eq!(report["disagreements"], result["report"]["disagreements"]);
        told
    }
}

/// A decoder that goes wrong leaves the flags, and a template that says why.
pub(crate) fn fails(workshop: &Workshop) {
    let [_, report] = Ward::new(workshop, Strange::NanDraft, &[]).told();
    assert_eq!((&report["author"], &report["fallback"]), (&json!("template"), &json!("not_finite")), "{report}");
    assert_eq!((&report["tokens"], &report["truncated"]), (&json!(0), &json!(false)), "{report}");

    let begun = Instant::now();
    let [result, report] = Ward::new(workshop, Strange::StuckDraft, &["draft.within_s = 1.0"]).told();
    assert_eq!((&report["author"], &report["fallback"]), (&json!("template"), &json!("time")), "{report}");
    assert!(begun.elapsed() < Duration::from_mins(2), "the graph of 2^60 turns was ended");
    assert_ne!(result["outcome"], json!("failed"), "{result}");
}

/// A decoder that never ends is cut short, and says so.
pub(crate) fn never_ends(workshop: &Workshop) {
    let most = workshop.manifest().decoder.as_ref().unwrap().step.max_tokens;
    let short =
        Ward::new(workshop, Strange::EndlessDraft, &["draft.max_tokens = 40", "draft.on_disagreement = \"mark\""]);
    for (ward, tokens) in [(&short, 40), (&Ward::new(workshop, Strange::EndlessDraft, &[]), most)] {
        let [result, report] = ward.told();
        assert_eq!((&report["author"], &report["truncated"]), (&json!("decoder"), &json!(true)), "{report}");
        assert_eq!(result["report"]["truncated"], json!(true), "{result}");
        assert!(report["tokens"].as_u64().unwrap() <= u64::try_from(tokens).unwrap(), "{report}");
    }
    let printed = process::output(short.appliance.command(&["process"]).arg(short.scan())).unwrap();
    assert!(printed.contains("UNVERIFIED DRAFT by the model, cut short"), "{printed}");
}

/// Reference cases that are none are refused when a bundle is made.
pub(crate) fn has_no_cases(workshop: &Workshop) {
    let empty = |manifest: &mut Manifest| manifest.evidence.as_mut().unwrap().count = 0;
    let refused = workshop.release(1, Strange::No, empty).unwrap_err();
    assert!(format!("{refused:#}").contains("evidence"), "{refused:#}");
}

#[test]
fn a_page_shows_what_the_result_says() {
    let setup = Setup::quick(process::free_port().unwrap());
    let appliance = Appliance::new(&setup).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [scan, page] = ["scan", "page.png"].map(|name| folder.path().join(name));
    phantom::write(&scan).unwrap();
    process::output(appliance.command(&["process"]).arg(&scan).arg("--montage").arg(&page)).unwrap();
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&page).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.width, frame.color_type), (1240, png::ColorType::Rgb));
    // The band that says that it is a draft, and slices that are neither black nor white.
    assert_eq!(&pixels[..3], [176, 32, 32]);
    let gray = pixels.chunks_exact(3).filter(|pixel| pixel[0] == pixel[1] && (40..200).contains(&pixel[0])).count();
    assert!(gray > 50_000, "{gray} pixels of slices");
}
