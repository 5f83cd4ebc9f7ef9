//! A CT volume: voxels in Hounsfield units with their true place in the patient.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Where a voxel grid lies in the patient, in DICOM's LPS coordinates (x to the patient's left, y to posterior, z to
/// the head; PS3.3 C.7.6.2.1.1), in millimetres.
///
/// Axis 0 is the column index `i` (fastest in memory), axis 1 the row index `j`, axis 2 the slice index `k`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawGeometry", into = "RawGeometry")]
pub struct Geometry {
    size: [usize; 3],
    spacing_mm: [f64; 3],
    origin_mm: [f64; 3],
    direction: [[f64; 3]; 3],
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGeometry {
    size: [usize; 3],
    spacing_mm: [f64; 3],
    origin_mm: [f64; 3],
    direction: [[f64; 3]; 3],
}

/// Why numbers do not describe a volume.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VolumeError {
    /// A side of the grid is zero, or the number of voxels does not fit the address space.
    #[error("a grid of {size:?} voxels is no volume")]
    Size {
        /// The offending size, (i, j, k).
        size: [usize; 3],
    },
    /// A voxel spacing is not a positive finite number.
    #[error("voxel spacing {spacing_mm:?} mm is not positive and finite")]
    Spacing {
        /// The offending spacing, (i, j, k).
        spacing_mm: [f64; 3],
    },
    /// The axes are not three unit vectors at right angles.
    #[error("the volume's axes are not orthonormal")]
    Direction,
    /// The origin is not finite.
    #[error("the volume's origin is not finite")]
    Origin,
    /// The voxel buffer does not hold exactly one value per voxel.
    #[error("{voxels} voxels given for a grid of {expected}")]
    Length {
        /// Voxels the grid asks for.
        expected: usize,
        /// Voxels that were given.
        voxels: usize,
    },
}

/// How far the axes may be from orthonormal: header values are printed with six decimals or fewer.
const ORTHONORMAL_TOLERANCE: f64 = 1e-3;

impl Geometry {
    /// Checks and builds a geometry.
    ///
    /// `size` in voxels and `spacing_mm` in mm, both in index order (i, j, k); `origin_mm` is the centre of voxel
    /// (0, 0, 0) in LPS; `direction[a]` is the LPS unit vector along which index axis `a` grows. A left-handed set of
    /// axes is allowed.
    pub fn new(
        size: [usize; 3],
        spacing_mm: [f64; 3],
        origin_mm: [f64; 3],
        direction: [[f64; 3]; 3],
    ) -> Result<Self, VolumeError> {
        let voxels = size.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        if voxels.is_none_or(|count| count == 0 || count > isize::MAX.unsigned_abs() / 8) {
            return Err(VolumeError::Size { size });
        }
        if !spacing_mm.iter().all(|spacing| spacing.is_finite() && *spacing > 0.0) {
            return Err(VolumeError::Spacing { spacing_mm });
        }
        if !origin_mm.iter().all(|coordinate| coordinate.is_finite()) {
            return Err(VolumeError::Origin);
        }
        let [a, b, c] = direction;
        let units = [dot(a, a) - 1.0, dot(b, b) - 1.0, dot(c, c) - 1.0, dot(a, b), dot(a, c), dot(b, c)];
        if !units.iter().all(|error| error.abs() < ORTHONORMAL_TOLERANCE) {
            return Err(VolumeError::Direction);
        }
        Ok(Self { size, spacing_mm, origin_mm, direction })
    }

    /// Number of voxels along (i, j, k).
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Distance of voxel centres along (i, j, k), in mm.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.spacing_mm
    }

    /// Centre of voxel (0, 0, 0) in LPS, in mm.
    pub fn origin_mm(&self) -> [f64; 3] {
        self.origin_mm
    }

    /// `direction()[a]` is the LPS unit vector along which index axis `a` grows.
    pub fn direction(&self) -> [[f64; 3]; 3] {
        self.direction
    }

    /// Number of voxels in all.
    pub fn voxel_count(&self) -> usize {
        self.size.iter().product()
    }

    /// LPS position in mm of a (possibly fractional) index (i, j, k).
    pub fn position_mm(&self, index: [f64; 3]) -> [f64; 3] {
        let mut position = self.origin_mm;
        for ((axis, spacing), steps) in self.direction.iter().zip(self.spacing_mm).zip(index) {
            for (coordinate, unit) in position.iter_mut().zip(axis) {
                *coordinate += unit * spacing * steps;
            }
        }
        position
    }

    /// The letters of the patient directions that the index axes (i, j, k) grow towards, the nearest ones for an
    /// oblique grid: `"LPS"` for the usual axial CT.
    pub fn orientation(&self) -> String {
        self.axes().iter().map(|&(axis, sign)| axis_letter((axis, sign > 0.0))).collect()
    }

    /// For each index axis the patient axis (0 = x, 1 = y, 2 = z) that it runs along most, each used once, and the
    /// sign of its growth.
    #[expect(clippy::indexing_slicing, reason = "indexed by permutations of the three axes")]
    pub fn axes(&self) -> [(usize, f64); 3] {
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let alignment = |order: &[usize; 3]| -> f64 {
            order.iter().zip(&self.direction).map(|(&axis, unit)| unit[axis].abs()).sum()
        };
        let best = permutations.into_iter().max_by(|a, b| alignment(a).total_cmp(&alignment(b))).unwrap_or([0, 1, 2]);
        [0, 1, 2].map(|index| (best[index], self.direction[index][best[index]].signum()))
    }
}

