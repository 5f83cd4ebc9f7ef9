//! Neighbourhoods of 3 x 3 x 3 cells of a map as rows of a matrix, and back: a convolution is a product with such rows.

use super::after;
use crate::device::fused::{CELLS, EDGE};
use rayon::prelude::*;
use std::ops::Range;

/// Maps of some cases, and the neighbourhoods about every `stride`-th cell along each axis; cells beyond a map's border are 0.
#[derive(Debug, Clone, Copy)]
pub(in crate::device) struct Field {
    /// Number of maps, and their cells (z, y, x).
    pub(in crate::device) cases: usize,
    pub(in crate::device) size: [usize; 3],
    /// Numbers of a cell.
    pub(in crate::device) width: usize,
    pub(in crate::device) stride: usize,
}

impl Field {
    /// Cells (z, y, x) that have a row.
    pub(in crate::device) fn centres(self) -> [usize; 3] {
        self.size.map(|edge| edge.div_ceil(self.stride))
    }

    /// Number of rows of all cases.
    pub(in crate::device) fn rows(self) -> usize {
        self.cases * self.centres().iter().product::<usize>()
    }

    /// Numbers of a row.
    pub(in crate::device) fn row(self) -> usize {
        CELLS * self.width
    }

    /// The rows `[B * z' * y' * x', 27 C]` of maps `[B, z, y, x, C]`, the cells of a neighbourhood in (z, y, x) order.
    pub(in crate::device) fn gathered(self, maps: &[f32]) -> Vec<f32> {
        let mut rows = vec![0.0; self.rows() * self.row()];
        let [z, y, x] = self.centres();
        let planes = rows.par_chunks_mut((y * x * self.row()).max(1)).enumerate();
        planes.for_each(|(plane, rows)| {
            let map = after(maps, plane / z * self.map());
            self.each_line(plane % z, |line, row, first| {
                let to = rows.get_mut(row + first..row + first + line.len());
                if let (Some(to), Some(from)) = (to, map.get(line)) {
                    to.copy_from_slice(from);
                }
            });
        });
        rows
    }

    /// Maps whose cells are the sums of their places in all rows: the gradient of [`Field::gathered`].
    pub(in crate::device) fn scattered(self, rows: &[f32]) -> Vec<f32> {
        let mut maps = vec![0.0; self.cases * self.map()];
        let [z, y, x] = self.centres();
        let plane_rows = y * x * self.row();
        maps.par_chunks_mut(self.map().max(1)).enumerate().for_each(|(case, map)| {
            for plane in 0..z {
                let rows = after(rows, (case * z + plane) * plane_rows);
                self.each_line(plane, |line, row, first| {
                    let from = rows.get(row + first..row + first + line.len()).unwrap_or_default();
                    let to = map.get_mut(line).unwrap_or_default();
                    to.iter_mut().zip(from).for_each(|(sum, part)| *sum += part);
                });
            }
        });
        maps
    }

    /// Numbers of a map.
    fn map(self) -> usize {
        self.size.iter().product::<usize>() * self.width
    }

    /// Every stretch of cells that lie side by side in a map and in a row about a centre of this plane: where it lies in the map,
    /// where the row begins, and where the stretch begins in it.
    fn each_line(self, plane: usize, mut take: impl FnMut(Range<usize>, usize, usize)) {
        let ([z, y, x], [_, rows, columns]) = (self.size, self.centres());
        let mut row = 0;
        for centre_y in 0..rows {
            for centre_x in 0..columns {
                for (place, [in_z, in_y]) in (0..EDGE * EDGE).map(|place| (place, [place / EDGE, place % EDGE])) {
                    let found = [(plane, in_z, z), (centre_y, in_y, y)].map(|(centre, offset, edge)| {
                        (centre * self.stride + offset).checked_sub(1).filter(|cell| *cell < edge)
                    });
                    let [Some(z), Some(y_cell)] = found else { continue };
                    let middle = centre_x * self.stride;
                    let [from, to] = [middle.saturating_sub(1), (middle + 2).min(x)];
                    let line = (z * y + y_cell) * x;
                    let first = place * EDGE + from + 1 - middle;
                    let line = (line + from) * self.width..(line + to) * self.width;
                    take(line, row, first * self.width);
                }
                row += self.row();
            }
        }
    }
}
