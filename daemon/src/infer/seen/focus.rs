//! Where a flag comes from: what its tokens add to its logit, in the patient's millimetres.

use ctedge_models::preprocess::Tensor;
use ctedge_models::volume::Geometry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in the patient a flag comes from: the tokens that add at least half as much to its logit as the strongest one does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Focus {
    /// Their weighted centre in DICOM's patient coordinates (left, posterior, superior) in mm.
    pub(crate) centroid_mm: [f64; 3],
    /// Edges of the box around them, in mm, along the same axes.
    pub(crate) extent_mm: [f64; 3],
    /// Where along the superior axis the slice lies that adds most, in mm.
    pub(crate) key_slice_mm: f64,
    /// Their share of all that speaks for the flag, 0 to 1.
    pub(crate) share: f64,
    /// How far the centroid lies to the left of the middle of what the model saw, in mm; negative to the right.
    pub(crate) left_mm: f64,
    /// How far up the scan the centroid lies, from 0 to 1, where the scan is about as high as a chest.
    pub(crate) height: Option<f64>,
}

/// Share of the strongest token from which on one counts.
const STRONG: f64 = 0.5;

/// How high a scan may be whose upper part shows the upper part of the lungs, in mm.
const CHEST_MM: std::ops::Range<f64> = 180.0..450.0;

/// One focus for each row of `saliency` `[labels, T]`, the tokens being the parts `grid` (z, y, x) of the tensor that a scan was made
/// into; `None` where no token speaks for the flag.
pub(in crate::infer) fn foci(
    saliency: &[f32],
    grid: [usize; 3],
    (tensor, scan): (&Tensor, &Geometry),
) -> Vec<Option<Focus>> {
    let tokens = Tokens::of(grid, tensor, scan);
    let count = tokens.centres_mm.len();
    if count == 0 || !saliency.len().is_multiple_of(count) {
        return Vec::new();
    }
    saliency.chunks_exact(count).map(|row| tokens.focus(row)).collect()
}

/// The tokens of a tensor in the patient.
#[expect(clippy::struct_field_names, reason = "the unit stands last in every name")]
struct Tokens {
    /// Their centres, in token order.
    centres_mm: Vec<[f64; 3]>,
    /// Edges of one along the patient's axes.
    edges_mm: [f64; 3],
    /// The middle of the tensor.
    middle_mm: [f64; 3],
    /// Where the scan begins and ends along the superior axis.
    heights_mm: [f64; 2],
}

impl Tokens {
    fn of(grid: [usize; 3], tensor: &Tensor, scan: &Geometry) -> Self {
        let (_, z, y, x) = tensor.values().dim();
        let edges: [f64; 3] = std::array::from_fn(|axis| {
            let size = [z, y, x].get(axis).copied().unwrap_or_default();
            real(size) / real(grid.get(axis).copied().unwrap_or(1).max(1))
        });
        let [ez, ey, ex] = edges;
        let at = |[k, j, i]: [f64; 3]| tensor.position_mm([k * ez - 0.5, j * ey - 0.5, i * ex - 0.5]);
        let [nz, ny, nx] = grid;
        let places = (0..nz).flat_map(|k| (0..ny).flat_map(move |j| (0..nx).map(move |i| [k, j, i])));
        let centres_mm = places.map(|place| at(place.map(|step| real(step) + 0.5))).collect();
        let (low, high) = (at([0.0; 3]), at([1.0; 3]));
        let edges_mm = std::array::from_fn(|axis| match (low.get(axis), high.get(axis)) {
            (Some(low), Some(high)) => (high - low).abs(),
            _ => 0.0,
        });
        Self { centres_mm, edges_mm, middle_mm: at(grid.map(|count| real(count) / 2.0)), heights_mm: heights(scan) }
    }

    fn focus(&self, row: &[f32]) -> Option<Focus> {
        let weights: Vec<f64> = row.iter().map(|weight| f64::from(*weight).max(0.0)).collect();
        let strongest = weights.iter().copied().fold(0.0, f64::max);
        let all: f64 = weights.iter().sum();
        if !(strongest > 0.0 && all.is_finite()) {
            return None;
        }
        let strong: Vec<(f64, [f64; 3])> = weights
            .into_iter()
            .zip(self.centres_mm.iter().copied())
            .filter(|(weight, _)| *weight >= STRONG * strongest)
            .collect();
        let sum: f64 = strong.iter().map(|(weight, _)| weight).sum();
        let along = |axis: usize| {
            strong.iter().map(move |(weight, centre)| (weight, centre.get(axis).copied().unwrap_or_default()))
        };
        let centroid_mm: [f64; 3] =
            std::array::from_fn(|axis| along(axis).map(|(weight, at)| weight * at).sum::<f64>() / sum);
        let extent_mm = std::array::from_fn(|axis| {
            let (low, high) =
                along(axis).fold((f64::MAX, f64::MIN), |(low, high), (_, at)| (low.min(at), high.max(at)));
            high - low + self.edges_mm.get(axis).copied().unwrap_or_default()
        });
        let ([x, _, z], [middle, ..], [bottom, top]) = (centroid_mm, self.middle_mm, self.heights_mm);
        let height = CHEST_MM.contains(&(top - bottom)).then(|| (z - bottom) / (top - bottom));
        let (key_slice_mm, share, left_mm) = (key_slice(&strong), sum / all, x - middle);
        Some(Focus { centroid_mm, extent_mm, key_slice_mm, share, left_mm, height })
    }
}

