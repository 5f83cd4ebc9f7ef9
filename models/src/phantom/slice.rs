//! How dense each point of a chest is.

use super::anatomy::{Chest, Lung};
use super::findings::Lesion;
use super::shape::{Point, Tube};
use super::{Side, noise};

/// Densities in HU.
const AIR: f64 = -1000.0;
const FAT: f64 = -95.0;
const MUSCLE: f64 = 50.0;
const BLOOD: f64 = 42.0;
const SKIN: f64 = 20.0;
const MARROW: f64 = 220.0;
const CORTEX: f64 = 620.0;

/// What a point is made of, before findings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tissue<'a> {
    /// Outside the body.
    Outside(f64),
    /// Lung; with whether a vessel or airway of this radius runs here.
    Lung(&'a Lung, Option<f64>),
    /// Fat between the lungs.
    Mediastinum,
    /// Anything else, with its density.
    Solid(f64),
}

/// A part of a chest, a slice or a row of one: only tubes and findings that reach it are looked at.
#[derive(Debug)]
pub(super) struct Part<'a> {
    chest: &'a Chest,
    airways: Vec<Tube>,
    blood: Vec<Tube>,
    oesophagus: Vec<Tube>,
    vessels: [Vec<Tube>; 2],
    lesions: Vec<&'a Lesion>,
}

/// How far beyond its surface a tube still matters: the wall of an airway, and more than any rounding.
const MARGIN_MM: f64 = 2.1;

impl<'a> Part<'a> {
    /// The axial slice at `z`.
    pub(super) fn slice(chest: &'a Chest, z: f64) -> Self {
        let near = |tubes: &[Tube]| near(tubes, |tube| tube.reaches_z(z, MARGIN_MM));
        let [right, left] = &chest.lungs;
        Self {
            chest,
            airways: near(&chest.airways),
            blood: near(&[chest.aorta.as_slice(), &chest.veins].concat()),
            oesophagus: near(&chest.oesophagus),
            vessels: [near(&right.vessels), near(&left.vessels)],
            lesions: chest.lesions.iter().filter(|lesion| lesion.reaches_z(z)).collect(),
        }
    }

    /// The row at `y` of a slice.
    pub(super) fn row(&self, y: f64) -> Self {
        let near = |tubes: &[Tube]| near(tubes, |tube| tube.reaches_y(y, MARGIN_MM));
        let [right, left] = &self.vessels;
        Self {
            chest: self.chest,
            airways: near(&self.airways),
            blood: near(&self.blood),
            oesophagus: near(&self.oesophagus),
            vessels: [near(right), near(left)],
            lesions: self.lesions.clone(),
        }
    }

    /// Density of a point in HU, without noise.
    pub(super) fn hu(&self, point: Point) -> f64 {
        let tissue = self.tissue(point);
        let normal = self.density(tissue, point);
        self.lesions.iter().fold(normal, |hu, lesion| lesion.change(self.chest, tissue, point, hu))
    }

    fn density(&self, tissue: Tissue<'_>, point: Point) -> f64 {
        match tissue {
            Tissue::Outside(hu) | Tissue::Solid(hu) => hu,
            Tissue::Mediastinum => FAT + 20.0,
            Tissue::Lung(_, Some(_)) => 25.0,
            Tissue::Lung(_, None) => {
                // Denser where it hangs down, and cloudy on the scale of its lobules.
                let [_, y, _] = point;
                -868.0 + 0.35 * y + 60.0 * (noise::smooth(self.chest.seed, point, 9.0) - 0.5)
            }
        }
    }

    fn tissue(&self, point: Point) -> Tissue<'_> {
        let chest = self.chest;
        let [x, y, z] = point;
        let [a, b] = chest.body;
        let level = ((x / a) * (x / a) + (y / b) * (y / b)).sqrt();
        if level > 1.0 {
            return Tissue::Outside(couch(y - b));
        }
        // Depth below the skin, nearly: the section is an ellipse.
        let depth = (1.0 - level) * b;
        if depth < 2.5 {
            return Tissue::Solid(SKIN);
        }
        if depth < chest.fat_mm {
            return Tissue::Solid(FAT);
        }
        if let Some(hu) = spine([x, y, z], b).or_else(|| sternum([x, y, z], b, chest.fat_mm)) {
            return Tissue::Solid(hu);
        }
        if let Some(hu) = self.organ(point) {
            return Tissue::Solid(hu);
        }
        for (lung, vessels) in chest.lungs.iter().zip(&self.vessels) {
            if lung.holds(point) {
                let vessel = vessels.iter().find(|vessel| vessel.holds(point));
                return Tissue::Lung(lung, vessel.map(|vessel| vessel.radius));
            }
        }
        chest.rest(point, depth)
    }

    /// Organs between the lungs.
    fn organ(&self, point: Point) -> Option<f64> {
        let airway = self.airways.iter().map(|tube| tube.distance(point) - tube.radius).fold(f64::INFINITY, f64::min);
        if airway < 0.0 {
            return Some(AIR);
        }
        let blood = self.blood.iter().any(|tube| tube.holds(point));
        if blood || (self.chest.heart.holds(point) && self.chest.is_above_diaphragm(point)) {
            return Some(BLOOD);
        }
        if airway < 2.0 {
            return Some(30.0);
        }
        let gullet = self.oesophagus.iter().map(|tube| tube.distance(point)).fold(f64::INFINITY, f64::min);
        (gullet < 7.0).then_some(if gullet < 2.0 { -300.0 } else { 35.0 })
    }
}

