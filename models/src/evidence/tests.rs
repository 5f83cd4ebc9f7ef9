use super::*;
use half::f16;
use proptest::prelude::*;

fn rows(vectors: &[Vec<f32>]) -> Vec<u8> {
    vectors.iter().flatten().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
}

fn unit(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

fn spec(count: usize, novelty: Option<Novelty>) -> Evidence {
    let path = String::new;
    Evidence { count, reports: path(), volumes: path(), cases: path(), data: path(), novelty }
}

const CASES: &str = r#"{"labels":["emphysema"],"findings":"A.","impression":"B."}
{"labels":[],"findings":"C.","impression":"D."}
"#;

#[test]
fn the_nearest_case_comes_first_and_novelty_is_the_distance_of_volumes() {
    let (reports, volumes) = (rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]), rows(&[vec![0.0, 1.0], vec![0.0, -1.0]]));
    let novelty = Novelty { neighbours: 1, bound: 0.5, share: 0.99, patients: 100 };
    let references = References::new(&spec(2, Some(novelty)), 2, (reports, volumes), CASES).unwrap();
    let found = references.neighbours(&[0.6, 0.8], 5).unwrap();
    assert_eq!(found.iter().map(|one| one.row).collect::<Vec<_>>(), [1, 0]);
    assert!((found[0].similarity - 0.8).abs() < 1e-3 && (found[1].similarity - 0.6).abs() < 1e-3);
    assert_eq!(references.case(0).unwrap().labels, [Label::Emphysema]);
    let judged = references.novelty(&[0.6, 0.8]).unwrap().unwrap();
    assert!((judged.score - 0.2).abs() < 1e-3 && !judged.is_novel());
    assert!(references.novelty(&[1.0, 0.0]).unwrap().unwrap().is_novel());
    assert!(Judged { score: f32::NAN, bound: 2.0 }.is_novel());
    for query in [&[1.0][..], &[f32::NAN, 1.0], &[3.0, 4.0], &[0.0, 0.0], &[]] {
        assert_eq!(references.neighbours(query, 1).unwrap_err(), EvidenceError::Query, "{query:?}");
    }
}

#[test]
fn files_that_do_not_fit_each_other_are_refused() {
    let whole = || rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let refusal = |count, files, cases| References::new(&spec(count, None), 2, files, cases).unwrap_err();
    assert!(matches!(refusal(2, (whole(), vec![0; 6]), CASES), EvidenceError::Length { bytes: 6, expected: 8, .. }));
    assert!(matches!(refusal(2, (whole(), whole()), "{}\n{}"), EvidenceError::Case { line: 1, .. }));
    let one = CASES.lines().next().unwrap();
    assert_eq!(refusal(2, (whole(), whole()), one), EvidenceError::Count { found: 1, expected: 2 });
}

proptest! {
    #[test]
    fn the_search_finds_what_sorting_all_finds(
        vectors in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 19), 1..3000),
        query in prop::collection::vec(0.1f32..1.0, 19),
        count in 1usize..12,
    ) {
        let query = unit(&query);
        let halved: Vec<Vec<f32>> =
            vectors.iter().map(|vector| vector.iter().map(|value| f16::from_f32(*value).to_f32()).collect()).collect();
        let mut all: Vec<(usize, f64)> = halved
            .iter()
            .map(|vector| vector.iter().zip(&query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
            .enumerate()
            .collect();
        all.sort_by(|left, right| right.1.total_cmp(&left.1));
        let found = nearest(&rows(&vectors), &query, count).unwrap();
        prop_assert_eq!(found.len(), count.min(vectors.len()));
        for (one, (_, similarity)) in found.iter().zip(&all) {
            prop_assert!((f64::from(one.similarity) - similarity).abs() < 1e-5);
        }
    }
}
