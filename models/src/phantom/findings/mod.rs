//! Takes findings and a normal chest, gives the density at each point: what is wrong with a patient, as changes of
//! density. Owns what each finding needs, looks like, and when it can be seen.

mod airways;
mod mediastinum;
mod needs;
mod texture;
pub(super) mod visible;

use super::anatomy::{Chest, Lung, fraction};
use super::shape::{Ellipsoid, Point, Tube, add, sub};
use super::slice::Tissue;
use super::{Finding, Lobe, PhantomError, Side, noise};
use crate::labels::Label;
use airways::{Bronchi, Scar};
use rand_chacha::ChaCha8Rng;

/// One finding, placed.
#[derive(Debug)]
pub(super) enum Lesion {
    /// Soft tissue in the lung.
    Nodule(Ellipsoid),
    /// Filled or hazy lung about a centre: what the lung becomes there.
    Cloud { side: Side, lobe: Lobe, blob: Ellipsoid, haze: Haze },
    /// Fluid behind the lung.
    Effusion { side: Side, depth_mm: f64 },
    /// Holes in the lungs.
    Holes { pitch_mm: f64, seed: u64 },
    /// A heart of another size.
    LargeHeart(Ellipsoid),
    /// Fluid about the heart.
    HeartFluid { thickness_mm: f64 },
    /// Collapsed lung in a plate.
    Plate { side: Side, lobe: Lobe, centre: Point, thickness_mm: f64 },
    /// Stomach above the diaphragm, with gas.
    Hernia(Ellipsoid),
    /// Soft solids between the lungs.
    Nodes(Vec<Ellipsoid>),
    /// Tubes of calcium or metal.
    Dense { tubes: Vec<Tube>, hu: f64 },
    /// Calcium in the wall of the aorta.
    Plaque { from_mm: f64, to_mm: f64 },
    /// A device under the skin with its lead.
    Device { body: Ellipsoid, lead: Vec<Tube> },
    /// Bronchi that show, of one lobe or of both lungs.
    Bronchi { within: Option<(Side, Lobe)>, bronchi: Bronchi },
    /// Scars in a lobe.
    Scar { side: Side, lobe: Lobe, scar: Scar },
    /// Patches of too much air.
    Mosaic { patch_mm: f64, seed: u64 },
    /// Thick walls of the lobules in the lower zones.
    Septa { thickness_mm: f64, seed: u64 },
}

/// How far beyond its level of one the border of a cloud can reach.
const RAGGED: f64 = 1.25;

/// How full of fluid or cells a part of the lung is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Haze {
    /// Consolidated.
    Filled,
    /// Ground glass.
    GroundGlass,
}

impl Lesion {
    /// Places a finding in a chest.
    pub(super) fn new(finding: &Finding, chest: &Chest, random: &mut ChaCha8Rng) -> Result<Self, PhantomError> {
        let (side, lobe) = finding.checked()?;
        let (label, size) = (finding.label, finding.size_mm);
        let jitter = [0, 1, 2].map(|_axis| 12.0 * fraction(random) - 6.0);
        let site = add(add(chest.site(side, lobe), jitter), finding.shift_mm.unwrap_or_default());
        let radius = 0.5 * size;
        Ok(match label {
            Label::LungNodule => Self::Nodule(Ellipsoid::sphere(site, radius)),
            Label::Consolidation | Label::LungOpacity => {
                let blob = Ellipsoid::sphere(site, radius);
                let haze = if label == Label::Consolidation { Haze::Filled } else { Haze::GroundGlass };
                Self::Cloud { side, lobe, blob, haze }
            }
            Label::PleuralEffusion => Self::Effusion { side, depth_mm: size },
            Label::Atelectasis => Self::Plate { side, lobe, centre: site, thickness_mm: size },
            Label::Emphysema => Self::Holes { pitch_mm: size, seed: chest.seed ^ 0x0e4f },
            Label::Cardiomegaly => Self::LargeHeart(chest.heart.scaled(radius / chest.heart.half[0])),
            Label::PericardialEffusion => Self::HeartFluid { thickness_mm: size },
            Label::CoronaryArteryWallCalcification => {
                Self::Dense { tubes: mediastinum::coronary(chest, size), hu: 700.0 }
            }
            Label::ArterialWallCalcification => Self::Plaque { from_mm: 30.0 - size, to_mm: 30.0 },
            Label::HiatalHernia => Self::Hernia(Ellipsoid::sphere([12.0, 40.0 - 0.2 * radius, -58.0], radius)),
            Label::Lymphadenopathy => Self::Nodes(mediastinum::nodes(radius)),
            Label::MedicalMaterial => mediastinum::device(side, size, chest),
            Label::PulmonaryFibroticSequela => {
                let scar = Scar::new(add(site, towards_pleura(side, lobe)), size, random);
                Self::Scar { side, lobe, scar }
            }
            Label::MosaicAttenuationPattern => Self::Mosaic { patch_mm: size, seed: chest.seed ^ 0x305a },
            Label::PeribronchialThickening => Self::Bronchi { within: None, bronchi: Bronchi::cuffed(chest, size) },
            Label::Bronchiectasis => {
                let bronchi = Bronchi::dilated(side, site, size, random);
                Self::Bronchi { within: Some((side, lobe)), bronchi }
            }
            Label::InterlobularSeptalThickening => Self::Septa { thickness_mm: size, seed: chest.seed ^ 0x5e97 },
        })
    }

