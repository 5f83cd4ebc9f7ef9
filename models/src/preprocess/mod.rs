//! The one preprocessing of the project: a volume in HU to a model's input tensor, for training and at the bedside.
//!
//! One pass over the output, without intermediate volumes: for each output row the four input rows around it are blended
//! along z and y, then sampled along x. Only additions, subtractions and multiplications of f32, in a fixed order: the
//! same volume gives the same bits on every machine and with any number of threads.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "indices come from tables that are clamped to the volume when they are made; sizes are far below 2^52"
)]

use crate::spec::{Grid, PreprocessSpec};
use crate::volume::{Geometry, Volume, Voxels};
use ndarray::Array4;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A model's input: `[1, z, y, x]` f32, with its place in the patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    values: Array4<f32>,
    spec_digest: String,
    geometry: Geometry,
    axes: [Axis; 3],
}

impl Tensor {
    /// The values, `[channel = 1, z, y, x]`.
    pub fn values(&self) -> &Array4<f32> {
        &self.values
    }

    /// Gives up the values.
    pub fn into_values(self) -> Array4<f32> {
        self.values
    }

    /// Digest of the spec that made it ([`PreprocessSpec::digest`]).
    pub fn spec_digest(&self) -> &str {
        &self.spec_digest
    }

    /// SHA-256 over the values, f32 little endian in C order, lower-case hex.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for value in &self.values {
            hasher.update(value.to_le_bytes());
        }
        data_encoding::HEXLOWER.encode(&hasher.finalize())
    }

    /// LPS position in mm of a (possibly fractional) tensor index (z, y, x). Outside the volume it continues its grid.
    pub fn position_mm(&self, index: [f64; 3]) -> [f64; 3] {
        let mut voxel = [0.0; 3];
        for (axis, step) in self.axes.iter().zip(index) {
            voxel[axis.along] = axis.source(step);
        }
        self.geometry.position_mm(voxel)
    }
}

/// One axis of the tensor over one index axis of the volume.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    /// The volume's index axis that it runs along.
    along: usize,
    /// Voxels of the volume along it.
    length: usize,
    flipped: bool,
    /// Voxels of the volume per voxel of the tensor.
    ratio: f64,
    /// Voxels along the axis once resampled, before crop or pad.
    resampled: usize,
    /// Index of the first tensor voxel in the resampled axis; negative where the tensor is padded.
    start: i64,
    /// Voxels of the tensor.
    size: usize,
}

impl Axis {
    /// Index along the volume's axis of tensor index `step`, not clamped: output centre `r` lies over input
    /// `(r + 0.5) * ratio - 0.5` (align-corners false).
    fn source(&self, step: f64) -> f64 {
        let source = (step + self.start as f64 + 0.5) * self.ratio - 0.5;
        if self.flipped { (self.length - 1) as f64 - source } else { source }
    }

    fn taps(&self) -> Vec<Option<Tap>> {
        (0..self.size).map(|step| self.tap(step)).collect()
    }

    fn tap(&self, step: usize) -> Option<Tap> {
        let resampled = step as i64 + self.start;
        if resampled < 0 || resampled >= self.resampled as i64 {
            return None;
        }
        let last = self.length - 1;
        let source = self.source(step as f64).clamp(0.0, last as f64);
        let low = (source.floor() as usize).min(last);
        Some(Tap { low, high: (low + 1).min(last), weight: (source - low as f64) as f32 })
    }
}

/// Two neighbouring voxels and the share of the second.
#[derive(Debug, Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

/// Turns a volume into the tensor that `spec` describes.
///
/// Steps, in this order: each tensor axis takes the volume's nearest index axis, turned to grow the stated way (an
/// oblique volume keeps its own grid); resample by trilinear interpolation with voxel centres aligned and edges
/// repeated; clip to the window; scale; crop or pad about the centre. [`Grid::Spacing`] resamples an axis of `n` voxels
/// to `max(1, round(n * spacing / target))` voxels; where the difference to the tensor's size is odd, the extra voxel is
/// cropped from, or padded to, the high end.
pub fn tensor(volume: &Volume<'_>, spec: &PreprocessSpec) -> Tensor {
    let mut making = Making::new(volume.geometry(), spec);
    let whole = 0..making.axes[0].length;
    match volume.voxels() {
        Voxels::I16(voxels) => making.sample(voxels, whole),
        Voxels::F32(voxels) => making.sample(voxels, whole),
    }
    making.tensor()
}

/// The same tensor of a volume that is never whole in memory: of blocks of slices, one after the other.
#[derive(Debug)]
pub struct Blocks<'a>(Making<'a>);

impl<'a> Blocks<'a> {
    /// `None` where slices do not follow each other along the tensor's first axis; such a volume is needed whole.
    pub fn new(geometry: &Geometry, spec: &'a PreprocessSpec) -> Option<Self> {
        let making = Making::new(geometry, spec);
        (making.axes[0].along == 2).then_some(Self(making))
    }

    /// Takes the slices `first..` in HU, C order `[k][j][i]`. Each block begins with the last slice of the one before.
    pub fn add<T: Copy + Into<f32> + Sync>(&mut self, first: usize, voxels: &[T]) {
        let [columns, rows, _] = self.0.geometry.size();
        self.0.sample(voxels, first..first + voxels.len() / (columns * rows));
    }

    /// The tensor, once every slice has been in a block.
    pub fn tensor(self) -> Tensor {
        self.0.tensor()
    }
}

