//! What is told about commands: the JSON of `cmd/{name}` and of `cmd/{name}/{id}`.

use super::request::{OUTCOMES, REPLAY_MOST};
use super::{Entry, Lane, Name, Refused, State};
use crate::floor::clock;
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
    /// With `failed`, `rejected` and `expired`: why.
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

/// The state of a command, for `cmd/{name}/{id}`.
#[derive(Debug, Serialize)]
pub(crate) struct StateOf<'a> {
    schema: &'a str,
    at: String,
    name: &'a str,
    id: &'a str,
    state: State,
    received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(flatten)]
    told: &'a Told,
}

impl<'a> StateOf<'a> {
    /// What is told of an entry of the journal.
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let request = entry.request.as_ref();
        Self {
            schema: "command/1.0",
            at: clock::rfc3339(entry.updated_ms),
            name: &entry.address.name,
            id: &entry.address.id,
            state: entry.state,
            received_at: clock::rfc3339(entry.received_ms),
            issuer: request.map(|request| request.issuer.as_str()),
            expires_at: request.map(|request| clock::rfc3339(request.expires_ms)),
            dry_run: request.and_then(|request| request.dry_run.then_some(true)),
            reason: request.and_then(|request| request.order.words()),
            told: &entry.told,
        }
    }
}

/// What a command does and takes, for `cmd/{name}`.
#[derive(Debug, Serialize)]
pub(crate) struct Capability {
    schema: &'static str,
    name: &'static str,
    description: &'static str,
    /// Whether it changes anything; such commands are carried out one at a time.
    mutating: bool,
    /// JSON Schema (2020-12) of `params`.
    params: Value,
}

/// What is told of a command that this device has.
pub(crate) fn capability(name: Name) -> Capability {
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
        Name::Diag => (
            "Writes a scrubbed bundle for support on the device.",
            json!({"level": {"enum": ["basic", "full"], "default": "basic"}}),
            json!([]),
        ),
        Name::Restart => (
            "Ends the daemon, which its service manager starts again.",
            json!({"when_idle": {"type": "boolean", "default": false}}),
            json!([]),
        ),
    };
    let params =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    Capability {
        schema: "capability/1.0",
        name: name.name(),
        description,
        mutating: name.lane() == Lane::Change,
        params,
    }
}

fn reason() -> Value {
    json!({"reason": {"type": "string", "minLength": 1, "maxLength": 200}})
}