    /// Whether it can change anything in the axial slice at `z`.
    pub(super) fn reaches_z(&self, z: f64) -> bool {
        match self {
            Self::Nodule(solid) | Self::Hernia(solid) => solid.reaches_z(z),
            Self::Cloud { blob, .. } => blob.scaled(RAGGED).reaches_z(z),
            Self::Nodes(nodes) => nodes.iter().any(|node| node.reaches_z(z)),
            Self::Dense { tubes, .. } => tubes.iter().any(|tube| tube.reaches_z(z, 0.1)),
            Self::Device { body, lead } => body.reaches_z(z) || lead.iter().any(|tube| tube.reaches_z(z, 0.1)),
            Self::Bronchi { bronchi, .. } => bronchi.reaches_z(z),
            Self::Scar { scar, .. } => scar.reach.reaches_z(z),
            Self::Effusion { .. }
            | Self::Holes { .. }
            | Self::LargeHeart(_)
            | Self::HeartFluid { .. }
            | Self::Plate { .. }
            | Self::Plaque { .. }
            | Self::Mosaic { .. }
            | Self::Septa { .. } => true,
        }
    }

    /// The density at a point that is of this tissue and had this density so far.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what a finding does not touch stays as it is")]
    pub(super) fn change(&self, chest: &Chest, tissue: Tissue<'_>, point: Point, hu: f64) -> f64 {
        match (self, tissue) {
            (_, Tissue::Outside(_)) => return hu,
            (_, Tissue::Lung(lung, vessel)) => {
                if let Some(changed) = self.in_lung(chest, (lung, vessel), point, hu) {
                    return changed;
                }
            }
            _ => {}
        }
        let may_give_way = matches!(tissue, Tissue::Lung(..) | Tissue::Mediastinum);
        match self {
            Self::HeartFluid { thickness_mm } if may_give_way && chest.heart.grown(*thickness_mm).holds(point) => 12.0,
            Self::Nodes(nodes) if may_give_way && nodes.iter().any(|node| node.holds(point)) => 45.0,
            Self::Hernia(sac) if sac.holds(point) => stomach(sac, point),
            Self::Dense { tubes, hu: dense } if tubes.iter().any(|tube| tube.holds(point)) => *dense,
            Self::Plaque { from_mm, to_mm }
                if (*from_mm..*to_mm).contains(&point[2]) && in_wall(&chest.aorta, point) =>
            {
                750.0
            }
            Self::Device { body, lead } if body.holds(point) || lead.iter().any(|tube| tube.holds(point)) => 3000.0,
            _ => hu,
        }
    }

