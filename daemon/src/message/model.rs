//! What stands in the messages about models: the JSON objects of `model/{slot}` and `event/model_changed`.

use super::incident::Told;
use super::{Message, Writer};
use crate::floor::clock;
use ctedge_models::labels::Label;
use schemars::JsonSchema;
use serde::Serialize;

/// What is in a slot, for `model/{slot}`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Model")]
pub(crate) struct SlotState {
    /// Which slot: `a` or `b`.
    pub(crate) slot: &'static str,
    /// `empty`, `staged`, `shadow`, `probation` (it counts, and has not proved itself), `active` (it counts), `standby` (what a
    /// rollback goes back to), `failed`.
    #[schemars(extend("examples" = ["empty", "staged", "shadow", "probation", "active", "standby", "failed"]))]
    pub(crate) state: &'static str,
    /// The model; null in an empty slot.
    pub(crate) model: Option<SlotModel>,
    /// Since when it is in this state, RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// With `probation`: starts of the daemon that it has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tries: Option<u32>,
    /// With `failed`: why, a name that is never reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_detail: Option<String>,
    /// With `probation`: how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probation: Option<Probation>,
    /// How far a model that was or is in the shadow agrees with the one that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<Shadow>,
}

/// A model in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SlotModel {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// Rises with every release.
    pub(crate) serial: u64,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Id of the key that signed it.
    pub(crate) signer: String,
    /// False for random weights.
    pub(crate) trained: bool,
    /// Of the weights.
    pub(crate) precision: String,
    /// Execution provider that passed the golden test.
    pub(crate) ep: String,
}

/// How far a model on probation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Probation {
    /// Series that it has read.
    pub(crate) series: u32,
    /// Series after which it has proved itself.
    pub(crate) series_needed: u32,
    /// Series on which it failed.
    pub(crate) faults: u32,
    /// When it has proved itself even after fewer, RFC 3339, UTC.
    pub(crate) until: String,
}

/// How far two models agree.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Shadow {
    /// SHA-256 of the bundle that it is compared with.
    pub(crate) against: String,
    /// Series that both have read.
    pub(crate) series: u64,
    /// Share of all findings of all series of which both said the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) agreement: Option<f64>,
    /// Largest difference of a probability.
    pub(crate) max_difference: f32,
    /// One entry a finding that both know.
    pub(crate) flags: Vec<Agreed>,
}

/// Series by who flagged a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Agreed {
    /// The finding.
    pub(crate) label: Label,
    /// Both models.
    pub(crate) both: u64,
    /// The one that counts.
    pub(crate) active_only: u64,
    /// The one in the shadow.
    pub(crate) candidate_only: u64,
    /// None.
    pub(crate) neither: u64,
}

/// Another model counts, or the one that counts has proved itself, for `event/model_changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ModelChanged {
    /// `adopted`, `activated`, `proved`, `rolled_back`, or one of a later version.
    pub(crate) cause: &'static str,
    /// Which counted before; null if none did, or the same.
    pub(crate) from: Option<Named>,
    /// Which counts now.
    pub(crate) to: Named,
    /// With `rolled_back`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Named {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
}

impl Writer {
    /// `model/{slot}`.
    pub(crate) fn slot(&self, state: &SlotState) -> Message {
        self.versioned(&format!("model/{}", state.slot), "model/1.0", state)
    }

    /// `event/model_changed`.
    pub(crate) fn model_changed(&self, changed: &ModelChanged) -> Message {
        let at = clock::rfc3339(clock::now_ms());
        self.passing("event/model_changed", &Told::of("model_changed/1.0", at, changed))
    }
}
