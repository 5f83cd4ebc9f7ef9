//! What is told about commands beside their state.

use super::request::{OUTCOMES, REPLAY_MOST};
use super::{Name, Refused};
use ctedge_models::bundle::BUNDLE_BYTES;
use ctedge_models::offer::CHUNK_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is known of a command beside its state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// With `running`: what is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<String>,
    /// With `running`: the share that is done, 0 to 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<f64>,
    /// With `failed`, `rejected`, `expired` and `cancelled`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<String>,
    /// The same for people, in our words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason_detail: Option<String>,
    /// With `succeeded`: what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
}

impl Told {
    /// Why not.
    pub(crate) fn refused(refused: &Refused) -> Self {
        let (code, detail) = (refused.reason.name().to_owned(), refused.detail.clone());
        Self { reason_code: Some(code), reason_detail: Some(detail), ..Self::default() }
    }

    /// What was done.
    pub(crate) fn done(result: Value) -> Self {
        Self { result: Some(result), ..Self::default() }
    }

    /// What is being done.
    pub(crate) fn at(stage: &str) -> Self {
        Self { stage: Some(stage.to_owned()), ..Self::default() }
    }
}

/// What a command does and takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning {
    /// What it does, for people.
    pub(crate) description: &'static str,
    /// JSON Schema (2020-12) of its parameters.
    pub(crate) params: Value,
}

/// What a command does and takes.
pub(crate) fn meaning(name: Name) -> Meaning {
    let (description, properties, required) = match name {
        Name::Reprocess => (
            "Reads kept series again: one, those of a study, or those whose newest result lies in a time.",
            json!({
                "series_key": {"type": "string", "pattern": "^ek1_[a-z2-7]{26}$"},
                "study_key": {"type": "string", "pattern": "^sk1_[a-z2-7]{26}$"},
                "since": {"type": "string", "format": "date-time"},
                "until": {"type": "string", "format": "date-time"},
            }),
            json!([]),
        ),
        Name::Replay => (
            "Sends kept results again, marked by delivery.replayed.",
            json!({
                "since": {"type": "string", "format": "date-time"},
                "outcomes": {"type": "array", "items": {"enum": OUTCOMES}, "minItems": 1, "maxItems": OUTCOMES.len()},
                "limit": {"type": "integer", "minimum": 1, "maximum": REPLAY_MOST},
            }),
            json!(["since"]),
        ),
        Name::Pause => ("Takes no new file; what is being worked on is finished.", reason(), json!(["reason"])),
        Name::Resume => ("Takes files again.", reason(), json!(["reason"])),
        Name::Selftest => (
            "Runs the model's golden volume again; full loads the model anew before.",
            json!({"depth": {"enum": ["golden", "full"], "default": "golden"}}),
            json!([]),
        ),
        Name::Diag => {
            ("Writes a scrubbed bundle for support on the device, in place of the one before.", json!({}), json!([]))
        }
        Name::Restart => (
            "Ends the daemon, which its service manager starts again.",
            json!({"when_idle": {"type": "boolean", "default": false}}),
            json!([]),
        ),
        Name::ModelUpdate => (
            "Fetches a model, verifies it, has it pass its golden test here, and has it count, stay in the shadow, or wait.",
            offered(),
            json!(["digest", "bytes", "signature", "source"]),
        ),
        Name::ModelActivate => (
            "The model that is staged or in the shadow counts from now on, on probation.",
            json!({"digest": digest()}),
            json!([]),
        ),
        Name::ModelRollback => ("The model in the other slot counts again.", reason(), json!(["reason"])),
        Name::Cancel => (
            "Has a command not carried out that waits, or not carried on where it can be stopped.",
            json!({
                "name": {"type": "string", "pattern": "^[a-z_]{1,32}$"},
                "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            }),
            json!(["name", "id"]),
        ),
    };
    let params =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    Meaning { description, params }
}

fn digest() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
}

fn offered() -> Value {
    let text = json!({"type": "string"});
    let one = |name: &str, kind: Value| json!({"properties": {name: kind}, "required": [name], "additionalProperties": false});
    let [least, most] = CHUNK_BYTES;
    let chunks = json!({
        "type": "object",
        "properties": {
            "chunk_bytes": {"type": "integer", "minimum": least, "maximum": most},
            "chunks_sha256": digest(),
        },
        "required": ["chunk_bytes", "chunks_sha256"],
        "additionalProperties": false,
    });
    json!({
        "digest": digest(),
        "bytes": {"type": "integer", "minimum": 1, "maximum": BUNDLE_BYTES},
        "signature": {"type": "string", "minLength": 1, "maxLength": 1024},
        "source": {"type": "object", "oneOf": [
            one("https", json!({"type": "string", "pattern": "^https://"})), one("mqtt", chunks), one("file", text.clone()),
        ]},
        "mode": {"enum": ["activate", "shadow", "stage"], "default": "activate"},
        "name": text,
        "version": text,
        "serial": {"type": "integer", "minimum": 0},
        "requires": {"type": "object"},
        "permit": {"type": "object", "properties": {"document": text, "signature": text},
            "required": ["document", "signature"], "additionalProperties": false},
        "deadline": {"type": "string", "format": "date-time"},
    })
}

fn reason() -> Value {
    json!({"reason": {"type": "string", "minLength": 1, "maxLength": 200}})
}
