#![expect(
    clippy::float_cmp,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is not touched must be the same; indices are small"
)]

use super::findings::visible::{LUNG_HU, ROSE};
use super::*;
use crate::preprocess::tensor;
use crate::spec::{Grid, PreprocessSpec};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// A normal chest, and the same with one finding: the voxels that differ, as (place in mm, HU before, HU after).
fn changed(finding: Finding) -> Vec<([f64; 3], f32, f32)> {
    let normal = Recipe::chest(5);
    let (before, after) = (normal.volume().unwrap(), normal.clone().with(finding).volume().unwrap());
    let [ni, nj, nk] = normal.size;
    let mut changed = Vec::new();
    for k in 0..nk {
        for j in 0..nj {
            for i in 0..ni {
                let (a, b) = (before.hu([i, j, k]).unwrap(), after.hu([i, j, k]).unwrap());
                if a != b {
                    let [x, y, z] = [i, j, k].map(real);
                    changed.push((before.geometry().position_mm([x, y, z]), a, b));
                }
            }
        }
    }
    changed
}

fn volume_ml(voxels: usize) -> f64 {
    real(voxels) * 2.4 * 2.4 * 4.8 / 1000.0
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let values: Vec<f32> = values.collect();
    let count = u16::try_from(values.len().min(60_000)).unwrap();
    values.iter().take(60_000).sum::<f32>() / f32::from(count)
}

#[test]
fn the_example_is_the_same_on_every_machine() {
    let volume = Recipe::example().volume().unwrap();
    let Voxels::I16(voxels) = volume.voxels() else { panic!("whole HU") };
    let bytes: Vec<u8> = voxels.iter().flat_map(|value| value.to_le_bytes()).collect();
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    // Another digest means that every bundle's golden tensor changes: remake the bundles of the catalog.
    assert_eq!(digest, "b3afa32ae3d595155107dbf62f577c5f15ea398ef18ad810e4fd4b4d39c6289e");
    assert_eq!(volume, Recipe::example().volume().unwrap());
}

#[test]
fn a_normal_chest_has_the_densities_of_one() {
    let volume = Recipe::chest(1).volume().unwrap();
    let at = |place: [f64; 3]| {
        let geometry = volume.geometry();
        let origin = geometry.origin_mm();
        let index = [0, 1, 2].map(|axis| ((place[axis] - origin[axis]) / geometry.spacing_mm()[axis]).round() as usize);
        // The median of 3 x 3 x 3 voxels: a vessel may cross.
        let near = |offset: usize| {
            volume.hu([index[0] + offset % 3 - 1, index[1] + offset / 3 % 3 - 1, index[2] + offset / 9 - 1])
        };
        let mut values: Vec<f32> = (0..27).map(|offset| near(offset).unwrap()).collect();
        values.sort_by(f32::total_cmp);
        values[13]
    };
    assert_eq!(volume.geometry().orientation(), "LPS");
    for (name, place, low, high) in [
        ("air beside the body", [185.0, -140.0, 0.0], -1024.0, -920.0),
        ("heart", [22.0, -28.0, -32.0], 0.0, 100.0),
        ("trachea", [0.0, 16.0, 100.0], -1024.0, -920.0),
        ("liver, on the right", [-70.0, 0.0, -125.0], 0.0, 120.0),
        ("left lung", [80.0, -20.0, 60.0], -950.0, -750.0),
        ("right lung", [-80.0, -20.0, 60.0], -950.0, -750.0),
    ] {
        assert!((low..=high).contains(&at(place)), "{name}: {} HU", at(place));
    }
}

#[test]
fn a_nodule_has_its_size_side_and_lobe() {
    for (side, sign) in [(Side::Left, 1.0), (Side::Right, -1.0)] {
        let nodule = changed(Finding::new(Label::LungNodule, 24.0).in_lobe(side, Lobe::Upper));
        let expected_ml = 4.0 / 3.0 * std::f64::consts::PI * 12.0 * 12.0 * 12.0 / 1000.0;
        let ratio = volume_ml(nodule.len()) / expected_ml;
        assert!((0.75..1.25).contains(&ratio), "{ratio}");
        assert!(nodule.iter().all(|([x, _, z], _, _)| x * sign > 0.0 && *z > 20.0));
        assert!((20.0..60.0).contains(&mean(nodule.iter().map(|(_, _, after)| *after))));
    }
}

