//! What each finding needs to be drawn.

use crate::labels::Label;
use crate::phantom::{Finding, Lobe, PhantomError, Side};

/// What a label needs: side, lobe, and its range of sizes in mm.
struct Needs(bool, bool, f64, f64);

fn needs(label: Label) -> Needs {
    match label {
        Label::PleuralEffusion => Needs(true, false, 8.0, 80.0),
        Label::Consolidation => Needs(true, true, 15.0, 100.0),
        Label::LungOpacity => Needs(true, true, 15.0, 120.0),
        Label::LungNodule | Label::Atelectasis => Needs(true, true, 4.0, 40.0),
        Label::Emphysema => Needs(false, false, 4.0, 25.0),
        Label::Cardiomegaly => Needs(false, false, 135.0, 190.0),
        Label::PericardialEffusion => Needs(false, false, 5.0, 30.0),
        Label::CoronaryArteryWallCalcification => Needs(false, false, 4.0, 40.0),
        Label::ArterialWallCalcification => Needs(false, false, 5.0, 80.0),
        Label::HiatalHernia => Needs(false, false, 25.0, 90.0),
        Label::Lymphadenopathy => Needs(false, false, 10.0, 40.0),
        Label::MedicalMaterial => Needs(true, false, 25.0, 60.0),
        // Extent of the scar.
        Label::PulmonaryFibroticSequela => Needs(true, true, 15.0, 70.0),
        // Width of the patches.
        Label::MosaicAttenuationPattern => Needs(false, false, 20.0, 60.0),
        // Thickness of the cuffs.
        Label::PeribronchialThickening => Needs(false, false, 2.0, 6.0),
        // Width of the air in the widest bronchi.
        Label::Bronchiectasis => Needs(true, true, 5.0, 20.0),
        // Thickness of the septa.
        Label::InterlobularSeptalThickening => Needs(false, false, 1.0, 4.0),
    }
}

/// Farthest that a finding lies from the middle of its lobe, along each axis in mm.
const FARTHEST_MM: f64 = 40.0;

impl Finding {
    /// Side and lobe, checked against what the label needs; the right upper lobe stands in where none is needed.
    pub(super) fn checked(&self) -> Result<(Side, Lobe), PhantomError> {
        let Self { label, side, lobe, size_mm, shift_mm } = *self;
        let Needs(needs_side, needs_lobe, least_mm, most_mm) = needs(label);
        if side.is_some() != needs_side {
            return Err(PhantomError::Side { label, needed: needs_side });
        }
        if lobe.is_some() != needs_lobe {
            return Err(PhantomError::Lobe { label, needed: needs_lobe });
        }
        if !(least_mm..=most_mm).contains(&size_mm) {
            return Err(PhantomError::Size { label, size_mm, least_mm, most_mm });
        }
        if let Some(shift_mm) = shift_mm
            && !(needs_lobe && shift_mm.iter().all(|shift| shift.abs() <= FARTHEST_MM))
        {
            return Err(PhantomError::Shift { label, shift_mm, most_mm: FARTHEST_MM });
        }
        Ok((side.unwrap_or(Side::Right), lobe.unwrap_or(Lobe::Upper)))
    }
}
