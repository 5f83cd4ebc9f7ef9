//! The learning rate over the steps.

use crate::experiment::Training;

/// The learning rate of a step, from 0: rises linearly over the warm-up, then falls along half a cosine to its final
/// share (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
pub fn learning_rate(training: &Training, step: usize) -> f64 {
    let Training { steps, warmup_steps, learning_rate, final_share, .. } = *training;
    if step < warmup_steps {
        return learning_rate * real(step + 1) / real(warmup_steps);
    }
    let along = real(step - warmup_steps) / real((steps - 1).saturating_sub(warmup_steps).max(1));
    let cosine = f64::midpoint(1.0, (std::f64::consts::PI * along.min(1.0)).cos());
    learning_rate * (final_share + (1.0 - final_share) * cosine)
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
