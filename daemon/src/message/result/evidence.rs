//! What a reader needs to judge a result by: where its flags come from, and which cases it is like.

use super::rounded;
use crate::report::{Focus, Neighbour, Similar, Unscored, Watched};
use ctedge_models::labels::Label;
use schemars::JsonSchema;
use serde::Serialize;

/// Where in the patient a flag comes from: the tokens that add at least half as much to its logit as the strongest one does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Focus")]
pub(super) struct FocusPayload {
    /// Their weighted centre in DICOM's patient coordinates (left, posterior, superior) in mm.
    centroid_mm: [f64; 3],
    /// Edges of the box around them, in mm, along the same axes.
    extent_mm: [f64; 3],
    /// Where along the superior axis the slice lies that adds most, in mm.
    key_slice_mm: f64,
    /// Their share of all that speaks for the flag.
    #[schemars(range(min = 0, max = 1))]
    share: f64,
}

/// The reference cases that the volume is most like.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Evidence")]
pub(super) struct EvidencePayload {
    /// How many cases were searched.
    of: usize,
    /// The nearest, the nearest first.
    neighbours: Vec<NeighbourPayload>,
    /// How unlike the reference volumes the volume is, where the model says how far is too far.
    #[serde(skip_serializing_if = "Option::is_none")]
    novelty: Option<NoveltyPayload>,
}

/// A reference case.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Neighbour")]
struct NeighbourPayload {
    /// Its place in the bundle's list, from 1.
    reference: usize,
    /// Cosine of its report's embedding and the volume's.
    #[schemars(range(min = -1.01, max = 1.01))]
    similarity: f64,
    /// What its own report says is there.
    labels: Vec<Label>,
}

/// One minus the mean cosine of the nearest reference volumes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Novelty")]
struct NoveltyPayload {
    /// Of this volume.
    score: f64,
    /// The largest that still counts as alike.
    bound: f64,
    /// Whether it is beyond.
    novel: bool,
}

/// A finding that the site describes in its own words (`[[watch]]`).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Watched")]
pub(super) struct WatchedPayload<'a> {
    #[schemars(regex(pattern = "^[a-z0-9_]{1,48}$"))]
    name: &'a str,
    /// How much nearer the volume lies to the sentence that says it is there than to the one that says it is not; above 0 nearer.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Why there is no score.
    #[serde(skip_serializing_if = "Option::is_none")]
    unscored: Option<Unscored>,
    /// Whether the site has measured what a score means. If not there is no `p`: a score is no probability.
    calibrated: bool,
    /// Probability, by the site's calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    p: Option<f64>,
    /// Threshold, by the site's calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    t: Option<f64>,
    /// Whether `p` is at or above `t`.
    #[serde(skip_serializing_if = "Option::is_none")]
    positive: Option<bool>,
}

impl<'a> WatchedPayload<'a> {
    pub(super) fn of(watched: &'a Watched) -> Self {
        let Watched { name, score, calibrated } = watched;
        Self {
            name,
            score: score.ok().map(rounded),
            unscored: score.err(),
            calibrated: calibrated.is_some(),
            p: calibrated.map(|(p, _)| rounded(p)),
            t: calibrated.map(|(_, t)| rounded(t)),
            positive: calibrated.map(|(p, t)| p >= t),
        }
    }
}

impl FocusPayload {
    pub(super) fn of(focus: &Focus) -> Self {
        // A zero is added so that none is negative.
        let tenths = |value: f64| (value * 10.0).round() / 10.0 + 0.0;
        Self {
            centroid_mm: focus.centroid_mm.map(tenths),
            extent_mm: focus.extent_mm.map(tenths),
            key_slice_mm: tenths(focus.key_slice_mm),
            share: (focus.share * 1e3).round() / 1e3,
        }
    }
}

impl EvidencePayload {
    pub(super) fn of(similar: &Similar) -> Self {
        let neighbour = |one: &Neighbour| NeighbourPayload {
            reference: one.reference,
            similarity: rounded(one.similarity),
            labels: one.labels.clone(),
        };
        let novelty = similar.novelty.map(|judged| NoveltyPayload {
            score: rounded(judged.score),
            bound: rounded(judged.bound),
            novel: judged.is_novel(),
        });
        Self { of: similar.of, neighbours: similar.neighbours.iter().map(neighbour).collect(), novelty }
    }
}

/// Share of the neighbours whose own report says so.
pub(super) fn share(similar: &Similar, label: Label) -> Option<f64> {
    let count = |neighbours: usize| u32::try_from(neighbours).ok().map(f64::from);
    let carrying = similar.neighbours.iter().filter(|one| one.labels.contains(&label)).count();
    let all = count(similar.neighbours.len()).filter(|all| *all > 0.0)?;
    Some((count(carrying)? / all * 1e3).round() / 1e3)
}
