//! What a model wants to be fed: the input contract that travels inside its bundle.

use crate::volume::axis_letter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How a volume becomes a model's input tensor. Stored in the bundle's manifest; [`crate::preprocess::tensor`] is the
/// only code that carries it out.
///
/// The order of steps is fixed: reorient, resample (trilinear, align-corners false), clip to `window_hu`, scale to
/// `output_range`, crop or pad about the centre with `fill_hu` (clipped and scaled like every voxel).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessSpec {
    /// Patient directions that the tensor's (x, y, z) axes grow towards, e.g. `LPS`: x to the patient's left, y to
    /// posterior, z to the head. An oblique volume keeps its own grid and is matched by its nearest axes.
    pub orientation: Orientation,
    /// The sampling grid.
    pub grid: Grid,
    /// Lower and upper bound in HU; values beyond are clipped.
    pub window_hu: [f32; 2],
    /// What the window's bounds become.
    pub output_range: [f32; 2],
    /// HU of voxels outside the volume, where the grid is larger than the volume.
    pub fill_hu: f32,
}

/// Largest tensor: 1024 voxels a side, 2^28 (1 GiB of f32) in all.
const LARGEST_SIDE: usize = 1024;
const MOST_VOXELS: usize = 1 << 28;

/// What is wrong with a spec, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the input contract: {}", problems.join("; "))]
pub struct SpecError {
    /// All of it.
    pub problems: Vec<String>,
}

impl PreprocessSpec {
    /// Checks that the numbers make sense: finite, ordered, positive, of a size that can be held.
    pub fn check(&self) -> Result<(), SpecError> {
        let mut problems = Vec::new();
        for (name, [low, high]) in [("window_hu", self.window_hu), ("output_range", self.output_range)] {
            if !(low.is_finite() && high.is_finite() && low < high) {
                problems.push(format!("{name} = [{low}, {high}] must be two rising finite numbers"));
            }
        }
        if !self.fill_hu.is_finite() {
            problems.push("fill_hu must be finite".to_owned());
        }
        let size = self.grid.size();
        let voxels: usize = size.iter().map(|&side| side.min(LARGEST_SIDE)).product();
        if size.iter().any(|side| !(1..=LARGEST_SIDE).contains(side)) || voxels > MOST_VOXELS {
            problems.push(format!("size = {size:?} must be 1 to {LARGEST_SIDE} a side and {MOST_VOXELS} in all"));
        }
        if let Grid::Spacing { spacing_mm, .. } = &self.grid
            && !spacing_mm.iter().all(|spacing| (0.05..=100.0).contains(spacing))
        {
            problems.push(format!("spacing_mm = {spacing_mm:?} must lie between 0.05 and 100 mm"));
        }
        if problems.is_empty() { Ok(()) } else { Err(SpecError { problems }) }
    }

    /// SHA-256 over the spec's JSON, lower-case hex: names cached tensors and ties a tensor to its model.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        data_encoding::HEXLOWER.encode(&Sha256::digest(json))
    }
}

/// The sampling grid of a tensor; arrays are in tensor order (z, y, x).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grid {
    /// Resample to this spacing in mm, then crop or pad about the centre to this size.
    Spacing {
        /// Voxel spacing (z, y, x) in mm.
        spacing_mm: [f64; 3],
        /// Tensor size (z, y, x).
        size: [usize; 3],
    },
    /// Stretch the whole volume to this size, whatever its spacing.
    Resize {
        /// Tensor size (z, y, x).
        size: [usize; 3],
    },
}

impl Grid {
    /// Tensor size (z, y, x).
    pub fn size(&self) -> [usize; 3] {
        match self {
            Self::Spacing { size, .. } | Self::Resize { size } => *size,
        }
    }
}

/// Three patient directions, one of each pair: {L,R}, {P,A}, {S,I}, in the order x, y, z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Orientation([(usize, bool); 3]);

impl Orientation {
    /// For each tensor axis (x, y, z): the patient axis (0 = x, 1 = y, 2 = z of LPS) and whether it grows with it.
    pub fn axes(self) -> [(usize, bool); 3] {
        self.0
    }
}

/// An orientation that is not three directions of three different axes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no orientation: three letters, one each of L/R, P/A and S/I")]
pub struct OrientationError {
    given: String,
}

impl TryFrom<String> for Orientation {
    type Error = OrientationError;
    fn try_from(given: String) -> Result<Self, OrientationError> {
        let directions = [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)];
        let axis = |letter| directions.into_iter().find(|&direction| axis_letter(direction) == letter);
        let axes: Option<Vec<(usize, bool)>> = given.chars().map(axis).collect();
        match axes.as_deref() {
            Some(&[x, y, z]) if x.0 != y.0 && y.0 != z.0 && z.0 != x.0 => Ok(Self([x, y, z])),
            _ => Err(OrientationError { given }),
        }
    }
}

impl From<Orientation> for String {
    fn from(orientation: Orientation) -> Self {
        orientation.0.map(axis_letter).iter().collect()
    }
}
