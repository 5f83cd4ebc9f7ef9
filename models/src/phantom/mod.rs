//! Synthetic chest CT with known findings: self-test, demo and the trainer's smoke data. Marked synthetic everywhere.

use crate::labels::Label;
use serde::{Deserialize, Serialize};

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
