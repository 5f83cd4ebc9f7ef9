//! What stands in the messages. Every struct is the JSON object of one topic; `MQTT.md` explains the fields.

use super::{Counters, EVENT_PRIORITY, Message, Place, Topics, urgency};
use crate::floor::clock;
use crate::floor::phi::{Names, SeriesKey, StudyKey};
use crate::floor::subject::{Choice, CompleteBy, Subject};
use crate::report::{Flag, ModelRun, Outcome, Report, Timing};
use ctedge_models::scan::{Facts, Identifiers};
use serde::Serialize;

/// Seconds for which the broker keeps a result for a subscriber with a persistent session.
const RESULT_EXPIRY_S: u32 = 7 * 24 * 3600;
/// The same for an event.
const EVENT_EXPIRY_S: u32 = 24 * 3600;

/// Said in every result and in `info`.
const REVIEW_STATUS: &str = "unverified_draft";

/// Where the daemon stands, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Connected and working.
    Online,
    /// Told to stop.
    Stopping,
    /// Gone: the broker says so in the daemon's name.
    Offline,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    schema: &'a str,
    state: State,
    session: i64,
    since: String,
}

/// What runs on this device, for `info`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Info {
    /// The model, once it is loaded.
    pub(crate) model: Option<ModelRun>,
    /// Why faster execution providers do not run, one sentence each.
    pub(crate) passed_over: Vec<String>,
    /// Processor architecture.
    pub(crate) architecture: &'static str,
}

/// How well the daemon is, for `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// The worst of the checks.
    pub(crate) overall: Overall,
    /// One for each thing that can be wrong.
    pub(crate) checks: Vec<Check>,
}

/// The daemon's health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overall {
    /// All is well.
    Ok,
    /// The model is being loaded.
    Warming,
    /// It works, but somebody should look.
    Degraded,
    /// It does not work.
    Failed,
}

/// One thing that can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Which: `model`, `provider`, `broker`, `receive`, `store`, `outbox`.
    pub(crate) id: &'static str,
    /// Whether it is wrong.
    pub(crate) state: CheckState,
    /// What exactly, and what to do.
    pub(crate) detail: String,
}

/// State of a check.
pub(crate) type CheckState = Overall;

impl Health {
    /// The checks and the worst of them.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let overall = checks.iter().map(|check| check.state).max().unwrap_or(Overall::Ok);
        Self { overall, checks }
    }
}

/// What happened to a series, for `event/{type}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum StepKind<'a> {
    /// `study_received`: its first file has arrived.
    Received(&'a SeriesKey, &'a StudyKey),
    /// `series_complete`.
    Complete(&'a Subject),
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    schema: &'a str,
    at: String,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_by: Option<CompleteBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<u32>,
}

#[derive(Debug, Serialize)]
struct IdMap<'a> {
    schema: &'a str,
    at: String,
    device: &'a str,
    id: &'a str,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    #[serde(flatten)]
    identifiers: &'a Identifiers,
}

#[derive(Debug, Serialize)]
struct Versioned<'a, T> {
    schema: &'a str,
    at: String,
    version: &'a str,
    #[serde(flatten)]
    content: &'a T,
}

#[derive(Debug, Serialize)]
struct ResultPayload<'a> {
    schema: &'a str,
    id: &'a str,
    revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    ledger: &'a str,
    seq: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_sha256: Option<&'a str>,
    produced_at: String,
    device: &'a str,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    #[serde(skip_serializing_if = "<[Names]>::is_empty")]
    also: &'a [Names],
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<&'a Choice>,
    flags: Vec<FlagPayload>,
    model: Option<ModelPayload<'a>>,
    input: Input<'a>,
    timing_ms: Timing,
    review_status: &'a str,
    intended_use: &'a str,
}

#[derive(Debug, Serialize)]
struct FlagPayload {
    code: &'static str,
    p: f64,
    t: f64,
    positive: bool,
}

#[derive(Debug, Serialize)]
struct ModelPayload<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a str,
    signer: &'a str,
    trained: bool,
    ep: &'a str,
    precision: &'a str,
    runtime: &'a str,
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    files: u32,
    expected: Option<u32>,
    complete_by: CompleteBy,
    #[serde(flatten)]
    facts: Option<&'a Facts>,
}

/// Writes this device's messages.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    topics: Topics,
    device: String,
}

impl Writer {
    /// For one device.
    pub(crate) fn new(topics: Topics, device: &str) -> Self {
        Self { topics, device: device.to_owned() }
    }

    /// `status`, also the broker's last will.
    pub(crate) fn status(&self, state: State, session: i64) -> Message {
        let since = clock::rfc3339(clock::now_ms());
        self.retained("status", &Status { schema: "status/1.0", state, session, since })
    }

    /// `info`.
    pub(crate) fn info(&self, info: &Info) -> Message {
        self.versioned("info", "info/1.0", info)
    }

    /// `health`.
    pub(crate) fn health(&self, health: &Health) -> Message {
        self.versioned("health", "health/1.0", health)
    }

    /// `counters`.
    pub(crate) fn counters(&self, counters: &Counters) -> Message {
        self.versioned("counters", "counters/1.0", counters)
    }

