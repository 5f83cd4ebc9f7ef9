use super::*;
use crate::device::cpu;
use crate::experiment::Corpus;
use crate::fixture::{self, Classroom};
use crate::run::{Case, Cohort, Run, Split, Workers};
use calibration::isotonic;
use ctedge_models::labels::{LABEL_COUNT, Label};
use ndarray::Array2;
use said::Labelled;
use serde_json::Value;
use std::fs;
use std::num::NonZeroUsize;

fn classroom() -> Classroom {
    let changes =
        ["data.corpus.phantoms = { count = 60, seed = 1 }", "data.validation_share = 0.3", "data.test_share = 0.3"];
    Classroom::new(fixture::experiment(&changes))
}

fn evaluated(classroom: &Classroom, run: &Run, threads: usize) -> Evaluation {
    let [learners, judges, test] = Split::ALL.map(|split| classroom.cohort(split));
    let subject = Subject {
        decoder: None,
        run,
        tokenizer: &classroom.tokenizer,
        learners: &learners,
        judges: &judges,
        examined: Some(&test),
        corpus_sha256: classroom.shards.digest(),
    };
    let (device, workers) = (cpu(), Workers::new(threads).unwrap());
    let reader = Reader { device: &device, workers: &workers, micro_batch: 4 };
    let replicates = NonZeroUsize::new(50).unwrap();
    Evaluation::of(&subject, &reader, replicates, &|_| {}).unwrap()
}

/// What an evaluation writes down, without what the clock says.
fn timeless(evaluation: &Evaluation) -> Value {
    let mut json = serde_json::to_value(evaluation).unwrap();
    json["cost"]["time"].take();
    json
}

