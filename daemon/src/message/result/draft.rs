//! The draft report as a message of its own, so that a broker's rights can keep it from those who need flags alone; and what the
//! result says of it, which holds none of its words.

use super::{ModelPayload, REVIEW_STATUS, model};
use crate::floor::clock;
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::Subject;
use crate::message::payload::{RESULT_EXPIRY_S, json};
use crate::message::{Message, Writer, urgency};
use crate::report::{Author, Disagreement, Fallback, Outcome, Report, Written};
use ctedge_models::text::Draft;
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Name of the topic below the device's root.
const TOPIC: &str = "report";

/// A draft report, sent after the result that it belongs to. Never without its mark.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(in crate::message) struct ReportPayload<'a> {
    schema: &'a str,
    /// `id` of the result that it belongs to.
    #[schemars(regex(pattern = "^r1_[a-z2-7]{26}$"))]
    id: &'a str,
    /// As in the result.
    #[schemars(range(min = 1))]
    revision: u32,
    /// Id of the result whose report this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    produced_at: String,
    /// Name of the device, as in the topic.
    device: &'a str,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    outcome: Outcome,
    /// Always `unverified_draft`: a physician has not seen it.
    #[schemars(extend("const" = REVIEW_STATUS))]
    review_status: &'a str,
    /// What it says.
    draft: &'a Draft,
    #[serde(flatten)]
    made: Made<'a>,
    model: Option<ModelPayload<'a>>,
    /// In the model maker's words.
    intended_use: &'a str,
}

/// How a draft was made, and where it contradicts the flags.
#[derive(Debug, Serialize, JsonSchema)]
struct Made<'a> {
    author: Author,
    /// Why the author is not the decoder, where it should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Fallback>,
    /// Whether it ended before it was whole: too long, or too slow.
    truncated: bool,
    /// Whether this is a second attempt, held to the flags: no sentence contradicts one, and none is passed over.
    regenerated: bool,
    /// Tokens of the decoder's vocabulary; 0 for a template.
    tokens: usize,
    /// Tokens a second, those of sentences that were taken back and of a first attempt among them; absent for a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_s: Option<u64>,
    /// Every flag that the draft contradicts or passes over, as a rule-based reader reads it.
    disagreements: &'a [Disagreement],
}

/// What a result says of its draft.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Drafted")]
pub(super) struct DraftedPayload<'a> {
    /// Where it is sent, below the device's root.
    #[schemars(extend("const" = TOPIC))]
    topic: &'a str,
    /// Length of its two sections in UTF-8.
    bytes: usize,
    /// SHA-256 of its findings, a line feed and its impression in UTF-8, hex.
    sha256: String,
    #[serde(flatten)]
    made: Made<'a>,
}

impl<'a> Made<'a> {
    fn of(written: &'a Written) -> Self {
        let Written { author, fallback, truncated, regenerated, tokens, disagreements, .. } = written;
        let (author, fallback, tokens) = (*author, *fallback, *tokens);
        let tokens_per_s = written.cost.tokens_per_s();
        Self { author, fallback, truncated: *truncated, regenerated: *regenerated, tokens, tokens_per_s, disagreements }
    }
}

impl<'a> DraftedPayload<'a> {
    pub(super) fn of(written: &'a Written) -> Self {
        let Draft { findings, impression } = &written.draft;
        let sha256 = HEXLOWER.encode(&Sha256::digest(format!("{findings}\n{impression}")));
        Self { topic: TOPIC, bytes: findings.len() + impression.len(), sha256, made: Made::of(written) }
    }
}

impl Writer {
    /// `report`: the draft that belongs to the result of this id, where there is one.
    pub(crate) fn report(&self, id: &str, report: &Report) -> Option<Message> {
        let written = report.draft.as_ref()?;
        let Subject { study_key, series_key, revision, replaces, .. } = &report.subject;
        let payload = ReportPayload {
            schema: "report/1.0",
            id,
            revision: *revision,
            replaces: replaces.as_deref(),
            produced_at: clock::rfc3339(clock::now_ms()),
            device: &self.device,
            study_key,
            series_key,
            outcome: report.outcome,
            review_status: REVIEW_STATUS,
            draft: &written.draft,
            made: Made::of(written),
            model: report.model.as_ref().map(model),
            intended_use: super::intended_use(report),
        };
        Some(Message {
            topic: self.topics.below(TOPIC),
            payload: json(&payload),
            retain: false,
            expiry_s: Some(RESULT_EXPIRY_S),
            // It follows its result, before results that are less urgent.
            priority: urgency(report),
            result_id: None,
            correlation: None,
        })
    }
}