/// Where a scan begins and ends along the superior axis, in mm.
fn heights(scan: &Geometry) -> [f64; 2] {
    let [i, j, k] = scan.size().map(|count| real(count) - 0.5);
    let ends = [i, j, k].map(|end| [-0.5, end]);
    let corners = (0..8_usize).map(|corner| {
        let end = |axis: usize| ends.get(axis).and_then(|ends| ends.get(corner >> axis & 1)).copied();
        let [_, _, z] = scan.position_mm(std::array::from_fn(|axis| end(axis).unwrap_or_default()));
        z
    });
    corners.fold([f64::MAX, f64::MIN], |[low, high], z| [low.min(z), high.max(z)])
}

/// The height at which the weights of a layer of tokens are largest.
fn key_slice(strong: &[(f64, [f64; 3])]) -> f64 {
    let height = |(_, [_, _, z]): &(f64, [f64; 3])| *z;
    let layer =
        |z: f64| strong.iter().filter(|token| (height(token) - z).abs() < 1.0).map(|(weight, _)| weight).sum::<f64>();
    strong.iter().map(height).max_by(|left, right| layer(*left).total_cmp(&layer(*right))).unwrap_or_default()
}

/// A count as a real number; counts of voxels are far below the 32 bits that convert exactly.
fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctedge_models::phantom::Recipe;
    use ctedge_models::preprocess;
    use ctedge_models::spec::PreprocessSpec;

    fn tensor() -> (Tensor, Geometry) {
        let spec: PreprocessSpec = serde_json::from_value(serde_json::json!({
            "orientation": "LPS", "grid": {"spacing": {"spacing_mm": [8.0, 8.0, 8.0], "size": [32, 40, 40]}},
            "window_hu": [-1000.0, 1000.0], "output_range": [-1.0, 1.0], "fill_hu": -1000.0,
        }))
        .unwrap();
        let scan = Recipe::chest(1).volume().unwrap();
        (preprocess::tensor(&scan, &spec), scan.geometry().clone())
    }

    /// Token (z, y, x) of a grid of 4 x 5 x 5.
    fn token([z, y, x]: [usize; 3]) -> usize {
        (z * 5 + y) * 5 + x
    }

    #[test]
    fn a_focus_lies_where_the_tokens_lie() {
        let (tensor, scan) = tensor();
        let mut saliency = vec![0.01_f32; 2 * 100];
        saliency[token([3, 2, 4])] = 4.0;
        saliency[token([3, 2, 3])] = 2.0;
        saliency[token([0, 0, 0])] = 1.0;
        saliency[100..].fill(-1.0);
        let [Some(focus), None] = &foci(&saliency, [4, 5, 5], (&tensor, &scan))[..] else {
            panic!("one focus of two flags")
        };
        // A token is 8 voxels of 8 mm; the third layer, third row, last two columns.
        let expected = tensor.position_mm([27.5, 19.5, (35.5 * 4.0 + 27.5 * 2.0) / 6.0]);
        for (found, expected) in focus.centroid_mm.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{focus:?}");
        }
        for (found, expected) in focus.extent_mm.iter().zip([128.0, 64.0, 64.0]) {
            assert!((found - expected).abs() < 1e-6, "{focus:?}");
        }
        assert!((focus.key_slice_mm - expected[2]).abs() < 1e-9);
        assert!(focus.left_mm > 80.0, "columns grow to the patient's left");
        assert!((focus.share - 6.0 / 7.97).abs() < 0.01);
        assert!(focus.height.is_some_and(|height| (0.7..1.0).contains(&height)), "the highest layer: {focus:?}");
    }

    #[test]
    fn what_does_not_fit_the_tensor_has_no_place() {
        let (tensor, scan) = tensor();
        let foci = |saliency: &[f32], grid| foci(saliency, grid, (&tensor, &scan));
        assert!(foci(&[1.0; 99], [4, 5, 5]).is_empty());
        assert!(foci(&[1.0; 99], [0, 5, 5]).is_empty());
        assert_eq!(foci(&[f32::NAN; 100], [4, 5, 5]), [None]);
        assert_eq!(foci(&[f32::INFINITY; 100], [4, 5, 5]), [None]);
    }
}
