use super::*;
use crate::floor::fate::Code;
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::{CompleteBy, Priority};
use crate::infer::Drafted;
use crate::infer::Provider;
use ctedge_models::report::Claim;
use ctedge_models::scan::{Format, Reason};
use ctedge_models::text::Draft;
use proptest::prelude::*;

fn model() -> Model {
    let spec = |label| LabelSpec { label, threshold: 0.5, temperature: 2.0 };
    Model {
        name: "m".into(),
        version: "1.0.0".into(),
        serial: 1,
        created: "2026-11-23T00:00:00Z".into(),
        digest: "d".into(),
        signer: "s".into(),
        trained: true,
        precision: "f32".into(),
        intended_use: "research".into(),
        labels: vec![spec(Label::Emphysema), spec(Label::PleuralEffusion)],
        provider: Provider::Cpu,
        nodes: std::collections::BTreeMap::new(),
        passed_over: Vec::new(),
        unbuilt: None,
        discarded: false,
        library: "lib".into(),
        runtime: "1.28.0".into(),
        golden_difference: 0.0,
        drafts: false,
        unscored: Vec::new(),
    }
}

fn inferred(logits: [f32; 2], warnings: Vec<Warning>) -> Inferred {
    let facts = Facts {
        format: Format::Dicom,
        instances: 3,
        slices: 3,
        dropped: BTreeMap::new(),
        transfer_syntax: None,
        size: [1, 1, 3],
        spacing_mm: [1.0; 3],
        orientation: "LPS".into(),
        gaps: 0,
        tilt_deg: 0.0,
        hu_range: [-1000.0, 1000.0],
        warnings,
    };
    let scores = Scores {
        logits: logits.to_vec(),
        foci: Vec::new(),
        similar: None,
        watched: Vec::new(),
        preprocess_ms: 1,
        infer_ms: 2,
    };
    Inferred {
        subject: subject(),
        facts: Some(facts),
        scores: Ok(scores),
        queue_ms: 3,
        decode_ms: 4,
        throttled_ms: 0,
        is_hot: false,
    }
}

fn subject() -> Subject {
    Subject {
        study_key: StudyKey("sk1_a".into()),
        series_key: SeriesKey("ek1_b".into()),
        digest: "0".into(),
        instances: 3,
        expected: None,
        complete_by: CompleteBy::QuietPeriod,
        revision: 1,
        replaces: None,
        choice: None,
        completed_ms: 0,
        priority: Priority::Routine,
    }
}

#[test]
fn scores_become_calibrated_flags() {
    let flagged = report(&Settings::default(), inferred([-2.0, 2.0], Vec::new()), None, &model());
    assert_eq!(flagged.outcome, Outcome::Flagged);
    let [emphysema, effusion] = flagged.flags.as_slice() else { panic!("two flags") };
    assert!((emphysema.probability - 0.268_941).abs() < 1e-6, "sigmoid(-1)");
    assert!((effusion.probability - 0.731_059).abs() < 1e-6, "sigmoid(1)");
    assert_eq!((emphysema.positive(), effusion.positive()), (false, true));
    assert_eq!(
        report(&Settings::default(), inferred([-2.0, -0.1], Vec::new()), None, &model()).outcome,
        Outcome::Clear
    );
}

#[test]
fn a_site_may_set_its_own_threshold() {
    let settings = Settings { thresholds: [(Label::PleuralEffusion, 0.8)].into(), ..Settings::default() };
    assert_eq!(report(&settings, inferred([-2.0, 2.0], Vec::new()), None, &model()).outcome, Outcome::Clear);
    let wrong = Settings { thresholds: [(Label::PleuralEffusion, 8.0)].into(), ..Settings::default() };
    assert_eq!(wrong.problems().len(), 1);
}

#[test]
fn a_doubtful_input_is_neither_flagged_nor_clear() {
    for logits in [[-2.0, 2.0], [-2.0, -2.0]] {
        let report = report(&Settings::default(), inferred(logits, vec![Warning::ShortCoverage]), None, &model());
        assert_eq!((report.outcome, report.flags.len()), (Outcome::Inconclusive, 2));
    }
    let notable = inferred([-2.0, 2.0], vec![Warning::UnevenSpacing]);
    assert_eq!(report(&Settings::default(), notable, None, &model()).outcome, Outcome::Flagged);
}

#[test]
fn refusals_blame_the_input_or_the_device() {
    for (code, outcome) in [
        (Code::Scan(Reason::NotCt), Outcome::Rejected),
        (Code::ScanMemory, Outcome::Rejected),
        (Code::InferTime, Outcome::Failed),
    ] {
        let refused =
            Inferred { scores: Err(Refusal::new(code, "why")), facts: None, ..inferred([0.0; 2], Vec::new()) };
        let report = report(&Settings::default(), refused, None, &model());
        assert_eq!((report.outcome, report.refusal.map(|refusal| refusal.code)), (outcome, Some(code)));
        assert!(report.flags.is_empty() && report.model.is_none());
    }
}

