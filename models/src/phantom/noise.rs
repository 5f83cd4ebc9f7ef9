//! Randomness of single voxels: a hash, so that it depends on no order and no thread.
#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bits of a hash to a fraction; lattice cells of a chest fit any integer"
)]

use super::shape::Point;

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn hash(seed: u64, index: u64) -> u64 {
    mixed(mixed(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Nearly normal with deviation one: the sum of four uniform 16-bit numbers (Irwin and Hall).
pub(super) fn normal(seed: u64, index: usize) -> f64 {
    /// Mean of the sum, and its standard deviation: sqrt(4 / 12) * 65536.
    const MEAN: f64 = 131_070.0;
    const DEVIATION: f64 = 37_837.2;
    let bits = hash(seed, index as u64);
    let sum: u64 = [0, 16, 32, 48].iter().map(|shift| (bits >> shift) & 0xffff).sum();
    (sum as f64 - MEAN) / DEVIATION
}

/// A number from 0 to 1 for a cell of a lattice.
pub(super) fn cell(seed: u64, place: [i64; 3]) -> f64 {
    (hash(seed, packed(place)) >> 11) as f64 / (1u64 << 53) as f64
}

fn packed([x, y, z]: [i64; 3]) -> u64 {
    (x as u64 & 0x1f_ffff) | (y as u64 & 0x1f_ffff) << 21 | (z as u64 & 0x1f_ffff) << 42
}

/// A random point in a cell of a lattice of this pitch: 21 bits of one hash an axis.
pub(super) fn point_in(seed: u64, place: [i64; 3], pitch_mm: f64) -> Point {
    let bits = hash(seed, packed(place));
    let mut shift = 0;
    place.map(|index| {
        let share = ((bits >> shift) & 0x1f_ffff) as f64 / f64::from(1 << 21);
        shift += 21;
        (index as f64 + share) * pitch_mm
    })
}

/// The cell of a point in a lattice of this pitch.
pub(super) fn cell_of(point: Point, pitch_mm: f64) -> [i64; 3] {
    point.map(|value| (value / pitch_mm).floor() as i64)
}

/// Smooth noise from 0 to 1: lattice values, blended linearly between the eight corners.
pub(super) fn smooth(seed: u64, point: Point, pitch_mm: f64) -> f64 {
    let [x, y, z] = cell_of(point, pitch_mm);
    let [u, v, w] = point.map(|value| {
        let place = value / pitch_mm;
        place - place.floor()
    });
    let corner = |dx: i64, dy: i64, dz: i64| cell(seed, [x + dx, y + dy, z + dz]);
    let blend = |a: f64, b: f64, share: f64| a + (b - a) * share;
    let row = |dy, dz| blend(corner(0, dy, dz), corner(1, dy, dz), u);
    blend(blend(row(0, 0), row(1, 0), v), blend(row(0, 1), row(1, 1), v), w)
}
