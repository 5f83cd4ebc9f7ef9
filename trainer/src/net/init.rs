//! Initial weights from a seed, the same to the last bit on every machine and release.
//!
//! Each parameter has its own `ChaCha8` stream, keyed by SHA-256 of seed and path, so that a new parameter changes no
//! other. Values are uniform: 24 random bits scaled by a bound that needs a square root only, both exact in IEEE
//! arithmetic, where a normal distribution would need logarithms whose last bit differs between libraries.

use super::decoder::ReportDecoder;
use super::layers::width;
use super::pair::Pair;
use super::weights::{Array, Weights, WeightsError};
use crate::experiment::{self, Experiment};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Bound of the pooling query. Normalised tokens then score with a standard deviation of `1 / sqrt(3)`: the weights
/// differ by a factor of a few from the start, so that which tokens count most does not hang on rounding.
const QUERY_BOUND: f64 = 1.0;
/// Standard deviation of embeddings and learned positions, BERT's.
const TABLE_DEVIATION: f64 = 0.02;
/// Tables that are no matrices.
const TABLES: [&str; 3] = ["text.embeddings", "decoder.word", "decoder.position"];
/// Begins the names of a decoder's parameters here, so that none shares its random numbers with one of the towers.
const DECODER: &str = "decoder.";

/// The weights of an untrained network whose tokenizer knows `vocabulary` pieces.
///
/// Matrices are uniform with Glorot's bound `sqrt(6 / (in + out))`; those that end a residual branch of the volume tower
/// are divided by `sqrt(2 * depth)`, so that the tokens' variance does not grow with depth (the report tower normalises
/// after each branch). Tables and the class token are uniform with BERT's standard deviation. Biases and the shifts of
/// layer normalisations are zero, their scales one. Factor and bias of the loss are the experiment's.
pub fn initial(experiment: &Experiment, vocabulary: usize) -> Result<Weights, WeightsError> {
    let empty = Pair::empty(experiment, vocabulary, &crate::device::cpu());
    let mut weights = Weights::of(&empty)?;
    for (name, array) in &mut weights.0 {
        array.values = match name.as_str() {
            "log_scale" => vec![narrow(experiment.loss.scale.ln())],
            "bias" => vec![narrow(experiment.loss.bias)],
            _ => draw(name, array, experiment),
        };
    }
    Ok(weights)
}

/// The weights of an untrained decoder whose tokenizer knows `vocabulary` pieces, by the same rules; a flag's rows are as
/// large as a normalised token.
pub fn initial_decoder(
    experiment: &Experiment,
    settings: &experiment::Decoder,
    vocabulary: usize,
) -> Result<Weights, WeightsError> {
    let empty = ReportDecoder::empty((experiment, settings), vocabulary, &crate::device::cpu());
    let mut weights = Weights::of(&empty)?;
    for (name, array) in &mut weights.0 {
        array.values = draw(&format!("{DECODER}{name}"), array, experiment);
    }
    Ok(weights)
}

fn draw(name: &str, array: &Array, experiment: &Experiment) -> Vec<f32> {
    let count = array.shape.iter().product();
    let Some(bound) = bound(name, &array.shape, experiment) else {
        return vec![if name.ends_with("gamma") { 1.0 } else { 0.0 }; count];
    };
    let mut stream = stream(experiment.seed, name);
    (0..count).map(|_| uniform(stream.next_u32(), bound)).collect()
}

/// Largest value of a parameter that is drawn.
fn bound(name: &str, shape: &[usize], experiment: &Experiment) -> Option<f64> {
    if name.ends_with("pool.query") {
        return Some(QUERY_BOUND);
    }
    if name.starts_with("decoder.memory.flags") {
        return Some(3.0_f64.sqrt());
    }
    if TABLES.iter().any(|table| name.starts_with(table)) && shape.len() == 2 || shape.len() == 3 {
        return Some(TABLE_DEVIATION * 3.0_f64.sqrt());
    }
    let [inputs, outputs] = shape else { return None };
    let ends_branch = name.ends_with("attention.out.weight") || name.ends_with("mlp.down.weight");
    let glorot = (6.0 / width(inputs + outputs)).sqrt();
    let residual = width(branches(name, experiment).max(1)).sqrt();
    Some(if ends_branch { glorot / residual } else { glorot })
}

/// Residual branches one after the other in the part that a parameter belongs to, where nothing normalises in between.
fn branches(name: &str, experiment: &Experiment) -> usize {
    match name.split_once('.') {
        Some(("vision", _)) => 2 * experiment.vision.depth,
        Some(("decoder", _)) => 3 * experiment.decoder.as_ref().map_or(0, |decoder| decoder.depth),
        _ => 1,
    }
}

/// Random bits of a parameter.
pub(super) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name);
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// The upper 24 bits as a number in [-bound, bound).
pub(super) fn uniform(bits: u32, bound: f64) -> f32 {
    narrow(bound * (f64::from(bits >> 8) / f64::from(1 << 23) - 1.0))
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "rounding to 32 bits is meant")]
fn narrow(value: f64) -> f32 {
    value as f32
}
