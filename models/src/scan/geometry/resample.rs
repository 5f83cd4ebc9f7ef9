//! Slices that do not lie on a regular grid, brought onto one: sheared back where the gantry was tilted, and interpolated
//! between their true positions where the steps vary.

use crate::scan::voxels::Hu;
use rayon::prelude::*;

/// HU beside the slices: air.
pub(in crate::scan) const FILL_HU: f32 = -1000.0;
/// How far beyond a slice's edge still counts as on it, in voxels: positions are rounded in the header.
const EDGE: f64 = 1e-3;

/// How the slices of a volume follow from those that were acquired.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Resampling {
    /// Columns and rows of the acquired slices.
    pub(in crate::scan) source: [usize; 2],
    /// For each slice of the volume.
    pub(in crate::scan) places: Vec<Place>,
    /// Where the first voxel of each acquired slice lies on the volume's grid, along (i, j) in voxels.
    pub(in crate::scan) offsets: Vec<[f64; 2]>,
}

/// Between which two acquired slices one of the volume lies.
#[derive(Debug, Clone, Copy)]
pub(in crate::scan) struct Place {
    pub(in crate::scan) below: usize,
    pub(in crate::scan) above: usize,
    /// Weight of the one above.
    pub(in crate::scan) share: f64,
}

impl Resampling {
    /// Whether parts of the volume lie beside the slices, and are filled.
    pub(in crate::scan) fn is_sheared(&self) -> bool {
        self.offsets.iter().flatten().any(|&offset| offset != 0.0)
    }

    /// Acquired voxels in C order to those of a volume of `[columns, rows]`, linearly.
    pub(in crate::scan) fn fill<T: Hu>(&self, acquired: &[f32], [columns, rows]: [usize; 2], voxels: &mut [T]) {
        let [source_columns, source_rows] = self.source;
        let slice = |index: usize| acquired.chunks_exact(source_columns * source_rows).nth(index).unwrap_or_default();
        voxels.par_chunks_mut(columns * rows).zip(&self.places).for_each(|(plane, &Place { below, above, share })| {
            let shift = |index: usize| self.offsets.get(index).copied().unwrap_or_default();
            let of = |index: usize| Shifted { values: slice(index), size: self.source, offset: shift(index) };
            let (below, above) = (of(below), of(above));
            for (j, row) in plane.chunks_exact_mut(columns).enumerate() {
                for (i, voxel) in row.iter_mut().enumerate() {
                    let at = [i, j].map(whole);
                    let mix =
                        if share > 0.0 { below.at(at) * (1.0 - share) + above.at(at) * share } else { below.at(at) };
                    *voxel = T::nearest(mix);
                }
            }
        });
    }
}

/// An acquired slice on the volume's grid.
struct Shifted<'a> {
    values: &'a [f32],
    size: [usize; 2],
    offset: [f64; 2],
}

impl Shifted<'_> {
    /// The value at (i, j) of the grid, bilinear.
    fn at(&self, [i, j]: [f64; 2]) -> f64 {
        let ([columns, rows], [di, dj]) = (self.size, self.offset);
        let (Some((i, right)), Some((j, down))) = (split(i - di, columns), split(j - dj, rows)) else {
            return f64::from(FILL_HU);
        };
        let value = |i: usize, j: usize| self.values.get(j * columns + i).map_or(0.0, |&value| f64::from(value));
        let mix = |a: f64, b: f64, share: f64| if share > 0.0 { a * (1.0 - share) + b * share } else { a };
        let row = |j: usize| mix(value(i, j), if right > 0.0 { value(i + 1, j) } else { 0.0 }, right);
        mix(row(j), if down > 0.0 { row(j + 1) } else { 0.0 }, down)
    }
}

/// A place on an axis of `count` voxels as a voxel and the way to the next; `None` outside.
fn split(at: f64, count: usize) -> Option<(usize, f64)> {
    let last = whole(count.checked_sub(1)?);
    if at < -EDGE || at > last + EDGE {
        return None;
    }
    let at = at.clamp(0.0, last);
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and a count of voxels"
    )]
    let voxel = at.floor() as usize;
    Some((voxel, at - at.floor()))
}

/// An index or a count as a real number; sides of a volume are far below the 32 bits that convert exactly.
pub(in crate::scan) fn whole(index: usize) -> f64 {
    u32::try_from(index).map_or(f64::INFINITY, f64::from)
}