#[test]
fn an_effusion_lies_behind_and_below() {
    let effusion = changed(Finding::new(Label::PleuralEffusion, 40.0).on(Side::Right));
    assert!(volume_ml(effusion.len()) > 100.0);
    assert!(effusion.iter().all(|([x, _, z], _, _)| *x < 0.0 && *z < 75.0));
    let mean_y = effusion.iter().map(|([_, y, _], _, _)| y).sum::<f64>() / real(effusion.len());
    assert!(mean_y > 20.0, "a lying patient's fluid is behind: {mean_y}");
    assert!((-10.0..30.0).contains(&mean(effusion.iter().map(|(_, _, after)| *after))));
}

#[test]
fn every_finding_changes_what_it_should() {
    let left_lower = |label| Finding::new(label, 40.0).in_lobe(Side::Left, Lobe::Lower);
    for (finding, low, high) in [
        (left_lower(Label::Consolidation), -150.0, 60.0),
        (left_lower(Label::LungOpacity), -620.0, -420.0),
        (left_lower(Label::Atelectasis), 0.0, 60.0),
        (Finding::new(Label::Emphysema, 10.0), -1000.0, -900.0),
        (Finding::new(Label::Cardiomegaly, 170.0), 0.0, 80.0),
        (Finding::new(Label::PericardialEffusion, 15.0), -10.0, 40.0),
        (Finding::new(Label::CoronaryArteryWallCalcification, 20.0), 600.0, 800.0),
        (Finding::new(Label::ArterialWallCalcification, 60.0), 650.0, 850.0),
        (Finding::new(Label::HiatalHernia, 60.0), -500.0, 60.0),
        (Finding::new(Label::Lymphadenopathy, 25.0), 0.0, 80.0),
        (Finding::new(Label::MedicalMaterial, 45.0).on(Side::Left), 2900.0, 3071.0),
        (left_lower(Label::PulmonaryFibroticSequela), -800.0, -500.0),
        (Finding::new(Label::MosaicAttenuationPattern, 30.0), -900.0, -780.0),
        (Finding::new(Label::PeribronchialThickening, 3.0), -300.0, 30.0),
        (Finding::new(Label::Bronchiectasis, 10.0).in_lobe(Side::Left, Lobe::Lower), -800.0, -100.0),
        (Finding::new(Label::InterlobularSeptalThickening, 3.0), -100.0, 60.0),
    ] {
        let voxels = changed(finding.clone());
        assert!(voxels.len() >= 10, "{}: {} voxels", finding.label.name(), voxels.len());
        let density = mean(voxels.iter().map(|(_, _, after)| *after));
        assert!((low..=high).contains(&density), "{}: {density} HU", finding.label.name());
        if finding.lobe.is_some() {
            assert!(voxels.iter().all(|([x, _, _], _, _)| *x > 0.0), "{} on the left", finding.label.name());
        }
    }
}

#[test]
fn scars_pull_septa_thicken_below_and_mosaics_are_on_both_sides() {
    let scar = changed(Finding::new(Label::PulmonaryFibroticSequela, 40.0).in_lobe(Side::Right, Lobe::Upper));
    let (bands, between): (Vec<&_>, Vec<&_>) = scar.iter().partition(|(_, _, after)| *after > -200.0);
    assert!(bands.len() > 50 && between.len() > 50, "{} in bands, {} between", bands.len(), between.len());
    assert!(scar.iter().all(|([x, _, z], before, after)| *x < 0.0 && *z > 20.0 && after != before));
    let septa = changed(Finding::new(Label::InterlobularSeptalThickening, 2.0));
    assert!(septa.iter().all(|([_, _, z], _, after)| *z < 40.0 && *after > -400.0));
    let patches = changed(Finding::new(Label::MosaicAttenuationPattern, 30.0));
    for is_left in [false, true] {
        let side: Vec<f32> = patches
            .iter()
            .filter(|([x, _, _], _, _)| (*x > 0.0) == is_left)
            .map(|(_, before, after)| after - before)
            .collect();
        let darker = side.iter().filter(|step| **step < 0.0).count();
        assert!((0.25..0.75).contains(&(real(darker) / real(side.len()))), "{darker} of {}", side.len());
    }
}

