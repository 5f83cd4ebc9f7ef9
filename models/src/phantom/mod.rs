//! Synthetic chest CT with known findings: self-test, demo and the trainer's smoke data. Marked synthetic everywhere.
//!
//! A [`Recipe`] determines a phantom to the last voxel on every machine: shapes are analytic, made with additions,
//! multiplications, divisions and square roots only, which IEEE 754 rounds the same everywhere; randomness is `ChaCha8` for
//! the anatomy and a hash of seed and voxel for noise. Millimetres are LPS about the centre of the chest.

mod anatomy;
mod choice;
mod findings;
mod noise;
mod population;
mod shape;
mod slice;
#[cfg(test)]
mod tests;
mod text;

pub use text::Report;

use crate::labels::{LABEL_COUNT, Label};
use crate::volume::{Geometry, Volume, Voxels};
use anatomy::Chest;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use slice::Part;
use std::borrow::Cow;

/// Everything that determines a phantom, to the last voxel, on every machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of anatomy, texture and noise.
    pub seed: u64,
    /// Voxel counts (i, j, k): left-right, front-back, slices.
    pub size: [usize; 3],
    /// Voxel spacing (i, j, k) in mm.
    pub spacing_mm: [f64; 3],
    /// What is wrong with this patient; empty for a normal chest.
    pub findings: Vec<Finding>,
}

/// One finding, as image and report both show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Which abnormality.
    pub label: Label,
    /// Which side, for findings that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Which lobe, for findings of the lung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobe: Option<Lobe>,
    /// Largest extent in mm (nodule diameter, depth of an effusion, length of a calcified stretch).
    pub size_mm: f64,
    /// Where it lies from the middle of its lobe, in mm along LPS; for findings of a lobe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_mm: Option<[f64; 3]>,
}

/// The patient's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variant is the side")]
pub enum Side {
    Left,
    Right,
}

/// Part of a lung; `Middle` stands for the right middle lobe and, on the left, the lingula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variant is the lobe")]
pub enum Lobe {
    Upper,
    Middle,
    Lower,
}

/// Why a recipe describes no phantom.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PhantomError {
    /// The grid is empty, too large, or its spacing is none.
    #[error(
        "a phantom of {size:?} voxels of {spacing_mm:?} mm: at least 1 and at most {MOST_VOXELS} voxels of 0.1 to 50 mm"
    )]
    Grid {
        /// Voxel counts (i, j, k).
        size: [usize; 3],
        /// Voxel spacing (i, j, k) in mm.
        spacing_mm: [f64; 3],
    },
    /// The finding needs a side, or has none.
    #[error("{}: a side is {}", label.name(), if *needed { "needed" } else { "meaningless" })]
    Side {
        /// Which.
        label: Label,
        /// Whether one is needed.
        needed: bool,
    },
    /// The finding needs a lobe, or has none.
    #[error("{}: a lobe is {}", label.name(), if *needed { "needed" } else { "meaningless" })]
    Lobe {
        /// Which.
        label: Label,
        /// Whether one is needed.
        needed: bool,
    },
    /// The finding cannot be as large or as small as that.
    #[error("{}: {size_mm} mm, must lie between {least_mm} and {most_mm}", label.name())]
    Size {
        /// Which.
        label: Label,
        /// What was asked for.
        size_mm: f64,
        /// Smallest.
        least_mm: f64,
        /// Largest.
        most_mm: f64,
    },
    /// The finding has no lobe to lie off the middle of, or lies too far off.
    #[error("{}: {shift_mm:?} mm off the middle of its lobe, must be a finding of a lobe and within {most_mm}", label.name())]
    Shift {
        /// Which.
        label: Label,
        /// What was asked for, LPS.
        shift_mm: [f64; 3],
        /// Farthest along each axis.
        most_mm: f64,
    },
}

/// Most voxels of a phantom: 512 a side.
const MOST_VOXELS: usize = 1 << 27;

impl Finding {
    /// A finding without side and lobe.
    pub fn new(label: Label, size_mm: f64) -> Self {
        Self { label, side: None, lobe: None, size_mm, shift_mm: None }
    }

    /// The same on a side.
    #[must_use]
    pub fn on(self, side: Side) -> Self {
        Self { side: Some(side), ..self }
    }

    /// The same in a lobe.
    #[must_use]
    pub fn in_lobe(self, side: Side, lobe: Lobe) -> Self {
        Self { side: Some(side), lobe: Some(lobe), ..self }
    }

    /// The same, so far from the middle of its lobe (mm, LPS).
    #[must_use]
    pub fn shifted(self, shift_mm: [f64; 3]) -> Self {
        Self { shift_mm: Some(shift_mm), ..self }
    }
}

