#![expect(
    clippy::float_cmp,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "numbers that must come out exact; indices are small"
)]

use super::text::TEXT_NORM_EPSILON;
use super::vision::{Filters, Stem, patches};
use super::*;
use crate::device::cpu;
use crate::experiment::{Experiment, Positions, Text, TextPool, Tune, Vision};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use ctedge_models::spec::Grid;

const VOCABULARY: usize = 40;

/// Towers that compute in a moment.
fn small() -> Experiment {
    let mut experiment =
        Experiment::parse(include_str!("../../../models/catalog/scale-vlp-tiny/experiment.toml")).unwrap();
    (experiment.seed, experiment.loss.located) = (7, 0.0);
    experiment.input.grid = Grid::Spacing { spacing_mm: [5.0, 2.0, 2.0], size: [4, 8, 12] };
    experiment.vision = Vision {
        patch: [2, 4, 4],
        dim: 24,
        depth: 2,
        heads: 3,
        mlp_ratio: 2,
        embedding: 10,
        positions: Positions::Sine,
        class_token: false,
        patch_norm: false,
        densities: None,
        stem: None,
        places: 0,
        tune: Tune::Full,
    };
    experiment.text = Text {
        vocabulary: VOCABULARY,
        lowercase: true,
        max_tokens: 8,
        dim: 12,
        depth: 2,
        heads: 2,
        mlp_ratio: 2,
        pool: TextPool::Class,
        tune: Tune::Full,
    };
    experiment
}

fn with_seed(seed: u64) -> Experiment {
    let mut experiment = small();
    experiment.seed = seed;
    experiment
}

fn pair(experiment: &Experiment) -> Pair {
    Pair::new(experiment, VOCABULARY, &initial(experiment, VOCABULARY).unwrap(), &cpu()).unwrap()
}

fn tower(seed: u64) -> Tower {
    pair(&with_seed(seed)).vision
}

/// A batch of two different volumes.
fn volumes() -> Tensor<5> {
    let values: Vec<f32> = (0..2 * 4 * 8 * 12).map(|index: u16| f32::from(index * 37 % 101) / 50.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [2, 1, 4, 8, 12]), &cpu())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

#[test]
fn the_outputs_have_the_documented_shapes() {
    let outputs = tower(1).forward(volumes());
    assert_eq!(outputs.embedding.dims(), [2, 10]);
    assert_eq!(outputs.logits.dims(), [2, 18]);
    assert_eq!(outputs.tokens.dims(), [2, 12, 24]);
    assert_eq!(outputs.saliency.dims(), [2, 12]);
    assert_ne!(values(outputs.logits.clone().slice_dim(0, 0..1)), values(outputs.logits.slice_dim(0, 1..2)));
}

#[test]
fn an_untrained_network_answers_differently_to_labels_and_to_volumes() {
    let logits = values(tower(1).forward(volumes()).logits);
    let (first, second) = logits.split_at(18);
    let spread = |values: &[f32]| {
        let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        high - low
    };
    assert!(spread(first) > 0.5 && spread(first) < 10.0, "{first:?}");
    let apart: Vec<f32> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    assert!(spread(&apart) > 0.05, "{apart:?}");
}

#[test]
fn a_volume_means_the_same_alone_and_in_a_batch() {
    let tower = tower(1);
    let together = values(tower.forward(volumes()).logits.slice_dim(0, 1..2));
    let alone = values(tower.forward(volumes().slice_dim(0, 1..2)).logits);
    assert!(together.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5), "{together:?} {alone:?}");
}