#[test]
fn labels_and_report_say_what_is_drawn() {
    let recipe = Recipe::example();
    let expected: Vec<Label> =
        Label::all().zip(recipe.labels()).filter(|(_, has)| *has).map(|(label, _)| label).collect();
    let mut drawn: Vec<Label> = recipe.findings.iter().map(|finding| finding.label).collect();
    drawn.sort();
    assert_eq!(expected, drawn);
    let Report { findings, impression } = recipe.report();
    assert!(findings.starts_with("Synthetic phantom, not a patient."));
    assert!(findings.contains("18 mm solid nodule is seen in the right upper lobe"));
    assert!(findings.contains("pleural effusion on the left") && !findings.contains("No pleural effusion"));
    assert!(impression.contains("Cardiomegaly"));
    assert_eq!(Recipe::chest(1).report().impression, "Normal chest CT.");
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let error = |finding| Recipe::chest(1).with(finding).volume().unwrap_err();
    let far = Finding::new(Label::LungNodule, 10.0).in_lobe(Side::Left, Lobe::Upper).shifted([0.0, f64::NAN, 0.0]);
    assert!(matches!(error(far), PhantomError::Shift { .. }));
    let nowhere = Finding::new(Label::Emphysema, 10.0).shifted([1.0; 3]);
    assert!(matches!(error(nowhere), PhantomError::Shift { .. }));
    assert!(matches!(error(Finding::new(Label::LungNodule, 10.0)), PhantomError::Side { needed: true, .. }));
    assert!(matches!(
        error(Finding::new(Label::LungNodule, 10.0).on(Side::Left)),
        PhantomError::Lobe { needed: true, .. }
    ));
    assert!(matches!(
        error(Finding::new(Label::Cardiomegaly, 150.0).on(Side::Left)),
        PhantomError::Side { needed: false, .. }
    ));
    let huge = Finding::new(Label::LungNodule, 400.0).in_lobe(Side::Left, Lobe::Upper);
    assert!(matches!(error(huge), PhantomError::Size { .. }));
    for (size, spacing_mm) in [([0, 4, 4], [1.0; 3]), ([4096; 3], [1.0; 3]), ([4; 3], [1.0, f64::NAN, 1.0])] {
        let recipe = Recipe { size, spacing_mm, ..Recipe::chest(1) };
        assert!(matches!(recipe.volume(), Err(PhantomError::Grid { .. })), "{size:?} {spacing_mm:?}");
    }
}

#[test]
fn what_a_random_patient_has_is_common_varied_and_can_be_drawn() {
    const PATIENTS: usize = 500;
    let mut counts = [0usize; LABEL_COUNT];
    let (mut normal, mut several) = (0, 0);
    let mut nodules_mm: Vec<f64> = Vec::new();
    for seed in 0..PATIENTS as u64 {
        let patient = Recipe::patient(seed);
        assert_eq!(patient, Recipe::patient(seed));
        assert_eq!((patient.size, patient.spacing_mm), (Recipe::chest(seed).size, Recipe::chest(seed).spacing_mm));
        patient.labels().iter().zip(&mut counts).for_each(|(has, count)| *count += usize::from(*has));
        normal += usize::from(patient.findings.is_empty());
        let nodules: Vec<f64> = patient
            .findings
            .iter()
            .filter(|finding| finding.label == Label::LungNodule)
            .map(|finding| finding.size_mm)
            .collect();
        several += usize::from(nodules.len() > 1);
        nodules_mm.extend(nodules);
        let coarse = Recipe { size: [16, 12, 9], spacing_mm: [24.0, 24.0, 38.0], ..patient };
        coarse.volume().unwrap();
    }
    for (label, count) in Label::all().zip(counts) {
        assert!((PATIENTS * 8 / 100..=PATIENTS * 60 / 100).contains(&count), "{}: {count}", label.name());
    }
    assert!((PATIENTS * 8 / 100..=PATIENTS * 12 / 100).contains(&normal), "{normal} normal");
    assert!(several > 30, "{several} with several nodules");
    assert!(nodules_mm.iter().any(|size| *size < 6.0) && nodules_mm.iter().any(|size| *size > 30.0));
}

