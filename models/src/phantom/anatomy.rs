//! The chest: what lies where, and how dense it is.

use super::findings::Lesion;
use super::shape::{Ellipsoid, Point, Tube, add, line, sub};
use super::{Lobe, PhantomError, Recipe, Side, noise};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A patient: the normal anatomy and what is wrong with it.
#[derive(Debug)]
pub(super) struct Chest {
    pub(super) seed: u64,
    /// Half axes of the body's cross-section.
    body: [f64; 2],
    fat_mm: f64,
    lungs: [Lung; 2],
    pub(super) heart: Ellipsoid,
    pub(super) aorta: Vec<Tube>,
    veins: Vec<Tube>,
    airways: Vec<Tube>,
    oesophagus: Vec<Tube>,
    liver: Ellipsoid,
    spleen: Ellipsoid,
    stomach: Ellipsoid,
    lesions: Vec<Lesion>,
}

/// One lung with the diaphragm below it.
#[derive(Debug)]
pub(super) struct Lung {
    pub(super) side: Side,
    pub(super) space: Ellipsoid,
    dome_mm: f64,
    vessels: Vec<Tube>,
}

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

impl PartialEq for Lung {
    fn eq(&self, other: &Self) -> bool {
        self.side == other.side
    }
}

impl Side {
    /// The sign of x on this side: LPS grows to the patient's left.
    pub(super) fn sign(self) -> f64 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }
}

/// A factor near one, different for each patient.
fn about_one(random: &mut ChaCha8Rng, spread: f64) -> f64 {
    1.0 + spread * (2.0 * fraction(random) - 1.0)
}

pub(super) fn fraction(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / 4_294_967_296.0
}

impl Chest {
    pub(super) fn new(recipe: &Recipe) -> Result<Self, PhantomError> {
        let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
        let (width, depth) = (about_one(&mut random, 0.05), about_one(&mut random, 0.06));
        let heart_scale = about_one(&mut random, 0.05);
        let lungs = [Side::Right, Side::Left].map(|side| Lung::new(side, width, depth, &mut random));
        let mut chest = Self {
            seed: recipe.seed,
            body: [172.0 * width, 118.0 * depth],
            fat_mm: 12.0 + 12.0 * fraction(&mut random),
            lungs,
            heart: Ellipsoid { centre: [22.0, -28.0, -32.0], half: [60.0, 42.0, 52.0] }.scaled(heart_scale),
            aorta: aorta(about_one(&mut random, 0.12)),
            veins: veins(),
            airways: airways(),
            oesophagus: line(&[[4.0, 42.0, 180.0], [4.0, 38.0, 40.0], [14.0, 36.0, -60.0], [22.0, 20.0, -110.0]], 7.0),
            liver: Ellipsoid { centre: [-55.0, -5.0, -125.0], half: [95.0, 85.0, 80.0] },
            spleen: Ellipsoid { centre: [95.0, 45.0, -125.0], half: [38.0, 45.0, 50.0] },
            stomach: Ellipsoid { centre: [68.0, -15.0, -125.0], half: [48.0, 45.0, 50.0] },
            lesions: Vec::new(),
        };
        chest.lesions = recipe
            .findings
            .iter()
            .map(|finding| Lesion::new(finding, &chest, &mut random))
            .collect::<Result<_, _>>()?;
        for lesion in &chest.lesions {
            if let Lesion::LargeHeart(heart) = lesion {
                chest.heart = *heart;
            }
        }
        Ok(chest)
    }

    /// The axial slice at `z`, with only the vessels that reach it.
    pub(super) fn slice(&self, z: f64) -> Slice<'_> {
        let reaching = |tubes: &[Tube]| tubes.iter().copied().filter(|tube| tube.reaches(z)).collect();
        let vessels = [reaching(&self.lungs[0].vessels), reaching(&self.lungs[1].vessels)];
        Slice { chest: self, vessels }
    }

    /// The lung of a side.
    pub(super) fn lung(&self, side: Side) -> &Lung {
        match side {
            Side::Right => &self.lungs[0],
            Side::Left => &self.lungs[1],
        }
    }

    /// Middle of a lobe.
    pub(super) fn site(&self, side: Side, lobe: Lobe) -> Point {
        let [cx, cy, cz] = self.lung(side).space.centre;
        let out = side.sign();
        match lobe {
            Lobe::Upper => add([cx, cy, cz], [0.0, -8.0, 68.0]),
            Lobe::Middle => add([cx, cy, cz], [out * 18.0, -42.0, -18.0]),
            Lobe::Lower => add([cx, cy, cz], [out * 4.0, 38.0, -38.0]),
        }
    }
}

fn aorta(scale: f64) -> Vec<Tube> {
    let ascending = line(&[[-8.0, -22.0, 5.0], [-14.0, -16.0, 45.0]], 15.0 * scale);
    let arch = line(&[[-14.0, -16.0, 45.0], [-4.0, -4.0, 66.0], [14.0, 18.0, 68.0], [24.0, 38.0, 52.0]], 13.0 * scale);
    let descending = line(&[[24.0, 38.0, 52.0], [22.0, 50.0, -40.0], [10.0, 48.0, -180.0]], 11.5 * scale);
    [ascending, arch, descending].concat()
}

