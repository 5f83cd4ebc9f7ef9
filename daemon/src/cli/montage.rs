//! Pictures of volumes and tensors: axial slices from head to foot, a coronal and a sagittal one.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel coordinates, bounded by the tile's size; whatever lies outside the volume is black"
)]

use anyhow::Context;
use ctedge_models::preprocess::Tensor;
use ctedge_models::spec::PreprocessSpec;
use ctedge_models::volume::Volume;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Pixels of a tile's side.
const TILE: usize = 192;
/// Tiles in a row, and rows.
const COLUMNS: usize = 5;
const ROWS: usize = 4;
/// A window that shows lung and soft tissue at once, in HU.
const WINDOW_HU: [f32; 2] = [-1000.0, 400.0];

/// What a picture is made of: brightness from 0 to 1 at a fraction (0 to 1) of each patient axis.
pub(super) struct Solid<'a> {
    /// Extents in mm to the patient's left, to posterior, to the head.
    extent_mm: [f64; 3],
    /// Its middle, in the patient's coordinates.
    middle_mm: [f64; 3],
    at: Box<dyn Fn([f64; 3]) -> f32 + 'a>,
}

/// A plane of a patient: two of its axes across and down a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plane {
    /// Seen from the feet, as radiologists look: the patient's left on the right-hand side.
    Axial,
    /// Seen from the front.
    Coronal,
    /// Seen from the patient's left.
    Sagittal,
}

impl Plane {
    /// Across, down, and the axis that it lies at right angles to.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [0, 1, 2],
            Self::Coronal => [0, 2, 1],
            Self::Sagittal => [1, 2, 0],
        }
    }

    /// Heights grow upwards in a picture.
    fn turned(self, [u, v]: [f64; 2]) -> [f64; 2] {
        if self == Self::Axial { [u, v] } else { [u, 1.0 - v] }
    }
}

impl<'a> Solid<'a> {
    /// A volume, in a window that shows lung and soft tissue.
    pub(super) fn of(volume: &'a Volume<'_>) -> Self {
        let geometry = volume.geometry();
        let (axes, size, spacing) = (geometry.axes(), geometry.size(), geometry.spacing_mm());
        let mut extent_mm = [0.0; 3];
        for ((&(axis, _), &side), spacing) in axes.iter().zip(&size).zip(spacing) {
            if let Some(extent) = extent_mm.get_mut(axis) {
                *extent = side as f64 * spacing;
            }
        }
        let at = move |fraction: [f64; 3]| {
            let mut index = [0usize; 3];
            for ((slot, &(axis, sign)), &side) in index.iter_mut().zip(&axes).zip(&size) {
                let along = fraction.get(axis).copied().unwrap_or_default();
                let along = if sign < 0.0 { 1.0 - along } else { along };
                *slot = ((along * side as f64) as usize).min(side.saturating_sub(1));
            }
            let [low, high] = WINDOW_HU;
            (volume.hu(index).unwrap_or(low) - low) / (high - low)
        };
        let middle_mm = geometry.position_mm(size.map(|side| (side as f64 - 1.0) / 2.0));
        Self { extent_mm, middle_mm, at: Box::new(at) }
    }

    /// Brightness at a point of a square tile (0 to 1 across and down), with true proportions; `None` beside the solid.
    pub(super) fn brightness(&self, plane: Plane, at: [f64; 2], depth: f64) -> Option<f32> {
        let [across, down, through] = plane.axes();
        let mut fraction = [depth; 3];
        for (axis, along) in [(across, 0), (down, 1)] {
            let along = self.along(plane, axis, plane.turned(at).get(along).copied()?);
            if !(0.0..1.0).contains(&along) {
                return None;
            }
            *fraction.get_mut(axis)? = along;
        }
        *fraction.get_mut(through)? = depth.clamp(0.0, 1.0);
        Some((self.at)(fraction).clamp(0.0, 1.0))
    }

    /// Where on a tile (0 to 1 across and down) a point of the patient lies.
    pub(super) fn on_tile(&self, plane: Plane, point_mm: [f64; 3]) -> [f64; 2] {
        let [across, down, _through] = plane.axes();
        plane.turned([across, down].map(|axis| {
            let (point, middle) = (point_mm.get(axis), self.middle_mm.get(axis));
            0.5 + (point.copied().unwrap_or_default() - middle.copied().unwrap_or_default()) / self.longest(plane)
        }))
    }

