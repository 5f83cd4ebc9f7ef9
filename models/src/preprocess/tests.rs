use super::*;
use crate::spec::Orientation;
use proptest::prelude::*;
use std::path::Path;

fn spec(grid: Grid) -> PreprocessSpec {
    PreprocessSpec {
        orientation: Orientation::try_from("LPS".to_owned()).unwrap(),
        grid,
        window_hu: [-1000.0, 1000.0],
        output_range: [-1.0, 1.0],
        fill_hu: -1000.0,
    }
}

const AXIAL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

fn volume(size: [usize; 3], spacing_mm: [f64; 3], direction: [[f64; 3]; 3], voxels: Vec<i16>) -> Volume<'static> {
    let geometry = Geometry::new(size, spacing_mm, [5.0, -7.0, 11.0], direction).unwrap();
    Volume::new(geometry, Voxels::I16(voxels.into())).unwrap()
}

/// A case made by `tests/peers/preprocess_golden.py`: an independent implementation in numpy and scipy, in f64.
#[derive(serde::Deserialize)]
struct Case {
    name: String,
    geometry: Geometry,
    spec: PreprocessSpec,
    voxels: Vec<i16>,
    expected: Vec<f32>,
}

#[test]
fn equals_an_independent_implementation() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/preprocess/golden.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let volume = Volume::new(case.geometry, Voxels::I16(case.voxels.into())).unwrap();
        let tensor = tensor(&volume, &case.spec);
        assert_eq!(tensor.values().len(), case.expected.len(), "{}", case.name);
        let range = case.spec.output_range[1] - case.spec.output_range[0];
        for (ours, theirs) in tensor.values().iter().zip(&case.expected) {
            assert!((ours - theirs).abs() <= 1e-5 * range, "{}: {ours} against {theirs}", case.name);
        }
    }
}

#[test]
fn the_extra_voxel_of_an_odd_crop_or_pad_is_at_the_high_end() {
    let line = |count: i16| volume([count as usize, 1, 1], [1.0; 3], AXIAL, (0..count).collect());
    let sized = |size| spec(Grid::Spacing { spacing_mm: [1.0; 3], size: [1, 1, size] });
    let hu = |tensor: Tensor| tensor.values().iter().map(|value| (value * 1000.0).round() as i32).collect::<Vec<_>>();
    assert_eq!(hu(tensor(&line(5), &sized(2))), [1, 2]);
    assert_eq!(hu(tensor(&line(5), &sized(3))), [1, 2, 3]);
    assert_eq!(hu(tensor(&line(2), &sized(5))), [-1000, 0, 1, -1000, -1000]);
    assert_eq!(hu(tensor(&line(3), &sized(5))), [-1000, 0, 1, 2, -1000]);
}

#[test]
fn a_tensor_knows_where_it_lies() {
    let volume = volume([10, 10, 10], [1.0, 2.0, 4.0], AXIAL, vec![0; 1000]);
    let tensor = tensor(&volume, &spec(Grid::Spacing { spacing_mm: [2.0, 2.0, 2.0], size: [20, 10, 5] }));
    // Centre of the tensor and centre of the volume are the same point.
    let centre = tensor.position_mm([9.5, 4.5, 2.0]);
    let expected = volume.geometry().position_mm([4.5, 4.5, 4.5]);
    assert!(centre.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{centre:?} {expected:?}");
}

#[test]
fn nonsense_specs_are_refused_with_every_reason() {
    let mut bad = spec(Grid::Spacing { spacing_mm: [0.0, 1.0, f64::NAN], size: [0, 1, 5000] });
    bad.window_hu = [5.0, 5.0];
    bad.fill_hu = f32::INFINITY;
    assert_eq!(bad.check().unwrap_err().problems.len(), 4);
    assert!(spec(Grid::Resize { size: [32, 64, 64] }).check().is_ok());
}

fn any_grid() -> impl Strategy<Value = Grid> {
    let size = || proptest::array::uniform3(1usize..9);
    prop_oneof![
        size().prop_map(|size| Grid::Resize { size }),
        (proptest::array::uniform3(0.3f64..5.0), size())
            .prop_map(|(spacing_mm, size)| Grid::Spacing { spacing_mm, size }),
    ]
}

fn any_volume() -> impl Strategy<Value = ([usize; 3], [f64; 3], Vec<i16>)> {
    (proptest::array::uniform3(1usize..7), proptest::array::uniform3(0.4f64..4.0)).prop_flat_map(|(size, spacing)| {
        (Just(size), Just(spacing), proptest::collection::vec(-3000i16..3000, size.iter().product::<usize>()))
    })
}

proptest! {
    #[test]
    fn values_stay_in_the_output_range(grid in any_grid(), (size, spacing, voxels) in any_volume()) {
        let tensor = tensor(&volume(size, spacing, AXIAL, voxels), &spec(grid));
        prop_assert!(tensor.values().iter().all(|value| (-1.0..=1.0).contains(value)));
    }

    /// Storing the same patient with an axis the other way round gives the same tensor.
    #[test]
    fn storage_order_does_not_matter(grid in any_grid(), (size, spacing, voxels) in any_volume(), axis in 0usize..3) {
        let straight = volume(size, spacing, AXIAL, voxels.clone());
        let mut direction = AXIAL;
        direction[axis] = direction[axis].map(|unit| -unit);
        let mut turned = voxels.clone();
        for k in 0..size[2] { for j in 0..size[1] { for i in 0..size[0] {
            let mut from = [i, j, k];
            from[axis] = size[axis] - 1 - from[axis];
            turned[(k * size[1] + j) * size[0] + i] = voxels[(from[2] * size[1] + from[1]) * size[0] + from[0]];
        }}}
        let turned = volume(size, spacing, direction, turned);
        let (a, b) = (tensor(&straight, &spec(grid.clone())), tensor(&turned, &spec(grid)));
        for (a, b) in a.values().iter().zip(b.values()) {
            prop_assert!((a - b).abs() < 1e-4);
        }
    }

    /// A sagittal or coronal acquisition of the same patient gives the same tensor: the strided path equals the fast one.
    #[test]
    fn axis_order_does_not_matter(grid in any_grid(), (size, spacing, voxels) in any_volume()) {
        let straight = volume(size, spacing, AXIAL, voxels.clone());
        let mut turned = Vec::new();
        for i in 0..size[0] { for k in 0..size[2] { for j in 0..size[1] {
            turned.push(voxels[(k * size[1] + j) * size[0] + i]);
        }}}
        let order = [1, 2, 0];
        let turned = volume(order.map(|a| size[a]), order.map(|a| spacing[a]), order.map(|a| AXIAL[a]), turned);
        let (a, b) = (tensor(&straight, &spec(grid.clone())), tensor(&turned, &spec(grid)));
        prop_assert_eq!(a.values(), b.values());
    }
}
