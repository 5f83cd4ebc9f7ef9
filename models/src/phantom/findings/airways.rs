//! Airways that are seen because something is wrong with them.

use crate::phantom::anatomy::{Chest, fraction};
use crate::phantom::shape::{Point, Tube, add, sub};
use crate::phantom::{Side, shape};
use rand_chacha::ChaCha8Rng;

/// Bronchi with a wall thick enough to be seen: air within soft tissue.
#[derive(Debug)]
pub(in crate::phantom) struct Bronchi {
    /// The air.
    lumens: Vec<Tube>,
    wall_mm: f64,
}

/// Branches of a dilated bronchus.
const BRANCHES: usize = 6;

impl Bronchi {
    /// Dilated bronchi that run from the hilum into a lobe about `site` and fan out there: the lumen is wider than the
    /// artery beside it and does not taper, which is the sign of bronchiectasis.
    pub(super) fn dilated(side: Side, site: Point, lumen_mm: f64, random: &mut ChaCha8Rng) -> Self {
        let radius = 0.5 * lumen_mm;
        let hilum = hilum(side);
        let fork = part_way(hilum, site, 0.4);
        let mut lumens = vec![Tube { from: hilum, to: fork, radius: 0.8 * radius }];
        lumens.extend((0..BRANCHES).map(|_branch| {
            let offset = [0, 1, 2].map(|_axis| 64.0 * fraction(random) - 32.0);
            Tube { from: fork, to: add(site, offset), radius }
        }));
        Self { lumens, wall_mm: 1.0 + 0.12 * lumen_mm }
    }

    /// Bronchi of common width in both lungs with thick walls, each above the artery that it goes with.
    pub(super) fn cuffed(chest: &Chest, wall_mm: f64) -> Self {
        let lumens = [Side::Right, Side::Left].into_iter().flat_map(|side| chest.lung(side).arteries());
        // Every second one: a cuff on all of them would fill the hilum.
        let lumens = lumens.step_by(2).map(|artery| {
            let beside = |share| add(part_way(artery.from, artery.to, share), [0.0, 0.0, 4.5]);
            Tube { from: beside(0.2), to: beside(0.9), radius: 1.9 }
        });
        Self { lumens: lumens.collect(), wall_mm }
    }

    /// Density at a point of the lung, where a bronchus is.
    pub(super) fn hu(&self, point: Point) -> Option<f64> {
        let from_air = self.lumens.iter().map(|tube| tube.distance(point) - tube.radius).fold(f64::INFINITY, f64::min);
        if from_air < 0.0 { Some(-980.0) } else { (from_air < self.wall_mm).then_some(30.0) }
    }

    pub(super) fn reaches_z(&self, z: f64) -> bool {
        self.lumens.iter().any(|tube| tube.reaches_z(z, self.wall_mm))
    }
}

/// Where bronchi and vessels enter a lung.
fn hilum(side: Side) -> Point {
    [side.sign() * 40.0, 14.0, 14.0]
}

fn part_way(from: Point, to: Point, share: f64) -> Point {
    add(from, sub(to, from).map(|step| step * share))
}

/// Bands of scar tissue that cross in a part of the lung, with what they pull at.
#[derive(Debug)]
pub(in crate::phantom) struct Scar {
    bands: Vec<Tube>,
    pub(super) reach: shape::Ellipsoid,
}

const BANDS: usize = 12;

/// Radius of the bands of a scar of this width.
pub(super) fn scar_radius_mm(width_mm: f64) -> f64 {
    (0.065 * width_mm).clamp(1.5, 3.6)
}

impl Scar {
    /// Chords of a sphere of that width.
    pub(super) fn new(centre: Point, width_mm: f64, random: &mut ChaCha8Rng) -> Self {
        let half = 0.5 * width_mm;
        let radius = scar_radius_mm(width_mm);
        let mut rim = || {
            let way = [0, 1, 2].map(|_axis| 2.0 * fraction(random) - 1.0);
            let length = shape::length(way).max(0.1);
            add(centre, way.map(|step| half * step / length))
        };
        let bands = (0..BANDS).map(|_band| Tube { from: rim(), to: rim(), radius }).collect();
        Self { bands, reach: shape::Ellipsoid::sphere(centre, half + radius) }
    }

    /// Density at a point of the lung whose level within the lung's space is `level` and that had `hu`: a band; the
    /// pleura that it has drawn in; or lung between them, stretched by the loss of volume beside it.
    pub(super) fn hu(&self, point: Point, level: f64, hu: f64) -> Option<f64> {
        if !self.reach.holds(point) {
            None
        } else if level > 0.92 || self.bands.iter().any(|band| band.holds(point)) {
            Some(45.0)
        } else {
            Some(if hu < -700.0 { hu - 45.0 } else { hu })
        }
    }
}