    /// How far along an axis (0 to 1) a coordinate of the patient lies.
    pub(super) fn fraction(&self, axis: usize, at_mm: f64) -> f64 {
        0.5 + (at_mm - self.middle_mm.get(axis).copied().unwrap_or_default()) / self.extent(axis)
    }

    /// The same of a fraction of a tile.
    fn along(&self, plane: Plane, axis: usize, tile: f64) -> f64 {
        (tile - 0.5) * self.longest(plane) / self.extent(axis) + 0.5
    }

    fn longest(&self, plane: Plane) -> f64 {
        let [across, down, _through] = plane.axes();
        self.extent(across).max(self.extent(down))
    }

    fn extent(&self, axis: usize) -> f64 {
        self.extent_mm.get(axis).copied().filter(|extent| *extent > 0.0).unwrap_or(1.0)
    }
}

/// Draws a volume as radiologists look at it.
pub(super) fn volume(volume: &Volume<'_>, path: &Path) -> anyhow::Result<()> {
    write(&Solid::of(volume), path)
}

/// Draws what the model sees.
pub(super) fn tensor(tensor: &Tensor, spec: &PreprocessSpec, path: &Path) -> anyhow::Result<()> {
    let values = tensor.values();
    let (_, nz, ny, nx) = values.dim();
    let step = |index: [f64; 3], other: [f64; 3]| -> f64 {
        let (a, b) = (tensor.position_mm(index), tensor.position_mm(other));
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    };
    let origin = [0.0; 3];
    let lengths = [
        nx as f64 * step(origin, [0.0, 0.0, 1.0]),
        ny as f64 * step(origin, [0.0, 1.0, 0.0]),
        nz as f64 * step(origin, [1.0, 0.0, 0.0]),
    ];
    let axes = spec.orientation.axes();
    let mut extent_mm = [0.0; 3];
    for (&(axis, _), length) in axes.iter().zip(lengths) {
        if let Some(extent) = extent_mm.get_mut(axis) {
            *extent = length;
        }
    }
    let [low, high] = spec.output_range;
    let at = move |fraction: [f64; 3]| {
        let along = axes.map(|(axis, positive)| {
            let along = fraction.get(axis).copied().unwrap_or_default();
            if positive { along } else { 1.0 - along }
        });
        let [x, y, z] = along;
        let index = |along: f64, side: usize| ((along * side as f64) as usize).min(side.saturating_sub(1));
        let value = values.get([0, index(z, nz), index(y, ny), index(x, nx)]).copied().unwrap_or(low);
        (value - low) / (high - low)
    };
    let middle_mm = tensor.position_mm([nz, ny, nx].map(|side| (side as f64 - 1.0) / 2.0));
    write(&Solid { extent_mm, middle_mm, at: Box::new(at) }, path)
}

fn write(solid: &Solid<'_>, path: &Path) -> anyhow::Result<()> {
    let (width, height) = (TILE * COLUMNS, TILE * ROWS);
    let mut pixels = vec![0u8; width * height];
    let axial = COLUMNS * ROWS - 2;
    for tile in 0..COLUMNS * ROWS {
        let (left, top) = (tile % COLUMNS * TILE, tile / COLUMNS * TILE);
        let (plane, depth) = match tile {
            // The highest slice first.
            _ if tile < axial => (Plane::Axial, 1.0 - (tile as f64 + 0.5) / axial as f64),
            _ if tile == axial => (Plane::Coronal, 0.5),
            _ => (Plane::Sagittal, 0.5),
        };
        for y in 0..TILE {
            for x in 0..TILE {
                let at = [x, y].map(|pixel| (pixel as f64 + 0.5) / TILE as f64);
                let brightness = solid.brightness(plane, at, depth).unwrap_or_default();
                if let Some(pixel) = pixels.get_mut((top + y) * width + left + x) {
                    *pixel = (brightness * 255.0) as u8;
                }
            }
        }
    }
    png(path, [width, height], png::ColorType::Grayscale, &pixels)
}

/// Writes pixels, row after row.
pub(super) fn png(path: &Path, size: [usize; 2], color: png::ColorType, pixels: &[u8]) -> anyhow::Result<()> {
    let [width, height] = size.map(|side| side as u32);
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}
