use super::denials::DENIALS as VARIED_DENIALS;
use super::denials::{ALL_NORMAL, NORMAL};
use super::*;
use crate::phantom::PhantomError;
use proptest::prelude::*;

/// Words of which a sentence must hold one to speak of an abnormality.
fn nouns(label: Label) -> &'static [&'static str] {
    match label {
        Label::MedicalMaterial => &["pacemaker", "medical material"],
        Label::ArterialWallCalcification => &["aort", "arterial wall"],
        Label::Cardiomegaly => &["cardiomegaly", "is enlarged", "enlarged heart", "enlargement of the heart"],
        Label::PericardialEffusion => &["pericardial effusion"],
        Label::CoronaryArteryWallCalcification => &["coronary"],
        Label::HiatalHernia => &["hiatal hernia"],
        Label::Lymphadenopathy => &["lymph"],
        Label::Emphysema => &["emphysem"],
        Label::Atelectasis => &["atelecta"],
        Label::LungNodule => &["nodule"],
        Label::LungOpacity => &["ground-glass", "ground glass", "lung opacity"],
        Label::PulmonaryFibroticSequela => &["fibrotic"],
        Label::PleuralEffusion => &["pleural effusion"],
        Label::MosaicAttenuationPattern => &["mosaic"],
        Label::PeribronchialThickening => &["peribronchial"],
        Label::Consolidation => &["consolidat"],
        Label::Bronchiectasis => &["bronchiecta"],
        Label::InterlobularSeptalThickening => &["interlobular"],
    }
}

fn speaks_of(label: Label, sentence: &str) -> bool {
    let sentence = sentence.to_lowercase();
    nouns(label).iter().any(|noun| sentence.contains(noun))
}

/// A tiny phantom with a finding that has no place.
fn placeless(label: Label) -> Recipe {
    Recipe { size: [2; 3], ..Recipe::chest(1) }.with(Finding::new(label, 10.0))
}

fn sentences(text: &str) -> Vec<&str> {
    text.split_inclusive(". ").map(str::trim).collect()
}

fn is_denial(sentence: &str) -> bool {
    VARIED_DENIALS.iter().any(|denial| denial.2.contains(&sentence))
}

#[test]
fn every_phrase_names_its_abnormality_its_place_and_how_large_it_is() {
    for label in Label::all() {
        let words = phrases(label);
        assert_eq!(words.label, label);
        assert!(words.one.len() >= 4 && words.brief.len() >= 2, "{}", label.name());
        let needs_place = matches!(placeless(label).volume(), Err(PhantomError::Side { needed: true, .. }));
        for phrase in words.one.iter().chain(words.several).chain(words.brief) {
            assert!(speaks_of(label, phrase), "{phrase}");
            let others = Label::all().filter(|other| *other != label && speaks_of(*other, phrase));
            assert_eq!(others.count(), 0, "{phrase} speaks of something else, too");
            assert!(!is_denial(phrase) && !phrase.ends_with("{a}"), "{phrase}");
        }
        for phrase in words.one {
            assert_eq!(phrase.contains("{size}") || phrase.contains("{grade}"), words.grades.is_some(), "{phrase}");
            assert_eq!(phrase.contains("{place}"), needs_place, "{phrase}");
        }
    }
}

/// Numbers before "mm" and "cm" in a sentence, in mm.
fn sizes_mm(sentence: &str) -> Vec<f64> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let unit = |word: &str| match word.trim_matches([',', '.', ';', ':']) {
        "mm" => Some(1.0),
        "cm" => Some(10.0),
        _ => None,
    };
    words.windows(2).filter_map(|pair| Some(pair[0].parse::<f64>().ok()? * unit(pair[1])?)).collect()
}