#[test]
fn embeddings_are_unit_vectors_and_saliency_sums_to_one() {
    let outputs = tower(2).forward(volumes());
    for length in values(outputs.embedding.powi_scalar(2).sum_dim(1)) {
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    for sum in values(outputs.saliency.clone().sum_dim(1)) {
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    assert!(values(outputs.saliency).iter().all(|weight| *weight > 0.0));
}

/// Sums of the flags' shares over the tokens plus the bias, and the logits, of a tower whose flags have biases.
fn told_and_summed(experiment: &Experiment) -> (Vec<f32>, Vec<f32>) {
    let mut weights = initial(experiment, VOCABULARY).unwrap();
    let bias = weights.0.get_mut("vision.flags.bias").unwrap();
    bias.values = (0..18u8).map(|flag| f32::from(flag) / 4.0 - 2.0).collect();
    let tower = Pair::new(experiment, VOCABULARY, &weights, &cpu()).unwrap().vision;
    let said = tower.forward(volumes());
    let shares = tower.flag_saliency(&said);
    assert_eq!(shares.dims(), [2, 18, 12]);
    let bias = tower.flags.bias.clone().unwrap().val().unsqueeze::<2>();
    (values(said.logits), values(shares.sum_dim(2).squeeze_dim::<2>(2) + bias))
}

#[test]
fn what_the_tokens_add_to_a_flag_and_its_bias_are_its_logit() {
    for seed in 0..4 {
        for places in [0, 5] {
            for class_token in [false, true] {
                let mut experiment = with_seed(seed);
                (experiment.vision.places, experiment.vision.class_token) = (places, class_token);
                let (logits, sums) = told_and_summed(&experiment);
                let apart = logits.iter().zip(&sums).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-5, "seed {seed}, {places} places: {apart}");
            }
        }
    }
}

/// What the convolutions of a stem see of a cell, number by number.
fn seen_by_hand(stem: &Stem, layer: usize, cell: [i64; 3], voxel: &dyn Fn([i64; 3]) -> f32) -> Vec<f32> {
    let Some(below) = layer.checked_sub(1) else { return vec![voxel(cell)] };
    let Filters { filters, norm } = &stem.layers[below];
    let (weight, mut sums) = (values(filters.weight.val()), values(filters.bias.clone().unwrap().val()));
    let stride = i64::try_from(Stem::stride(below)).unwrap();
    let inputs = filters.weight.dims()[0] / 27;
    for place in 0..27 {
        let offset = [place / 9, place / 3 % 3, place % 3].map(|step| i64::from(step) - 1);
        let [z, y, x] = std::array::from_fn(|axis| cell[axis] * stride + offset[axis]);
        let size = (0..below).fold([8, 8, 12], |size: [i64; 3], layer| {
            size.map(|edge| edge / i64::try_from(Stem::stride(layer)).unwrap())
        });
        if [z, y, x].iter().zip(size).any(|(at, edge)| !(0..edge).contains(at)) {
            continue;
        }
        for (channel, value) in seen_by_hand(stem, below, [z, y, x], voxel).into_iter().enumerate() {
            let row = usize::try_from(place).unwrap() * inputs + channel;
            let count = sums.len();
            sums.iter_mut().enumerate().for_each(|(column, sum)| *sum += value * weight[row * count + column]);
        }
    }
    let width = sums.len();
    values(crate::device::gelu(norm.forward(Tensor::<2>::from_data(TensorData::new(sums, [1, width]), &cpu()))))
}

#[test]
fn a_token_is_told_the_strongest_and_the_mean_answer_of_its_patch() {
    let mut experiment = small();
    experiment.input.grid = Grid::Spacing { spacing_mm: [5.0, 2.0, 2.0], size: [8, 8, 12] };
    (experiment.vision.patch, experiment.vision.stem) = ([8, 4, 4], Some(vec![3, 4, 2]));
    let stem = pair(&experiment).vision.stem.unwrap();
    let voxels: Vec<f32> = (0..8 * 8 * 12u16).map(|index| f32::from(index * 37 % 101) / 50.0 - 1.0).collect();
    let volume = Tensor::<5>::from_data(TensorData::new(voxels.clone(), [1, 1, 8, 8, 12]), &cpu());
    let told = stem.forward(volume, [8, 4, 4]);
    assert_eq!(told.dims(), [1, 6, 24]);
    let voxel = |at: [i64; 3]| {
        let [z, y, x] = at.map(|at| usize::try_from(at).unwrap());
        voxels[(z * 8 + y) * 12 + x]
    };
    for (token, [y, x]) in [(0, [0, 0]), (5, [1, 2])] {
        let answers = [0, 1].map(|z| seen_by_hand(&stem, 3, [z, y, x], &voxel));
        let column = |index: usize| answers.iter().map(move |answer| answer[index]);
        let strongest = (0..2).map(|index| column(index).fold(f32::MIN, f32::max));
        let row: Vec<f32> = strongest.chain((0..2).map(|index| column(index).sum::<f32>() / 2.0)).collect();
        let expected = stem.project.forward(Tensor::<2>::from_data(TensorData::new(row, [1, 4]), &cpu()));
        let found = values(told.clone().slice_dim(1, token..token + 1));
        let apart = values(expected).iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "token {token}: {apart}");
    }
}

