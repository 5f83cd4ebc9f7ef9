//! Synthetic patients.

use crate::corpus::case::{Case, Listed, Listing, Source};
use ctedge_models::phantom::Recipe;
use ctedge_models::spec::{Grid, PreprocessSpec};
use sha2::{Digest, Sha256};

/// `count` patients whose seeds count up from `seed`.
pub(super) fn list(count: usize, seed: u64, spec: &PreprocessSpec) -> Listing {
    let seeds = (0..count).zip(seed..=u64::MAX).map(|(_, seed)| seed);
    Listing { cases: seeds.map(|seed| phantom(seed, spec)).collect(), ..Listing::default() }
}

/// One patient.
pub(crate) fn phantom(seed: u64, spec: &PreprocessSpec) -> Listed {
    let recipe = Recipe::patient(seed);
    let id = format!("phantom-{seed}");
    let case = Case {
        patient: id.clone(),
        group: id.clone(),
        id,
        report: recipe.reworded(wording(seed)).into(),
        labels: Some(recipe.labels()),
        statement: Some(recipe.statement()),
        visible: Some(recipe.visible(spacing_mm(&recipe, spec))),
    };
    Listed { case, split: None, source: Source::Phantom(recipe) }
}

/// The radiologist's choice of words has nothing to do with the patient: a hash of the seed.
fn wording(seed: u64) -> u64 {
    let digest = Sha256::new().chain_update(b"wording").chain_update(seed.to_le_bytes()).finalize();
    digest.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// Spacing (z, y, x) of the input tensor in mm; a stretched one follows from the phantom's extent.
fn spacing_mm(recipe: &Recipe, spec: &PreprocessSpec) -> [f64; 3] {
    match &spec.grid {
        Grid::Spacing { spacing_mm, .. } => *spacing_mm,
        Grid::Resize { size } => {
            let [i, j, k] = recipe.spacing_mm;
            let [ni, nj, nk] = recipe.size;
            let [z, y, x] = *size;
            let stretched = |spacing: f64, voxels: usize, wanted: usize| spacing * real(voxels) / real(wanted.max(1));
            [stretched(k, nk, z), stretched(j, nj, y), stretched(i, ni, x)]
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of voxels are far below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}
