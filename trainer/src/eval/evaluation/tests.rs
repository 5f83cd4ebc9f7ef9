use super::drafts::drafts;
use super::*;
use crate::fixture::{self, Classroom};
use crate::run::Case;
use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::report::{self, Call};
use ndarray::Array2;

fn classroom() -> Classroom {
    Classroom::new(fixture::experiment(&[
        "data.corpus.phantoms = { count = 40, seed = 1 }",
        "data.validation_share = 0.4",
    ]))
}

fn bootstrap() -> Bootstrap {
    Bootstrap { replicates: NonZeroUsize::new(20).unwrap(), confidence: CONFIDENCE, seed: 1 }
}

/// A row of zeros with a one for each case.
fn marks(cases: usize, width: usize, at: impl Fn(usize) -> usize) -> Array2<f32> {
    Array2::from_shape_fn((cases, width), |(row, column)| f32::from(u8::from(at(row) == column)))
}

fn value(measures: &Measures, name: &str) -> f64 {
    measures[name].value.unwrap()
}

#[test]
fn a_draft_that_is_the_report_is_perfect_and_a_random_one_is_not() {
    let classroom = classroom();
    let learners = classroom.cohort(Split::Train);
    let count = learners.len();
    let own = marks(count, count, |row| row);
    let told = |case: &Case| report::template(Label::all().zip(case.labels.unwrap().map(Call::from))).text();
    let texts = Texts { decoder: None, template: learners.cases().map(told).collect() };
    let drafts = drafts((&learners, &own), (&learners, &own), &texts, (&bootstrap(), 2)).unwrap().unwrap();
    assert!(
        (value(&drafts.template.findings, "micro_f1") - 1.0).abs() < 1e-12,
        "the flags are the truth, and read back so"
    );
    assert!(value(&drafts.normal.findings, "hallucinated_per_case").abs() < 1e-12);
    assert!(value(&drafts.normal.findings, "missed_per_case") > 1.0);
    let best = &drafts.nearest;
    assert!(
        (value(&best.language, "bleu_4") - 100.0).abs() < 1e-9 || (value(&best.language, "bleu_4") - 1.0).abs() < 1e-9
    );
    assert!((value(&best.language, "rouge_l") - 1.0).abs() < 1e-12);
    let right = ["micro_f1", "crg", "all_labels_right"].map(|name| value(&best.findings, name));
    assert!(right.iter().all(|share| (share - 1.0).abs() < 1e-12), "{right:?}");
    let wrong = ["hallucinated_per_case", "missed_per_case"].map(|name| value(&best.findings, name));
    assert!(wrong.iter().all(|count| count.abs() < 1e-12), "{wrong:?}");
    assert!(drafts.examples.iter().all(|example| example.report == example.draft) && drafts.examples.len() == 2);
    assert!(value(&drafts.random.findings, "micro_f1") < 0.9);
    let template = drafts.most_common.distinct_share.unwrap();
    assert!((template * measure::real(count) - 1.0).abs() < 1e-9, "{template}");
    // The report that most agree with is hit at least as often as any other could be.
    let most =
        learners.sayings().iter().map(|saying| learners.sayings().iter().filter(|other| *other == saying).count());
    let most = measure::ratio(most.max().unwrap(), count).unwrap();
    assert!(value(&drafts.most_common.findings, "all_labels_right") >= most - 1e-12);
}

#[test]
fn prompts_that_know_the_truth_part_it_and_prompts_that_read_no_negation_are_chance() {
    let classroom = classroom();
    let judges = classroom.cohort(Split::Validation);
    let labels: Vec<[bool; LABEL_COUNT]> = judges.cases().filter_map(|case: &Case| case.labels).collect();
    let flags = Array2::zeros((labels.len(), LABEL_COUNT));
    let mut volume = Array2::zeros((labels.len(), LABEL_COUNT));
    for ((row, label), entry) in volume.indexed_iter_mut() {
        *entry = if labels[row][label] { 1.0 } else { -1.0 };
    }
    let said = Said { text: volume.clone(), volume, flags };
    let labelled = Labelled::new(&said, &judges);
    let sign = |row: usize| if row < LABEL_COUNT { 1.0 } else { -1.0 };
    let knowing = Array2::from_shape_fn((2 * LABEL_COUNT, LABEL_COUNT), |(row, column)| {
        if row % LABEL_COUNT == column { sign(row) } else { 0.0 }
    });
    let of = |prompts| ZeroShot::of(&labelled, (&said.volume, prompts), 10.0, &bootstrap()).unwrap().unwrap();
    let parted = of(&knowing);
    let shares = ["auroc", "auprc", "negation_flip"].map(|name| value(&parted.macro_average, name));
    assert!(shares.iter().all(|share| (share - 1.0).abs() < 1e-12), "{shares:?}");
    assert!((parted.prompt_cosine.unwrap() + 1.0).abs() < 1e-6);
    let blind = of(&marks(2 * LABEL_COUNT, LABEL_COUNT, |row| row % LABEL_COUNT));
    let shares = ["auroc", "negation_flip"].map(|name| value(&blind.macro_average, name));
    assert!(shares.iter().all(|share| (share - 0.5).abs() < 1e-12), "{shares:?}");
    assert!((blind.prompt_cosine.unwrap() - 1.0).abs() < 1e-6);
    let prompts = zero_shot::prompts();
    assert_eq!((prompts[9].as_str(), prompts[27].as_str()), ("Lung nodule is present.", "Lung nodule is not present."));
}

#[test]
fn constant_flags_reach_exactly_their_baselines() {
    let truth: Vec<[bool; LABEL_COUNT]> =
        (0..10).map(|row| std::array::from_fn(|label| row * label % 3 == 1)).collect();
    let patients: Vec<String> = (0..10).map(|row| row.to_string()).collect();
    let patients: Vec<&str> = patients.iter().map(String::as_str).collect();
    let all = vec![[true; LABEL_COUNT]; 10];
    let measures = findings::measure((&truth, &all), &patients, &bootstrap()).unwrap();
    for name in ["micro_f1", "macro_f1", "micro_precision", "crg"] {
        assert_eq!(measures[name].value, measures[name].baseline, "{name}");
    }
    assert!((value(&measures, "crg") - 1.0 / 3.0).abs() < 1e-12);
    let none = findings::measure((&truth, &[[false; LABEL_COUNT]; 10]), &patients, &bootstrap()).unwrap();
    for name in ["hallucinated_per_case", "missed_per_case", "all_labels_right"] {
        assert_eq!(none[name].value, none[name].baseline, "{name}");
    }
    assert!(none["micro_precision"].value.is_none() && none["micro_precision"].baseline.is_none());
}
