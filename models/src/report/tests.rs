use super::*;
use crate::phantom::{self, Recipe};
use proptest::prelude::*;

/// What a text says of a label.
fn says(text: &str, label: Label) -> Option<Claim> {
    read(text).says(label)
}

/// Each line: a text, a label, what it says of it.
fn check(cases: &[(&str, Label, Claim)]) {
    for &(text, label, claim) in cases {
        assert_eq!(says(text, label), Some(claim), "{text:?} about {}", label.name());
    }
}

/// Texts that do not speak of a label.
fn silent(cases: &[(&str, Label)]) {
    for &(text, label) in cases {
        assert_eq!(says(text, label), None, "{text:?} about {}", label.name());
    }
}

use Claim::{Absent, Historical, Present, Uncertain};
use Label::{
    ArterialWallCalcification, Atelectasis, Bronchiectasis, Cardiomegaly, Consolidation,
    CoronaryArteryWallCalcification, Emphysema, HiatalHernia, InterlobularSeptalThickening, LungNodule, LungOpacity,
    Lymphadenopathy, MedicalMaterial, MosaicAttenuationPattern, PeribronchialThickening, PericardialEffusion,
    PleuralEffusion, PulmonaryFibroticSequela,
};

#[test]
fn a_denial_before_reaches_over_a_list() {
    check(&[
        ("No effusion of the pleura, nodule or consolidation.", PleuralEffusion, Absent),
        ("No effusion of the pleura, nodule or consolidation.", LungNodule, Absent),
        ("No effusion of the pleura, nodule or consolidation.", Consolidation, Absent),
        ("The chest is without bronchiectasis.", Bronchiectasis, Absent),
        ("Neither emphysema nor a nodule can be made out.", LungNodule, Absent),
        ("Lungs free of consolidation.", Consolidation, Absent),
        ("There is absence of pleural fluid.", PleuralEffusion, Absent),
    ]);
}

#[test]
fn a_denial_behind_reaches_back_to_the_verb_before() {
    check(&[
        ("Consolidation was not observed.", Consolidation, Absent),
        ("A nodule and pleural effusion were not clearly seen on these images.", PleuralEffusion, Absent),
        ("A nodule is present at the left base, and consolidation was not seen.", LungNodule, Present),
        ("A nodule is present at the left base, and consolidation was not seen.", Consolidation, Absent),
        ("The nodule that was described in spring is no longer visible.", LungNodule, Absent),
        ("The opacity which was seen before was not found today.", LungOpacity, Absent),
    ]);
}

#[test]
fn a_denial_ends_where_something_new_is_stated() {
    check(&[
        ("No effusion was seen in the pleura, but the lungs show emphysema.", Emphysema, Present),
        ("No nodule was detected, mild emphysema in both lungs.", Emphysema, Present),
        ("No consolidation; atelectasis at the right base.", Atelectasis, Present),
        ("No abnormality other than a hiatal hernia.", HiatalHernia, Present),
        ("No finding except bronchiectasis.", Bronchiectasis, Present),
        ("There is no consolidation and there is a small pleural effusion.", PleuralEffusion, Present),
        ("No nodule was found and there is linear atelectasis.", Atelectasis, Present),
    ]);
}

#[test]
fn words_that_only_look_like_denials_deny_nothing() {
    check(&[
        ("No significant change in the nodule of the left lung.", LungNodule, Present),
        ("No increase in the size of the nodule.", LungNodule, Present),
        ("Not only emphysema, also bronchiectasis is seen.", Emphysema, Present),
        (
            "Vessels cannot be assessed for lack of contrast, and a pericardial effusion is seen.",
            PericardialEffusion,
            Present,
        ),
        ("Non-specific nodules in both lungs.", LungNodule, Present),
        ("Consolidation is unchanged and shows no difference to the last scan.", Consolidation, Present),
    ]);
}