fn veins() -> Vec<Tube> {
    let cava = line(&[[-28.0, -12.0, 120.0], [-30.0, -10.0, 5.0]], 8.5);
    let trunk = line(&[[14.0, -26.0, 5.0], [20.0, -12.0, 30.0]], 13.0);
    let right = line(&[[20.0, -12.0, 28.0], [-10.0, 6.0, 20.0], [-40.0, 10.0, 14.0]], 9.5);
    let left = line(&[[20.0, -12.0, 28.0], [42.0, 14.0, 24.0]], 10.0);
    [cava, trunk, right, left].concat()
}

fn airways() -> Vec<Tube> {
    let trachea = line(&[[0.0, 14.0, 190.0], [0.0, 20.0, 48.0]], 8.5);
    let right = line(&[[0.0, 20.0, 48.0], [-34.0, 20.0, 22.0], [-58.0, 22.0, 2.0]], 6.0);
    let left = line(&[[0.0, 20.0, 48.0], [36.0, 22.0, 18.0], [58.0, 26.0, 0.0]], 5.5);
    [trachea, right, left].concat()
}

impl Lung {
    fn new(side: Side, width: f64, depth: f64, random: &mut ChaCha8Rng) -> Self {
        let centre = [side.sign() * 74.0 * width, 0.0, 8.0];
        let space = Ellipsoid { centre, half: [60.0 * width, 86.0 * depth, 132.0] };
        // The liver lifts the right dome.
        let dome_mm = if side == Side::Right { -44.0 } else { -56.0 } + 8.0 * fraction(random);
        let mut lung = Self { side, space, dome_mm, vessels: Vec::new() };
        lung.vessels = lung.tree(random);
        lung
    }

    /// Vessels: from the hilum outwards, each with a few branches.
    fn tree(&self, random: &mut ChaCha8Rng) -> Vec<Tube> {
        let hilum = [self.side.sign() * 40.0, 14.0, 14.0];
        let mut vessels = Vec::new();
        for _ in 0..22 {
            let middle = self.within(random, 0.6);
            vessels.push(Tube { from: hilum, to: middle, radius: 2.6 });
            for _ in 0..4 {
                let jitter = [0, 1, 2].map(|_axis| 56.0 * fraction(random) - 28.0);
                vessels.push(Tube { from: middle, to: add(middle, jitter), radius: 1.5 });
            }
        }
        vessels
    }

    /// A random point within a share of the lung's space.
    fn within(&self, random: &mut ChaCha8Rng, share: f64) -> Point {
        let mut offset = [0.0; 3];
        for (value, half) in offset.iter_mut().zip(self.space.half) {
            *value = half * share * (2.0 * fraction(random) - 1.0);
        }
        add(self.space.centre, offset)
    }

    /// Height of the diaphragm over a place, falling from the dome to the recesses.
    pub(super) fn floor(&self, [x, y, _]: Point) -> f64 {
        let [cx, cy, _] = self.space.centre;
        let [a, b, _] = self.space.half;
        let (u, v) = ((x - cx) / a, (y - cy + 6.0) / b);
        self.dome_mm - 62.0 * (u * u + v * v)
    }

    /// Whether the space of this lung and its pleura holds a point.
    pub(super) fn holds(&self, point: Point) -> bool {
        let [_, _, z] = point;
        self.space.holds(point) && z > self.floor(point)
    }

    /// Which lobe a point of this lung lies in: behind and below the oblique fissure the lower one; the right lung's
    /// horizontal fissure, and on the left the border of the lingula, parts middle from upper.
    pub(super) fn lobe(&self, point: Point) -> Lobe {
        let [_, y, z] = sub(point, self.space.centre);
        if z < 0.95 * y - 8.0 {
            Lobe::Lower
        } else if z < 12.0 {
            Lobe::Middle
        } else {
            Lobe::Upper
        }
    }
}

/// A slice through a chest.
pub(super) struct Slice<'a> {
    chest: &'a Chest,
    vessels: [Vec<Tube>; 2],
}

impl Slice<'_> {
    /// Density of a point in HU, without noise.
    pub(super) fn hu(&self, point: Point) -> f64 {
        let tissue = self.tissue(point);
        let normal = self.density(tissue, point);
        self.chest.lesions.iter().fold(normal, |hu, lesion| lesion.change(self.chest, tissue, point, hu))
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
        if let Some(hu) = chest.organ(point) {
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
}

impl Chest {
    /// Organs between the lungs.
    fn organ(&self, point: Point) -> Option<f64> {
        let airway = self.airways.iter().map(|tube| tube.distance(point) - tube.radius).fold(f64::INFINITY, f64::min);
        if airway < 0.0 {
            return Some(AIR);
        }
        let in_lung_base = |point| self.lungs.iter().any(|lung| lung.floor(point) < point_z(point));
        let blood = self.aorta.iter().chain(&self.veins).any(|tube| tube.holds(point));
        if blood || (self.heart.holds(point) && in_lung_base(point)) {
            return Some(BLOOD);
        }
        if airway < 2.0 {
            return Some(30.0);
        }
        let gullet = self.oesophagus.iter().map(|tube| tube.distance(point)).fold(f64::INFINITY, f64::min);
        (gullet < 7.0).then_some(if gullet < 2.0 { -300.0 } else { 35.0 })
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

fn point_z([_, _, z]: Point) -> f64 {
    z
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
