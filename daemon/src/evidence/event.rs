//! What is entered into the audit log, in DICOM's vocabulary (PS3.15, A.5; codes of PS3.16, CID 400 to 403).

use super::alarm::Alarm;
use crate::floor::subject::Subject;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A moment that is worth an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// The daemon has started.
    Started,
    /// The daemon stops because it was told to. A start without a stop before it was a crash, or the power.
    Stopped,
    /// A series is complete and ours.
    TakenIn(&'a Subject),
    /// A result has left the device.
    Delivered {
        /// Id of the result.
        result_id: &'a str,
        /// Who said that it has it.
        to: Delivered,
    },
    /// Identifiers of its patient go out with a result.
    Disclosed {
        /// Id of the result.
        result_id: &'a str,
    },
    /// A command has ended.
    Commanded {
        /// Which, in our word.
        command: &'a str,
        /// Its number in the journal: name and id are the sender's words.
        number: i64,
        /// The published name of its last state.
        state: &'a str,
    },
    /// Somebody was turned away.
    Refused {
        /// From what.
        alarm: Alarm,
        /// How often since the last such entry.
        times: u64,
        /// The last of them, in our words.
        detail: &'a str,
    },
    /// Something that decides on results is not what it was.
    Changed {
        /// What.
        what: &'a str,
        /// Its digest before.
        before: &'a str,
        /// Its digest now.
        now: &'a str,
    },
    /// Somebody has read the audit log.
    Read,
    /// The ledger was damaged and has been made anew; the log before lies in the old one.
    Rebuilt,
    /// Old entries were deleted.
    Forgotten {
        /// Number of the last of them.
        seq: i64,
        /// Its digest, which the first entry that is left names.
        sha256: &'a str,
    },
}

/// Who said that it has a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The broker.
    Broker,
    /// A subscriber, by its receipt.
    Subscriber,
}

/// A coded word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// E.g. `110100`.
    pub(crate) code: Cow<'static, str>,
    /// What it means, e.g. `Application Activity`.
    pub(crate) meaning: Cow<'static, str>,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// `study_key`, `series_key`, `result`, `command`, `configuration`, `site_key`, `trust`, `model`, `audit_log`.
    pub(crate) kind: String,
    /// Pseudonym, id or digest.
    pub(crate) id: String,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) detail: BTreeMap<String, String>,
}

/// One entry of the audit log. Its JSON text is what the chain's digests cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Rises by one.
    pub(crate) seq: i64,
    /// Digest of the entry before it, hex; absent in the first of a ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prev_sha256: Option<String>,
    /// When, RFC 3339, UTC.
    pub(crate) at: String,
    /// What kind of event.
    pub(crate) event: Code,
    /// Which of that kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Code>,
    /// `C` create, `R` read, `U` update, `D` delete, `E` execute.
    pub(crate) action: Cow<'static, str>,
    /// 0 success, 4 minor failure, 8 serious failure.
    pub(crate) outcome: u8,
    /// Which user's process it was, e.g. `uid 998`.
    pub(crate) by: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<Object>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// Code, meaning.
type Word = (&'static str, &'static str);

const ACTIVITY: Word = ("110100", "Application Activity");
const LOG_USED: Word = ("110101", "Audit Log Used");
const TRANSFERRED: Word = ("110104", "DICOM Instances Transferred");
const EXPORT: Word = ("110106", "Export");
const ALERT: Word = ("110113", "Security Alert");
const START: Word = ("110120", "Application Start");
const STOP: Word = ("110121", "Application Stop");
const NODE: Word = ("110126", "Node Authentication");
const SOFTWARE: Word = ("110131", "Software Configuration");
const RESTRICTED: Word = ("110132", "Use of Restricted Function");
const RECORDING_STOPPED: Word = ("110133", "Audit Recording Stopped");

/// What an event says before it has a place in the chain.
struct Said {
    event: Word,
    kind: Option<Word>,
    action: &'static str,
    outcome: u8,
    objects: Vec<Object>,
    detail: Option<String>,
}

