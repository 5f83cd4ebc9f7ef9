//! Reference cases for a bundle: what a device compares a series with, and how unlike them a volume may be.

use super::{EvalError, Reader, Said};
use crate::run::{self, Case, Cohort, Format, Pair, RunError};
use ctedge_models::bundle::{Evidence, Novelty};
use ctedge_models::evidence::{self, Reference};
use ctedge_models::labels::Label;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folder in a run and in a bundle.
pub const EVIDENCE_FOLDER: &str = "evidence";
/// Paths in a bundle.
const REPORTS: &str = "evidence/reports.f16";
const VOLUMES: &str = "evidence/volumes.f16";
const CASES: &str = "evidence/cases.jsonl";
/// What a run keeps beside them.
const CARD: &str = "evidence/evidence.json";
/// Nearest volumes that novelty is a mean over.
const NEIGHBOURS: usize = 10;
/// Share of the patients that the bound is chosen on who shall lie within it.
const WITHIN: f64 = 0.995;

/// Reference cases of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceCases {
    /// What a manifest says of them.
    pub spec: Evidence,
    /// Digest of the weights that embedded them.
    pub weights_sha256: String,
    /// Files by their paths in the bundle.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    weights_sha256: String,
    evidence: Evidence,
}

/// Who embeds, and who is told how far it is.
#[derive(Debug)]
pub struct Embedding<'a> {
    /// The network of these weights.
    pub network: &'a Pair,
    /// Digest of the weights.
    pub weights_sha256: String,
    /// Reads the cases.
    pub reader: &'a Reader<'a>,
}

impl ReferenceCases {
    /// At most `count` of the learners whose labels are known, evenly spread over all of them; how far is too far is learned from
    /// the judges. `done` is told how many cases were read, and of how many.
    ///
    /// # Errors
    /// A case cannot be read.
    pub fn of(
        embedding: &Embedding<'_>,
        (learners, judges): (&Cohort<'_>, &Cohort<'_>),
        (count, data): (usize, &str),
        done: &dyn Fn(usize, usize),
    ) -> Result<Self, EvalError> {
        let labelled: Vec<usize> =
            learners.cases().enumerate().filter(|(_, case)| case.labels.is_some()).map(|(place, _)| place).collect();
        let step = labelled.len().div_ceil(count.max(1)).max(1);
        let places: Vec<usize> = labelled.into_iter().step_by(step).collect();
        let all = places.len() + judges.len();
        let Embedding { network, reader, weights_sha256 } = embedding;
        let Said { volume, text, .. } = reader.read_places(network, (learners, &places), &|read| done(read, all))?;
        let judged = reader.read(network, judges, &|read| done(places.len() + read, all))?;
        let lines: Vec<String> = places.iter().filter_map(|place| learners.case(*place)).map(line).collect();
        let volumes = Format::F16.written(&volume);
        let spec = Evidence {
            count: places.len(),
            reports: REPORTS.into(),
            volumes: VOLUMES.into(),
            cases: CASES.into(),
            data: data.to_owned(),
            novelty: novelty(&volumes, &judged.volume, places.len())?,
        };
        let files = [(REPORTS, Format::F16.written(&text)), (VOLUMES, volumes), (CASES, lines.concat().into_bytes())];
        Ok(Self { spec, weights_sha256: weights_sha256.clone(), files: files.into() })
    }

