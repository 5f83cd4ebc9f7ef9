//! Whether a finding can be seen in a tensor of coarse voxels.
//!
//! Rose's criterion (A. Rose, J. Opt. Soc. Am. 38, 196, 1948): an object is seen if its summed contrast is at least five
//! times the noise of as large a piece of background, `contrast * sqrt(voxels) / noise >= 5`. A finding thinner than a
//! voxel lends it only a part of its contrast: the product over the axes of `min(1, extent / voxel)`; and interpolation
//! spreads what is as small as a voxel over its neighbours.

use super::airways::scar_radius_mm;
use crate::labels::Label;
use crate::phantom::{Finding, NOISE_HU};

/// Rose's number.
pub(in crate::phantom) const ROSE: f64 = 5.0;
/// What interpolation to the tensor's voxels takes from a small object: half (measured in phantoms).
const SPREAD: f64 = 2.0;
/// Standard deviation of voxels of some millimetres within normal lung, where vessels cross it (measured in phantoms).
pub(in crate::phantom) const LUNG_HU: f64 = 125.0;
/// And elsewhere: noise, and the borders of organs.
const TISSUE_HU: f64 = 2.0 * NOISE_HU;
/// Side of a cube over diameter of the sphere of equal volume: the cube root of pi / 6.
const CUBE: f64 = 0.806;
/// Width in mm of the largest normal heart of a phantom.
const HEART_MM: f64 = 126.0;

/// How a finding stands out.
struct Mark {
    /// Difference to what normally lies there, in HU.
    contrast_hu: f64,
    /// What the surroundings differ by from voxel to voxel, in HU.
    clutter_hu: f64,
    /// Extents (z, y, x) in mm of a box of its volume.
    extent_mm: [f64; 3],
}

fn in_lung(contrast_hu: f64, extent_mm: [f64; 3]) -> Mark {
    Mark { contrast_hu, clutter_hu: LUNG_HU, extent_mm }
}

fn elsewhere(contrast_hu: f64, extent_mm: [f64; 3]) -> Mark {
    Mark { contrast_hu, clutter_hu: TISSUE_HU, extent_mm }
}

impl Finding {
    /// Whether it can be seen in a tensor of this voxel spacing (z, y, x) in mm: by Rose's criterion its contrast, as much of
    /// it as fits a voxel, times the root of the number of voxels it fills is at least ten times what voxels of the normal
    /// surroundings differ by: five, and as much again for what interpolation takes from it.
    pub fn is_visible(&self, spacing_mm: [f64; 3]) -> bool {
        let Mark { contrast_hu, clutter_hu, extent_mm } = self.mark();
        let voxels = extent_mm.iter().zip(spacing_mm).map(|(extent, voxel)| extent / voxel);
        let (filled, count) =
            voxels.fold((1.0, 1.0), |(filled, count), ratio| (filled * ratio.clamp(0.0, 1.0), count * ratio.max(1.0)));
        contrast_hu * filled * count.sqrt() >= SPREAD * ROSE * clutter_hu
    }

    fn mark(&self) -> Mark {
        let size = self.size_mm;
        match self.label {
            Label::LungNodule | Label::Consolidation => in_lung(900.0, [CUBE * size; 3]),
            Label::LungOpacity => in_lung(330.0, [CUBE * size; 3]),
            // Deepest at the base.
            Label::PleuralEffusion => in_lung(870.0, [60.0, 0.6 * size, 60.0]),
            Label::Atelectasis => in_lung(890.0, [size, 50.0, 50.0]),
            // Nearly half of the lung is holes of -985 HU, the rest 25 HU less.
            Label::Emphysema => in_lung(66.0, [150.0, 100.0, 100.0]),
            Label::MosaicAttenuationPattern => in_lung(190.0, [size; 3]),
            Label::PeribronchialThickening => in_lung(890.0, [size, size, 200.0]),
            Label::Bronchiectasis => in_lung(890.0, [1.0 + 0.12 * size, size, 100.0]),
            Label::InterlobularSeptalThickening => in_lung(890.0, [size, 100.0, 100.0]),
            Label::PulmonaryFibroticSequela => {
                let band = scar_radius_mm(size) * 2.0;
                in_lung(900.0, [band, band, 6.0 * size])
            }
            Label::Cardiomegaly => in_lung(900.0, [50.0, 50.0, 0.5 * (size - HEART_MM)]),
            // Against the blood beside it: against lung it would look like a larger heart.
            Label::PericardialEffusion => elsewhere(30.0, [60.0, 60.0, size]),
            Label::CoronaryArteryWallCalcification => elsewhere(650.0, [size, 4.2, 4.2]),
            Label::ArterialWallCalcification => elsewhere(700.0, [size, 20.0, 3.5]),
            // Stomach against the fat and muscle behind the heart.
            Label::HiatalHernia => elsewhere(100.0, [CUBE * size; 3]),
            Label::Lymphadenopathy => elsewhere(120.0, [1.1 * size, 0.9 * size, CUBE * size]),
            Label::MedicalMaterial => elsewhere(2900.0, [0.8 * size, 10.0, 0.8 * size]),
        }
    }
}