impl Recipe {
    /// A normal chest: 160 x 128 x 72 voxels of 2.4 x 2.4 x 4.8 mm.
    pub fn chest(seed: u64) -> Self {
        Self { seed, size: [160, 128, 72], spacing_mm: [2.4, 2.4, 4.8], findings: Vec::new() }
    }

    /// A patient with several findings, for demonstrations.
    pub fn example() -> Self {
        Self::chest(7)
            .with(Finding::new(Label::PleuralEffusion, 40.0).on(Side::Left))
            .with(Finding::new(Label::LungNodule, 18.0).in_lobe(Side::Right, Lobe::Upper))
            .with(Finding::new(Label::Cardiomegaly, 155.0))
            .with(Finding::new(Label::CoronaryArteryWallCalcification, 14.0))
    }

    /// The same patient with one more finding.
    #[must_use]
    pub fn with(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Draws it: whole HU, axes growing to the patient's left, to posterior and to the head.
    ///
    /// # Errors
    /// The recipe asks for something that cannot be drawn.
    pub fn volume(&self) -> Result<Volume<'static>, PhantomError> {
        let geometry = self.geometry()?;
        let chest = Chest::new(self)?;
        let [columns, rows, slices] = self.size;
        let plane = columns * rows;
        let position = |index| geometry.position_mm(index);
        let mut voxels = vec![0i16; plane * slices];
        voxels.par_chunks_mut(plane).enumerate().for_each(|(k, voxels)| {
            let slice = Part::slice(&chest, position([0.0, 0.0, real(k)])[2]);
            for (j, row) in voxels.chunks_mut(columns).enumerate() {
                let part = slice.row(position([0.0, real(j), 0.0])[1]);
                for (i, voxel) in row.iter_mut().enumerate() {
                    let noise = noise::normal(self.seed, k * plane + j * columns + i);
                    *voxel = whole(part.hu(position([real(i), real(j), real(k)])) + NOISE_HU * noise);
                }
            }
        });
        let grid = || PhantomError::Grid { size: self.size, spacing_mm: self.spacing_mm };
        Volume::new(geometry, Voxels::I16(Cow::Owned(voxels))).map_err(|_never| grid())
    }

    /// Which of the 18 abnormalities it shows, in the official order.
    pub fn labels(&self) -> [bool; LABEL_COUNT] {
        self.flags(|_finding| true)
    }

    /// Which of them can be seen in a tensor of this voxel spacing (z, y, x) in mm: those of which at least one finding
    /// [is visible](Finding::is_visible).
    pub fn visible(&self, spacing_mm: [f64; 3]) -> [bool; LABEL_COUNT] {
        self.flags(|finding| finding.is_visible(spacing_mm))
    }

    /// What a radiologist would write of it.
    pub fn report(&self) -> Report {
        text::report(self)
    }

    /// The same in other words: wording 0 is [`Recipe::report`], every other number draws phrases, order, units, and what
    /// is denied or mentioned as normal. Each finding is named with its place, and its size or grade where it has one;
    /// nothing is stated as present that is not, and nothing present is denied.
    pub fn reworded(&self, wording: u64) -> Report {
        text::reworded(self, wording)
    }

    /// What every wording of this recipe's report says, as one line of sorted entries `label@side/lobe grade xcount`, or
    /// `normal`: two recipes with the same statement have clinically equal reports.
    pub fn statement(&self) -> String {
        text::statement(self)
    }

    /// Which labels have a finding of that kind.
    fn flags(&self, is_meant: impl Fn(&Finding) -> bool) -> [bool; LABEL_COUNT] {
        let mut labels = [false; LABEL_COUNT];
        for (flag, label) in labels.iter_mut().zip(Label::all()) {
            *flag = self.findings.iter().any(|finding| finding.label == label && is_meant(finding));
        }
        labels
    }

    fn geometry(&self) -> Result<Geometry, PhantomError> {
        let error = || PhantomError::Grid { size: self.size, spacing_mm: self.spacing_mm };
        let voxels = self.size.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let sound = voxels.is_some_and(|count| (1..=MOST_VOXELS).contains(&count))
            && self.spacing_mm.iter().all(|spacing| (0.1..=50.0).contains(spacing));
        if !sound {
            return Err(error());
        }
        let mut origin_mm = [0.0; 3];
        for ((origin, &side), spacing) in origin_mm.iter_mut().zip(&self.size).zip(self.spacing_mm) {
            *origin = -0.5 * (real(side) - 1.0) * spacing;
        }
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Geometry::new(self.size, self.spacing_mm, origin_mm, identity).map_err(|_never| error())
    }
}

/// Standard deviation of the noise in HU: that of a low-dose scan at these voxel sizes.
const NOISE_HU: f64 = 14.0;

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of voxels are far below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
fn whole(hu: f64) -> i16 {
    hu.clamp(-1024.0, 3071.0) as i16
}
