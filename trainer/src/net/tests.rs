#![expect(
    clippy::float_cmp,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "numbers that must come out exact; indices are small"
)]

use super::*;
use crate::device::cpu;
use crate::experiment::{Positions, Tune, Vision};
use burn::tensor::{Tensor, TensorData};
use ctedge_models::spec::Grid;

fn small() -> (Vision, Grid) {
    let architecture = Vision {
        patch: [2, 4, 4],
        dim: 24,
        depth: 2,
        heads: 3,
        mlp_ratio: 2,
        embedding: 10,
        positions: Positions::Sine,
        class_token: false,
        tune: Tune::Full,
    };
    (architecture, Grid::Spacing { spacing_mm: [5.0, 2.0, 2.0], size: [4, 8, 12] })
}

fn tower(seed: u64) -> Tower {
    let (architecture, grid) = small();
    Tower::new(&architecture, &grid, &initial(&architecture, &grid, seed).unwrap(), &cpu()).unwrap()
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
    let (architecture, grid) = small();
    let tokens = TokenGrid::new(&grid, architecture.patch);
    assert_eq!((tokens.count, tokens.pitch_mm), ([2, 2, 3], [10.0, 8.0, 8.0]));
    let centres = tokens.centres_mm();
    assert_eq!(centres.first(), Some(&[-5.0, -4.0, -8.0]));
    assert_eq!(centres.get(1), Some(&[-5.0, -4.0, 0.0]));
    assert_eq!(centres.last(), Some(&[5.0, 4.0, 8.0]));
    let stretched = TokenGrid::new(&Grid::Resize { size: [4, 8, 12] }, architecture.patch);
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
    let (architecture, grid) = small();
    let weights = initial(&architecture, &grid, 7).unwrap();
    assert_eq!(weights, initial(&architecture, &grid, 7).unwrap());
    assert_ne!(weights, initial(&architecture, &grid, 8).unwrap());
    assert_eq!(weights.sha256(), "2210d9a478bfda8f3d7c294ff31a3ae0568a842adaaf0ad253ae9e2ecfb78ec8");
    let gamma = &weights.0["blocks.0.norm_mlp.gamma"];
    assert!(gamma.values.iter().all(|value| *value == 1.0));
    let patch = &weights.0["patch.weight"];
    let bound = (6.0f32 / 56.0).sqrt();
    assert!(patch.values.iter().all(|value| value.abs() <= bound));
    assert!(patch.values.iter().any(|value| value.abs() > 0.9 * bound));
}

#[test]
fn weights_go_into_a_network_and_come_out_again() {
    let (architecture, grid) = small();
    let weights = initial(&architecture, &grid, 3).unwrap();
    let tower = Tower::new(&architecture, &grid, &weights, &cpu()).unwrap();
    assert_eq!(Weights::of(&tower).unwrap(), weights);
    let places: usize = weights.0.values().map(|array| array.shape.iter().product::<usize>()).sum();
    assert_eq!(weights.count(), places);
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let (architecture, grid) = small();
    let weights = initial(&architecture, &grid, 3).unwrap();
    let build = |weights: &Weights| Tower::new(&architecture, &grid, weights, &cpu()).map(|_| ());

    let mut missing = weights.clone();
    missing.0.remove("flags.bias");
    assert_eq!(build(&missing), Err(WeightsError::Missing { name: "flags.bias".into() }));

    let mut spare = weights.clone();
    spare.0.insert("head.bias".into(), Array { shape: vec![1], values: vec![0.0] });
    assert_eq!(build(&spare), Err(WeightsError::Unknown { name: "head.bias".into() }));

    let mut reshaped = weights;
    reshaped.0.insert("project.bias".into(), Array { shape: vec![2], values: vec![0.0; 2] });
    let problem = WeightsError::Shape { name: "project.bias".into(), expected: vec![10], given: vec![2] };
    assert_eq!(build(&reshaped), Err(problem));
}