#[test]
fn doubt_and_the_past_are_neither_presence_nor_absence() {
    check(&[
        ("Lymphadenopathy cannot be excluded.", Lymphadenopathy, Uncertain),
        ("Findings suspicious for consolidation.", Consolidation, Uncertain),
        ("Possible pericardial effusion.", PericardialEffusion, Uncertain),
        ("Bronchiectasis is possible.", Bronchiectasis, Uncertain),
        ("Pulmonary fibrotic sequela are possible in both apices.", PulmonaryFibroticSequela, Uncertain),
        ("Density at the base (atelectasis?).", Atelectasis, Uncertain),
        ("The pleural effusion has resolved.", PleuralEffusion, Historical),
        ("The central catheter was removed.", MedicalMaterial, Historical),
        ("History of pleural effusion.", PleuralEffusion, Historical),
    ]);
    let reading = read("Possible pericardial effusion. The pleural effusion has resolved.");
    assert_eq!(reading.labels(), [false; LABEL_COUNT]);
    assert_eq!(says("Atelectasis? A plate of atelectasis on the left.", Atelectasis), Some(Present));
}

#[test]
fn normal_organs_deny_without_a_word_of_denial() {
    check(&[
        ("The heart is of normal size.", Cardiomegaly, Absent),
        ("Heart contour and size are natural.", Cardiomegaly, Absent),
        ("The heart is larger than normal.", Cardiomegaly, Present),
        ("Heart size has increased.", Cardiomegaly, Present),
        ("The cardiothoracic ratio is increased.", Cardiomegaly, Present),
        ("No cardiomegaly.", Cardiomegaly, Absent),
        ("Both lungs are clear.", Consolidation, Absent),
        ("Unremarkable CT of the chest.", HiatalHernia, Absent),
        ("The bronchi are of normal width with thin walls.", Bronchiectasis, Absent),
    ]);
}

#[test]
fn lymph_nodes_that_are_described_count_and_those_of_other_places_do_not() {
    check(&[
        ("Small mediastinal lymph nodes, up to 6 mm.", Lymphadenopathy, Present),
        ("Paratracheal LAP of 2 cm.", Lymphadenopathy, Present),
        ("No lymph node of pathological size is seen in the mediastinum.", Lymphadenopathy, Absent),
        ("Mediastinal lymph nodes are not enlarged.", Lymphadenopathy, Absent),
    ]);
    silent(&[
        ("An intrapulmonary lymph node on the fissure.", Lymphadenopathy),
        ("Mesenteric lymph nodes are noted.", Lymphadenopathy),
    ]);
}

#[test]
fn the_two_effusions_are_told_apart() {
    check(&[
        ("Pericardial effusion of 1 cm, no pleural effusion.", PericardialEffusion, Present),
        ("Pericardial effusion of 1 cm, no pleural effusion.", PleuralEffusion, Absent),
        ("No pleural or pericardial effusion.", PleuralEffusion, Absent),
        ("No pleural or pericardial effusion.", PericardialEffusion, Absent),
        ("Effusion in the right pleural space.", PleuralEffusion, Present),
        ("Bilateral effusion.", PleuralEffusion, Present),
        ("Pericardial effusion-thickening was not observed.", PericardialEffusion, Absent),
    ]);
    silent(&[
        ("A little effusion lies in the pericardial space.", PleuralEffusion),
        ("Free effusion around the spleen.", PleuralEffusion),
    ]);
}

#[test]
fn calcium_belongs_to_its_vessel() {
    check(&[
        ("Calcified plaques in the aorta and the coronary arteries.", ArterialWallCalcification, Present),
        ("Calcified plaques in the aorta and the coronary arteries.", CoronaryArteryWallCalcification, Present),
        ("The coronary arteries are calcified.", CoronaryArteryWallCalcification, Present),
        ("Plaque in the LAD.", CoronaryArteryWallCalcification, Present),
    ]);
    silent(&[
        ("The coronary arteries are calcified.", ArterialWallCalcification),
        ("The aortic valve is calcified.", ArterialWallCalcification),
        ("Calcified lymph nodes beside the aorta.", ArterialWallCalcification),
        ("Atheroma of the aortic arch.", CoronaryArteryWallCalcification),
    ]);
}