/// A tensor in the making.
#[derive(Debug)]
struct Making<'a> {
    spec: &'a PreprocessSpec,
    geometry: Geometry,
    axes: [Axis; 3],
    values: Vec<f32>,
}

impl<'a> Making<'a> {
    fn new(geometry: &Geometry, spec: &'a PreprocessSpec) -> Self {
        let values = vec![0.0; spec.grid.size().iter().product()];
        Self { spec, geometry: geometry.clone(), axes: axes(geometry, spec), values }
    }

    fn tensor(self) -> Tensor {
        let [planes, rows, columns] = self.spec.grid.size();
        let values = Array4::from_shape_vec((1, planes, rows, columns), self.values).unwrap_or_default();
        Tensor { values, spec_digest: self.spec.digest(), geometry: self.geometry, axes: self.axes }
    }

    /// Fills the planes that depend on nothing but the `known` part of the volume along their axis.
    fn sample<T: Copy + Into<f32> + Sync>(&mut self, voxels: &[T], known: Range<usize>) {
        let Self { spec, geometry, axes, values } = self;
        let size = geometry.size();
        let strides = [1, size[0], size[0] * size[1]];
        let [zs, ys, xs] = axes.map(|axis| axis.taps());
        let [z_stride, y_stride, x_stride] = axes.map(|axis| strides[axis.along]);
        let scale = Scale::of(spec);
        let fill = scale.apply(spec.fill_hu);
        // The part of an input row that any output voxel looks at.
        let used = xs.iter().flatten().fold((usize::MAX, 0), |(low, high), tap| (low.min(tap.low), high.max(tap.high)));
        let (rows, columns) = (ys.len(), xs.len());
        values.par_chunks_mut(rows * columns).zip(&zs).for_each(|(plane, z)| {
            let Some(z) = z else {
                plane.fill(fill);
                return;
            };
            if !known.contains(&z.low) || !known.contains(&z.high) {
                return;
            }
            let mut row = vec![0.0f32; axes[2].length];
            for (line, y) in plane.chunks_mut(columns).zip(&ys) {
                let Some(y) = y else {
                    line.fill(fill);
                    continue;
                };
                let at = |z: usize, y: usize| (z - known.start) * z_stride + y * y_stride;
                let corners = [at(z.low, y.low), at(z.low, y.high), at(z.high, y.low), at(z.high, y.high)];
                blend(voxels, corners, x_stride, [y.weight, z.weight], (&mut row, used));
                for (value, x) in line.iter_mut().zip(&xs) {
                    *value = x.map_or(fill, |x| scale.apply(lerp(row[x.low], row[x.high], x.weight)));
                }
            }
        });
    }
}

/// The tensor's axes in the order (z, y, x).
fn axes(geometry: &Geometry, spec: &PreprocessSpec) -> [Axis; 3] {
    let wanted = spec.orientation.axes();
    [0, 1, 2].map(|place| {
        let (patient_axis, grows) = wanted[2 - place];
        let along = geometry.axes().iter().position(|&(axis, _)| axis == patient_axis).unwrap_or(place);
        let length = geometry.size()[along];
        let size = spec.grid.size()[place];
        let (ratio, resampled) = match &spec.grid {
            Grid::Spacing { spacing_mm, .. } => {
                let ratio = spacing_mm[place] / geometry.spacing_mm()[along];
                (ratio, ((length as f64 / ratio).round() as usize).max(1))
            }
            Grid::Resize { .. } => (length as f64 / size as f64, size),
        };
        let flipped = (geometry.axes()[along].1 > 0.0) != grows;
        // Truncates towards zero: the odd voxel of a crop or a pad is at the high end.
        let start = (resampled as i64 - size as i64) / 2;
        Axis { along, length, flipped, ratio, resampled, start, size }
    })
}

/// Blends four input rows into `row[used.0..=used.1]`.
fn blend<T: Copy + Into<f32>>(
    voxels: &[T],
    corners: [usize; 4],
    stride: usize,
    [along_y, along_z]: [f32; 2],
    (row, used): (&mut [f32], (usize, usize)),
) {
    let (first, last) = used;
    if first > last {
        return;
    }
    let mix =
        |a: T, b: T, c: T, d: T| lerp(lerp(a.into(), b.into(), along_y), lerp(c.into(), d.into(), along_y), along_z);
    if stride == 1 {
        let [a, b, c, d] = corners.map(|corner| &voxels[corner + first..=corner + last]);
        for ((((value, &a), &b), &c), &d) in row[first..=last].iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *value = mix(a, b, c, d);
        }
    } else {
        for (step, value) in row.iter_mut().enumerate().take(last + 1).skip(first) {
            let [a, b, c, d] = corners.map(|corner| voxels[corner + step * stride]);
            *value = mix(a, b, c, d);
        }
    }
}

fn lerp(a: f32, b: f32, weight: f32) -> f32 {
    a + (b - a) * weight
}

/// Clip and scale.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low_hu: f32,
    high_hu: f32,
    factor: f32,
    low: f32,
}

impl Scale {
    fn of(spec: &PreprocessSpec) -> Self {
        let ([low_hu, high_hu], [low, high]) = (spec.window_hu, spec.output_range);
        Self { low_hu, high_hu, factor: (high - low) / (high_hu - low_hu), low }
    }

    fn apply(self, hu: f32) -> f32 {
        // `max` before `min`: a value that is no number becomes the lower bound, as air.
        (hu.max(self.low_hu).min(self.high_hu) - self.low_hu) * self.factor + self.low
    }
}

#[cfg(test)]
mod tests;