impl Chest {
    fn is_above_diaphragm(&self, point: Point) -> bool {
        let [_, _, z] = point;
        self.lungs.iter().any(|lung| lung.floor(point) < z)
    }

    /// What is neither organ nor lung: below the diaphragm, between the lungs, or the wall of the chest.
    fn rest(&self, point: Point, depth: f64) -> Tissue<'static> {
        let [x, _, z] = point;
        let side = if x < 0.0 { Side::Right } else { Side::Left };
        let lung = self.lung(side);
        let wall = lung.space.level(point);
        if z < lung.floor(point) && wall < 1.06 {
            return Tissue::Solid(self.abdomen(point));
        }
        if wall < 1.12 && wall > 1.0 && x.abs() > 40.0 && z > -120.0 {
            return Tissue::Solid(rib(point));
        }
        if x.abs() < 60.0 && depth > 45.0 && z > -60.0 {
            return Tissue::Mediastinum;
        }
        Tissue::Solid(if z < -60.0 && depth > 40.0 { self.abdomen(point) } else { MUSCLE })
    }

    fn abdomen(&self, point: Point) -> f64 {
        let [_, y, _] = point;
        if self.liver.holds(point) {
            60.0
        } else if self.spleen.holds(point) {
            52.0
        } else if self.stomach.holds(point) {
            // Gas rises to the front.
            if y < self.stomach.centre[1] - 18.0 { -950.0 } else { 25.0 }
        } else {
            FAT
        }
    }
}

/// Ribs run downwards from the spine to the front, one every 27 mm.
fn rib([_, y, z]: Point) -> f64 {
    let phase = (z - 0.42 * y) / 27.0;
    let place = phase - phase.floor();
    if place < 0.06 || (place > 0.34 && place < 0.4) {
        CORTEX
    } else if place < 0.4 {
        MARROW
    } else {
        MUSCLE
    }
}

/// Vertebrae with discs, canal, arch and spinous process.
fn spine([x, y, z]: Point, b: f64) -> Option<f64> {
    let front = b - 48.0;
    let phase = z / 29.0;
    let is_disc = phase - phase.floor() > 0.8;
    let body = ((x / 18.0) * (x / 18.0) + ((y - front) / 15.0) * ((y - front) / 15.0)).sqrt();
    if body < 1.0 {
        return Some(if is_disc {
            85.0
        } else if body > 0.86 {
            CORTEX
        } else {
            MARROW
        });
    }
    let canal = ((x / 9.0) * (x / 9.0) + ((y - front - 23.0) / 9.0) * ((y - front - 23.0) / 9.0)).sqrt();
    if canal < 1.0 {
        return Some(30.0);
    }
    let process = x.abs() < 4.0 && y > front + 23.0 && y < front + 44.0;
    (!is_disc && (canal < 1.45 || process)).then_some(CORTEX - 120.0)
}

fn sternum([x, y, z]: Point, b: f64, fat_mm: f64) -> Option<f64> {
    let (depth, width) = (y + b - fat_mm - 9.0, 17.0);
    let level = ((x / width) * (x / width) + (depth / 7.0) * (depth / 7.0)).sqrt();
    let is_bone = level < 1.0 && (-40.0..95.0).contains(&z);
    is_bone.then_some(if level > 0.75 { CORTEX - 150.0 } else { MARROW - 60.0 })
}

/// The table under the patient: two sheets of carbon fibre with foam between.
fn couch(below_mm: f64) -> f64 {
    if !(6.0..24.0).contains(&below_mm) {
        AIR
    } else if (8.5..21.5).contains(&below_mm) {
        -960.0
    } else {
        -150.0
    }
}

fn near(tubes: &[Tube], reaches: impl Fn(&Tube) -> bool) -> Vec<Tube> {
    tubes.iter().filter(|tube| reaches(tube)).copied().collect()
}