#[test]
fn a_patch_is_a_row_of_its_own_voxels() {
    let values_in: Vec<f32> = (0..4 * 8 * 12u16).map(f32::from).collect();
    let volume = Tensor::<5>::from_data(TensorData::new(values_in, [1, 1, 4, 8, 12]), &cpu());
    let rows = patches(volume, [2, 4, 4]);
    assert_eq!(rows.dims(), [1, 12, 32]);
    // Token (1, 0, 2) is the tenth; its voxel (0, 1, 3) lies at (2, 1, 11) of the volume.
    let row = values(rows.slice_dim(1, 8..9));
    assert_eq!(row[4 + 3], f32::from(2 * 96 + 12 + 11u16));
}

#[test]
fn token_centres_are_symmetric_about_the_field_in_millimetres() {
    let Experiment { vision, input, .. } = small();
    let tokens = TokenGrid::new(&input.grid, vision.patch);
    assert_eq!((tokens.count, tokens.pitch_mm), ([2, 2, 3], [10.0, 8.0, 8.0]));
    let centres = tokens.centres_mm();
    assert_eq!(centres.first(), Some(&[-5.0, -4.0, -8.0]));
    assert_eq!(centres.get(1), Some(&[-5.0, -4.0, 0.0]));
    assert_eq!(centres.last(), Some(&[5.0, 4.0, 8.0]));
    let stretched = TokenGrid::new(&Grid::Resize { size: [4, 8, 12] }, vision.patch);
    assert_eq!(stretched.pitch_mm, [180.0, 180.0, 120.0]);
}

#[test]
fn positions_are_sines_and_cosines_of_every_axis() {
    let tokens = TokenGrid { count: [3, 5, 4], pitch_mm: [36.0, 40.0, 40.0] };
    let dim = 96;
    let table = tokens.table_values(dim);
    assert_eq!(table.len(), 60 * dim);
    let wave = |index: usize| std::f64::consts::TAU / 1440.0 * 18f64.powf(index as f64 / 15.0);
    for (centre, row) in tokens.centres_mm().iter().zip(table.chunks(dim)) {
        for (axis, channels) in centre.iter().zip(row.chunks(32)) {
            for index in 0..16 {
                let angle = axis * wave(index);
                assert!((f64::from(channels[index]) - angle.sin()).abs() < 1e-6);
                assert!((f64::from(channels[16 + index]) - angle.cos()).abs() < 1e-6);
            }
        }
    }
    let leftover = tokens.table_values(14);
    assert!(leftover.chunks(14).all(|row| row[12] == 0.0 && row[13] == 0.0));
}

#[test]
fn a_seed_gives_the_same_weights_for_ever() {
    let weights = initial(&small(), VOCABULARY).unwrap();
    assert_eq!(weights, initial(&small(), VOCABULARY).unwrap());
    assert_ne!(weights, initial(&with_seed(8), VOCABULARY).unwrap());
    let mut older = weights.clone();
    older.0.retain(|name, _| !name.starts_with("shared_flags."));
    assert_eq!(older.sha256(), "5dc9a1b08f55b54007f045a9a10b32ba76f4a28f9fccc57c8fd58824af3a2af1");
    let gamma = &weights.0["vision.blocks.0.norm_mlp.gamma"];
    assert!(gamma.values.iter().all(|value| *value == 1.0));
    let within = |name: &str, bound: f32| {
        let values = &weights.0[name].values;
        assert!(values.iter().all(|value| value.abs() <= bound), "{name}");
        assert!(values.iter().any(|value| value.abs() > 0.9 * bound), "{name}");
    };
    within("vision.patch.weight", (6.0f32 / 56.0).sqrt());
    within("text.embeddings.word.weight", 0.02 * 3.0f32.sqrt());
    within("text.layers.1.mlp.down.weight", (6.0f32 / 36.0).sqrt());
    within("vision.blocks.1.mlp.down.weight", (6.0f32 / 72.0).sqrt() / 2.0);
    assert_eq!((&weights.0["log_scale"].values, &weights.0["bias"].values), (&vec![10.0f32.ln()], &vec![-2.7]));
}

