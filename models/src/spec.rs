//! What a model wants to be fed: the input contract that travels inside its bundle.

use serde::{Deserialize, Serialize};

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
        let axis = |letter| match letter {
            'L' => Some((0, true)),
            'R' => Some((0, false)),
            'P' => Some((1, true)),
            'A' => Some((1, false)),
            'S' => Some((2, true)),
            'I' => Some((2, false)),
            _ => None,
        };
        let axes: Option<Vec<(usize, bool)>> = given.chars().map(axis).collect();
        let mut seen = [false; 3];
        if let Some([x, y, z]) = axes.as_deref() {
            for (axis, _) in [x, y, z] {
                seen[*axis] = true;
            }
            if seen == [true; 3] {
                return Ok(Self([*x, *y, *z]));
            }
        }
        Err(OrientationError { given })
    }
}

impl From<Orientation> for String {
    fn from(orientation: Orientation) -> Self {
        let letter = |(axis, positive): (usize, bool)| [['R', 'L'], ['A', 'P'], ['I', 'S']][axis][usize::from(positive)];
        orientation.0.map(letter).iter().collect()
    }
}
