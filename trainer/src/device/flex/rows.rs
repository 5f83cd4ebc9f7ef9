//! What is done to the rows of a block, on one thread, in place: each a value that [`pulp::Arch::dispatch`] takes.
//!
//! They are compiled once for every set of vector instructions, and the best that the processor has is taken. Rust never
//! joins a multiplication and an addition by itself, so that all of them give the same bits.

#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the vector instructions of its caller")]

use super::numbers::{exp, largest, mean, narrow, normal, sum};
use pulp::{Simd, WithSimd};

/// Numbers to their GELU.
pub(in crate::device) struct Gelu<'a> {
    pub(in crate::device) block: &'a mut [f32],
}

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.block.iter_mut().for_each(|x| *x *= normal(*x).0);
    }
}

/// The gradient of GELU's output to that of its input.
pub(in crate::device) struct GeluGradient<'a> {
    pub(in crate::device) input: &'a [f32],
    pub(in crate::device) block: &'a mut [f32],
}

impl WithSimd for GeluGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (gradient, &x) in self.block.iter_mut().zip(self.input) {
            let (share, density) = normal(x);
            *gradient *= share + x * density;
        }
    }
}

/// What layer normalisation learns, and the epsilon under its root.
#[derive(Debug, Clone, Copy)]
pub(in crate::device) struct Scale<'a> {
    pub(in crate::device) gamma: &'a [f32],
    pub(in crate::device) beta: &'a [f32],
    pub(in crate::device) epsilon: f64,
}

/// Rows to their normalised selves.
pub(in crate::device) struct LayerNorm<'a> {
    pub(in crate::device) block: &'a mut [f32],
    pub(in crate::device) scale: Scale<'a>,
}

impl WithSimd for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Scale { gamma, beta, epsilon } = self.scale;
        for row in self.block.chunks_exact_mut(gamma.len()) {
            let [middle, narrow] = spread(row, epsilon);
            for ((x, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
                *x = (*x - middle) * narrow * gamma + beta;
            }
        }
    }
}

/// The gradient of normalised rows to that of the rows, and what the block adds to those of gamma and beta.
pub(in crate::device) struct LayerNormGradient<'a> {
    pub(in crate::device) input: &'a [f32],
    pub(in crate::device) scale: Scale<'a>,
    pub(in crate::device) block: &'a mut [f32],
}

impl WithSimd for LayerNormGradient<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [Vec<f32>; 2] {
        let Scale { gamma, epsilon, .. } = self.scale;
        let [mut of_gamma, mut of_beta] = [vec![0.0; gamma.len()], vec![0.0; gamma.len()]];
        let rows = self.input.chunks_exact(gamma.len()).zip(self.block.chunks_exact_mut(gamma.len()));
        for (row, gradients) in rows {
            let [middle, narrow] = spread(row, epsilon);
            let normal = |x: f32| (x - middle) * narrow;
            let learned = of_gamma.iter_mut().zip(&mut of_beta).zip(gamma);
            for ((gradient, &x), ((of_gamma, of_beta), gamma)) in gradients.iter_mut().zip(row).zip(learned) {
                *of_gamma += *gradient * normal(x);
                *of_beta += *gradient;
                *gradient *= gamma;
            }
            let shift = mean(gradients, row, |gradient, _| gradient);
            let slope = mean(gradients, row, |gradient, x| gradient * normal(x));
            for (gradient, &x) in gradients.iter_mut().zip(row) {
                *gradient = (*gradient - shift - normal(x) * slope) * narrow;
            }
        }
        [of_gamma, of_beta]
    }
}

/// Rows of scores to weights; none falls on what is 0 in `seen`.
pub(in crate::device) struct Softmax<'a> {
    pub(in crate::device) block: &'a mut [f32],
    pub(in crate::device) seen: &'a [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.block.chunks_exact_mut(self.seen.len()) {
            weigh(row, self.seen);
        }
    }
}

/// Rows of one head's scores to weights; each query sees the keys up to its own, and the queries are the last of the keys.
pub(in crate::device) struct CausalSoftmax<'a> {
    pub(in crate::device) block: &'a mut [f32],
    pub(in crate::device) queries: usize,
    /// As many ones as there are keys.
    pub(in crate::device) seen: &'a [f32],
}

impl WithSimd for CausalSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let before = self.seen.len().saturating_sub(self.queries);
        for (query, row) in self.block.chunks_exact_mut(self.seen.len()).enumerate() {
            let (past, behind) = row.split_at_mut((before + query + 1).min(self.seen.len()));
            weigh(past, self.seen.get(..past.len()).unwrap_or_default());
            behind.fill(0.0);
        }
    }
}

/// Scores to weights; none falls on what is 0 in `seen`.
#[inline(always)]
fn weigh(row: &mut [f32], seen: &[f32]) {
    let most = largest(row, seen);
    for (x, &seen) in row.iter_mut().zip(seen) {
        let power = exp(*x - most);
        *x = if seen > 0.0 { power } else { 0.0 };
    }
    let share = sum(row, row, |x, _| x).max(f32::MIN_POSITIVE).recip();
    for x in row {
        *x *= share;
    }
}

/// The gradient of rows of weights to that of their scores.
pub(in crate::device) struct SoftmaxGradient<'a> {
    pub(in crate::device) weights: &'a [f32],
    pub(in crate::device) row: usize,
    pub(in crate::device) block: &'a mut [f32],
}

impl WithSimd for SoftmaxGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.weights.chunks_exact(self.row).zip(self.block.chunks_exact_mut(self.row));
        for (weights, gradients) in rows {
            let shift = sum(weights, gradients, |weight, gradient| weight * gradient);
            for (gradient, weight) in gradients.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - shift);
            }
        }
    }
}

/// Mean of a row, and one over the root of its variance plus epsilon.
#[inline(always)]
fn spread(row: &[f32], epsilon: f64) -> [f32; 2] {
    let middle = mean(row, row, |x, _| x);
    let variance = mean(row, row, |x, _| (x - middle) * (x - middle));
    [middle, narrow((f64::from(variance) + epsilon).sqrt().recip())]
}