#[test]
fn a_bigger_vocabulary_changes_no_other_parameter() {
    let mut bigger = initial(&small(), VOCABULARY + 1).unwrap();
    let mut weights = initial(&small(), VOCABULARY).unwrap();
    assert_eq!((weights.vocabulary(), bigger.vocabulary()), (VOCABULARY, VOCABULARY + 1));
    let table = weights.0.remove("text.embeddings.word.weight").unwrap();
    let longer = bigger.0.remove("text.embeddings.word.weight").unwrap();
    assert_eq!(longer.values[..table.values.len()], table.values);
    assert_eq!(weights, bigger);
}

#[test]
fn weights_go_into_a_network_and_come_out_again() {
    let weights = initial(&with_seed(3), VOCABULARY).unwrap();
    let pair = Pair::new(&small(), VOCABULARY, &weights, &cpu()).unwrap();
    assert_eq!(Weights::of(&pair).unwrap(), weights);
    let places: usize = weights.0.values().map(|array| array.shape.iter().product::<usize>()).sum();
    assert_eq!(weights.count(), places);
    assert_eq!(Weights::of(&pair.vision).unwrap(), weights.part("vision"));
    assert_eq!(Weights::of(&pair.text).unwrap(), weights.part("text"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let weights = initial(&small(), VOCABULARY).unwrap();
    let build = |weights: &Weights| Pair::new(&small(), VOCABULARY, weights, &cpu()).map(|_| ());

    let mut missing = weights.clone();
    missing.0.remove("vision.flags.bias");
    assert_eq!(build(&missing), Err(WeightsError::Missing { name: "vision.flags.bias".into() }));

    let mut spare = weights.clone();
    spare.0.insert("head.bias".into(), Array { shape: vec![1], values: vec![0.0] });
    assert_eq!(build(&spare), Err(WeightsError::Unknown { name: "head.bias".into() }));

    let mut reshaped = weights;
    reshaped.0.insert("text.project.bias".into(), Array { shape: vec![2], values: vec![0.0; 2] });
    let problem = WeightsError::Shape { name: "text.project.bias".into(), expected: vec![10], given: vec![2] };
    assert_eq!(build(&reshaped), Err(problem));
}

/// Two reports of five and three tokens, padded to a length with these ids.
fn reports(length: usize, padding: i32) -> (Tensor<2, Int>, Tensor<2>) {
    let rows = [vec![2, 11, 7, 30, 3], vec![2, 8, 3]];
    let mask = rows.iter().flat_map(|row| (0..length).map(|at| f32::from(u8::from(at < row.len()))));
    let mask: Vec<f32> = mask.collect();
    let ids = rows.iter().flat_map(|row| row.iter().copied().chain(std::iter::repeat(padding)).take(length));
    let ids: Vec<i32> = ids.collect();
    let shape = [2, length];
    (Tensor::from_data(TensorData::new(ids, shape), &cpu()), Tensor::from_data(TensorData::new(mask, shape), &cpu()))
}

#[test]
fn a_report_means_the_same_however_it_is_padded() {
    for pool in [TextPool::Class, TextPool::Mean] {
        let mut experiment = small();
        experiment.text.pool = pool;
        let text = pair(&experiment).text;
        let run = |length, padding| {
            let (ids, mask) = reports(length, padding);
            text.forward(ids, mask)
        };
        let short = run(5, 0);
        assert_eq!((short.embedding.dims(), short.pooled.dims()), ([2, 10], [2, 12]));
        assert_eq!(short.tokens.dims(), [2, 5, 12]);
        let long = run(8, 39);
        let apart = (short.embedding.clone() - long.embedding).abs().max();
        assert!(apart.into_scalar::<f32>() < 1e-6, "{pool:?}");
        for length in values(short.embedding.clone().powi_scalar(2).sum_dim(1)) {
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
        assert_ne!(values(short.embedding.clone().slice_dim(0, 0..1)), values(short.embedding.slice_dim(0, 1..2)));
    }
}

#[test]
fn the_mean_is_over_a_reports_own_tokens() {
    let mut experiment = small();
    experiment.text.pool = TextPool::Mean;
    let (ids, mask) = reports(6, 0);
    let outputs = pair(&experiment).text.forward(ids, mask);
    let own = outputs.tokens.slice_dim(0, 1..2).slice_dim(1, 0..3).mean_dim(1).squeeze_dim::<2>(1);
    let apart = (outputs.pooled.slice_dim(0, 1..2) - own).abs().max().into_scalar::<f32>();
    assert!(apart < 1e-6, "{apart}");
}

#[test]
fn every_layer_of_the_report_tower_normalises_as_bert_does() {
    let text = pair(&small()).text;
    assert_eq!(TEXT_NORM_EPSILON, 1e-12);
    let (ids, mask) = reports(5, 0);
    let tokens = text.forward(ids, mask).tokens;
    for mean in values(tokens.clone().mean_dim(2)) {
        assert!(mean.abs() < 1e-5, "{mean}");
    }
    for variance in values(tokens.powi_scalar(2).mean_dim(2)) {
        assert!((variance - 1.0).abs() < 1e-4, "{variance}");
    }
}

fn tuned(vision: Tune, text: Tune) -> Experiment {
    let mut experiment = small();
    experiment.vision.tune = vision;
    experiment.text.tune = text;
    experiment
}

/// Paths of the parameters that a gradient reaches, and how many values they have.
struct Reached<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: Vec<String>,
    count: usize,
}

impl ModuleVisitor for Reached<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().grad(self.gradients).is_some() {
            self.found.push(self.path.join("."));
            self.count += param.dims().iter().product::<usize>();
        }
    }
}

