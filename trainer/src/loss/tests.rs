#![expect(
    clippy::float_cmp,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "identities must be exact; the equations are written out once more in 64 bits"
)]

use super::*;
use crate::device::cpu;
use crate::experiment::{Duplicates, Experiment, Knowledge, KnowledgeSource, Spatial};
use burn::nn::LinearConfig;
use burn::tensor::{Device, TensorData};

const N: usize = 5;

/// Numbers that look random, the same each time, within -1 and 1.
fn noise(seed: usize, count: usize) -> Vec<f32> {
    let number = |place: usize| ((seed * 7919 + place * 104_729 + place * place * 31) % 2003) as f32 / 1001.0 - 1.0;
    (0..count).map(number).collect()
}

fn matrix(values: &[f32], columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), device)
}

fn unit(values: &[f32], columns: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter().map(|value| value / length).collect::<Vec<_>>()
    };
    values.chunks(columns).flat_map(row).collect()
}

fn number(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn same(device: &Device) -> Tensor<2> {
    let mut same = vec![0.0; N * N];
    (same[3], same[3 * N]) = (1.0, 1.0);
    matrix(&same, N, device)
}

fn close(ours: f64, written_out: f64) {
    assert!((ours - written_out).abs() < 1e-4 * written_out.abs().max(1.0), "{ours} and {written_out}");
}

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The equations again, one pair at a time in 64 bits: `(1/N) sum_ij w_ij l(s_ij, y_ij)`.
fn sigmoid_sum(s: &[f64], pair: impl Fn(usize, usize) -> (f64, f64)) -> f64 {
    let mut sum = 0.0;
    for i in 0..N {
        for j in 0..N {
            let (y, w) = pair(i, j);
            sum -= w * (y * sigma(s[i * N + j]).ln() + (1.0 - y) * sigma(-s[i * N + j]).ln());
        }
    }
    sum / N as f64
}

fn softmax_sum(s: &[f64], p: impl Fn(usize, usize) -> f64) -> f64 {
    let row = |i: usize| {
        let all: f64 = (0..N).map(|j| s[i * N + j].exp()).sum();
        let total: f64 = (0..N).map(|j| p(i, j)).sum();
        (0..N).map(|j| -p(i, j) / total * (s[i * N + j].exp() / all).ln()).sum::<f64>()
    };
    (0..N).map(row).sum::<f64>() / N as f64
}

struct Scene {
    logits: Vec<f32>,
    weights: Vec<f32>,
    targets: Targets,
}

fn scene(duplicates: Duplicates) -> Scene {
    let logits = noise(1, N * N).iter().map(|value| 3.0 * value).collect();
    let weights = values(similarity(matrix(&unit(&noise(2, N * 4), 4), 4, &cpu())));
    let weights = weights.into_iter().map(|weight| weight as f32).collect();
    Scene { logits, weights, targets: Targets::new(same(&cpu()), duplicates) }
}

#[test]
fn each_loss_is_its_equation() {
    let Scene { logits, weights, targets } = scene(Duplicates::Keep);
    let (s, w) = (matrix(&logits, N, &cpu()), matrix(&weights, N, &cpu()));
    let (s64, w64) = (values(s.clone()), values(w.clone()));
    let turned: Vec<f64> = (0..N * N).map(|place| s64[place % N * N + place / N]).collect();
    let eye = |i: usize, j: usize| f64::from(u8::from(i == j));
    let a = |i: usize, j: usize| w64[i * N + j];
    let row = |i: usize| (0..N).map(|k| a(i, k)).sum::<f64>();
    let mean = |i: usize| (row(i) - a(i, i)) / (N - 1) as f64;
    let soft = |i: usize, j: usize| ((a(i, j) - mean(i)) / (1.0 - mean(i))).max(0.0);

    close(number(siglip(s.clone(), &targets)), sigmoid_sum(&s64, |i, j| (eye(i, j), 1.0)));
    close(number(clip(s.clone(), &targets)), f64::midpoint(softmax_sum(&s64, eye), softmax_sum(&turned, eye)));
    let weighted = f64::midpoint(softmax_sum(&s64, eye), softmax_sum(&turned, a));
    close(number(cwcl(s.clone(), None, w.clone(), &targets)), weighted);
    let both = f64::midpoint(softmax_sum(&s64, a), softmax_sum(&turned, a));
    close(number(cwcl(s.clone(), Some(w.clone()), w.clone(), &targets)), both);

    let ours = |reading| number(swca(s.clone(), w.clone(), &targets, reading));
    let paper = sigmoid_sum(&s64, |i, j| (eye(i, j), a(i, j) / row(i)));
    close(ours(Reading::Paper { row_normalise: true }), paper);
    close(ours(Reading::Paper { row_normalise: false }), sigmoid_sum(&s64, |i, j| (eye(i, j), a(i, j))));
    close(ours(Reading::SoftTarget), sigmoid_sum(&s64, |i, j| (soft(i, j), 1.0)));
    let kept = |i: usize, j: usize| if i == j { 1.0 } else { 1.0 - soft(i, j) };
    close(ours(Reading::Discount), sigmoid_sum(&s64, |i, j| (eye(i, j), kept(i, j))));
}

#[test]
fn swca_with_weights_of_one_is_siglip_to_the_last_bit() {
    for duplicates in [Duplicates::Keep, Duplicates::Mask, Duplicates::Positive] {
        let Scene { logits, targets, .. } = scene(duplicates);
        let s = matrix(&logits, N, &cpu());
        let ones = Tensor::ones_like(&s);
        let paper = swca(s.clone(), ones, &targets, Reading::Paper { row_normalise: false });
        assert_eq!(number(paper), number(siglip(s, &targets)));
    }
}

#[test]
fn cwcl_with_the_identity_as_weights_is_clip() {
    let Scene { logits, targets, .. } = scene(Duplicates::Keep);
    let s = matrix(&logits, N, &cpu());
    let own = targets.positive.clone();
    close(number(cwcl(s.clone(), None, own, &targets)), number(clip(s, &targets)));
}

#[test]
fn equal_reports_are_kept_masked_or_positive() {
    let eye = |i: usize, j: usize| f64::from(u8::from(i == j));
    let equal = |i: usize, j: usize| f64::from(u8::from((i, j) == (0, 3) || (i, j) == (3, 0)));
    for (duplicates, positive, counted) in
        [(Duplicates::Keep, 0.0, 1.0), (Duplicates::Mask, 0.0, 0.0), (Duplicates::Positive, 1.0, 1.0)]
    {
        let Scene { logits, targets, .. } = scene(duplicates);
        let s = matrix(&logits, N, &cpu());
        let written = sigmoid_sum(&values(s.clone()), |i, j| {
            (eye(i, j) + positive * equal(i, j), 1.0 + (counted - 1.0) * equal(i, j))
        });
        close(number(siglip(s.clone(), &targets)), written);
        let masked = number(clip(s, &targets));
        assert!(masked.is_finite() && masked > 0.0);
    }
}

/// Derivative by each entry, from backward and from differences.
fn gradients(values: &[f32], columns: usize, loss: impl Fn(Tensor<2>) -> Tensor<1>) -> Vec<(f64, f64)> {
    let device = cpu().autodiff();
    let leaf = matrix(values, columns, &device).require_grad();
    let gradient = leaf.grad(&loss(leaf.clone()).backward()).unwrap();
    let analytic = gradient.try_into_vec_as::<f32>().unwrap();
    let at = |place: usize, step: f32| {
        let mut moved = values.to_vec();
        moved[place] += step;
        number(loss(matrix(&moved, columns, &device)))
    };
    let step = 2e-2;
    let each = analytic.iter().enumerate();
    each.map(|(place, &ours)| (f64::from(ours), (at(place, step) - at(place, -step)) / (2.0 * f64::from(step))))
        .collect()
}

fn agree(name: &str, gradients: &[(f64, f64)]) {
    assert!(gradients.iter().any(|(ours, _)| ours.abs() > 1e-3), "{name} has no gradient");
    for (ours, difference) in gradients {
        assert!((ours - difference).abs() < 2e-3, "{name}: backward {ours}, differences {difference}");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let device = cpu().autodiff();
    let Scene { logits, weights, .. } = scene(Duplicates::Mask);
    let w = || matrix(&weights, N, &device);
    for duplicates in [Duplicates::Keep, Duplicates::Mask, Duplicates::Positive] {
        let targets = Targets::new(same(&device), duplicates);
        agree("clip", &gradients(&logits, N, |s| clip(s, &targets)));
        agree("siglip", &gradients(&logits, N, |s| siglip(s, &targets)));
        agree("cwcl", &gradients(&logits, N, |s| cwcl(s, Some(w()), w(), &targets)));
        for reading in [
            Reading::Paper { row_normalise: true },
            Reading::Paper { row_normalise: false },
            Reading::SoftTarget,
            Reading::Discount,
        ] {
            agree("swca", &gradients(&logits, N, |s| swca(s, w(), &targets, reading)));
        }
    }
    let labels: Vec<f32> = noise(9, 18 * 2).iter().map(|value| f32::from(u8::from(*value > 0.0))).collect();
    let labelled = matrix(&[1.0, 0.0], 1, &device);
    let by_flags = gradients(&noise(3, 18 * 2), 18, |s| flag_loss(s, matrix(&labels, 18, &device), labelled.clone()));
    agree("flags", &by_flags[..18]);
    assert!(by_flags[18..].iter().all(|(ours, _)| *ours == 0.0), "a case without labels teaches no flag");
}

#[test]
fn the_derivative_of_a_pair_is_its_weighted_error() {
    let device = cpu().autodiff();
    let Scene { logits, weights, .. } = scene(Duplicates::Keep);
    let targets = Targets::new(same(&device), Duplicates::Keep);
    let reading = Reading::Paper { row_normalise: false };
    let found = gradients(&logits, N, |s| swca(s, matrix(&weights, N, &device), &targets, reading));
    for (place, (ours, _)) in found.iter().enumerate() {
        let y = f64::from(u8::from(place % (N + 1) == 0));
        let expected = f64::from(weights[place]) * (sigma(f64::from(logits[place])) - y) / N as f64;
        assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
    }
}

fn moments(centroids: &[f32], covariances: &[f32]) -> Moments {
    Moments { centroid_mm: matrix(centroids, 3, &cpu()), covariance_mm2: matrix(covariances, 9, &cpu()) }
}

#[test]
fn moments_are_those_of_the_saliency() {
    // Two tokens 40 mm apart along x, weighed 3 to 1.
    let centres = matrix(&[0.0, 0.0, -20.0, 0.0, 0.0, 20.0], 3, &cpu());
    let found = Moments::of(matrix(&[0.75, 0.25], 2, &cpu()), centres);
    assert_eq!(values(found.centroid_mm), [0.0, 0.0, -10.0]);
    let covariance = values(found.covariance_mm2);
    assert_eq!(covariance[8], 0.75 * 100.0 + 0.25 * 900.0);
    assert!(covariance[..8].iter().all(|value| *value == 0.0));
}

#[test]
fn the_kernel_is_one_on_the_diagonal_symmetric_and_falls_with_distance() {
    let spread = noise(4, 27).iter().map(|value| 900.0 * value).collect::<Vec<_>>();
    let found = moments(&[0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 90.0, 0.0], &spread);
    let given = Spatial { centroid_mm2: Some(900.0), covariance_mm4: Some(1e12) };
    let kernel = values(spatial_kernel(&found, given));
    close(kernel[1], (-1.0f64).exp());
    close(kernel[2], (-9.0f64).exp());
    let median = values(spatial_kernel(&found, Spatial { centroid_mm2: None, covariance_mm4: None }));
    for kernel in [kernel, median] {
        for i in 0..3 {
            assert_eq!(kernel[i * 4], 1.0);
            for j in 0..3 {
                assert!((kernel[i * 3 + j] - kernel[j * 3 + i]).abs() < 1e-6);
                assert!((0.0..=1.0).contains(&kernel[i * 3 + j]));
            }
        }
    }
    // Squared distances of 900, 3600 and 8100 mm^2: the one in the middle is the bandwidth.
    let centroids = moments(&[0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 90.0, 0.0, 0.0], &[0.0; 27]);
    let middle = values(spatial_kernel(&centroids, Spatial { centroid_mm2: None, covariance_mm4: Some(1.0) }));
    close(middle[1], (-0.25f64).exp());
    close(middle[5], (-1.0f64).exp());
    let alike = moments(&[5.0; 9], &[3.0; 27]);
    let kernel = spatial_kernel(&alike, Spatial { centroid_mm2: None, covariance_mm4: None });
    assert!(values(kernel).iter().all(|value| *value == 1.0), "equal volumes have a kernel of one");
}

#[test]
fn only_what_is_above_the_mean_of_its_row_is_alike() {
    let weights = matrix(&[1.0, 0.9, 0.7, 0.9, 1.0, 0.8, 0.7, 0.8, 1.0], 3, &cpu());
    let soft = values(above_row_mean(weights));
    for (place, expected) in [1.0, 0.5, 0.0, 1.0 / 3.0, 1.0, 0.0, 0.0, 0.2, 1.0].into_iter().enumerate() {
        assert!((soft[place] - expected).abs() < 1e-5, "{soft:?}");
    }
}

fn embedded(device: &Device) -> (Embedded, Learned, Known) {
    let tokens = vec![1.0 / 8.0; N * 8];
    let said = Embedded {
        volume: matrix(&unit(&noise(5, N * 6), 6), 6, device).require_grad(),
        text: matrix(&unit(&noise(6, N * 6), 6), 6, device).require_grad(),
        flags: matrix(&noise(7, N * 18), 18, device).require_grad(),
        located: None,
        saliency: matrix(&tokens, 8, device),
    };
    let one = |value: f32| Tensor::<1>::from_data([value], device).require_grad();
    let known = Known {
        labels: matrix(&vec![1.0; N * 18], 18, device),
        labelled: matrix(&[1.0; N], 1, device),
        knowledge: Some(matrix(&unit(&noise(8, N * 18), 18), 18, device)),
        same: same(device),
        located: None,
    };
    (said, Learned { log_scale: one(2.3), bias: one(-2.0), shared_flags: None }, known)
}

/// Every loss with every switch, from the settings of an experiment.
#[test]
fn each_switch_changes_the_objective_it_is_for_and_no_other() {
    let settings = Experiment::parse(crate::experiment::TINY).unwrap().loss;
    let device = cpu().autodiff();
    let (said, learned, known) = embedded(&device);
    let centres = matrix(&noise(10, 24), 3, &device);
    let of = |settings: Loss| {
        let terms = Objective::new(settings, centres.clone()).of(&said, &learned, &known);
        let gradients = terms.total.backward();
        for gradient in [&said.volume, &said.text].map(|leaf| leaf.grad(&gradients).unwrap()) {
            assert!(values(gradient).iter().any(|value| value.abs() > 1e-6));
        }
        assert!(learned.log_scale.grad(&gradients).is_some());
        number(terms.total)
    };
    let knowledge = Some(Knowledge { source: KnowledgeSource::Labels, alpha: 0.5 });
    for (pairs, heeds_knowledge) in [
        (Pairs::Clip, false),
        (Pairs::Siglip, false),
        (Pairs::Cwcl, true),
        (Pairs::SwcaPaper, true),
        (Pairs::SwcaSoftTarget, true),
        (Pairs::SwcaDiscount, true),
    ] {
        let plain = Loss { pairs, spatial: None, knowledge: None, ..settings.clone() };
        let informed = Loss { knowledge, ..plain.clone() };
        assert_eq!(of(plain.clone()) != of(informed), heeds_knowledge, "{pairs:?}");
        let all = Loss { knowledge: Some(Knowledge { alpha: 1.0, source: KnowledgeSource::Labels }), ..plain.clone() };
        assert_eq!(of(plain.clone()), of(all), "{pairs:?}: alpha 1 is no knowledge");
        let without = Loss { flags: 0.0, ..plain.clone() };
        assert!(of(without) < of(plain));
    }
}

#[test]
fn shared_flags_are_read_from_both_embeddings_by_one_layer() {
    const E: usize = 6;
    let settings = Experiment::parse(crate::experiment::TINY).unwrap().loss;
    let device = cpu().autodiff();
    let (said, learned, mut known) = embedded(&device);
    let flags: Vec<f32> = (0..N * 18).map(|place| f32::from(u8::from(place % 3 == 0))).collect();
    known.labels = matrix(&flags, 18, &device);
    let head = LinearConfig::new(E, 18).init(&device);
    let weights = values(head.weight.val());
    let bias = values(head.bias.as_ref().unwrap().val().unsqueeze::<2>());
    let learned = Learned { shared_flags: Some(head), ..learned };
    let terms = Objective::new(settings.clone(), matrix(&noise(10, 24), 3, &device)).of(&said, &learned, &known);
    let entropy = |embedding: &Tensor<2>| {
        let embedding = values(embedding.clone());
        let logit = |case: usize, flag: usize| {
            let along = |place: usize| embedding[case * E + place] * (E as f64).sqrt() * weights[place * 18 + flag];
            (0..E).map(along).sum::<f64>() + bias[flag]
        };
        let term = |place: usize| {
            let x = logit(place / 18, place % 18);
            if flags[place] > 0.5 { -sigma(x).ln() } else { -sigma(-x).ln() }
        };
        (0..N * 18).map(term).sum::<f64>() / (N * 18) as f64
    };
    close(number(terms.shared_flags.clone()), f64::midpoint(entropy(&said.volume), entropy(&said.text)));
    let parts = number(terms.pairs) + settings.flags * number(terms.flags);
    close(number(terms.total), parts + settings.shared_flags * number(terms.shared_flags.clone()));
    let gradients = terms.shared_flags.backward();
    for leaf in [&said.volume, &said.text] {
        assert!(values(leaf.grad(&gradients).unwrap()).iter().any(|value| value.abs() > 1e-6));
    }
}

#[test]
fn what_is_known_of_places_alone_costs_something() {
    let settings = Loss { located: 2.0, ..Experiment::parse(crate::experiment::TINY).unwrap().loss };
    let device = cpu().autodiff();
    let (said, learned, known) = embedded(&device);
    let objective = Objective::new(settings, matrix(&noise(10, 24), 3, &device));
    let without = objective.of(&said, &learned, &known);
    assert!(number(without.located).abs() < 1e-12);
    let logits = noise(11, N * 108);
    let cells = |step: usize| (0..N * 108).map(|cell| f32::from(u8::from(cell % step == 0))).collect::<Vec<f32>>();
    let (there, seen) = (cells(5), cells(2));
    let place = |values: &[f32]| matrix(values, 108, &device);
    let leaf = place(&logits).require_grad();
    let said = Embedded { located: Some(leaf.clone()), ..said };
    let known = Known { located: Some([place(&there), place(&seen)]), ..known };
    let terms = objective.of(&said, &learned, &known);
    let cost = |cell: &usize| {
        let x = f64::from(logits[*cell]);
        if there[*cell] > 0.5 { -sigma(x).ln() } else { -sigma(-x).ln() }
    };
    let expected = (0..N * 108).step_by(2).map(|cell| cost(&cell)).sum::<f64>() / (N * 54) as f64;
    close(number(terms.located.clone()), expected);
    close(number(terms.total.clone()), number(without.total) + 2.0 * expected);
    let slopes = values(leaf.grad(&terms.total.backward()).unwrap());
    assert!((0..N * 108).all(|cell| (slopes[cell] == 0.0) == (cell % 2 == 1)), "open places cost nothing");
}

#[test]
fn words_cost_their_cross_entropy_and_padding_nothing() {
    let logits = [[1.0_f64, 2.0, -1.0], [0.5, 0.0, 3.0], [9.0, 9.0, -9.0]];
    let (targets, smoothing) = ([1_usize, 0], 0.2);
    let (mut plain, mut smoothed) = (0.0, 0.0);
    for (row, target) in logits.iter().zip(targets) {
        let sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        let told = sum - row[target];
        plain += told;
        smoothed += (1.0 - smoothing) * told + smoothing * row.iter().map(|x| sum - x).sum::<f64>() / 3.0;
    }
    let values: Vec<f32> = logits.concat().into_iter().map(|x| x as f32).collect();
    let logits = Tensor::from_data(TensorData::new(values, [1, 3, 3]), &cpu());
    let targets = Tensor::from_data(TensorData::new(vec![1_i32, 0, 2], [1, 3]), &cpu());
    let mask = Tensor::from_data(TensorData::new(vec![1.0_f32, 1.0, 0.0], [1, 3]), &cpu());
    let (ours, told) = word_loss(logits, targets, mask, smoothing);
    assert!((f64::from(ours.into_scalar::<f32>()) - smoothed).abs() < 1e-5);
    assert!((f64::from(told.into_scalar::<f32>()) - plain).abs() < 1e-5);
}
