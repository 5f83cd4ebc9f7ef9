//! Exact search: the cosine with every row, and the best of them.
//!
//! Rows are read as they lie on disk. A row costs its bytes once; at 50,000 rows of 512 numbers that is 51 MB, so the speed of
//! memory is the bound, and threads share the rows.

use super::EvidenceError;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Rows that one thread takes at a time.
const BLOCK: usize = 1024;
/// How far the length of a unit vector may be from one.
const UNIT_TOLERANCE: f32 = 0.01;

/// A reference case and how near it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Row of the reference, from 0.
    pub row: usize,
    /// Cosine of the two embeddings, -1 to 1.
    pub similarity: f32,
}

/// The `count` rows nearest to the unit vector `query`, the nearest first; of equal ones the earlier first. `rows` are 16-bit
/// floats, little endian, as wide as `query`, in C order.
///
/// # Errors
/// The query is no unit vector, or the rows are not as wide.
pub fn nearest(rows: &[u8], query: &[f32], count: usize) -> Result<Vec<Match>, EvidenceError> {
    let stride = 2 * query.len();
    let length = query.iter().map(|value| value * value).sum::<f32>().sqrt();
    let is_unit = (length - 1.0).abs() <= UNIT_TOLERANCE;
    if stride == 0 || !rows.len().is_multiple_of(stride) || !is_unit {
        return Err(EvidenceError::Query);
    }
    let best: Vec<Match> = rows
        .par_chunks(BLOCK * stride)
        .enumerate()
        .flat_map_iter(|(block, rows)| best_of(block, rows, query, count))
        .collect();
    Ok(first(best, count))
}

fn best_of(block: usize, rows: &[u8], query: &[f32], count: usize) -> Vec<Match> {
    let mut wide = vec![0.0; query.len()];
    let mut narrow = vec![f16::ZERO; query.len()];
    let cosine = |(row, bytes): (usize, &[u8])| {
        for (value, pair) in narrow.iter_mut().zip(bytes.chunks_exact(2)) {
            *value = f16::from_le_bytes(pair.try_into().unwrap_or_default());
        }
        narrow.convert_to_f32_slice(&mut wide);
        Match { row: block * BLOCK + row, similarity: dot(&wide, query) }
    };
    first(rows.chunks_exact(2 * query.len()).enumerate().map(cosine).collect(), count)
}

/// Sums in eight lanes, which the compiler turns into one of vectors.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 8;
    let (whole, other) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f32 = whole.remainder().iter().zip(other.remainder()).map(|(left, right)| left * right).sum();
    let mut sums = [0.0_f32; LANES];
    for (left, right) in whole.zip(other) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn first(mut found: Vec<Match>, count: usize) -> Vec<Match> {
    // What is no number comes last.
    let near = |one: &Match| if one.similarity.is_nan() { f32::NEG_INFINITY } else { one.similarity };
    let order = |left: &Match, right: &Match| near(right).total_cmp(&near(left)).then(left.row.cmp(&right.row));
    if found.len() > count && count > 0 {
        found.select_nth_unstable_by(count - 1, order);
    }
    found.truncate(count);
    found.sort_unstable_by(order);
    found
}
