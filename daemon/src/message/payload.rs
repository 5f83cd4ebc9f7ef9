//! What stands in the messages. Every struct is the JSON object of one topic; `MQTT.md` explains the fields.

use super::incident::Told;
use super::result::ResultPayload;
use super::schema::{Document, documents};
use super::{Counters, EVENT_PRIORITY, Message, Place, SCHEMA_MAJOR, Topics, urgency};
use crate::floor::clock;
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::subject::{CompleteBy, Subject};
use crate::report::{ModelRun, Report};
use ctedge_models::scan::Identifiers;
use schemars::JsonSchema;
use serde::Serialize;

/// Seconds for which the broker keeps a result for a subscriber with a persistent session.
pub(super) const RESULT_EXPIRY_S: u32 = 7 * 24 * 3600;
/// The same for the state of a command.
pub(crate) const COMMAND_EXPIRY_S: u32 = 7 * 24 * 3600;
/// The same for an event.
pub(super) const EVENT_EXPIRY_S: u32 = 24 * 3600;

/// Where the daemon stands, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Connected and working.
    Online,
    /// Told to stop.
    Stopping,
    /// Gone: the broker says so in the daemon's name.
    Offline,
}

/// Whether the device is there. Also what the broker says in its name when the connection breaks.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status<'a> {
    schema: &'a str,
    state: State,
    /// Rises with every connection: ignore an `offline` whose session is lower than that of the newest `online`.
    session: i64,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    since: String,
}

/// What runs on this device, for `info`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Info {
    /// The model, once it is loaded.
    pub(crate) model: Option<ModelRun>,
    /// Why faster execution providers do not run, one sentence each.
    pub(crate) passed_over: Vec<String>,
    /// Processor architecture.
    pub(crate) architecture: &'static str,
    /// Power mode of a Jetson, by its number and its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["2 (MAXN_SUPER)"]))]
    pub(crate) power_mode: Option<String>,
    /// How fast the processor's cores may run, where the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["locked at 1728 MHz", "schedutil, 729 to 1728 of 1728 MHz"]))]
    pub(crate) clocks: Option<String>,
    /// To which group of devices it belongs, in the site's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
}

/// How well the daemon is, for `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// The worst of the checks.
    pub(crate) overall: Overall,
    /// One for each thing that can be wrong.
    pub(crate) checks: Vec<Check>,
}

/// The daemon's health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// Which: `model`, `provider`, `inference`, `broker`, `receive`, `drop_folder`, `disk`, `memory`, `thermal`, `store`, `outbox`.
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
    /// `overdue`: it has been complete for long and has no outcome.
    Overdue(&'a Subject),
}

/// What happened to a series.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Event<'a> {
    schema: &'a str,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_by: Option<CompleteBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Files of the series.
    instances: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
}

impl<'a> Event<'a> {
    fn of(at: String, study_key: &'a StudyKey, series_key: &'a SeriesKey) -> Self {
        Self { schema: "event/1.0", at, study_key, series_key, complete_by: None, instances: None, completed_at: None }
    }

    fn complete(at: String, Subject { study_key, series_key, complete_by, instances, .. }: &'a Subject) -> Self {
        let (complete_by, instances) = (Some(*complete_by), Some(*instances));
        Self { complete_by, instances, ..Self::of(at, study_key, series_key) }
    }
}

/// A disk has filled up by a level, for `event/disk_low`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DiskLow {
    /// `sparing`, `purging` or `stopped`.
    pub(crate) level: &'static str,
    /// Which of the daemon's folders lie on it: `incoming`, `spool`, `state`.
    pub(crate) folders: Vec<&'static str>,
    /// Percent that are used, of bytes or of files.
    pub(crate) used_percent: u64,
    /// MiB that may still be written.
    pub(crate) free_mib: u64,
}

/// Who the patient of a result is, where the site has that published.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IdMap")]
pub(super) struct IdMap<'a> {
    schema: &'a str,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Name of the device, as in the topic.
    device: &'a str,
    /// Id of the result.
    id: &'a str,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    /// Accession Number (0008,0050) of the series' first file.
    accession_number: Option<&'a str>,
    /// Patient ID (0010,0020) of the same; only with `full`.
    patient_id: Option<&'a str>,
}

/// Newest state of the device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Message")]
pub(super) struct Versioned<'a, T> {
    schema: &'a str,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Of the device's software.
    version: &'a str,
    #[serde(flatten)]
    content: &'a T,
}