/// The tensor of a phantom in coarse voxels, in HU.
fn coarse(recipe: &Recipe, spacing_mm: [f64; 3]) -> Vec<f32> {
    let spec = PreprocessSpec {
        orientation: "LPS".to_owned().try_into().unwrap(),
        grid: Grid::Spacing { spacing_mm, size: [70, 78, 96] },
        window_hu: [-1000.0, 1000.0],
        output_range: [-1000.0, 1000.0],
        fill_hu: -1000.0,
    };
    tensor(&recipe.volume().unwrap(), &spec).into_values().into_iter().collect()
}

const COARSE_MM: [f64; 3] = [5.0, 4.0, 4.0];

/// Largest change of a voxel, and root of the sum of squares, in HU, that a finding makes to a patient.
fn change(patient: &Recipe, finding: &Finding) -> (f32, f32) {
    let before = coarse(patient, COARSE_MM);
    let after = coarse(&patient.clone().with(finding.clone()), COARSE_MM);
    let steps = before.iter().zip(&after).map(|(before, after)| (after - before).abs());
    steps.fold((0.0, 0.0f32), |(most, sum), step| (step.max(most), sum.hypot(step)))
}

/// Each label with its smallest and a common size, in every lobe or on every side that it can have.
fn marks() -> Vec<Finding> {
    let sizes = [
        (Label::MedicalMaterial, [25.0, 45.0]),
        (Label::ArterialWallCalcification, [5.0, 40.0]),
        (Label::Cardiomegaly, [135.0, 150.0]),
        (Label::PericardialEffusion, [5.0, 15.0]),
        (Label::CoronaryArteryWallCalcification, [4.0, 20.0]),
        (Label::HiatalHernia, [25.0, 50.0]),
        (Label::Lymphadenopathy, [10.0, 20.0]),
        (Label::Emphysema, [4.0, 10.0]),
        (Label::Atelectasis, [4.0, 10.0]),
        (Label::LungNodule, [4.0, 12.0]),
        (Label::LungOpacity, [15.0, 50.0]),
        (Label::PulmonaryFibroticSequela, [15.0, 40.0]),
        (Label::PleuralEffusion, [8.0, 30.0]),
        (Label::MosaicAttenuationPattern, [20.0, 35.0]),
        (Label::PeribronchialThickening, [2.0, 4.0]),
        (Label::Consolidation, [15.0, 50.0]),
        (Label::Bronchiectasis, [5.0, 10.0]),
        (Label::InterlobularSeptalThickening, [1.0, 2.0]),
    ];
    let kinds = sizes.into_iter().flat_map(|(label, sizes)| sizes.map(|size_mm| Finding::new(label, size_mm)));
    kinds.map(somewhere).collect()
}

/// The finding in the left lower lobe, on the left, or without a place: as it can be drawn.
fn somewhere(finding: Finding) -> Finding {
    let sided = finding.clone().on(Side::Left);
    let lobar = finding.clone().in_lobe(Side::Left, Lobe::Lower);
    let is_drawable =
        |finding: &Finding| Recipe { size: [1; 3], ..Recipe::chest(1) }.with(finding.clone()).volume().is_ok();
    [finding, sided, lobar].into_iter().find(is_drawable).unwrap()
}

