//! Scores to a report: which flags are positive, and the outcome of the series.
//!
//! In: [`crate::infer::Scores`], or a refusal of any room to the left. Out: [`Report`]. Pure; owns nothing on disk.

mod ground;
#[cfg(test)]
mod tests;

/// What the room on the right needs of those on the left; it names this room only.
pub(crate) use crate::infer::{Focus, Neighbour, Similar, Unscored, Watched};
pub(crate) use ground::{Author, Disagreement, Fallback, Seen, Written};

use crate::floor::clock;
use crate::floor::fate::{Blame, Refusal};
use crate::floor::phi::Names;
use crate::floor::subject::Subject;
use crate::infer::{Cost, Inferred, Model, Scores};
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use ctedge_models::report::Call;
use ctedge_models::scan::{Facts, Warning};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// From scores to outcomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Thresholds of this site in place of the model's, by label, e.g. `pleural_effusion = 0.7`.
    pub(crate) thresholds: BTreeMap<Label, f32>,
    /// Probability below which a draft tells a positive flag's finding as possible, not as present.
    pub(crate) possible_below: f32,
    /// What the reader noticed that makes a result `inconclusive`.
    pub(crate) inconclusive_on: Vec<Warning>,
    /// Whether a volume that is unlike all that the model has learned from makes one, too, where the model can tell.
    pub(crate) inconclusive_on_novelty: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let doubts =
            [Warning::FewerThanExpected, Warning::MissingSlices, Warning::ImplausibleHu, Warning::ShortCoverage];
        Self {
            thresholds: BTreeMap::new(),
            possible_below: 0.5,
            inconclusive_on: doubts.to_vec(),
            inconclusive_on_novelty: true,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let thresholds = self.thresholds.iter().map(|(label, value)| (format!("thresholds.{}", label.name()), *value));
        let shares = thresholds.chain([("possible_below".to_owned(), self.possible_below)]);
        let bad = shares.filter(|(_, value)| !(0.0..=1.0).contains(value));
        bad.map(|(name, value)| format!("report.{name} = {value}: must lie between 0 and 1")).collect()
    }
}

/// Puts together what is known of a series.
pub(crate) fn report(settings: &Settings, inferred: Inferred, draft: Option<Written>, model: &Model) -> Report {
    let Inferred { subject, facts, scores, queue_ms, decode_ms, throttled_ms, is_hot } = inferred;
    let total_ms = u64::try_from(clock::now_ms().saturating_sub(subject.completed_ms)).unwrap_or_default();
    let timing = Timing { queue_ms, throttled_ms, decode_ms, total_ms, ..Timing::default() };
    match scores {
        Err(refusal) => {
            let outcome = match refusal.code.blame() {
                Blame::Input => Outcome::Rejected,
                Blame::Device => Outcome::Failed,
            };
            Report {
                subject,
                outcome,
                refusal: Some(refusal),
                flags: Vec::new(),
                foci: Vec::new(),
                similar: None,
                watched: Vec::new(),
                facts,
                model: None,
                draft: None,
                timing,
                is_hot,
                also: Vec::new(),
            }
        }
        Ok(Scores { logits, foci, similar, watched, preprocess_ms, infer_ms }) => {
            let flags = flags(settings, model, &logits);
            let warned = facts
                .as_ref()
                .is_some_and(|facts| facts.warnings.iter().any(|warning| settings.inconclusive_on.contains(warning)));
            let is_novel =
                similar.as_ref().and_then(|similar| similar.novelty).is_some_and(|novelty| novelty.is_novel());
            let doubtful = warned || (is_novel && settings.inconclusive_on_novelty);
            let outcome = match flags.iter().any(Flag::positive) {
                _ if doubtful => Outcome::Inconclusive,
                true => Outcome::Flagged,
                false => Outcome::Clear,
            };
            let cost = draft.as_ref().map(|draft| draft.cost).unwrap_or_default();
            let Cost { draft_ms, first_token_ms, .. } = cost;
            let timing = Timing { preprocess_ms, infer_ms, draft_ms, first_token_ms, ..timing };
            let model = Some(ModelRun::of(model));
            Report {
                subject,
                outcome,
                refusal: None,
                flags,
                foci,
                similar,
                watched,
                facts,
                model,
                draft,
                timing,
                is_hot,
                also: Vec::new(),
            }
        }
    }
}

/// The flags that a model's logits make, in its order, under this site's thresholds.
pub(crate) fn flags(settings: &Settings, model: &Model, logits: &[f32]) -> Vec<Flag> {
    model.labels.iter().zip(logits).map(|(spec, logit)| flag(settings, spec, *logit)).collect()
}