/// What a loss over all outputs reaches.
fn reached(experiment: &Experiment) -> (Vec<String>, usize) {
    let device = cpu().autodiff();
    let weights = initial(experiment, VOCABULARY).unwrap();
    let pair = Pair::new(experiment, VOCABULARY, &weights, &device).unwrap().trainable(experiment);
    let seen = pair.vision.forward(volumes().to_device(&device));
    let (ids, mask) = reports(5, 0);
    let read = pair.text.forward(ids.to_device(&device), mask.to_device(&device));
    let cosines = seen.embedding.clone().matmul(read.embedding.transpose());
    let scores = cosines * pair.log_scale.val().exp().unsqueeze() + pair.bias.val().unsqueeze();
    let heads = [pair.located(&seen), pair.shared_flags.as_ref().map(|head| head.forward(seen.embedding))];
    let heads = heads.into_iter().flatten().map(Tensor::sum);
    let gradients = heads.fold(scores.powi_scalar(2).sum() + seen.logits.sum(), |all, head| all + head).backward();
    let mut reached = Reached { gradients: &gradients, path: Vec::new(), found: Vec::new(), count: 0 };
    pair.visit(&mut reached);
    assert_eq!(pair.learning(experiment), reached.count);
    (reached.found, reached.count)
}

const LORA: Tune = Tune::Lora { rank: 2, alpha: 4.0 };

#[test]
fn everything_learns_unless_the_experiment_says_otherwise() {
    let mut experiment = tuned(Tune::Full, Tune::Full);
    (experiment.vision.positions, experiment.vision.class_token) = (Positions::Learned, true);
    experiment.loss.located = 1.0;
    (experiment.vision.patch, experiment.vision.stem) = ([4, 4, 4], Some(vec![3, 4, 2]));
    let (found, count) = reached(&experiment);
    let weights = initial(&experiment, VOCABULARY).unwrap();
    assert_eq!(count, weights.count());
    for name in weights.0.keys() {
        assert!(found.contains(name), "{name} gets no gradient");
    }
}