#[test]
fn what_is_visible_changes_the_tensor() {
    for finding in marks() {
        let (most, whole) = change(&Recipe::chest(11), &finding);
        let text = format!("{} of {} mm: {most} HU, in all {whole} HU", finding.label.name(), finding.size_mm);
        let is_small_nodule = finding.label == Label::LungNodule && finding.size_mm < 6.0;
        assert_eq!(finding.is_visible(COARSE_MM), !is_small_nodule, "{text}");
        if !is_small_nodule {
            assert!(most > 4.0 * NOISE_HU as f32 && f64::from(whole) > ROSE * LUNG_HU, "{text}");
        }
    }
}

#[test]
fn nothing_visible_of_a_patient_is_hidden_by_the_rest() {
    for seed in 30..38 {
        let patient = Recipe::patient(seed);
        for (index, finding) in patient.findings.iter().enumerate() {
            let mut rest = patient.clone();
            rest.findings.remove(index);
            let whole = f64::from(change(&rest, finding).1);
            assert!(!finding.is_visible(COARSE_MM) || whole > ROSE * LUNG_HU, "{seed}: {finding:?} changes {whole} HU");
        }
    }
}

#[test]
fn a_small_nodule_drowns_among_the_vessels_of_a_coarse_tensor() {
    for (side, lobe) in [(Side::Left, Lobe::Upper), (Side::Right, Lobe::Middle), (Side::Left, Lobe::Lower)] {
        let nodule = |size_mm| Finding::new(Label::LungNodule, size_mm).in_lobe(side, lobe);
        let small = f64::from(change(&Recipe::chest(11), &nodule(4.0)).1);
        assert!(!nodule(4.0).is_visible(COARSE_MM) && small < ROSE * LUNG_HU, "{small} HU");
        assert!(nodule(4.0).is_visible([1.25, 1.0, 1.0]), "fine voxels show it");
        assert!(
            nodule(8.0).is_visible(COARSE_MM) && f64::from(change(&Recipe::chest(11), &nodule(8.0)).1) > ROSE * LUNG_HU
        );
    }
    let recipe = Recipe::chest(1).with(Finding::new(Label::LungNodule, 4.0).in_lobe(Side::Left, Lobe::Upper));
    assert_eq!(recipe.visible(COARSE_MM), [false; LABEL_COUNT]);
    assert_eq!(recipe.visible([1.0; 3]), recipe.labels());
}

#[test]
fn vessels_make_normal_lung_as_restless_as_the_rule_of_visibility_says() {
    let tensor = coarse(&Recipe::chest(11), COARSE_MM);
    let block = (38..50).flat_map(|z| (20..50).flat_map(move |y| (24..36).map(move |x| (z * 78 + y) * 96 + x)));
    let values: Vec<f64> = block.map(|index| f64::from(tensor[index])).collect();
    let mean = values.iter().sum::<f64>() / real(values.len());
    let deviation =
        (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / real(values.len())).sqrt();
    assert!((0.8..1.25).contains(&(deviation / LUNG_HU)), "{deviation} HU");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_recipe_panics(
        seed: u64, size in prop::array::uniform3(0usize..24), spacing in prop::array::uniform3(0.0f64..60.0),
        label in 0usize..18, side in 0u8..3, lobe in 0u8..4, size_mm in -10.0f64..300.0,
    ) {
        let side = [None, Some(Side::Left), Some(Side::Right)][usize::from(side)];
        let lobe = [None, Some(Lobe::Upper), Some(Lobe::Middle), Some(Lobe::Lower)][usize::from(lobe)];
        let finding = Finding { label: Label::all().nth(label).unwrap(), side, lobe, size_mm, shift_mm: None };
        let recipe = Recipe { seed, size, spacing_mm: spacing, findings: vec![finding] };
        if let Ok(volume) = recipe.volume() {
            prop_assert_eq!(volume.geometry().size(), size);
        }
        prop_assert!(!recipe.report().impression.is_empty());
    }
}
