#![expect(clippy::float_cmp, reason = "numbers that must come out exact")]

use super::bootstrap::quantile;
use super::language::{
    Overlap, Pair, bertscore, cider_d, corpus_bleu, mean_meteor, mean_rouge, mean_sentence_bleu, meteor, rouge,
    tokens_13a, tokens_rouge,
};
use super::*;
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::num::NonZeroUsize;

/// The committed vectors of other implementations, by `/group/name`.
fn peer<T: DeserializeOwned>(path: &str) -> T {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    serde_json::from_value(all.pointer(path).unwrap_or_else(|| panic!("no {path}")).clone()).unwrap()
}

fn near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart <= tolerance, "{ours:?} is {apart} from {theirs:?}");
}

fn matrix(values: &[f32], rows: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, values.len() / rows), values.to_vec()).unwrap()
}

fn many(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn case(path: &str) -> Vec<Scored> {
    scored(&peer::<Vec<f64>>(&format!("{path}/scores")), &peer::<Vec<bool>>(&format!("{path}/truth"))).unwrap()
}

/// Cases of the vectors for classification, with their paths.
fn labels() -> impl Iterator<Item = (String, Vec<Scored>)> {
    (0..3).map(|label| format!("/classification/{label}")).map(|path| (path.clone(), case(&path)))
}

#[test]
fn ranking_metrics_are_those_of_scikit_learn() {
    for (path, cases) in labels() {
        let ours = [auroc(&cases).unwrap(), average_precision(&cases).unwrap()];
        near(&ours, &[peer(&format!("{path}/auroc")), peer(&format!("{path}/average_precision"))], 1e-12);
        let ours = roc(&cases).unwrap();
        let theirs: Vec<[f64; 2]> = peer(&format!("{path}/roc"));
        let ours: Vec<_> =
            ours.iter().flat_map(|point| [point.false_positive_rate, point.true_positive_rate]).collect();
        near(&ours, theirs.as_flattened(), 1e-12);
    }
}

#[test]
fn thresholds_are_the_highest_of_the_best() {
    for (path, cases) in labels() {
        for (name, ours) in [("youden", youden(&cases)), ("best_f1", best_f1(&cases))] {
            let ours = ours.unwrap();
            near(&[ours.threshold, ours.value], &peer::<[f64; 2]>(&format!("{path}/{name}")), 1e-12);
        }
    }
    // J is 1/2 at 0.9 and at 0.2; below, F1 is 2/3 at 0.9 and at 0.2.
    let cases = scored(&[0.9, 0.5, 0.2, 0.1], &[true, false, true, false]).unwrap();
    assert_eq!(youden(&cases).unwrap(), Threshold { threshold: 0.9, value: 0.5 });
    let cases = scored(&[0.9, 0.5, 0.4, 0.2], &[true, false, false, true]).unwrap();
    assert_eq!(best_f1(&cases).unwrap(), Threshold { threshold: 0.9, value: 2.0 / 3.0 });
}

#[test]
fn calls_at_a_threshold_are_those_of_scikit_learn() {
    for (path, cases) in labels() {
        let ours = Confusion::at(&cases, peer(&format!("{path}/threshold")));
        let counts = [ours.true_positives, ours.false_positives, ours.true_negatives, ours.false_negatives];
        assert_eq!(counts, peer::<[usize; 4]>(&format!("{path}/confusion")));
        let ratios =
            [ours.precision(), ours.recall(), ours.specificity(), ours.accuracy(), ours.f1(), ours.weighted_f1()];
        near(&ratios.map(Option::unwrap), &peer::<[f64; 6]>(&format!("{path}/ratios")), 1e-12);
    }
}

#[test]
fn calibration_errors_are_those_of_scikit_learn() {
    for (path, cases) in labels() {
        let ours = [brier(&cases).unwrap(), expected_calibration_error(&cases, many(10)).unwrap()];
        near(&ours, &[peer(&format!("{path}/brier")), peer(&format!("{path}/ece"))], 1e-12);
        let bins = reliability(&cases, many(10)).unwrap();
        let ours: Vec<f64> = bins.iter().flat_map(|bin| [bin.mean_probability, bin.positive_share]).collect();
        near(&ours, peer::<Vec<[f64; 2]>>(&format!("{path}/reliability")).as_flattened(), 1e-12);
    }
}

#[test]
fn temperatures_are_those_of_scipys_minimum() {
    for place in 0..2 {
        let logits: Vec<f64> = peer(&format!("/temperature/{place}/logits"));
        let truth: Vec<bool> = peer(&format!("/temperature/{place}/truth"));
        let ours = Temperature::fit(&scored(&logits, &truth).unwrap()).unwrap();
        near(&[ours.value()], &[peer(&format!("/temperature/{place}/temperature"))], 1e-6);
        let likelihood = |(&logit, &positive): (&f64, &bool)| {
            let probability = ours.probability(logit);
            -(if positive { probability } else { 1.0 - probability }).ln()
        };
        let loss = logits.iter().zip(&truth).map(likelihood).sum::<f64>() / 60.0;
        near(&[loss], &[peer(&format!("/temperature/{place}/log_loss"))], 1e-12);
    }
}

#[test]
fn a_temperature_stays_within_its_bounds() {
    let fit = |logits: &[f64], truth: &[bool]| Temperature::fit(&scored(logits, truth).unwrap());
    // Perfectly separated: the colder the better. Perfectly wrong: the hotter the better.
    assert_eq!(fit(&[-1.0, 1.0], &[false, true]).unwrap().value(), 0.05);
    assert_eq!(fit(&[-1.0, 1.0], &[true, false]).unwrap().value(), 20.0);
    assert_eq!(fit(&[0.0, 0.0], &[true, false]), None);
    assert_eq!(fit(&[1.0, 2.0], &[true, true]), None);
    let extreme = fit(&[-1e300, 1e300, 2.0], &[false, true, false]).unwrap();
    assert!(extreme.probability(1e300) == 1.0 && extreme.probability(-1e300) == 0.0);
}

#[test]
fn isotonic_regression_is_that_of_scikit_learn() {
    let model = Isotonic::fit(&case("/isotonic")).unwrap();
    let at: Vec<f64> = peer("/isotonic/at");
    let ours: Vec<f64> = at.iter().map(|&score| model.probability(score)).collect();
    near(&ours, &peer::<Vec<f64>>("/isotonic/values"), 1e-9);
    assert_eq!(Isotonic::fit(&[]), None);
}

#[test]
fn between_two_isotonic_values_nothing_is_above_the_higher_one() {
    let tied = |score: f64, positives: usize, cases: usize| {
        (0..cases).map(move |case| Scored { score, positive: case < positives })
    };
    for (low, few) in (1..12).flat_map(|few| (0..few).map(move |low| (low, few))) {
        for (high, many) in (1..12).flat_map(|many| (0..=many).map(move |high| (high, many))) {
            if low * many >= high * few {
                continue;
            }
            let cases: Vec<_> = tied(0.0, low, few).chain(tied(0.25, high, many)).collect();
            let model = Isotonic::fit(&cases).unwrap();
            let values = [0.2, 0.25_f64.next_down(), 0.25, 0.3].map(|score| model.probability(score));
            assert!(values.is_sorted(), "{low}/{few} {high}/{many}: {values:?}");
        }
    }
}

/// R@1, 5, 10, 50, median rank, mean reciprocal rank.
fn numbers(hits: &Hits) -> Vec<f64> {
    hits.recall.into_iter().chain([hits.median_rank, hits.mean_reciprocal_rank]).collect()
}

#[test]
fn retrieval_and_its_chance_level_are_those_of_a_second_implementation() {
    let size = peer("/retrieval/size");
    let scores = matrix(&peer::<Vec<f32>>("/retrieval/scores"), size);
    let keys: Vec<usize> = peer("/retrieval/keys");
    let pools = Pools { size, draws: many(3), seed: 1 };
    for (direction, view) in [("rows", scores.view()), ("columns", scores.t())] {
        let scores = PairScores::new(&view).unwrap();
        let ours = scores.retrieval(&keys, &pools).unwrap();
        let theirs = |name: &str| peer::<Vec<f64>>(&format!("/retrieval/{direction}/{name}"));
        near(&numbers(&ours.identity), &theirs("identity"), 1e-12);
        near(&numbers(&ours.class), &theirs("class"), 1e-12);
        near(&numbers(&ours.identity_chance), &peer::<Vec<f64>>("/retrieval/identity_chance"), 1e-12);
        near(&numbers(&ours.class_chance), &peer::<Vec<f64>>("/retrieval/class_chance"), 1e-12);
        assert_eq!(numbers(&Hits::of(&scores.ranks_of_all(&keys).unwrap()).unwrap()), numbers(&ours.class));
    }
}

#[test]
fn a_model_that_scores_all_pairs_alike_finds_nothing() {
    let same = Array2::<f32>::ones((20, 20));
    let hits = PairScores::new(&same.view()).unwrap();
    let hits = hits.retrieval(&(0..20).collect::<Vec<_>>(), &Pools { size: 20, draws: many(1), seed: 1 }).unwrap();
    assert_eq!(hits.identity.recall, [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(hits.identity.median_rank, 20.0);
    assert_eq!(hits.class, hits.identity);
}

#[test]
fn small_pools_are_easier_and_the_seed_alone_decides_them() {
    let size: usize = peer("/retrieval/size");
    let scores = matrix(&peer::<Vec<f32>>("/retrieval/scores"), size);
    let scores = scores.view();
    let scores = PairScores::new(&scores).unwrap();
    let keys: Vec<usize> = peer("/retrieval/keys");
    let at = |pool, seed| scores.retrieval(&keys, &Pools { size: pool, draws: many(50), seed }).unwrap();
    let (small, middle, whole) = (at(6, 1), at(12, 1), at(size, 1));
    assert!(small.identity.recall[0] > middle.identity.recall[0]);
    assert!(middle.identity.recall[0] > whole.identity.recall[0]);
    near(&[small.identity_chance.recall[0], small.identity_chance.recall[1]], &[1.0 / 6.0, 5.0 / 6.0], 1e-12);
    assert!(small.class.recall[0] >= small.identity.recall[0]);
    assert_eq!(small, at(6, 1));
    assert_ne!(small, at(6, 2));
}

#[test]
fn the_tokens_are_those_of_sacrebleu() {
    let reports: Vec<[String; 2]> = peer("/language/reports");
    let theirs: Vec<[Vec<String>; 2]> = peer("/language/tokens_13a");
    let ours: Vec<_> = reports.iter().map(|texts| texts.each_ref().map(|text| tokens_13a(text))).collect();
    assert_eq!(ours, theirs);
}

fn pairs(path: &str, tokens: fn(&str) -> Vec<String>) -> Vec<Pair> {
    peer::<Vec<[String; 2]>>(path).iter().map(|[ours, theirs]| Pair::new(ours, theirs, tokens)).collect()
}

#[test]
fn bleu_is_that_of_sacrebleu() {
    let reports = pairs("/language/reports", tokens_13a);
    near(&corpus_bleu(&reports).unwrap(), &peer::<[f64; 4]>("/language/corpus_bleu"), 1e-12);
    // Orders without a match, and without n-grams.
    let weak = pairs("/language/weak", tokens_13a);
    near(&corpus_bleu(&weak).unwrap(), &peer::<[f64; 4]>("/language/weak_corpus_bleu"), 1e-12);
    let theirs: Vec<f64> = peer("/language/sentence_bleu");
    let ours: Vec<f64> = reports.iter().map(|pair| mean_sentence_bleu(std::slice::from_ref(pair)).unwrap()).collect();
    near(&ours, &theirs, 1e-12);
    near(&[mean_sentence_bleu(&reports).unwrap()], &[mean(&theirs).unwrap()], 1e-12);
}

#[test]
fn rouge_is_that_of_rouge_score() {
    let reports = pairs("/language/reports", tokens_rouge);
    let theirs: Vec<[[f64; 3]; 3]> = peer("/language/rouge");
    let flat = |overlap: Overlap| [overlap.precision, overlap.recall, overlap.f1];
    for (pair, theirs) in reports.iter().zip(&theirs) {
        let ours = rouge(pair);
        near([ours.words, ours.bigrams, ours.longest].map(flat).as_flattened(), theirs.as_flattened(), 1e-12);
    }
    let theirs: Vec<f64> = theirs.iter().map(|[_, _, longest]| longest[2]).collect();
    near(&[mean_rouge(&reports).unwrap().longest.f1], &[mean(&theirs).unwrap()], 1e-12);
}

#[test]
fn meteor_is_that_of_nltk_without_wordnet() {
    let reports = pairs("/language/reports", tokens_13a);
    let theirs: Vec<f64> = peer("/language/meteor");
    near(&reports.iter().map(meteor).collect::<Vec<_>>(), &theirs, 1e-12);
    near(&[mean_meteor(&reports).unwrap()], &[mean(&theirs).unwrap()], 1e-12);
}

#[test]
fn cider_is_that_of_pycocoevalcap() {
    let reports = pairs("/language/reports", tokens_13a);
    near(&[cider_d(&reports).unwrap()], &[peer("/language/cider_d")], 1e-9);
    assert_eq!(cider_d(&reports[..1]), Some(0.0));
}

#[test]
fn greedy_matching_is_that_of_numpy() {
    let width: usize = peer("/bertscore/width");
    let tokens = |name: &str| -> Array2<f32> {
        let values: Vec<f32> = peer(&format!("/bertscore/{name}"));
        matrix(&values, values.len() / width)
    };
    let ours = bertscore(&tokens("candidate").view(), &tokens("reference").view()).unwrap();
    near(&[ours.precision, ours.recall, ours.f1], &peer::<[f64; 3]>("/bertscore/scores"), 1e-7);
    let same = bertscore(&tokens("candidate").view(), &tokens("candidate").view()).unwrap();
    near(&[same.precision, same.recall, same.f1], &[1.0; 3], 1e-12);
    let narrow = Array2::<f32>::ones((2, width - 1));
    let error = bertscore(&tokens("candidate").view(), &narrow.view()).unwrap_err();
    assert_eq!(error, MetricsError::Widths { candidate: 6, reference: 5 });
    assert_eq!(bertscore(&Array2::zeros((0, 5)).view(), &narrow.view()).unwrap(), Overlap::default());
}

#[test]
fn texts_without_words_are_worth_nothing_and_no_texts_are_undefined() {
    let empty = Pair::new("", "", tokens_13a);
    assert_eq!(corpus_bleu(std::slice::from_ref(&empty)), Some([0.0; 4]));
    assert_eq!(mean_sentence_bleu(std::slice::from_ref(&empty)), Some(0.0));
    assert_eq!(rouge(&empty).longest, Overlap::default());
    assert_eq!(meteor(&empty), 0.0);
    let none = (corpus_bleu(&[]), mean_sentence_bleu(&[]), mean_rouge(&[]), mean_meteor(&[]), cider_d(&[]));
    assert_eq!(none, (None, None, None, None, None));
}

#[test]
fn the_interval_is_that_of_scipys_bootstrap() {
    let values: Vec<f64> = peer("/intervals/values");
    let plan = Bootstrap { replicates: many(20_000), confidence: peer("/intervals/confidence"), seed: 1 };
    let average = |items: &[usize]| mean(&items.iter().map(|&item| values[item]).collect::<Vec<_>>());
    let ours = plan.interval(&(0..values.len()).collect::<Vec<_>>(), average).unwrap().unwrap();
    // Both are drawn; a twentieth of the standard error is several times what 20000 draws leave to chance.
    let tolerance = peer::<f64>("/intervals/standard_error") / 20.0;
    near(&[ours.low, ours.high], &peer::<[f64; 2]>("/intervals/interval"), tolerance);
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let quantiles = [0.0, 0.025, 0.5, 0.9, 1.0].map(|share| quantile(&sorted, share).unwrap());
    near(&quantiles, &peer::<[f64; 5]>("/intervals/quantiles"), 1e-12);
}

#[test]
fn a_patients_items_are_drawn_together() {
    // Four copies of each patient's scan are no more evidence than one: with the items themselves as units the interval
    // would be half as wide.
    let values: Vec<f64> = peer("/intervals/values");
    let patients: Vec<usize> = (0..values.len() * 4).map(|item| item / 4).collect();
    let plan = Bootstrap { replicates: many(4000), confidence: 0.9, seed: 1 };
    let average = |items: &[usize]| mean(&items.iter().map(|&item| values[item / 4]).collect::<Vec<_>>());
    let width = |interval: Option<Interval>| interval.map(|ends| ends.high - ends.low).unwrap();
    let by_patient = width(plan.interval(&patients, average).unwrap());
    let by_item = width(plan.interval(&(0..patients.len()).collect::<Vec<_>>(), average).unwrap());
    assert!((1.8..2.2).contains(&(by_patient / by_item)), "{by_patient} {by_item}");
    let whole = |items: &[usize]| Some(if items.len() == patients.len() { 1.0 } else { f64::NAN });
    assert_eq!(plan.interval(&patients, whole).unwrap().unwrap(), Interval { low: 1.0, high: 1.0, undefined: 0 });
}

#[test]
fn undefined_replicates_are_counted() {
    let cases = scored(&[0.1, 0.2, 0.3, 0.9], &[false, false, false, true]).unwrap();
    let plan = Bootstrap { replicates: many(1000), confidence: 0.95, seed: 1 };
    let area = |items: &[usize]| auroc(&items.iter().map(|&item| cases[item]).collect::<Vec<_>>());
    let interval = plan.interval(&[1, 2, 3, 4], area).unwrap().unwrap();
    // The only positive case is missed with the probability (3/4)^4, and drawn alone with (1/4)^4: 0.32 together.
    assert!((270..370).contains(&interval.undefined), "{interval:?}");
    assert_eq!((interval.low, interval.high), (1.0, 1.0));
    assert_eq!(plan.interval(&[1, 2, 3, 4], |_| None).unwrap(), None);
}

fn table(path: &str) -> Vec<[bool; 6]> {
    peer(path)
}

#[test]
fn label_averages_are_those_of_scikit_learn() {
    let ours = Findings::new(&table("/findings/truth"), &table("/findings/called")).unwrap();
    let together = ours.together();
    let micro = [together.precision(), together.recall(), together.f1()].map(Option::unwrap);
    near(&micro, &peer::<[f64; 3]>("/findings/micro"), 1e-12);
    let ratios: [fn(&Confusion) -> Option<f64>; 3] = [Confusion::precision, Confusion::recall, Confusion::f1];
    near(&ratios.map(|ratio| ours.macro_average(ratio)), &peer::<[f64; 3]>("/findings/macro"), 1e-12);
    let counts = [ours.hallucinated(), ours.missed()];
    assert_eq!(counts, ["hallucinated", "missed"].map(|name| peer::<usize>(&format!("/findings/{name}"))));
    near(&[ours.crg().unwrap()], &[peer("/findings/crg")], 1e-12);
    let rate = ours.hallucination_rate().unwrap() + together.precision().unwrap();
    near(&[rate], &[1.0], 1e-12);
}

#[test]
fn crg_is_a_third_for_constant_calls_and_one_for_perfect_ones() {
    let truth = table("/findings/truth");
    let crg = |called: &[[bool; 6]]| Findings::new(&truth, called).unwrap().crg().unwrap();
    let constant = |answer| vec![[answer; 6]; truth.len()];
    near(&[crg(&constant(true)), crg(&constant(false)), crg(&truth)], &[1.0 / 3.0, 1.0 / 3.0, 1.0], 1e-12);
    assert_eq!(Findings::new(&constant(false), &truth).unwrap().crg(), None);
}

#[test]
fn baselines_reach_what_is_known_of_them() {
    let truth: Vec<bool> = (0..40).map(|item| item % 4 == 0).collect();
    for baseline in [Baseline::AlwaysNegative, Baseline::AlwaysPositive, Baseline::Prevalence] {
        let cases = scored(&[baseline.score(0.25); 40], &truth).unwrap();
        assert_eq!((auroc(&cases), average_precision(&cases)), (Some(0.5), Some(0.25)));
    }
    let at_half = |baseline: Baseline| Confusion::at(&scored(&[baseline.score(0.25); 40], &truth).unwrap(), 0.5);
    assert_eq!(at_half(Baseline::AlwaysPositive).f1(), Some(0.4));
    assert_eq!(at_half(Baseline::AlwaysNegative).f1(), Some(0.0));
    assert_eq!(at_half(Baseline::AlwaysNegative).precision(), None);
    let prevalence = scored(&[Baseline::Prevalence.score(0.25); 40], &truth).unwrap();
    near(&[brier(&prevalence).unwrap()], &[0.25 * 0.75], 1e-12);
    assert_eq!(expected_calibration_error(&prevalence, many(10)).unwrap(), 0.0);
}

#[test]
fn one_class_leaves_ranking_undefined() {
    for truth in [[true; 2], [false; 2]] {
        let cases = scored(&[0.1, 0.9], &truth).unwrap();
        assert_eq!((auroc(&cases), average_precision(&cases), roc(&cases)), (None, None, None));
        assert_eq!((youden(&cases), best_f1(&cases)), (None, None));
    }
    assert_eq!(auroc(&[]), None);
}

#[test]
fn malformed_input_is_told() {
    let plan = Bootstrap { replicates: many(10), confidence: 95.0, seed: 1 };
    assert_eq!(plan.interval(&[1], |_| Some(1.0)), Err(MetricsError::Confidence { given: 95.0 }));
    let plan = Bootstrap { confidence: 0.95, ..plan };
    assert_eq!(plan.interval::<u8>(&[], |_| Some(1.0)), Err(MetricsError::Nothing));
    let lengths = |what, given, expected| MetricsError::Lengths { what, given, expected };
    assert_eq!(scored(&[0.5], &[true, false]), Err(lengths("scores", 1, 2)));
    assert!(matches!(scored(&[0.5, f64::NAN], &[true, false]), Err(MetricsError::NotFinite { row: 1, .. })));
    let logits = scored(&[0.5, 2.0], &[true, false]).unwrap();
    assert_eq!(brier(&logits), Err(MetricsError::NotProbability { row: 1, score: 2.0 }));
    assert_eq!(brier(&[]), Err(MetricsError::Nothing));
    assert_eq!(expected_calibration_error(&[], many(10)), Err(MetricsError::Nothing));
    assert_eq!(Findings::new(&[[true; 2]], &[]).unwrap_err(), lengths("rows of calls", 0, 1));

    let refused = |scores: Array2<f32>| PairScores::new(&scores.view()).unwrap_err();
    assert_eq!(refused(Array2::ones((2, 3))), MetricsError::NotSquare { queries: 2, candidates: 3 });
    assert_eq!(refused(Array2::ones((0, 0))), MetricsError::Nothing);
    assert_eq!(
        refused(matrix(&[1.0, f32::INFINITY, 1.0, 1.0], 2)),
        MetricsError::Similarity { query: 0, candidate: 1 }
    );
    let scores = Array2::ones((4, 4));
    let scores = scores.view();
    let scores = PairScores::new(&scores).unwrap();
    let pools = |size| Pools { size, draws: many(1), seed: 1 };
    assert_eq!(scores.retrieval(&[1; 4], &pools(5)), Err(MetricsError::PoolSize { size: 5, pairs: 4 }));
    assert_eq!(scores.retrieval(&[1; 4], &pools(0)), Err(MetricsError::PoolSize { size: 0, pairs: 4 }));
    assert_eq!(scores.retrieval(&[1; 3], &pools(4)), Err(lengths("keys", 3, 4)));
}

/// Scores with many ties, and the truth.
fn any_cases() -> impl Strategy<Value = Vec<Scored>> {
    vec((-8_i32..8, any::<bool>()), 2..60).prop_map(|cases| {
        let (scores, truth): (Vec<f64>, Vec<bool>) =
            cases.into_iter().map(|(score, truth)| (f64::from(score) / 4.0, truth)).unzip();
        scored(&scores, &truth).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn negated_scores_have_the_complementary_auroc(cases in any_cases()) {
        let scores: Vec<f64> = cases.iter().map(|case| -case.score).collect();
        let truth: Vec<bool> = cases.iter().map(|case| case.positive).collect();
        let negated = auroc(&scored(&scores, &truth).unwrap());
        prop_assert_eq!(negated.is_some(), auroc(&cases).is_some());
        if let (Some(area), Some(negated)) = (auroc(&cases), negated) {
            prop_assert!((area + negated - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn auroc_is_the_share_of_pairs_in_the_right_order(cases in any_cases()) {
        let of = |class| cases.iter().filter(move |case| case.positive == class).map(|case| case.score);
        let pairs: Vec<f64> = of(true)
            .flat_map(|high| of(false).map(move |low| if high > low { 1.0 } else if high < low { 0.0 } else { 0.5 }))
            .collect();
        prop_assert_eq!(auroc(&cases), mean(&pairs));
    }

    #[test]
    fn a_chosen_threshold_is_as_good_as_any(cases in any_cases()) {
        if let (Some(f1), Some(j)) = (best_f1(&cases), youden(&cases)) {
            let index = |counts: Confusion| counts.recall().unwrap() + counts.specificity().unwrap() - 1.0;
            prop_assert!((Confusion::at(&cases, f1.threshold).f1().unwrap() - f1.value).abs() < 1e-12);
            prop_assert!((index(Confusion::at(&cases, j.threshold)) - j.value).abs() < 1e-12);
            for case in &cases {
                let counts = Confusion::at(&cases, case.score);
                prop_assert!(counts.f1().unwrap() <= f1.value + 1e-12);
                prop_assert!(index(counts) <= j.value + 1e-12);
            }
        }
    }

    #[test]
    fn isotonic_probabilities_rise_and_keep_the_prevalence(cases in any_cases()) {
        let model = Isotonic::fit(&cases).unwrap();
        let values: Vec<f64> = (-100..100).map(|step| model.probability(f64::from(step) / 40.0)).collect();
        prop_assert!(values.is_sorted() && values.iter().all(|value| (0.0..=1.0).contains(value)));
        let fitted: f64 = cases.iter().map(|case| model.probability(case.score)).sum();
        prop_assert!((fitted - real(cases.iter().filter(|case| case.positive).count())).abs() < 1e-9);
    }

    #[test]
    fn recall_rises_with_depth_and_classes_are_easier(
        values in vec(-4_i8..4, 144), keys in vec(0_u8..5, 12), size in 1_usize..=12, seed: u64,
    ) {
        let scores = matrix(&values.into_iter().map(f32::from).collect::<Vec<_>>(), 12);
        let found = PairScores::new(&scores.view()).unwrap().retrieval(&keys, &Pools { size, draws: many(3), seed });
        let found = found.unwrap();
        for hits in [found.identity, found.identity_chance, found.class, found.class_chance] {
            prop_assert!(hits.recall.is_sorted());
            prop_assert!((1.0..=real(size)).contains(&hits.median_rank));
            prop_assert!((1.0 / real(size) - 1e-12..=1.0 + 1e-12).contains(&hits.mean_reciprocal_rank));
        }
        prop_assert!(found.class.mean_reciprocal_rank >= found.identity.mean_reciprocal_rank - 1e-12);
        prop_assert!(found.class_chance.mean_reciprocal_rank >= found.identity_chance.mean_reciprocal_rank - 1e-12);
    }

    #[test]
    fn the_interval_holds_the_point_estimate(values in vec(-50_i32..50, 20..60), seed: u64) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let average = |items: &[usize]| mean(&items.iter().map(|&item| values[item]).collect::<Vec<_>>());
        let plan = Bootstrap { replicates: many(200), confidence: 0.95, seed };
        let places: Vec<usize> = (0..values.len()).collect();
        let interval = plan.interval(&places, average).unwrap().unwrap();
        let point = average(&places).unwrap();
        prop_assert!(interval.low <= point && point <= interval.high, "{interval:?} {point}");
    }

    #[test]
    fn a_text_is_its_own_best_match(text in "[a-zA-Z0-9 .,\\-&;()]{0,80}") {
        let pair = Pair::new(&text, &text, tokens_13a);
        let words = pair.candidate.len();
        if words >= 4 {
            prop_assert!((corpus_bleu(std::slice::from_ref(&pair)).unwrap()[3] - 1.0).abs() < 1e-12);
            prop_assert_eq!(rouge(&pair).bigrams, Overlap { precision: 1.0, recall: 1.0, f1: 1.0 });
        }
        let whole = if words == 0 { 0.0 } else { 1.0 - 0.5 / real(words).powi(3) };
        prop_assert!((meteor(&pair) - whole).abs() < 1e-12);
    }
}