    /// What lung becomes, for the findings that are a state of the lung.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what a finding does not touch stays as it is")]
    fn in_lung(&self, chest: &Chest, (lung, vessel): (&Lung, Option<f64>), point: Point, hu: f64) -> Option<f64> {
        let is_part = |side: Side, lobe: Lobe| lung.side == side && lung.lobe(point) == lobe;
        match self {
            Self::Nodule(sphere) if sphere.holds(point) => Some(38.0),
            Self::Cloud { side, lobe, blob, haze } if is_part(*side, *lobe) => {
                // Ragged at its border, and held back by the fissures.
                let level = blob.level(point);
                if level >= RAGGED {
                    return None;
                }
                let ragged = level + 0.5 * (noise::smooth(chest.seed ^ 0xc10d, point, 11.0) - 0.5);
                (ragged < 1.0).then(|| haze.hu(vessel, hu))
            }
            Self::Effusion { side, depth_mm } if lung.side == *side => {
                (behind(lung.space, point) < *depth_mm * rise(point)).then_some(8.0)
            }
            Self::Holes { pitch_mm, seed } if vessel.is_none() => {
                let is_hole = noise::cell(*seed, noise::cell_of(point, *pitch_mm)) < 0.45;
                Some(if is_hole { -985.0 } else { hu - 25.0 })
            }
            Self::Plate { side, lobe, centre, thickness_mm } if is_part(*side, *lobe) => {
                let [_, y, z] = sub(point, *centre);
                ((z + 0.35 * y).abs() < 0.5 * thickness_mm).then_some(28.0)
            }
            Self::Bronchi { within, bronchi } if within.is_none_or(|(side, lobe)| is_part(side, lobe)) => {
                bronchi.hu(point)
            }
            Self::Scar { side, lobe, scar } if is_part(*side, *lobe) => scar.hu(point, lung.space.level(point), hu),
            Self::Mosaic { patch_mm, seed } if vessel.is_none() => Some(texture::mosaic(*seed, point, *patch_mm, hu)),
            Self::Septa { thickness_mm, seed }
                if vessel.is_none() && texture::is_lower_zone(*seed, point, lung.space.centre[2]) =>
            {
                Some(texture::septum(*seed, point, *thickness_mm, hu))
            }
            _ => None,
        }
    }
}

impl Haze {
    /// Density where it was `hu`; `vessel` is the radius of a vessel at the point.
    fn hu(self, vessel: Option<f64>, hu: f64) -> f64 {
        match (self, vessel) {
            // The larger airways stay open: an air bronchogram.
            (Self::Filled, Some(radius)) if radius > 2.0 => -850.0,
            (Self::Filled, _) => 35.0,
            (Self::GroundGlass, Some(_)) => hu,
            (Self::GroundGlass, None) => hu + 330.0,
        }
    }
}

/// Gas gathers at the front of a lying patient's stomach.
fn stomach(sac: &Ellipsoid, point: Point) -> f64 {
    let [_, y, _] = sub(point, sac.centre);
    let is_gas = y < -0.2 * sac.half[1] && sac.level(point) < 0.88;
    if is_gas { -900.0 } else { 40.0 }
}

/// How far a point of a lung's space lies in front of the space's back wall.
fn behind(space: Ellipsoid, [x, y, z]: Point) -> f64 {
    let ([cx, cy, cz], [a, b, c]) = (space.centre, space.half);
    let (u, w) = ((x - cx) / a, (z - cz) / c);
    cy + b * (1.0 - u * u - w * w).max(0.0).sqrt() - y
}

/// Fluid of a lying patient is deepest at the base and thins out towards the apex.
fn rise([_, _, z]: Point) -> f64 {
    ((75.0 - z) / 120.0).clamp(0.0, 1.0)
}

/// On the left and front of the descending part of the aorta's wall.
fn in_wall(aorta: &[Tube], point: Point) -> bool {
    aorta.iter().skip(4).any(|tube| {
        let [x, y, _] = sub(point, tube.from);
        let wall = tube.distance(point) - tube.radius;
        (-2.5..1.0).contains(&wall) && (x > 2.0 || y < -4.0)
    })
}

/// Scars sit at the apex of an upper lobe and at the base of a lower one, on its outer side.
fn towards_pleura(side: Side, lobe: Lobe) -> Point {
    match lobe {
        Lobe::Upper => [0.0, 12.0, 22.0],
        Lobe::Middle => [side.sign() * 8.0, 0.0, 0.0],
        Lobe::Lower => [side.sign() * 10.0, 12.0, -10.0],
    }
}