/// Every object of the kind of a measure, with its name.
fn measures<'a>(json: &'a Value, name: &'a str, found: &mut Vec<(&'a str, &'a Value)>) {
    match json {
        Value::Object(entries) if entries.contains_key("baseline") => found.push((name, json)),
        Value::Object(entries) => entries.iter().for_each(|(name, inner)| measures(inner, name, found)),
        Value::Array(items) => items.iter().for_each(|inner| measures(inner, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn an_evaluation_is_whole_and_comes_out_the_same_on_any_number_of_threads() {
    let classroom = classroom();
    let run = classroom.run();
    let evaluation = evaluated(&classroom, &run, 1);
    let json = timeless(&evaluation);
    assert_eq!(json, timeless(&evaluated(&classroom, &run, 3)));

    let mut found = Vec::new();
    measures(&json, "", &mut found);
    assert!(found.len() > 300, "{}", found.len());
    for (name, measure) in found {
        assert!(definitions::definition(name).is_some(), "{name} has no definition");
        let ends = [&measure["low"], &measure["high"]].map(Value::as_f64);
        if let (Some(value), [Some(low), Some(high)]) = (measure["value"].as_f64(), ends) {
            assert!(low <= high && [value, low, high].iter().all(|number| number.is_finite()), "{name} {measure}");
        } else {
            assert!(ends == [None, None], "{name} {measure}");
        }
    }
    let test = classroom.cohort(Split::Test);
    for row in &evaluation.retrieval {
        let chance = row.measures["recall_at_1"].baseline.unwrap();
        let own = 1.0 / f64::from(u32::try_from(row.pool).unwrap());
        assert!(if row.truth == Truth::Identity { (chance - own).abs() < 1e-12 } else { chance >= own - 1e-12 });
    }
    assert!(evaluation.retrieval.iter().filter(|row| row.whole).all(|row| row.pool == test.len()));
    let drafts = evaluation.drafts.unwrap();
    assert_eq!((drafts.library, drafts.examples.len()), (classroom.cohort(Split::Train).len(), 3));
    assert_eq!(evaluation.cost.vision_parameters, run.checkpoint.weights.part("vision").count());
}

#[test]
fn areas_are_the_share_of_pairs_in_order_and_hidden_findings_are_left_out() {
    let classroom = classroom();
    let run = classroom.run();
    let flags = evaluated(&classroom, &run, 2).flags.unwrap();
    let test = classroom.cohort(Split::Test);
    let (device, workers) = (cpu(), Workers::new(2).unwrap());
    let reader = Reader { device: &device, workers: &workers, micro_batch: 3 };
    let said = reader.read(&run.pair(&device).unwrap(), &test, &|_| {}).unwrap();
    let mut hidden_ones = 0;
    for (label, row) in flags.labels.iter().enumerate() {
        let area = |keep: &dyn Fn(&Case) -> bool| {
            let of = |positive: bool| {
                let cases = test.cases().enumerate().filter(|(_, case)| case.labels.unwrap()[label] == positive);
                let kept = cases.filter(|(_, case)| keep(case)).map(|(place, _)| said.flags[[place, label]]);
                kept.collect::<Vec<f32>>()
            };
            let (with, without) = (of(true), of(false));
            let pairs = with.iter().flat_map(|a| without.iter().map(move |b| (a, b)));
            let won: Vec<f64> =
                pairs.map(|(a, b)| if a > b { 1.0 } else { f64::from(u8::from(a >= b)) / 2.0 }).collect();
            (!won.is_empty()).then(|| won.iter().sum::<f64>() / f64::from(u32::try_from(won.len()).unwrap()))
        };
        let near = |ours: Option<f64>, theirs: Option<f64>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-9,
            (None, None) => true,
            _ => false,
        };
        let seen = |case: &Case| !case.labels.unwrap()[label] || case.visible.unwrap()[label];
        assert!(near(row.measures["auroc"].value, area(&|_| true)), "{label} {:?}", row.measures["auroc"]);
        assert!(near(row.measures["auroc_visible"].value, area(&seen)), "{label} {:?}", row.measures["auroc_visible"]);
        hidden_ones += row.positives - row.visible_positives.unwrap();
    }
    assert!(hidden_ones > 0, "the phantoms of this test hide nothing");
}

#[test]
fn nothing_of_a_patient_leaves_unless_the_patients_are_synthetic() {
    let classroom = classroom();
    let mut run = classroom.run();
    let texts = |run: &Run| {
        let evaluation = evaluated(&classroom, run, 2);
        let folder = tempfile::tempdir().unwrap();
        evaluation.write(folder.path(), &Diary::default()).unwrap();
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        [read(EVALUATION_FILE), read(PAGE_FILE)]
    };
    let findings = |text: &str| {
        let reports = classroom.shards.cases().iter().map(|stored| &stored.case);
        let said = |case: &Case| [case.id.clone(), case.report.findings.clone()];
        reports.flat_map(said).filter(|secret| text.contains(secret.as_str())).count()
    };
    let [json, page] = texts(&run);
    assert!(findings(&json) > 0 && page.contains("Synthetic phantoms"));
    run.experiment.data.corpus = Corpus::Folder;
    let [json, page] = texts(&run);
    assert_eq!((findings(&json), findings(&page)), (0, 0));
    assert!(!page.contains("Synthetic phantoms"));
}

/// Says of every case of a cohort what the truth makes it say.
fn told(cohort: &Cohort<'_>, logit: impl Fn(usize, usize, bool) -> f32) -> Said {
    let labels: Vec<[bool; LABEL_COUNT]> = cohort.cases().map(|case| case.labels.unwrap()).collect();
    let flags =
        Array2::from_shape_fn((labels.len(), LABEL_COUNT), |(row, label)| logit(row, label, labels[row][label]));
    Said { volume: Array2::zeros((labels.len(), 2)), text: Array2::zeros((labels.len(), 2)), flags }
}

fn calibration(said: &Said, cohort: &Cohort<'_>) -> Calibration {
    let [weights_sha256, corpus_sha256, split] = ["aa", "bb", "validation"].map(str::to_owned);
    let card = Calibration { weights_sha256, corpus_sha256, split, labels: Vec::new() };
    Calibration::fit(&Labelled::new(said, cohort), card).unwrap()
}

#[test]
fn thresholds_part_what_can_be_parted_and_unlearnable_labels_keep_their_defaults() {
    let classroom = classroom();
    let judges = classroom.cohort(Split::Validation);
    // Above 2 with the finding and below without; the first label's logits are all the same.
    let parted = |row: usize, label: usize, positive: bool| match (label, positive) {
        (0, _) => 0.0,
        (_, true) => 3.0 + f32::from(u8::try_from(row).unwrap()) / 100.0,
        (_, false) => 1.0 - f32::from(u8::try_from(row).unwrap()) / 100.0,
    };
    let said = told(&judges, parted);
    let learned = calibration(&said, &judges);
    let labelled = Labelled::new(&said, &judges);
    for of in &learned.labels {
        assert_eq!(of.positives + of.negatives, judges.len());
        let learnable = of.label.index() > 0 && of.positives > 0 && of.negatives > 0;
        assert_eq!(of.fitted, learnable, "{of:?}");
        if !learnable {
            assert_eq!((of.temperature, of.threshold), (1.0, 0.5));
            continue;
        }
        let column = labelled.column(of.label);
        for (logit, positive) in column.logits.iter().zip(column.truth) {
            assert_eq!(of.probability(*logit) >= f64::from(of.threshold), positive, "{of:?} {logit}");
            // The appliance computes in 32 bits.
            let theirs: f32 = 1.0 / (1.0 + (-narrow(*logit) / of.temperature).exp());
            assert_eq!(theirs >= of.threshold, positive);
        }
    }
    assert!(learned.labels.iter().filter(|of| of.fitted).count() > 5);
    let specs = learned.specs();
    assert!(specs.iter().map(|spec| spec.label).eq(Label::all()));
    assert!(isotonic(&labelled).unwrap().iter().zip(&learned.labels).skip(1).all(|(by, of)| by.is_some() == of.fitted));
}

#[test]
fn a_calibration_is_read_back_and_belongs_to_one_set_of_weights() {
    let classroom = classroom();
    let judges = classroom.cohort(Split::Validation);
    let learned = calibration(&told(&judges, |_, _, positive| f32::from(u8::from(positive))), &judges);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CALIBRATION_FILE);
    assert!(matches!(Calibration::read(&path), Err(EvalError::Open { .. })));
    learned.write(folder.path()).unwrap();
    let read = Calibration::read(&path).unwrap();
    assert_eq!(read, learned);
    read.belongs_to("aa").unwrap();
    assert!(matches!(read.belongs_to("ab"), Err(EvalError::OtherWeights { .. })));
    let text = fs::read_to_string(&path).unwrap();
    let first = format!("{:?}", Label::MedicalMaterial.name());
    for (was, is) in
        [("\"split\"", "\"spilt\""), (first.as_str(), "\"cardiomegaly\""), ("\"threshold\": 0", "\"threshold\": 7")]
    {
        assert!(text.contains(was), "{was}");
        fs::write(&path, text.replacen(was, is, 1)).unwrap();
        let error = Calibration::read(&path).unwrap_err();
        assert!(matches!(error, EvalError::Calibration { .. } | EvalError::Unsound { .. }), "{error}");
        assert!(error.to_string().contains("ctedge-trainer evaluate"), "{error}");
    }
}

#[test]
fn a_damaged_diary_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Diary::read(folder.path()).unwrap(), Diary::default());
    let path = folder.path().join(run::STEPS_FILE);
    fs::write(&path, "step,loss\n1,2.5\n2,1.5\n").unwrap();
    assert_eq!(Diary::read(folder.path()).unwrap().steps["loss"], [2.5, 1.5]);
    fs::write(&path, "step,loss\n1,2.5\n2\n").unwrap();
    assert!(matches!(Diary::read(folder.path()), Err(EvalError::Table { line: 3, .. })));
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "as the appliance does")]
fn narrow(value: f64) -> f32 {
    value as f32
}
