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
struct Solid<'a> {
    /// Extents in mm to the patient's left, to posterior, to the head.
    extent_mm: [f64; 3],
    at: &'a dyn Fn([f64; 3]) -> f32,
}

/// Draws a volume as radiologists look at it: the patient's left on the right-hand side, seen from the feet.
pub(super) fn volume(volume: &Volume<'_>, path: &Path) -> anyhow::Result<()> {
    let geometry = volume.geometry();
    let (axes, size, spacing) = (geometry.axes(), geometry.size(), geometry.spacing_mm());
    let mut extent_mm = [0.0; 3];
    for ((&(axis, _), &side), spacing) in axes.iter().zip(&size).zip(spacing) {
        if let Some(extent) = extent_mm.get_mut(axis) {
            *extent = side as f64 * spacing;
        }
    }
    let at = |fraction: [f64; 3]| {
        let mut index = [0usize; 3];
        for ((slot, &(axis, sign)), &side) in index.iter_mut().zip(&axes).zip(&size) {
            let along = fraction.get(axis).copied().unwrap_or_default();
            let along = if sign < 0.0 { 1.0 - along } else { along };
            *slot = ((along * side as f64) as usize).min(side.saturating_sub(1));
        }
        let [low, high] = WINDOW_HU;
        (volume.hu(index).unwrap_or(low) - low) / (high - low)
    };
    write(&Solid { extent_mm, at: &at }, path)
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
    let at = |fraction: [f64; 3]| {
        let along = axes.map(|(axis, positive)| {
            let along = fraction.get(axis).copied().unwrap_or_default();
            if positive { along } else { 1.0 - along }
        });
        let [x, y, z] = along;
        let index = |along: f64, side: usize| ((along * side as f64) as usize).min(side.saturating_sub(1));
        let value = values.get([0, index(z, nz), index(y, ny), index(x, nx)]).copied().unwrap_or(low);
        (value - low) / (high - low)
    };
    write(&Solid { extent_mm, at: &at }, path)
}

fn write(solid: &Solid<'_>, path: &Path) -> anyhow::Result<()> {
    let (width, height) = (TILE * COLUMNS, TILE * ROWS);
    let mut pixels = vec![0u8; width * height];
    let axial = COLUMNS * ROWS - 2;
    for tile in 0..COLUMNS * ROWS {
        let (left, top) = (tile % COLUMNS * TILE, tile / COLUMNS * TILE);
        for y in 0..TILE {
            for x in 0..TILE {
                let (u, v) = ((x as f64 + 0.5) / TILE as f64, (y as f64 + 0.5) / TILE as f64);
                let fraction = match tile {
                    // The highest slice first.
                    _ if tile < axial => plane(solid, [0, 1], [u, v], 1.0 - (tile as f64 + 0.5) / axial as f64),
                    _ if tile == axial => plane(solid, [0, 2], [u, 1.0 - v], 0.5),
                    _ => plane(solid, [1, 2], [u, 1.0 - v], 0.5),
                };
                let brightness = fraction.map_or(0.0, |fraction| (solid.at)(fraction).clamp(0.0, 1.0));
                if let Some(pixel) = pixels.get_mut((top + y) * width + left + x) {
                    *pixel = (brightness * 255.0) as u8;
                }
            }
        }
    }
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

/// The point of the solid under a tile's point, with true proportions; `None` beside the solid.
fn plane(solid: &Solid<'_>, [across, down]: [usize; 2], [u, v]: [f64; 2], depth: f64) -> Option<[f64; 3]> {
    let extent = |axis: usize| solid.extent_mm.get(axis).copied().unwrap_or(1.0);
    let longest = extent(across).max(extent(down));
    let place = |along: f64, axis: usize| (along - 0.5) * longest / extent(axis) + 0.5;
    let mut fraction = [depth; 3];
    for (axis, along) in [(across, u), (down, v)] {
        let along = place(along, axis);
        if !(0.0..1.0).contains(&along) {
            return None;
        }
        *fraction.get_mut(axis)? = along;
    }
    Some(fraction)
}