/// Writes this device's messages.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(super) topics: Topics,
    pub(super) device: String,
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
            StepKind::Received(series_key, study_key) => ("study_received", Event::of(at, study_key, series_key)),
            StepKind::Complete(subject) => ("series_complete", Event::complete(at, subject)),
            StepKind::Overdue(subject) => {
                let completed_at = Some(clock::rfc3339(subject.completed_ms));
                ("overdue", Event { completed_at, ..Event::complete(at, subject) })
            }
        };
        self.passing(&format!("event/{kind}"), &event)
    }

    /// `event/disk_low`.
    pub(crate) fn disk_low(&self, low: &DiskLow) -> Message {
        self.passing("event/disk_low", &Told::of("disk_low/1.0", clock::rfc3339(clock::now_ms()), low))
    }

    pub(super) fn passing<T: Serialize>(&self, topic: &str, content: &T) -> Message {
        Message {
            topic: self.topics.below(topic),
            payload: json(content),
            retain: false,
            expiry_s: Some(EVENT_EXPIRY_S),
            priority: EVENT_PRIORITY,
            result_id: None,
            correlation: None,
        }
    }

    /// `result/{outcome}`.
    pub(crate) fn result(&self, id: &str, place: &Place, report: &Report) -> Message {
        Message {
            topic: self.topics.below(&format!("result/{}", report.outcome.name())),
            payload: json(&ResultPayload::of(&self.device, id, place, report)),
            retain: false,
            expiry_s: Some(RESULT_EXPIRY_S),
            priority: urgency(report),
            result_id: Some(id.to_owned()),
            correlation: None,
        }
    }

    /// The topic of identifiers.
    pub(crate) fn idmap_topic(&self) -> String {
        self.topics.below("idmap")
    }

    /// `idmap`: the only message that names a patient, where the site wants it.
    pub(crate) fn idmap(&self, id: &str, subject: &Subject, identifiers: &Identifiers) -> Message {
        let Subject { study_key, series_key, .. } = subject;
        let map = IdMap {
            schema: "idmap/1.0",
            at: clock::rfc3339(clock::now_ms()),
            device: &self.device,
            id,
            study_key,
            series_key,
            accession_number: identifiers.accession_number.as_deref(),
            patient_id: identifiers.patient_id.as_deref(),
        };
        Message {
            topic: self.idmap_topic(),
            payload: json(&map),
            retain: false,
            expiry_s: Some(EVENT_EXPIRY_S),
            priority: EVENT_PRIORITY,
            result_id: None,
            correlation: None,
        }
    }

    /// `schema/{name}/{major}` of every kind of message.
    pub(crate) fn schemas(&self) -> Vec<Message> {
        let schema = |document: &Document| {
            self.retained(&format!("schema/{}/{SCHEMA_MAJOR}", document.name), &document.schema())
        };
        documents().iter().map(schema).collect()
    }

    /// A retained message of another room's making, at a topic below the device's root; `expiry_s` as in [`Message`].
    pub(crate) fn posted<T: Serialize>(&self, below: &str, content: &T, expiry_s: Option<u32>) -> Message {
        Message { expiry_s, ..self.retained(below, content) }
    }

    /// Has the broker forget what it keeps at a topic below the device's root.
    pub(crate) fn cleared(&self, below: &str) -> Message {
        Message { payload: Vec::new(), ..self.retained(below, &()) }
    }

    /// The topic of results with an outcome of this name.
    pub(crate) fn result_topic(&self, outcome: &str) -> String {
        self.topics.below(&format!("result/{outcome}"))
    }

    /// Topics of requests to this device.
    pub(crate) fn requests(&self) -> String {
        self.topics.below("cmd/+/+/request")
    }

    /// A request to this device, for whoever commands it.
    pub(crate) fn request<T: Serialize>(&self, below: &str, content: &T) -> Message {
        Message { retain: false, ..self.posted(below, content, None) }
    }

    /// The begin of all devices' topics.
    pub(crate) fn prefix(&self) -> &str {
        self.topics.prefix()
    }

    /// What of a topic stands below the device's root.
    pub(crate) fn below<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&self.topics.below(""))
    }

    /// The topic on which subscribers say that they have a result.
    pub(crate) fn receipts(&self) -> String {
        self.topics.below("receipt")
    }

    pub(super) fn versioned<T: Serialize>(&self, topic: &str, schema: &str, content: &T) -> Message {
        let at = clock::rfc3339(clock::now_ms());
        self.retained(topic, &Versioned { schema, at, version: env!("CARGO_PKG_VERSION"), content })
    }

    fn retained<T: Serialize>(&self, topic: &str, content: &T) -> Message {
        let (topic, payload) = (self.topics.below(topic), json(content));
        let (result_id, correlation) = (None, None);
        Message { topic, payload, retain: true, expiry_s: None, priority: 0, result_id, correlation }
    }
}

/// These structs always become JSON: their maps have text keys, and no number in them is infinite but for what a broken
/// model gives, which `infer` refuses.
pub(super) fn json<T: Serialize>(content: &T) -> Vec<u8> {
    serde_json::to_vec(content).unwrap_or_default()
}