#[test]
fn medical_material_is_what_medicine_left_behind() {
    for text in [
        "A pacemaker lies on the left.",
        "Port chamber on the right chest wall.",
        "Stent in the LAD.",
        "Metallic wires of a sternotomy.",
        "A chest tube ends in the apex.",
        "Surgical clips in the axilla.",
        "Tracheostomy.",
        "Screws in T8.",
        "State after aortic valve replacement.",
    ] {
        check(&[(text, MedicalMaterial, Present)]);
    }
    check(&[("No catheter is seen.", MedicalMaterial, Absent)]);
    silent(&[("Contrast material was given; reporting is limited.", MedicalMaterial)]);
}

#[test]
fn similar_words_of_the_lung_are_told_apart() {
    check(&[
        ("Fibroatelectatic bands in the lingula.", PulmonaryFibroticSequela, Present),
        ("Ground-glass density in both lungs.", LungOpacity, Present),
        ("Ground glass areas around consolidation.", LungOpacity, Present),
        ("A ground-glass nodule of 6 mm.", LungNodule, Present),
        ("A ground-glass nodule of 6 mm.", LungOpacity, Uncertain),
        ("Density increases in dependent parts, dependent density increases.", LungOpacity, Present),
        ("Mosaic perfusion of the lungs.", MosaicAttenuationPattern, Present),
        ("Peribronchial cuffing.", PeribronchialThickening, Present),
        ("Thickened bronchial walls.", PeribronchialThickening, Uncertain),
        ("Interlobular septa are thickened.", InterlobularSeptalThickening, Present),
        ("Sequelae of old tuberculosis in the apex.", PulmonaryFibroticSequela, Present),
        ("Dilated bronchi in the lower lobes.", Bronchiectasis, Present),
        ("Bullae in the right apex.", Emphysema, Present),
    ]);
    silent(&[
        ("Fibroatelectatic bands in the lingula.", Atelectasis),
        ("Pleural thickening.", PeribronchialThickening),
        ("Thyroid gland with a nodule of 1 cm.", LungNodule),
        ("Nodule in the left adrenal gland.", LungNodule),
        ("Subcutaneous emphysema of the neck.", Emphysema),
        ("Sequela of a rib fracture.", PulmonaryFibroticSequela),
        ("Paraseptal emphysema.", InterlobularSeptalThickening),
    ]);
}

#[test]
fn each_place_of_a_list_is_a_statement() {
    let reading =
        read("Two nodules: 5 mm in the right upper lobe and 8 mm in the lower lobe of the left lung. No effusion.");
    let places = |label| {
        let of = reading.statements.iter().filter(move |statement| statement.label == label);
        of.map(|statement| (statement.side, statement.zone)).collect::<Vec<_>>()
    };
    assert_eq!(places(LungNodule), [(Some(Side::Right), Some(Zone::Upper)), (Some(Side::Left), Some(Zone::Lower))]);
    assert_eq!(places(PleuralEffusion), [(None, None)]);
    let first = |text: &str| read(text).statements.first().map(|statement| (statement.side, statement.zone)).unwrap();
    assert_eq!(first("Atelectasis of the lingula."), (Some(Side::Left), Some(Zone::Middle)));
    assert_eq!(first("In both lungs there is emphysema."), (Some(Side::Both), None));
    assert_eq!(first("Scarring of the apex on the right."), (Some(Side::Right), Some(Zone::Upper)));
    assert_eq!(first("On the left side a hiatal hernia."), (None, None));
    assert_eq!(
        read("Bands of atelectasis in the right upper and lower lobes.").statements.len(),
        2,
        "the side holds for both zones"
    );
}