impl Entry {
    /// The entry of an event.
    pub(super) fn of(event: Event<'_>, seq: i64, prev_sha256: Option<String>, at: String) -> Self {
        let Said { event, kind, action, outcome, objects, detail } = said(event);
        let code = |(code, meaning): Word| Code { code: code.into(), meaning: meaning.into() };
        let by = format!("uid {}", rustix::process::getuid().as_raw());
        let (event, kind, action) = (code(event), kind.map(code), action.into());
        Self { seq, prev_sha256, at, event, kind, action, outcome, by, objects, detail }
    }
}

fn said(event: Event<'_>) -> Said {
    let plain = Said { event: ACTIVITY, kind: None, action: "E", outcome: 0, objects: Vec::new(), detail: None };
    match event {
        Event::Started => {
            Said { kind: Some(START), detail: Some(format!("ctedge {}", env!("CARGO_PKG_VERSION"))), ..plain }
        }
        Event::Stopped => Said { kind: Some(STOP), ..plain },
        Event::TakenIn(subject) => Said { event: TRANSFERRED, action: "C", objects: series(subject), ..plain },
        Event::Delivered { result_id, to } => {
            let to = match to {
                Delivered::Broker => "acknowledged by the broker",
                Delivered::Subscriber => "receipted by a subscriber",
            };
            let objects = vec![object("result", result_id, &[])];
            Said { event: EXPORT, action: "R", objects, detail: Some(to.to_owned()), ..plain }
        }
        Event::Disclosed { result_id } => {
            let objects = vec![object("result", result_id, &[])];
            let detail = Some("identifiers of its patient go to the broker".to_owned());
            Said { event: EXPORT, action: "R", objects, detail, ..plain }
        }
        Event::Commanded { command, number, state } => commanded((command, number), state, plain),
        Event::Refused { alarm, times, detail } => {
            let kind = match alarm {
                Alarm::Association => NODE,
                Alarm::Message => RESTRICTED,
            };
            let detail = Some(format!("{} refused, {times} times; the last: {detail}", alarm.name()));
            Said { event: ALERT, kind: Some(kind), outcome: 4, detail, ..plain }
        }
        Event::Changed { what, before, now } => {
            let objects = vec![object(what, now, &[("before", before)])];
            Said { event: ALERT, kind: Some(SOFTWARE), objects, ..plain }
        }
        Event::Read => Said { event: LOG_USED, action: "R", objects: vec![log(&[])], ..plain },
        Event::Rebuilt => {
            let detail = "the ledger was damaged and is made anew; the audit log before this lies in the old one";
            let detail = Some(detail.to_owned());
            Said { event: ALERT, kind: Some(RECORDING_STOPPED), outcome: 8, objects: vec![log(&[])], detail, ..plain }
        }
        Event::Forgotten { seq, sha256 } => {
            let objects = vec![log(&[(THROUGH, &seq.to_string()), (SHA256, sha256)])];
            Said { event: ALERT, kind: Some(RESTRICTED), action: "D", objects, ..plain }
        }
    }
}

fn commanded((command, number): (&str, i64), state: &str, plain: Said) -> Said {
    let outcome = match state {
        "succeeded" => 0,
        "failed" => 8,
        _not_begun => 4,
    };
    let objects = vec![object("command", &number.to_string(), &[("name", command), ("state", state)])];
    Said { event: ALERT, kind: Some(RESTRICTED), outcome, objects, ..plain }
}

/// Details of the log in an entry that says what was deleted.
const THROUGH: &str = "deleted_through";
const SHA256: &str = "sha256";

impl Entry {
    /// Up to which entry the log was deleted, and that entry's digest, if this is what the entry says.
    pub(super) fn forgotten(&self) -> Option<(i64, &str)> {
        let log = self.objects.iter().find(|object| object.kind == "audit_log")?;
        Some((log.detail.get(THROUGH)?.parse().ok()?, log.detail.get(SHA256)?))
    }
}

fn object(kind: &str, id: &str, detail: &[(&str, &str)]) -> Object {
    let detail = detail.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Object { kind: kind.to_owned(), id: id.to_owned(), detail }
}

fn log(detail: &[(&str, &str)]) -> Object {
    object("audit_log", "ctedge", detail)
}

fn series(subject: &Subject) -> Vec<Object> {
    let files = subject.instances.to_string();
    let detail = [("files", files.as_str()), ("sha256", &subject.digest)];
    vec![object("study_key", &subject.study_key.0, &[]), object("series_key", &subject.series_key.0, &detail)]
}