fn flag(settings: &Settings, spec: &LabelSpec, logit: f32) -> Flag {
    let probability = spec.probability(logit);
    let threshold = settings.thresholds.get(&spec.label).copied().unwrap_or(spec.threshold);
    Flag { label: spec.label, probability, threshold, possible_below: settings.possible_below }
}

/// Everything a result message says of one series.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Which series.
    pub(crate) subject: Subject,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Why there are no flags, for `rejected` and `failed`.
    pub(crate) refusal: Option<Refusal>,
    /// One entry per label of the model, in its order; empty without a model run.
    pub(crate) flags: Vec<Flag>,
    /// Where each flag comes from, in the same order; empty where the model does not tell.
    pub(crate) foci: Vec<Option<Focus>>,
    /// Which reference cases the volume is like, where the model has any.
    pub(crate) similar: Option<Similar>,
    /// What the model says of the findings that the site watches; no outcome depends on it.
    pub(crate) watched: Vec<Watched>,
    /// What was read, once it was read.
    pub(crate) facts: Option<Facts>,
    /// Which model ran, once it ran.
    pub(crate) model: Option<ModelRun>,
    /// What was drafted, where the site wants drafts and a model ran.
    pub(crate) draft: Option<Written>,
    /// Where the time went.
    pub(crate) timing: Timing,
    /// Whether the device was too hot while it worked on it.
    pub(crate) is_hot: bool,
    /// What the series is called under other generations of the site's key.
    pub(crate) also: Vec<Names>,
}

/// How a series ended. Every series ends in exactly one; no message never means "normal".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// At least one flag is positive.
    Flagged,
    /// No flag is positive.
    Clear,
    /// The model ran, but the input is such that its flags should not be relied on.
    Inconclusive,
    /// The input was refused.
    Rejected,
    /// The device failed on it.
    Failed,
}

impl Outcome {
    /// All outcomes, in the order of urgency.
    pub(crate) const ALL: [Self; 5] = [Self::Flagged, Self::Inconclusive, Self::Failed, Self::Rejected, Self::Clear];

    /// Name in topics, counters and payloads.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flagged => "flagged",
            Self::Clear => "clear",
            Self::Inconclusive => "inconclusive",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// One abnormality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flag {
    /// Which abnormality.
    pub(crate) label: Label,
    /// Calibrated probability.
    pub(crate) probability: f32,
    /// Positive at or above this probability.
    pub(crate) threshold: f32,
    /// Below this one the abnormality, if positive, is no more than possible.
    pub(crate) possible_below: f32,
}

impl Flag {
    /// Whether the abnormality counts as present.
    pub(crate) fn positive(&self) -> bool {
        self.probability >= self.threshold
    }

    /// What a report may say of it.
    pub(crate) fn call(&self) -> Call {
        match (self.positive(), self.probability < self.possible_below) {
            (false, _) => Call::Absent,
            (true, true) => Call::Possible,
            (true, false) => Call::Present,
        }
    }
}

/// The model that made the flags, and how it really ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ModelRun {
    /// Model name.
    pub(crate) name: String,
    /// Model version.
    pub(crate) version: String,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Key id of the trusted key that signed the bundle, hex.
    pub(crate) signer: String,
    /// False for random weights: the flags mean nothing.
    pub(crate) trained: bool,
    /// Execution provider that really ran, measured: `tensorrt`, `cuda` or `cpu`.
    pub(crate) provider: String,
    /// Weight precision.
    pub(crate) precision: String,
    /// ONNX Runtime's version.
    pub(crate) runtime: String,
    /// What the model may be used for, in its maker's words.
    pub(crate) intended_use: String,
}

impl ModelRun {
    /// What a result says of a loaded model.
    pub(crate) fn of(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            version: model.version.clone(),
            digest: model.digest.clone(),
            signer: model.signer.clone(),
            trained: model.trained,
            provider: model.provider.name().to_owned(),
            precision: model.precision.clone(),
            runtime: model.runtime.clone(),
            intended_use: model.intended_use.clone(),
        }
    }
}

/// Milliseconds of each step.
#[expect(clippy::struct_field_names, reason = "the unit stands last in every name")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Timing {
    /// From complete series to the start of reading.
    pub(crate) queue_ms: u64,
    /// The part of it for which the device paused, too hot to go on.
    pub(crate) throttled_ms: u64,
    /// Reading and decoding.
    pub(crate) decode_ms: u64,
    /// Volume to tensor.
    pub(crate) preprocess_ms: u64,
    /// The model.
    pub(crate) infer_ms: u64,
    /// The draft report, all attempts at it together; 0 without a decoder's.
    pub(crate) draft_ms: u64,
    /// The part of it until the decoder's first token.
    pub(crate) first_token_ms: u64,
    /// From complete series to the finished report.
    pub(crate) total_ms: u64,
}