#[test]
fn sections_are_told_by_their_headings() {
    let text = "Clinical information: consolidation?\nTechnique: with contrast.\nFINDINGS:\nA nodule of 4 mm.\n\
                Impression: Emphysema.";
    let reading = read(text);
    let said: Vec<(Label, Section)> = reading.statements.iter().map(|said| (said.label, said.section)).collect();
    assert_eq!(said, [(LungNodule, Section::Findings), (Emphysema, Section::Impression)]);
    assert_eq!(&text[reading.statements[0].span.clone()], "A nodule of 4 mm.");
    let reading = read("Comparison: none, consolidation was asked for. A nodule of 4 mm.");
    let said: Vec<Label> = reading.statements.iter().map(|said| said.label).collect();
    assert_eq!(said, [LungNodule], "what follows a last preamble is read");
    // A colon inside a sentence heads nothing.
    assert_eq!(read("As far as can be seen: a nodule.").statements[0].section, Section::Findings);
}

#[test]
fn sentences_end_where_they_should() {
    let split = |text: &'static str| {
        sentences::sentences(text, 0..text.len()).into_iter().map(|span| &text[span]).collect::<Vec<_>>()
    };
    assert_eq!(split("A node of 2.5 cm at Th. 4 level. Next one.").len(), 2);
    assert_eq!(split("Nodule in the left lobe.In the right lobe none.").len(), 2);
    assert_eq!(split("The 7. rib is broken. It is old.").len(), 2);
    assert_eq!(split("• one finding • another one"), ["one finding •", "another one"]);
    assert_eq!(split("a wrapped\nline goes on\n\nA new one"), ["a wrapped\nline goes on", "A new one"]);
    assert_eq!(split("- first\n- Second").len(), 2);
    assert_eq!(split("Seen in the \"tree in bud\" pattern here.").len(), 1);
    assert_eq!(split("Is it (scar?) or not. No.").len(), 2);
    assert_eq!(split("  \n ... "), Vec::<&str>::new());
}

#[test]
fn the_message_form_is_stable() {
    let reading = read("Pleural effusion on the left.");
    let json = serde_json::to_value(&reading).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "statements": [{
            "label": "pleural_effusion", "claim": "present", "side": "left", "zone": null, "section": "findings",
            "span": { "start": 0, "end": 29 },
        }] })
    );
    assert_eq!(serde_json::from_value::<Reading>(json).unwrap(), reading);
}

/// Side and zone of a phantom's finding, as a report tells them.
fn place_of(finding: &phantom::Finding) -> (Option<Side>, Option<Zone>) {
    let side = finding.side.map(|side| match side {
        phantom::Side::Left => Side::Left,
        phantom::Side::Right => Side::Right,
    });
    let zone = finding.lobe.map(|lobe| match lobe {
        phantom::Lobe::Upper => Zone::Upper,
        phantom::Lobe::Middle => Zone::Middle,
        phantom::Lobe::Lower => Zone::Lower,
    });
    (side, zone)
}

/// The reports of many synthetic patients, whose labels are known to be true.
#[test]
fn every_wording_of_a_phantoms_report_is_read_right() {
    for seed in 0..3000 {
        let recipe = Recipe::patient(seed);
        for wording in [0, seed + 1] {
            let report = recipe.reworded(wording);
            let findings = read(&report.findings);
            assert_eq!(findings.labels(), recipe.labels(), "seed {seed}, wording {wording}: {}", report.findings);
            let impression = read(&report.impression).labels();
            assert_eq!(impression, recipe.labels(), "seed {seed}, wording {wording}: {}", report.impression);
            for finding in recipe.findings.iter().filter(|finding| finding.side.is_some()) {
                let is = |said: &Statement| {
                    (said.label, said.claim) == (finding.label, Present) && (said.side, said.zone) == place_of(finding)
                };
                assert!(findings.statements.iter().any(is), "seed {seed}: {finding:?} in {}", report.findings);
            }
        }
    }
}

