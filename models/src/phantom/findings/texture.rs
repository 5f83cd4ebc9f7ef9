//! Findings that are a pattern of both lungs.

use crate::phantom::noise;
use crate::phantom::shape::{Point, dot, sub};

/// Width of a secondary lobule of the lung, which has its septa about it (10 to 25 mm; Webb, HRCT of the lung).
const LOBULE_MM: f64 = 17.0;
/// Thinnest sheet that a scanner shows at its full density; thinner ones it blurs to this.
const BLUR_MM: f64 = 2.4;
const TISSUE: f64 = 20.0;

/// Density at a point of the lung that had `hu`, with septa of this thickness between the lobules: the faces of a
/// Voronoi diagram of one random point a cell (Worley 1996).
pub(super) fn septum(seed: u64, point: Point, thickness_mm: f64, hu: f64) -> f64 {
    let [x, y, z] = noise::cell_of(point, LOBULE_MM);
    let mut nearest = [(f64::INFINITY, [0.0; 3]); 2];
    for (dx, dy, dz) in (0..27).map(|step| (step % 3 - 1, step / 3 % 3 - 1, step / 9 - 1)) {
        let offset = sub(noise::point_in(seed, [x + dx, y + dy, z + dz], LOBULE_MM), point);
        let place = (dot(offset, offset), offset);
        let [first, second] = nearest;
        if place.0 < first.0 {
            nearest = [place, first];
        } else if place.0 < second.0 {
            nearest = [first, place];
        }
    }
    let [(near, a), (far, b)] = nearest;
    let between = sub(b, a);
    // Distance from the plane in the middle of the two nearest points.
    let distance = 0.5 * (far - near) / dot(between, between).sqrt();
    if distance < 0.5 * thickness_mm.max(BLUR_MM) { hu + (TISSUE - hu) * (thickness_mm / BLUR_MM).min(1.0) } else { hu }
}

/// Where septa are thick: fluid and lymph gather in the lower zones.
pub(super) fn is_lower_zone(seed: u64, [x, y, z]: Point, middle_mm: f64) -> bool {
    z < middle_mm + 40.0 * (noise::smooth(seed, [x, y, z], 30.0) - 0.5)
}

/// Density at a point of the lung that had `hu`, in a mosaic of patches of this width: some hold too much air or too
/// little blood, the others make up for it. Their borders follow lobules.
pub(super) fn mosaic(seed: u64, point: Point, patch_mm: f64, hu: f64) -> f64 {
    let place = noise::smooth(seed, point, patch_mm) + 0.12 * (noise::smooth(!seed, point, 8.0) - 0.5);
    if place < 0.5 { hu - 70.0 } else { hu + 120.0 }
}