#[test]
fn a_frozen_tower_learns_its_heads_alone() {
    let mut experiment = tuned(Tune::Frozen, Tune::Frozen);
    (experiment.vision.patch, experiment.vision.stem) = ([4, 4, 4], Some(vec![3, 4, 2]));
    let (found, count) = reached(&experiment);
    let mut names: Vec<&str> = found.iter().map(String::as_str).collect();
    names.sort_unstable();
    let heads = [
        "bias",
        "log_scale",
        "shared_flags.bias",
        "shared_flags.weight",
        "text.project.bias",
        "text.project.weight",
        "vision.flags.bias",
        "vision.flags.weight",
        "vision.norm.beta",
        "vision.norm.gamma",
        "vision.pool.query",
        "vision.project.bias",
        "vision.project.weight",
    ];
    assert_eq!(names, heads);
    assert_eq!(count, 2 + 18 * 11 + 10 * 13 + 18 * 25 + 3 * 24 + 10 * 25);
}

#[test]
fn low_rank_factors_learn_in_the_place_of_their_matrices() {
    let (found, count) = reached(&tuned(LORA, Tune::Frozen));
    let factors: Vec<&String> = found.iter().filter(|name| name.contains(".lora.")).collect();
    assert_eq!(factors.len(), 2 * 2 * 4, "two factors for each of four matrices of two blocks");
    assert!(factors.iter().all(|name| name.starts_with("vision.blocks.")), "{factors:?}");
    assert!(!found.contains(&"vision.blocks.0.mlp.up.weight".to_owned()));
    let heads = reached(&tuned(Tune::Frozen, Tune::Frozen)).1;
    assert_eq!(count - heads, 2 * 2 * (24 * (1 + 3) + 24 * (1 + 1) + 2 * 24 * (1 + 2)));
}

#[test]
fn merged_factors_are_part_of_their_matrices() {
    let experiment = tuned(LORA, LORA);
    let start = pair(&experiment);
    let learner = pair(&experiment).trainable(&experiment);
    let volumes_seen = |pair: &Pair| pair.vision.forward(volumes()).logits;
    assert_eq!(values(volumes_seen(&learner)), values(volumes_seen(&start)), "the product starts at zero");

    // As if it had learned: the second factors are no longer zero.
    let mut weights = Weights::of(&learner).unwrap();
    for (name, array) in &mut weights.0 {
        if name.ends_with("lora.b") {
            let numbers = (0..array.values.len()).map(|index| (index % 7) as f32 / 50.0 - 0.06);
            array.values = numbers.collect();
        }
    }
    let learner = weights.fill(learner).unwrap();
    let plain = Weights::of(&learner.clone().merged()).unwrap();
    assert!(plain.0.keys().eq(initial(&experiment, VOCABULARY).unwrap().0.keys()));
    let merged = Pair::new(&experiment, VOCABULARY, &plain, &cpu()).unwrap();
    let apart = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
    assert!(apart(volumes_seen(&merged), volumes_seen(&learner)) < 1e-6);
    assert!(apart(volumes_seen(&merged), volumes_seen(&start)) > 1e-2);
    let (ids, mask) = reports(5, 0);
    let read = |pair: &Pair| pair.text.forward(ids.clone(), mask.clone()).embedding;
    assert!(apart(read(&merged), read(&learner)) < 1e-6);
    assert!(apart(read(&merged), read(&start)) > 1e-2);
}

#[test]
fn a_class_token_sees_the_patches_and_is_none_of_them() {
    let mut experiment = small();
    (experiment.vision.positions, experiment.vision.class_token) = (Positions::Learned, true);
    let outputs = pair(&experiment).vision.forward(volumes());
    assert_eq!((outputs.tokens.dims(), outputs.saliency.dims()), ([2, 12, 24], [2, 12]));
    let class = outputs.class.unwrap();
    assert_eq!(class.dims(), [2, 24]);
    assert_ne!(values(class.clone().slice_dim(0, 0..1)), values(class.slice_dim(0, 1..2)));
    assert!(tower(1).forward(volumes()).class.is_none());
}