/// The letter of the direction in which patient axis 0 (x), 1 (y) or 2 (z) of LPS grows, or falls.
pub(crate) fn axis_letter((axis, grows): (usize, bool)) -> char {
    match (axis, grows) {
        (0, true) => 'L',
        (0, false) => 'R',
        (1, true) => 'P',
        (1, false) => 'A',
        (_, true) => 'S',
        (_, false) => 'I',
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl TryFrom<RawGeometry> for Geometry {
    type Error = VolumeError;
    fn try_from(raw: RawGeometry) -> Result<Self, VolumeError> {
        Self::new(raw.size, raw.spacing_mm, raw.origin_mm, raw.direction)
    }
}

impl From<Geometry> for RawGeometry {
    fn from(geometry: Geometry) -> Self {
        let Geometry { size, spacing_mm, origin_mm, direction } = geometry;
        Self { size, spacing_mm, origin_mm, direction }
    }
}

/// Voxel values in HU, in C order `[k][j][i]` (slices one after the other, `i` fastest), owned or borrowed (shared
/// memory).
///
/// CT that is stored in whole HU stays 16 bit: half the memory, and exact. Everything else (fractional rescale slopes,
/// float NIfTI, values beyond 16 bit) is f32.
#[derive(Debug, Clone, PartialEq)]
pub enum Voxels<'a> {
    /// Whole HU.
    I16(Cow<'a, [i16]>),
    /// Fractional or very large HU.
    F32(Cow<'a, [f32]>),
}

impl Voxels<'_> {
    /// Number of voxels.
    pub fn len(&self) -> usize {
        match self {
            Self::I16(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of the values as they lie in C order, little-endian, in lower-case hex: whether two readers or two machines have
    /// read the same.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        match self {
            Self::I16(values) => values.iter().for_each(|value| hasher.update(value.to_le_bytes())),
            Self::F32(values) => values.iter().for_each(|value| hasher.update(value.to_le_bytes())),
        }
        HEXLOWER.encode(&hasher.finalize())
    }
}

/// A CT volume in Hounsfield units. It can only be built with one voxel per grid point of a checked [`Geometry`].
#[derive(Debug, Clone, PartialEq)]
pub struct Volume<'a> {
    geometry: Geometry,
    voxels: Voxels<'a>,
}

impl<'a> Volume<'a> {
    /// Joins a geometry with its voxels.
    pub fn new(geometry: Geometry, voxels: Voxels<'a>) -> Result<Self, VolumeError> {
        let expected = geometry.voxel_count();
        if voxels.len() == expected {
            Ok(Self { geometry, voxels })
        } else {
            Err(VolumeError::Length { expected, voxels: voxels.len() })
        }
    }

    /// Where the volume lies.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The voxels in HU, C order `[k][j][i]`.
    pub fn voxels(&self) -> &Voxels<'a> {
        &self.voxels
    }

    /// Gives up the voxels.
    pub fn into_voxels(self) -> Voxels<'a> {
        self.voxels
    }

    /// HU at index (i, j, k), or `None` outside the grid.
    pub fn hu(&self, [i, j, k]: [usize; 3]) -> Option<f32> {
        let [ni, nj, nk] = self.geometry.size;
        if i >= ni || j >= nj || k >= nk {
            return None;
        }
        let offset = (k * nj + j) * ni + i;
        match &self.voxels {
            Voxels::I16(values) => values.get(offset).map(|&value| f32::from(value)),
            Voxels::F32(values) => values.get(offset).copied(),
        }
    }
}