/// Sides and lobes in a sentence, in their order, as a statement writes them.
fn places(sentence: &str) -> Vec<String> {
    let text = sentence.to_lowercase();
    let found = |names: &[(&str, &'static str)]| {
        let mut found: Vec<(usize, &'static str)> = Vec::new();
        for (name, short) in names {
            found.extend(text.match_indices(name).map(|(at, _)| (at, *short)));
        }
        found.sort_unstable();
        found
    };
    let sides = found(&[("left", "left"), ("right", "right")]);
    let lobes =
        found(&[("upper lobe", "upper"), ("middle lobe", "middle"), ("lingula", "middle"), ("lower lobe", "lower")]);
    if lobes.is_empty() {
        return sides.iter().map(|(_, side)| format!("@{side}")).collect();
    }
    assert_eq!(sides.len(), lobes.len(), "{sentence}");
    sides.iter().zip(&lobes).map(|((_, side), (_, lobe))| format!("@{side}/{lobe}")).collect()
}

/// What a sentence states, as entries of a statement.
fn read(sentence: &str) -> Vec<(Label, String)> {
    if sentence == SYNTHETIC || is_denial(sentence) || NORMAL.iter().any(|(_, text)| *text == sentence) {
        return Vec::new();
    }
    let labels: Vec<Label> = Label::all().filter(|label| speaks_of(*label, sentence)).collect();
    let [label] = labels[..] else { panic!("{sentence} speaks of {labels:?}") };
    let mut places = if phrases(label).one[0].contains("{place}") { places(sentence) } else { vec![String::new()] };
    assert!(!places.is_empty(), "{sentence} has no place");
    if let Some((names, bounds)) = phrases(label).grades {
        let text = sentence.to_lowercase();
        let mut grades: Vec<&str> = sizes_mm(sentence).iter().map(|size| grade(*size, names, bounds)).collect();
        let word = names.into_iter().find(|name| text.split(|c: char| !c.is_alphabetic()).any(|word| word == *name));
        if let (Some(word), [by_size]) = (word, &grades[..]) {
            assert_eq!(word, *by_size, "{sentence}");
        }
        if grades.is_empty() {
            grades.push(word.unwrap_or_else(|| panic!("{sentence} tells no size")));
        }
        assert_eq!(grades.len(), places.len(), "{sentence}");
        places.iter_mut().zip(grades).for_each(|(place, grade)| *place = format!("{place} {grade}"));
    }
    places.into_iter().map(|place| (label, place)).collect()
}

/// The statement of a text, read from its sentences alone.
fn statement_of(text: &str) -> String {
    let mut counts: BTreeMap<(Label, String), usize> = BTreeMap::new();
    for entry in sentences(text).into_iter().flat_map(read) {
        *counts.entry(entry).or_default() += 1;
    }
    let lines: Vec<String> = counts
        .iter()
        .map(|((label, rest), count)| match count {
            1 => format!("{}{rest}", label.name()),
            _ => format!("{}{rest} x{count}", label.name()),
        })
        .collect();
    if lines.is_empty() { "normal".to_owned() } else { lines.join("; ") }
}

#[test]
fn every_wording_says_what_the_statement_says() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let recipe = Recipe::patient(seed);
        let present: Vec<Label> =
            Label::all().zip(recipe.labels()).filter(|(_, is_present)| *is_present).map(|(label, _)| label).collect();
        for wording in 0..6 {
            let Report { findings, impression } = recipe.reworded(wording);
            assert!(findings.starts_with(SYNTHETIC));
            assert_eq!(statement_of(&findings), recipe.statement(), "{findings}");
            for denial in sentences(&findings).into_iter().filter(|sentence| is_denial(sentence)) {
                seen.insert(denial.to_owned());
                assert!(!present.iter().any(|label| speaks_of(*label, denial)), "{denial} of {present:?}");
            }
            let mut stated: Vec<Label> = if present.is_empty() {
                assert!(ALL_NORMAL.contains(&impression.as_str()), "{impression}");
                Vec::new()
            } else {
                sentences(&impression)
                    .into_iter()
                    .flat_map(|point| Label::all().filter(|label| speaks_of(*label, point)))
                    .collect()
            };
            stated.sort();
            stated.dedup();
            assert_eq!(stated, present, "{impression}");
        }
    }
    assert!(seen.len() > 50, "only {} denials occur", seen.len());
}

#[test]
fn wordings_differ_and_stay_the_same() {
    let mut differing = 0;
    for seed in 0..50 {
        let recipe = Recipe::patient(seed);
        let texts: Vec<String> = (0..8).map(|wording| recipe.reworded(wording).findings).collect();
        let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
        differing += usize::from(distinct.len() == texts.len());
        assert_eq!(texts[3], recipe.reworded(3).findings);
        assert_eq!(texts[0], recipe.report().findings);
    }
    assert!(differing >= 45, "{differing} of 50");
}

#[test]
fn the_statement_tells_place_grade_and_number() {
    let nodule = |size_mm| Finding::new(Label::LungNodule, size_mm).in_lobe(Side::Left, Lobe::Middle);
    let recipe = Recipe::chest(1)
        .with(nodule(5.0))
        .with(nodule(6.0).shifted([3.0, 0.0, 0.0]))
        .with(nodule(30.0))
        .with(Finding::new(Label::PleuralEffusion, 25.0).on(Side::Right))
        .with(Finding::new(Label::Emphysema, 9.0));
    assert_eq!(
        recipe.statement(),
        "emphysema; lung_nodule@left/middle large; lung_nodule@left/middle small x2; pleural_effusion@right moderate"
    );
    assert_eq!(Recipe::chest(9).statement(), "normal");
    for wording in 0..40 {
        assert_eq!(statement_of(&recipe.reworded(wording).findings), recipe.statement());
    }
}

#[test]
fn articles_and_lists_read_well() {
    let words = |size_mm| Words::plain(&Finding::new(Label::LungNodule, size_mm).in_lobe(Side::Right, Lobe::Upper));
    assert_eq!(words(8.0).fill("{a} {size} nodule {place}."), "An 8 mm nodule in the right upper lobe.");
    assert_eq!(words(18.4).fill("there is {a} {size} nodule."), "There is an 18 mm nodule.");
    assert_eq!(words(12.0).fill("{a} {grade} nodule"), "A moderate nodule");
    let effusion = |side, size_mm| Finding::new(Label::PleuralEffusion, size_mm).on(side);
    let recipe = Recipe::chest(1).with(effusion(Side::Left, 30.0)).with(effusion(Side::Right, 12.0));
    let texts: Vec<String> = (1..30).map(|wording| recipe.reworded(wording).findings).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("Bilateral pleural effusions: 30 mm on the left and 12 mm on the right."))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_recipe_can_be_worded(seed: u64, wording: u64, label in 0usize..18, size_mm in prop::num::f64::ANY, copies in 0usize..9) {
        let finding = Finding::new(Label::all().nth(label).unwrap(), size_mm);
        let recipe = Recipe { findings: vec![finding; copies], ..Recipe::chest(seed) };
        let report = recipe.reworded(wording);
        prop_assert!(report.findings.starts_with(SYNTHETIC) && !report.impression.is_empty());
        let is_filled = !report.findings.contains(['{', '}']) && !report.findings.contains("  ");
        prop_assert!(is_filled, "{}", report.findings);
    }
}