/// Words of reports in any order, among marks and strangers.
fn jumble() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "no",
            "not",
            "observed",
            "nodule",
            "effusion",
            "pleural",
            "(",
            ")",
            "?",
            ".",
            ";",
            ":",
            "\n",
            "and",
            ",",
            "right",
            "upper",
            "lobe",
            "was",
            "2.5",
            "Th.",
            "FINDINGS:",
            "\"",
            "•",
            "lymph",
            "nodes",
            "İ",
            "ß",
            "lingula",
            "but",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(word, 0..80).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_the_same_way_twice_and_spans_are_sentences(text in jumble()) {
        let reading = read(&text);
        prop_assert_eq!(&reading, &read(&text));
        for statement in &reading.statements {
            prop_assert!(text.get(statement.span.clone()).is_some_and(|sentence| !sentence.trim().is_empty()));
        }
        let spans = reading.statements.iter().map(|statement| statement.span.start);
        prop_assert!(spans.is_sorted());
    }

    #[test]
    fn capitals_change_no_label(seed in 0_u64..500, wording in 0_u64..50) {
        let text = Recipe::patient(seed).reworded(wording).findings;
        prop_assert_eq!(read(&text).labels(), read(&text.to_uppercase()).labels());
    }
}

/// What would take for ever where time grew faster than length.
#[test]
fn hostile_texts_are_read_at_once() {
    for unit in [
        "nodule ",
        "no ",
        "(",
        "nodule, and (",
        "calcified aorta coronary ",
        "a.",
        "?",
        ":",
        "findings:",
        "left upper lobe ",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        let reading = read(&text);
        assert!(reading.statements.len() <= text.len(), "{unit:?}");
    }
}

#[test]
fn reports_of_other_hands_are_read_as_well() {
    check(&[
        ("Status post bypass with sternotomy wires.", MedicalMaterial, Present),
        ("Bibasilar atelectasis.", Atelectasis, Present),
        ("Resolved consolidation in the RLL.", Consolidation, Historical),
        ("Interval resolution of the left pleural effusion.", PleuralEffusion, Historical),
        ("Cannot exclude a small pleural effusion.", PleuralEffusion, Uncertain),
        ("The nodule seen in the left lower lobe is no longer visualized.", LungNodule, Absent),
        ("No evidence of embolism, dissection, or pericardial effusion.", PericardialEffusion, Absent),
        ("Airways are patent without bronchiectasis.", Bronchiectasis, Absent),
        ("The heart is mildly enlarged.", Cardiomegaly, Present),
    ]);
    let places = |text: &str| read(text).statements.iter().map(|said| (said.side, said.zone)).collect::<Vec<_>>();
    assert_eq!(places("A nodule in the RML."), [(Some(Side::Right), Some(Zone::Middle))]);
    assert_eq!(places("Biapical scarring."), [(Some(Side::Both), Some(Zone::Upper))]);
    assert_eq!(places("Moderate bilateral pleural effusion."), [(Some(Side::Both), None)], "one finding, named once");
}

#[test]
fn a_report_is_held_against_flags() {
    let said = read("There is emphysema. Possible nodule. No consolidation. The heart is of normal size.");
    let flags = [
        (Label::Emphysema, Call::Absent),
        (Label::LungNodule, Call::Present),
        (Label::Consolidation, Call::Present),
        (Label::HiatalHernia, Call::Possible),
        (Label::Cardiomegaly, Call::Absent),
    ];
    let expected = [
        (Label::Emphysema, Conflict::NotFlagged),
        (Label::Consolidation, Conflict::Denied),
        (Label::HiatalHernia, Conflict::Omitted),
    ];
    assert_eq!(said.conflicts(flags), expected);
    assert_eq!(
        said.conflicts([(Label::Emphysema, Call::Possible), (Label::LungNodule, Call::Possible)]),
        [(Label::Emphysema, Conflict::Overstated)],
        "what is said to be possible overstates nothing"
    );
}
