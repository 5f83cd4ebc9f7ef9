//! The chest: what lies where.

use super::findings::Lesion;
use super::shape::{Ellipsoid, Point, Tube, add, line, sub};
use super::{Lobe, PhantomError, Recipe, Side};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A patient: the normal anatomy and what is wrong with it.
#[derive(Debug)]
pub(super) struct Chest {
    pub(super) seed: u64,
    /// Half axes of the body's cross-section.
    pub(super) body: [f64; 2],
    pub(super) fat_mm: f64,
    pub(super) lungs: [Lung; 2],
    pub(super) heart: Ellipsoid,
    pub(super) aorta: Vec<Tube>,
    pub(super) veins: Vec<Tube>,
    pub(super) airways: Vec<Tube>,
    pub(super) oesophagus: Vec<Tube>,
    pub(super) liver: Ellipsoid,
    pub(super) spleen: Ellipsoid,
    pub(super) stomach: Ellipsoid,
    pub(super) lesions: Vec<Lesion>,
}

/// One lung with the diaphragm below it.
#[derive(Debug)]
pub(super) struct Lung {
    pub(super) side: Side,
    pub(super) space: Ellipsoid,
    dome_mm: f64,
    pub(super) vessels: Vec<Tube>,
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

    /// The large vessels, from the hilum outwards.
    pub(super) fn arteries(&self) -> impl Iterator<Item = Tube> {
        self.vessels.iter().copied().filter(|vessel| vessel.radius > 2.0)
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
