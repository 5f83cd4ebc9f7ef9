//! Where a volume's saliency lies, and how alike two volumes are in that.

use crate::experiment::Spatial;
use burn::tensor::Tensor;

/// Bandwidths are at least this, so that a batch of equal volumes has a kernel of 1.
const SMALLEST_BANDWIDTH: f64 = 1e-6;

/// Centroid and covariance of token saliency (R7), in millimetres, so that voxels that are no cubes distort nothing.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `mu_i = sum_m r_im p_m`, `[N, 3]` in mm.
    pub centroid_mm: Tensor<2>,
    /// `Sigma_i = sum_m r_im (p_m - mu_i)(p_m - mu_i)^T`, row by row, `[N, 9]` in mm^2.
    pub covariance_mm2: Tensor<2>,
}

impl Moments {
    /// `saliency` is `[N, T]` with rows that sum to one, `centres_mm` `[T, 3]`.
    pub fn of(saliency: Tensor<2>, centres_mm: Tensor<2>) -> Self {
        let [tokens, _] = centres_mm.dims();
        let [volumes, _] = saliency.dims();
        let products = centres_mm.clone().reshape([tokens, 3, 1]) * centres_mm.clone().reshape([tokens, 1, 3]);
        let centroid = saliency.clone().matmul(centres_mm);
        let square = centroid.clone().reshape([volumes, 3, 1]) * centroid.clone().reshape([volumes, 1, 3]);
        let second = saliency.matmul(products.reshape([tokens, 9]));
        Self { centroid_mm: centroid, covariance_mm2: second - square.reshape([volumes, 9]) }
    }
}

/// `K_ij = exp(-|mu_i - mu_j|^2 / kappa_mu) exp(-|Sigma_i - Sigma_j|_F^2 / kappa_Sigma)`, `[N, N]` (R8; the form is
/// published, the bandwidths are not). A bandwidth that is not given is the median of the batch's distances off the
/// diagonal, so that neither factor outweighs the other.
pub fn spatial_kernel(moments: &Moments, bandwidths: Spatial) -> Tensor<2> {
    let near = factor(moments.centroid_mm.clone(), bandwidths.centroid_mm2);
    near * factor(moments.covariance_mm2.clone(), bandwidths.covariance_mm4)
}

fn factor(points: Tensor<2>, bandwidth: Option<f64>) -> Tensor<2> {
    let distances = squared_distances(points);
    let scaled = match bandwidth {
        Some(given) => distances / given.max(SMALLEST_BANDWIDTH),
        None => distances.clone() / median_between(distances).clamp_min(SMALLEST_BANDWIDTH).unsqueeze::<2>(),
    };
    (-scaled).exp()
}

/// `[N, D]` to `[N, N]`. The points are moved to their mean first: the sum of squares below cancels large numbers.
fn squared_distances(points: Tensor<2>) -> Tensor<2> {
    let points = points.clone() - points.mean_dim(0);
    let [count, _] = points.dims();
    let squares = points.clone().powi_scalar(2).sum_dim(1);
    let crossed = points.clone().matmul(points.transpose()) * 2.0;
    let others = -Tensor::eye(count, &squares.device()) + 1.0;
    ((squares.clone() + squares.transpose() - crossed) * others).clamp_min(0.0)
}

/// Median of the entries off the diagonal, `[1]`; 0 if there are none. It is found where the distances lie: to read them would keep a
/// GPU waiting in the middle of a step.
fn median_between(distances: Tensor<2>) -> Tensor<1> {
    let [count, _] = distances.dims();
    let between = count * count - count;
    if between == 0 {
        return Tensor::zeros([1], &distances.device());
    }
    // No distance is below the diagonal's zeros, which therefore stand first.
    let sorted = distances.flatten::<1>(0, 1).sort(0);
    let at = |place: usize| sorted.clone().slice_dim(0, place..=place);
    (at(count + (between - 1) / 2) + at(count + between / 2)) / 2.0
}
