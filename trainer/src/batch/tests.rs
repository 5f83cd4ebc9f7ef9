#![expect(clippy::float_cmp, reason = "numbers that must come out the same")]

use super::*;
use crate::experiment::{Augment, KnowledgeSource};
use crate::fixture::{Classroom, experiment};
use std::collections::BTreeSet;

fn classroom() -> Classroom {
    let changes = [
        "data.corpus.phantoms = { count = 20, seed = 1 }",
        "data.validation_share = 0.2",
        "training.batch = 4",
        "training.micro_batch = 2",
        "augment = { shift = [0, 1, 1], noise = 0.01, contrast = 0.05, prompts = 0.0 }",
    ];
    Classroom::new(experiment(&changes))
}

#[test]
fn an_epoch_shows_every_scan_once_and_never_two_of_one() {
    let groups: Vec<Vec<usize>> = (0..11).map(|group| vec![2 * group, 2 * group + 1]).collect();
    let step = |step| order::members(&groups, 5, 3, step).unwrap();
    for epoch in 0..4 {
        let shown: Vec<usize> = (0..3).flat_map(|turn| step(3 * epoch + turn)).collect();
        let scans: BTreeSet<usize> = shown.iter().map(|place| place / 2).collect();
        assert_eq!((shown.len(), scans.len()), (9, 9), "{shown:?}");
    }
    assert_ne!((0..3).map(step).collect::<Vec<_>>(), (3..6).map(step).collect::<Vec<_>>());
    assert_eq!(order::members(&groups, 5, 12, 0), None);
    assert_eq!(order::members(&groups, 5, 3, 7), order::members(&groups, 5, 3, 7));
}

#[test]
fn a_batch_follows_from_its_step_and_is_augmented() {
    let classroom = classroom();
    let cohort = classroom.cohort(Split::Train);
    let batch = cohort.step(3).unwrap();
    assert_eq!(batch, cohort.step(3).unwrap());
    assert_eq!(batch.places.len(), 4);
    let plain = cohort.plain(batch.places.clone()).unwrap();
    assert_eq!((&plain.labels, &plain.reports), (&batch.labels, &batch.reports));
    assert_ne!(plain.shown, batch.shown);
    assert_eq!(plain.shown.rows()[0], classroom.shards.volume(cohort.members[batch.places[0]]).unwrap());
    let case = cohort.case(batch.places[1]).unwrap();
    let labels: Vec<f32> = case.labels.unwrap().iter().map(|flag| f32::from(u8::from(*flag))).collect();
    assert_eq!(batch.labels[18..36], labels);
    assert_eq!(batch.labelled, [1.0; 4]);
}

#[test]
fn the_splits_share_no_case() {
    let classroom = classroom();
    let ids = |split| classroom.cohort(split).cases().map(|case| case.id.clone()).collect::<BTreeSet<_>>();
    let (learned, judged) = (ids(Split::Train), ids(Split::Validation));
    assert!(learned.is_disjoint(&judged) && !judged.is_empty());
    assert_eq!(learned.len() + judged.len(), 20);
}

#[test]
fn a_shift_moves_and_fills() {
    let input = experiment(&[]).input;
    let settings = Augment { shift: [0, 1, 1], noise: 0.0, contrast: 0.0, prompts: 0.0 };
    let augmentation = Augmentation::new(&settings, &input);
    let volume: Vec<f32> = (1..=18u8).map(f32::from).collect();
    let mut seen = BTreeSet::new();
    for step in 0..200 {
        let mut moved = volume.clone();
        augmentation.apply(&mut moved, [2, 3, 3], (1, step, 0));
        let rounded: Vec<String> = moved.iter().map(ToString::to_string).collect();
        seen.insert(rounded.join(" "));
    }
    assert_eq!(seen.len(), 9, "three places along y, three along x");
    assert!(seen.contains("-1 -1 -1 -1 1 2 -1 4 5 -1 -1 -1 -1 10 11 -1 13 14"), "{seen:#?}");
    assert!(seen.contains("5 6 -1 8 9 -1 -1 -1 -1 14 15 -1 17 18 -1 -1 -1 -1"));
}

#[test]
fn noise_has_its_deviation_and_contrast_its_range() {
    let input = experiment(&[]).input;
    let settings = Augment { shift: [0; 3], noise: 0.1, contrast: 0.0, prompts: 0.0 };
    let mut volume = vec![0.5; 40_000];
    Augmentation::new(&settings, &input).apply(&mut volume, [1, 200, 200], (1, 2, 3));
    let mean = volume.iter().map(|value| f64::from(*value)).sum::<f64>() / 40_000.0;
    let variance = volume.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / 40_000.0;
    assert!((mean - 0.5).abs() < 0.003 && (variance.sqrt() - 0.1).abs() < 0.003, "{mean} {variance}");
    let settings = Augment { shift: [0; 3], noise: 0.0, contrast: 0.5, prompts: 0.0 };
    for place in 0..50 {
        let mut volume = vec![1.0, 0.0, -1.0];
        Augmentation::new(&settings, &input).apply(&mut volume, [1, 1, 3], (1, 2, place));
        assert!((0.5..=1.5).contains(&volume[0]) && volume[1] == 0.0 && volume[2] == -volume[0], "{volume:?}");
    }
}