    /// `event/{type}`.
    pub(crate) fn event(&self, step: StepKind<'_>) -> Message {
        let at = clock::rfc3339(clock::now_ms());
        let (kind, event) = match step {
            StepKind::Received(series_key, study_key) => (
                "study_received",
                Event { schema: "event/1.0", at, study_key, series_key, complete_by: None, instances: None },
            ),
            StepKind::Complete(Subject { study_key, series_key, complete_by, instances, .. }) => {
                let (complete_by, instances) = (Some(*complete_by), Some(*instances));
                ("series_complete", Event { schema: "event/1.0", at, study_key, series_key, complete_by, instances })
            }
        };
        let topic = self.topics.below(&format!("event/{kind}"));
        Message {
            topic,
            payload: json(&event),
            retain: false,
            expiry_s: Some(EVENT_EXPIRY_S),
            priority: EVENT_PRIORITY,
            result_id: None,
        }
    }

    /// `result/{outcome}`.
    pub(crate) fn result(&self, id: &str, place: &Place, report: &Report) -> Message {
        Message {
            topic: self.topics.below(&format!("result/{}", report.outcome.name())),
            payload: json(&self.result_payload(id, place, report)),
            retain: false,
            expiry_s: Some(RESULT_EXPIRY_S),
            priority: urgency(report),
            result_id: Some(id.to_owned()),
        }
    }

    /// The topic of identifiers.
    pub(crate) fn idmap_topic(&self) -> String {
        self.topics.below("idmap")
    }

    /// `idmap`: the only message that names a patient, where the site wants it.
    pub(crate) fn idmap(&self, id: &str, subject: &Subject, identifiers: &Identifiers) -> Message {
        let Subject { study_key, series_key, .. } = subject;
        let (at, schema) = (clock::rfc3339(clock::now_ms()), "idmap/1.0");
        Message {
            topic: self.idmap_topic(),
            payload: json(&IdMap { schema, at, device: &self.device, id, study_key, series_key, identifiers }),
            retain: false,
            expiry_s: Some(EVENT_EXPIRY_S),
            priority: EVENT_PRIORITY,
            result_id: None,
        }
    }

    /// The topic on which subscribers say that they have a result.
    pub(crate) fn receipts(&self) -> String {
        self.topics.below("receipt")
    }

    fn result_payload<'a>(&'a self, id: &'a str, place: &'a Place, report: &'a Report) -> ResultPayload<'a> {
        let Subject { study_key, series_key, expected, complete_by, instances, revision, replaces, .. } =
            &report.subject;
        ResultPayload {
            schema: "result/1.0",
            id,
            revision: *revision,
            replaces: replaces.as_deref(),
            ledger: &place.ledger,
            seq: place.seq,
            prev_sha256: place.prev_sha256.as_deref(),
            produced_at: clock::rfc3339(clock::now_ms()),
            device: &self.device,
            study_key,
            series_key,
            also: &report.also,
            outcome: report.outcome,
            reason_code: report.refusal.as_ref().map(|refusal| refusal.code.name()),
            reason_detail: report.refusal.as_ref().map(|refusal| refusal.detail.as_str()),
            choice: report.subject.choice.as_ref(),
            flags: report.flags.iter().map(flag).collect(),
            model: report.model.as_ref().map(model),
            input: Input {
                files: *instances,
                expected: *expected,
                complete_by: *complete_by,
                facts: report.facts.as_ref(),
            },
            timing_ms: report.timing,
            review_status: REVIEW_STATUS,
            intended_use: report.model.as_ref().map_or(NO_DIAGNOSIS, |model| &model.intended_use),
        }
    }

    fn versioned<T: Serialize>(&self, topic: &str, schema: &str, content: &T) -> Message {
        let at = clock::rfc3339(clock::now_ms());
        self.retained(topic, &Versioned { schema, at, version: env!("CARGO_PKG_VERSION"), content })
    }

    fn retained<T: Serialize>(&self, topic: &str, content: &T) -> Message {
        let (topic, payload) = (self.topics.below(topic), json(content));
        Message { topic, payload, retain: true, expiry_s: None, priority: 0, result_id: None }
    }
}

const NO_DIAGNOSIS: &str = "Draft for review by a physician. Not a diagnosis.";

fn flag(flag: &Flag) -> FlagPayload {
    let (p, t) = (rounded(flag.probability), rounded(flag.threshold));
    FlagPayload { code: flag.label.name(), p, t, positive: flag.positive() }
}

/// Five decimals: more are noise of the arithmetic, and differ between execution providers.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

fn model(run: &ModelRun) -> ModelPayload<'_> {
    let ModelRun { name, version, digest, signer, trained, provider: ep, precision, runtime, .. } = run;
    ModelPayload { name, version, digest, signer, trained: *trained, ep, precision, runtime }
}

/// These structs always become JSON: their maps have text keys, and no number in them is infinite but for what a broken
/// model gives, which `infer` refuses.
fn json<T: Serialize>(content: &T) -> Vec<u8> {
    serde_json::to_vec(content).unwrap_or_default()
}