#[test]
fn a_flag_that_is_less_likely_than_not_is_called_possible() {
    let call = |probability, threshold, possible_below| {
        Flag { label: Label::LungNodule, probability, threshold, possible_below }.call()
    };
    assert_eq!([call(0.2, 0.3, 0.5), call(0.3, 0.3, 0.5)], [Call::Absent, Call::Possible]);
    assert_eq!(
        [call(0.5, 0.3, 0.5), call(0.4, 0.3, 0.0), call(0.6, 0.7, 0.5)],
        [Call::Present, Call::Present, Call::Absent]
    );
    let written = Written::of(
        drafted("There is a nodule.", ""),
        Seen {
            flags: &[Flag { label: Label::LungNodule, probability: 0.4, threshold: 0.3, possible_below: 0.5 }],
            foci: &[],
        },
    );
    assert_eq!(written.disagreements.first().map(|one| one.kind.name()), Some("overstated"));
    assert_eq!(Settings { possible_below: 1.5, ..Settings::default() }.problems().len(), 1);
}

fn flags_of(positive: &[bool]) -> Vec<Flag> {
    let flag = |(label, positive): (Label, &bool)| Flag {
        label,
        probability: if *positive { 0.9 } else { 0.1 },
        threshold: 0.5,
        possible_below: 0.5,
    };
    Label::all().zip(positive).map(flag).collect()
}

fn drafted(findings: &str, impression: &str) -> Drafted {
    let draft = Draft { findings: findings.into(), impression: impression.into() };
    Drafted { draft, truncated: false, tokens: 7, cost: Cost::default() }
}

proptest! {
    /// The template is read as the flags it was made of, by the reader that checks drafts.
    #[test]
    fn the_template_says_what_the_flags_say(probabilities in prop::collection::vec(prop::sample::select(vec![0.1, 0.4, 0.9]), 18)) {
        let flag = |(label, probability)| Flag { label, probability, threshold: 0.3, possible_below: 0.5 };
        let flags: Vec<Flag> = Label::all().zip(probabilities).map(flag).collect();
        let written = Written::template(&flags, None);
        prop_assert_eq!(&written.disagreements, &[]);
        for text in [&written.draft.text(), &written.draft.impression] {
            let said = ctedge_models::report::read(text);
            for flag in &flags {
                let claim = match flag.call() {
                    Call::Absent => None,
                    Call::Possible => Some(Claim::Uncertain),
                    Call::Present => Some(Claim::Present),
                };
                prop_assert_eq!(said.says(flag.label).filter(|claim| *claim != Claim::Absent), claim, "{}", text);
            }
        }
    }
}

#[test]
fn a_draft_is_held_against_every_flag() {
    let mut positive = [false; 18];
    for label in [Label::Emphysema, Label::Cardiomegaly, Label::LungNodule, Label::HiatalHernia] {
        positive[label.index()] = true;
    }
    let flags = flags_of(&positive);
    let findings = "There is emphysema in both lungs. Heart size is within normal limits. A possible nodule is seen. \
                    There is a pleural effusion on the left. No consolidation.";
    let written = Written::of(drafted(findings, "Emphysema."), Seen { flags: &flags, foci: &[] });
    let told: Vec<(Label, &str)> = written.disagreements.iter().map(|one| (one.code, one.kind.name())).collect();
    let expected =
        [(Label::Cardiomegaly, "denied"), (Label::HiatalHernia, "omitted"), (Label::PleuralEffusion, "not_flagged")];
    assert_eq!(told, expected);
}

#[test]
fn an_empty_draft_is_none_and_an_endless_one_is_cut() {
    let flags = flags_of(&[false; 18]);
    let empty = Written::of(drafted("", " "), Seen { flags: &flags, foci: &[] });
    assert_eq!((empty.author, empty.fallback), (Author::Template, Some(Fallback::Empty)));
    let endless = Written::of(drafted(&"\u{e9}".repeat(20_001), "x"), Seen { flags: &flags, foci: &[] });
    assert!(endless.truncated && endless.draft.findings.len() == 12 << 10);
}

#[test]
fn a_side_and_a_zone_are_held_against_where_the_flag_comes_from() {
    let mut positive = [false; 18];
    positive[Label::LungNodule.index()] = true;
    let flags = flags_of(&positive);
    let placed = |findings: &str, left_mm: f64, height: Option<f64>| {
        let (centroid_mm, extent_mm, key_slice_mm, share) = ([0.0; 3], [50.0; 3], 0.0, 0.7);
        let focus = Focus { centroid_mm, extent_mm, key_slice_mm, share, left_mm, height };
        let mut foci = vec![None; 18];
        foci[Label::LungNodule.index()] = Some(focus);
        let written = Written::of(drafted(findings, ""), Seen { flags: &flags, foci: &foci });
        written.disagreements.iter().map(|one| one.kind.name()).collect::<Vec<_>>()
    };
    let kinds = |findings: &str, left_mm: f64| placed(findings, left_mm, None);
    let (left, both) = (
        "There is a nodule in the left upper lobe.",
        "There is a nodule in the left lung. A nodule lies in the right lung.",
    );
    assert_eq!(kinds(left, -80.0), ["side"]);
    for (findings, left_mm) in [(left, 80.0), (left, -20.0), (both, -80.0), ("A nodule is seen.", -80.0)] {
        assert!(kinds(findings, left_mm).is_empty(), "{findings} {left_mm}");
    }
    let upper = "There is a nodule in the upper lobe.";
    assert_eq!(placed(upper, 0.0, Some(0.2)), ["zone"]);
    assert_eq!(placed("There is a nodule in the left lower lobe.", 80.0, Some(0.9)), ["zone"]);
    for (findings, height) in
        [(upper, Some(0.5)), (upper, None), ("A nodule in the upper lobe. A nodule in the lower lobe.", Some(0.1))]
    {
        assert!(placed(findings, 0.0, height).is_empty(), "{findings} {height:?}");
    }
}
