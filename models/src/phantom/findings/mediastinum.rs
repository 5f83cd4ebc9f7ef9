//! Where findings between the lungs lie.

use super::Lesion;
use crate::phantom::Side;
use crate::phantom::anatomy::Chest;
use crate::phantom::shape::{Ellipsoid, Tube, line};

/// A stretch of the anterior descending artery, on the surface of the heart.
pub(super) fn coronary(chest: &Chest, length_mm: f64) -> Vec<Tube> {
    let ([cx, cy, cz], [a, b, c]) = (chest.heart.centre, chest.heart.half);
    let surface = |w: f64, u: f64| {
        let v = (1.0 - u * u - w * w).max(0.0).sqrt();
        [cx + a * u, cy - b * v, cz + c * w]
    };
    let reach = (length_mm / c).min(0.9);
    line(&[surface(0.62, 0.1), surface(0.62 - 0.5 * reach, 0.22), surface(0.62 - reach, 0.3)], 2.4)
}

/// Beside the trachea, below its fork, and before the aortic arch.
pub(super) fn nodes(radius: f64) -> Vec<Ellipsoid> {
    let node = |centre| Ellipsoid { centre, half: [radius, radius * 1.1, radius * 1.4] };
    vec![node([-21.0, 8.0, 66.0]), node([-2.0, 30.0, 12.0]), node([8.0, -24.0, 74.0])]
}

/// A pacemaker below the collarbone with its lead into the heart.
pub(super) fn device(side: Side, size_mm: f64, chest: &Chest) -> Lesion {
    let out = side.sign();
    let centre = [out * 88.0, -82.0, 92.0];
    let body = Ellipsoid { centre, half: [0.5 * size_mm, 6.0, 0.5 * size_mm] };
    let points = [centre, [out * 40.0, -40.0, 118.0], [-26.0, -14.0, 100.0], [-28.0, -14.0, 20.0], chest.heart.centre];
    Lesion::Device { body, lead: line(&points, 2.2) }
}
