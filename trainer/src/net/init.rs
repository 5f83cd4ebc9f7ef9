//! Initial weights from a seed, the same to the last bit on every machine and release.
//!
//! Each parameter has its own `ChaCha8` stream, keyed by SHA-256 of seed and path, so that a new parameter changes no
//! other. Values are uniform: 24 random bits scaled by a bound that needs a square root only, both exact in IEEE
//! arithmetic, where a normal distribution would need logarithms whose last bit differs between libraries.

use super::block::width;
use super::tower::Tower;
use super::weights::{Array, Weights, WeightsError};
use crate::experiment::Vision;
use ctedge_models::spec::Grid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Bound of the pooling query. Normalised tokens then score with a standard deviation of `1 / sqrt(3)`: the weights
/// differ by a factor of a few from the start, so that which tokens count most does not hang on rounding.
const QUERY_BOUND: f64 = 1.0;

/// The weights of an untrained tower.
///
/// Matrices are uniform with Glorot's bound `sqrt(6 / (in + out))`; those that end a residual branch are divided by
/// `sqrt(2 * depth)`, so that the tokens' variance does not grow with depth. Biases and the shifts of layer
/// normalisations are zero, their scales one.
pub fn initial(architecture: &Vision, grid: &Grid, seed: u64) -> Result<Weights, WeightsError> {
    let empty = Tower::empty(architecture, grid, &crate::device::cpu());
    let mut weights = Weights::of(&empty)?;
    let residual = (2.0 * width(architecture.depth.max(1))).sqrt();
    for (name, array) in &mut weights.0 {
        array.values = draw(name, array, residual, seed);
    }
    Ok(weights)
}

fn draw(name: &str, array: &Array, residual: f64, seed: u64) -> Vec<f32> {
    let count = array.shape.iter().product();
    let bound = match (name.rsplit('.').next(), array.shape.as_slice()) {
        (Some("gamma"), _) => return vec![1.0; count],
        (Some("query"), _) => QUERY_BOUND,
        (_, [inputs, outputs]) => {
            let ends_branch = name.ends_with("attention.out.weight") || name.ends_with("mlp.down.weight");
            (6.0 / width(inputs + outputs)).sqrt() / if ends_branch { residual } else { 1.0 }
        }
        _ => return vec![0.0; count],
    };
    let mut stream = ChaCha8Rng::from_seed(key(seed, name));
    (0..count).map(|_| uniform(stream.next_u32(), bound)).collect()
}

fn key(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name);
    hash.finalize().into()
}

/// The upper 24 bits as a number in [-bound, bound).
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "rounding to 32 bits is meant")]
fn uniform(bits: u32, bound: f64) -> f32 {
    (bound * (f64::from(bits >> 8) / f64::from(1 << 23) - 1.0)) as f32
}
