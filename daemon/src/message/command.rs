//! What stands in the messages of commands: the JSON objects of `cmd/{name}`, `cmd/{name}/{id}` and its `request`.

use super::incident::Told;
use super::{Message, Writer};
use crate::floor::clock;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What a command does and takes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Capability<'a> {
    /// Name and version of this object.
    pub(crate) schema: &'a str,
    /// Which command.
    pub(crate) name: &'a str,
    /// What it does, for people.
    pub(crate) description: &'a str,
    /// Whether it changes anything; such commands are carried out one at a time.
    pub(crate) mutating: bool,
    /// JSON Schema of `params` of its requests.
    pub(crate) params: Value,
}

/// How far a command is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Command")]
pub(crate) struct CommandState<'a> {
    /// Name and version of this object.
    pub(crate) schema: &'a str,
    /// When this became so.
    pub(crate) at: String,
    /// Which command.
    pub(crate) name: &'a str,
    /// The sender's name for the request.
    pub(crate) id: &'a str,
    /// `accepted`, `running`, `succeeded`, `failed`, `rejected`, `expired` or `cancelled`.
    #[schemars(extend("examples" = ["accepted", "running", "succeeded", "failed", "rejected", "expired", "cancelled"]))]
    pub(crate) state: &'a str,
    /// When the request came.
    pub(crate) received_at: String,
    /// Who asked, in their own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<&'a str>,
    /// When it is not begun any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<String>,
    /// True where it is only to be said what would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dry_run: Option<bool>,
    /// The operator's words, where the command takes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    /// With `running`: what is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<&'a str>,
    /// With `running`: the share that is done, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) progress: Option<f64>,
    /// With `failed`, `rejected`, `expired` and `cancelled`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<&'a str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_detail: Option<&'a str>,
    /// With `succeeded`: what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<&'a Value>,
}

/// What a device is asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub(crate) struct CommandRequest<'a> {
    /// The one in the topic.
    pub(crate) id: &'a str,
    /// RFC 3339.
    pub(crate) issued_at: String,
    /// RFC 3339; after that it is not begun any more. At most 24 hours after `issued_at`.
    pub(crate) expires_at: String,
    /// Who asks, in their own word.
    pub(crate) issuer: &'a str,
    /// What the command takes; `cmd/{name}` says what that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) params: Option<Value>,
    /// Only to say what would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dry_run: Option<bool>,
}

/// Which pieces of a bundle a device asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Fetch<'a> {
    /// SHA-256 of the bundle, hex.
    pub(crate) digest: &'a str,
    /// `list` (of the chunks' digests) or `data`.
    #[schemars(extend("examples" = ["list", "data"]))]
    pub(crate) part: &'static str,
    /// The first piece, counted from 0.
    pub(crate) from: u32,
    /// How many.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) count: u32,
}

/// Seconds after which nobody needs to answer any more: the device has asked again.
pub(super) const FETCH_EXPIRY_S: u32 = 30;

impl Writer {
    /// `fetch`: no state, and of no use later.
    pub(crate) fn fetch(&self, fetch: &Fetch<'_>) -> Message {
        let at = clock::rfc3339(clock::now_ms());
        let message = self.passing("fetch", &Told::of("fetch/1.0", at, fetch));
        Message { expiry_s: Some(FETCH_EXPIRY_S), ..message }
    }

    /// The begin of the topics of pieces of bundles, with a slash at its end.
    pub(crate) fn chunks(&self) -> String {
        self.topics.below("chunk/")
    }
}