#[test]
fn knowledge_is_a_unit_vector_of_every_case() {
    let classroom = classroom();
    let cohort = classroom.cohort(Split::Train);
    let places: Vec<usize> = (0..cohort.len()).collect();
    let given: ReportVectors = cohort.cases().map(|case| (case.id.clone(), vec![3.0, 4.0])).collect();
    for source in [KnowledgeSource::Labels, KnowledgeSource::TfIdf, KnowledgeSource::Embeddings] {
        let knowledge = Knowledge::new(source, &cohort, &given).unwrap();
        for row in knowledge.rows(&places).chunks(knowledge.width) {
            let length = row.iter().map(|value| value * value).sum::<f32>();
            assert!((length - 1.0).abs() < 1e-5, "{source:?}: {length}");
        }
    }
    let labels = Knowledge::new(KnowledgeSource::Labels, &cohort, &given).unwrap();
    let rows = labels.rows(&[0, 1]);
    let cosine: f32 = rows[..18].iter().zip(&rows[18..]).map(|(a, b)| a * b).sum();
    let [a, b] = [0, 1].map(|place| cohort.case(place).unwrap().labels.unwrap());
    let differ = a.iter().zip(b).filter(|(a, b)| **a != *b).count();
    assert!((f64::from(cosine) - (1.0 - f64::from(u8::try_from(differ).unwrap()) / 9.0)).abs() < 1e-5);
    let error = Knowledge::new(KnowledgeSource::Embeddings, &cohort, &ReportVectors::new()).unwrap_err();
    assert!(error.to_string().contains("ctedge-trainer embed"), "{error}");
}

#[test]
fn a_share_of_the_reports_is_told_in_prompts_that_are_true() {
    let labels = std::array::from_fn(|index| index % 3 == 0);
    let told: Vec<String> = (0..1000).filter_map(|step| told::told(labels, 0.2, (1, step, 4))).collect();
    assert!((150..250).contains(&told.len()), "{}", told.len());
    let is_true: BTreeSet<String> = ctedge_models::labels::Label::all()
        .zip(labels)
        .map(|(label, there)| prompt(label, if there { Presence::Present } else { Presence::Absent }))
        .collect();
    let sentences: Vec<&str> = told.iter().flat_map(|text| text.split_inclusive(". ")).map(str::trim).collect();
    assert!(sentences.iter().all(|sentence| is_true.contains(*sentence)), "{told:?}");
    let mean = sentences.len() / told.len();
    assert!((8..=10).contains(&mean), "{mean} of 18 sentences a report");
    assert!((0..1000).all(|step| told::told(labels, 0.0, (1, step, 4)).is_none()));
}

#[test]
fn flags_are_told_as_raised_or_as_they_are_and_some_dropped_or_turned_round() {
    let settings =
        crate::experiment::Decoder { drop_flags: 0.2, corrupt_flags: 0.1, ..experiment(&[]).decoder.unwrap() };
    let own = [true; 18];
    let told: Vec<f32> =
        (0..1000).flat_map(|step| told::flags(own, Some([false; 18]), &settings, (1, step, 4))).collect();
    let share = |flag: f32| told.iter().filter(|told| **told == flag).count();
    assert!((3400..3800).contains(&share(0.0)), "{}", share(0.0));
    assert!((6700..7700).contains(&share(1.0)) && (6700..7700).contains(&share(-1.0)), "half of each source");
    let unlabelled: Vec<f32> = (0..1000).flat_map(|step| told::flags(own, None, &settings, (1, step, 4))).collect();
    let wrong = unlabelled.iter().filter(|told| **told == -1.0).count();
    assert!((1250..1650).contains(&wrong), "{wrong}: a tenth of those that are told");
    let sure = crate::experiment::Decoder { drop_flags: 0.0, corrupt_flags: 0.0, ..settings };
    assert_eq!(told::flags(own, None, &sure, (1, 2, 3)), [1.0; 18]);
}

#[test]
fn a_case_is_dictated_with_its_own_tokens_and_flags() {
    let classroom = classroom();
    let cohort = classroom.cohort(Split::Train);
    let path = classroom.folder.path().join("tokens.f16");
    let mut recorder = Recorder::new(&path, Format::F16).unwrap();
    for place in 0..cohort.len() {
        let number = f32::from(u16::try_from(place).unwrap());
        recorder
            .add(&[[number, 0.5, -2.0].as_slice(), &[if place % 2 == 0 { 3.0 } else { -3.0 }; 18]].concat())
            .unwrap();
    }
    recorder.finish().unwrap();
    let specs: Vec<_> = ctedge_models::labels::Label::all()
        .map(|label| ctedge_models::bundle::LabelSpec { label, threshold: 0.5, temperature: 1.0 })
        .collect();
    let experiment = &classroom.experiment;
    let features = || Features::open(&path, Format::F16, [cohort.len(), 21]).unwrap().unwrap();
    let dictation =
        Dictation::new(&cohort, (experiment, experiment.decoder.as_ref().unwrap()), &specs, features()).unwrap();
    let dictated = dictation.plain(vec![5, 2]).unwrap();
    assert_eq!(dictated.tokens, [[5.0, 0.5, -2.0], [2.0, 0.5, -2.0]]);
    assert_eq!(dictated.flags, [[-1.0; 18], [1.0; 18]]);
    let findings = &cohort.case(2).unwrap().report.findings;
    assert!(classroom.tokenizer.draft(&dictated.reports[1].ids[1..]).findings.len() > findings.len() / 3);
    assert!(Features::open(&path, Format::F32, [cohort.len(), 21]).unwrap().is_none(), "another form is another file");
}