    /// Writes them into a run's folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, run: &Path) -> Result<(), EvalError> {
        let card = Card { weights_sha256: self.weights_sha256.clone(), evidence: self.spec.clone() };
        let card = serde_json::to_vec_pretty(&card).unwrap_or_default();
        let files = self.files.iter().map(|(name, bytes)| (*name, bytes)).chain([(CARD, &card)]);
        let failed = |source| EvalError::Write { source };
        run::make_folder(&run.join(EVIDENCE_FOLDER)).map_err(failed)?;
        for (name, bytes) in files {
            run::write(&run.join(name), bytes).map_err(failed)?;
        }
        Ok(())
    }

    /// Those of a run's folder; `None` where there are none.
    ///
    /// # Errors
    /// A file is missing or none of ours.
    pub fn read(run: &Path) -> Result<Option<Self>, RunError> {
        let path = run.join(CARD);
        if !path.is_file() {
            return Ok(None);
        }
        let open = |path: &Path| fs::read(path).map_err(|source| RunError::Open { path: path.into(), source });
        let foreign = |source: serde_json::Error| RunError::Open { path: path.clone(), source: source.into() };
        let Card { weights_sha256, evidence: spec } = serde_json::from_slice(&open(&path)?).map_err(foreign)?;
        let file = |name| Ok((name, open(&run.join(name))?));
        let files = [REPORTS, VOLUMES, CASES].into_iter().map(file).collect::<Result<_, RunError>>()?;
        Ok(Some(Self { spec, weights_sha256, files }))
    }
}

/// A case as a line of JSON.
fn line(case: &Case) -> String {
    let present = |(label, present): (Label, bool)| present.then_some(label);
    let reference = Reference {
        labels: Label::all().zip(case.labels.unwrap_or_default()).filter_map(present).collect(),
        findings: case.report.findings.clone(),
        impression: case.report.impression.clone(),
    };
    serde_json::to_string(&reference).unwrap_or_default() + "\n"
}

/// The bound that most of the judged volumes lie within; `None` where there are too few cases to say.
fn novelty(volumes: &[u8], judged: &Array2<f32>, count: usize) -> Result<Option<Novelty>, EvalError> {
    if count < NEIGHBOURS || judged.nrows() == 0 {
        return Ok(None);
    }
    let score = |row: ArrayView1<'_, f32>| {
        let near = evidence::nearest(volumes, &row.to_vec(), NEIGHBOURS);
        near.map(|near| evidence::novelty(&near)).map_err(|source| EvalError::Evidence { source })
    };
    let mut scores = judged.rows().into_iter().map(score).collect::<Result<Vec<f32>, _>>()?;
    scores.sort_by(f32::total_cmp);
    let patients = scores.len();
    let bound = scores.get(rank(patients)).copied().unwrap_or(2.0).max(0.0);
    let within = scores.iter().filter(|score| **score <= bound).count();
    Ok(Some(Novelty { neighbours: NEIGHBOURS, bound, share: share(within, patients), patients }))
}

/// Place, from 0, of the smallest value that the stated share of sorted values does not exceed.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a number of patients is a number of patients"
)]
fn rank(patients: usize) -> usize {
    ((WITHIN * patients as f64).ceil() as usize).clamp(1, patients.max(1)) - 1
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "numbers of patients")]
fn share(within: usize, patients: usize) -> f32 {
    within as f32 / patients as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_what_most_of_the_judged_lie_within() {
        assert_eq!([1, 100, 200, 400, 1000].map(rank), [0, 99, 198, 397, 994]);
        // Twenty references along one axis; the judged turn away from it.
        let volumes =
            Format::F16.written(&Array2::from_shape_fn((20, 2), |(_, axis)| if axis == 0 { 1.0 } else { 0.0 }));
        let turned = |row: usize| f32::from(u16::try_from(row).unwrap()) * 0.01;
        let judged = Array2::from_shape_fn(
            (100, 2),
            |(row, axis)| if axis == 0 { turned(row).cos() } else { turned(row).sin() },
        );
        let found = novelty(&volumes, &judged, 20).unwrap().unwrap();
        assert!((found.bound - (1.0 - turned(99).cos())).abs() < 1e-3, "{found:?}");
        assert_eq!((found.neighbours, found.patients), (10, 100));
        assert!((found.share - 1.0).abs() < 1e-6);
        assert_eq!(novelty(&volumes, &judged, 9).unwrap(), None, "too few to have ten neighbours");
    }
}
