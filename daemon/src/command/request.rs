//! A request as it comes from the broker, and the bounds it must keep. Parsing is total: any bytes are a request or a
//! refusal.

use super::{Name, Reason, Refused};
use crate::floor::clock;
use crate::floor::limits::REQUEST_BYTES;
use crate::floor::phi::{SeriesKey, StudyKey};
use ctedge_models::offer::{self, Offer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name and id of a command, out of a topic. Both are made of safe characters only, so that they may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// Which command; it may be one that nobody knows.
    pub(crate) name: String,
    /// The sender's name for this request.
    pub(crate) id: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Read kept series again.
    Reprocess(Which),
    /// Send kept results again.
    Replay {
        /// Those stored at this time or later, ms since 1970.
        since_ms: i64,
        /// Names of the outcomes.
        outcomes: Vec<String>,
        /// At most so many.
        limit: u32,
    },
    /// Take no new file.
    Pause {
        /// The operator's words.
        reason: String,
    },
    /// Take files again.
    Resume {
        /// The operator's words.
        reason: String,
    },
    /// Run the golden volume again.
    Selftest {
        /// How thoroughly.
        depth: Depth,
    },
    /// Write a bundle for support.
    Diag,
    /// End, to be started again.
    Restart {
        /// Whether to wait until no series is being worked on.
        when_idle: bool,
    },
    /// Fetch, verify and prove a model.
    ModelUpdate(Box<Offer>),
    /// Have the model that waits count.
    ModelActivate {
        /// SHA-256 of its bundle, hex; without it whichever waits.
        digest: Option<String>,
    },
    /// Have the model before count again.
    ModelRollback {
        /// The operator's words.
        reason: String,
    },
    /// Do not carry out this command, or not on.
    Cancel(Address),
}

impl Order {
    /// The command.
    pub(crate) fn name(&self) -> Name {
        match self {
            Self::Reprocess(_) => Name::Reprocess,
            Self::Replay { .. } => Name::Replay,
            Self::Pause { .. } => Name::Pause,
            Self::Resume { .. } => Name::Resume,
            Self::Selftest { .. } => Name::Selftest,
            Self::Diag => Name::Diag,
            Self::Restart { .. } => Name::Restart,
            Self::ModelUpdate(_) => Name::ModelUpdate,
            Self::ModelActivate { .. } => Name::ModelActivate,
            Self::ModelRollback { .. } => Name::ModelRollback,
            Self::Cancel(_) => Name::Cancel,
        }
    }

    /// Whether it can end before it is done.
    pub(crate) fn may_stop(&self) -> bool {
        matches!(self, Self::Reprocess(_) | Self::Replay { .. } | Self::Restart { .. } | Self::ModelUpdate(_))
    }

    /// The operator's own words, if there are any. They stand in the command's state, and nowhere else.
    pub(crate) fn words(&self) -> Option<&str> {
        match self {
            Self::Pause { reason } | Self::Resume { reason } | Self::ModelRollback { reason } => Some(reason),
            Self::Reprocess(_)
            | Self::Replay { .. }
            | Self::Selftest { .. }
            | Self::Diag
            | Self::Restart { .. }
            | Self::ModelUpdate(_)
            | Self::ModelActivate { .. }
            | Self::Cancel(_) => None,
        }
    }
}

/// Which series are read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// One.
    Series(SeriesKey),
    /// Those of a study.
    Study(StudyKey),
    /// Those whose newest result is of these times, both included, ms since 1970.
    Between(i64, i64),
}

/// How thoroughly the model is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Depth {
    /// The golden volume, by the worker that runs.
    Golden,
    /// A new worker: signature, digests, runtime, provider and golden volume.
    Full,
}

/// A request that may be journalled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// What is asked for.
    pub(crate) order: Order,
    /// Who asks, in their own word.
    pub(crate) issuer: String,
    /// When it is not to be begun any more, ms since 1970.
    pub(crate) expires_ms: i64,
    /// Whether only to say what would be done.
    pub(crate) dry_run: bool,
}

/// Longest time between the sender's clock and ours with which `expires_at` still means something.
const CLOCKS_MS: i64 = 5 * 60 * 1000;
/// Longest life of a request. The journal remembers its commands for longer, so that none is executed twice.
pub(crate) const LIFE_MS: i64 = 24 * 3600 * 1000;
/// Outcomes in the order of MQTT.md.
pub(crate) const OUTCOMES: [&str; 5] = ["flagged", "clear", "inconclusive", "rejected", "failed"];
/// Most results of one `replay`.
pub(crate) const REPLAY_MOST: u32 = 100_000;
const REASON_CHARS: usize = 200;
/// Parameters of `model_update`.
const OFFERED: [&str; 11] =
    ["digest", "bytes", "signature", "source", "mode", "name", "version", "serial", "requires", "permit", "deadline"];

/// Name and id out of a topic below the device's root, `cmd/{name}/{id}/request`. `None` where they are not of safe
/// characters: such a command has no state, since that could not be told without repeating them.
pub(crate) fn address(below: &str) -> Option<Address> {
    let mut levels = below.split('/');
    let (Some("cmd"), Some(name), Some(id), Some("request"), None) =
        (levels.next(), levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return None;
    };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = (1..=32).contains(&name.len()) && name.bytes().all(lower);
    (is_name && is_plain(id, "_-")).then(|| Address { name: name.to_owned(), id: id.to_owned() })
}

/// 1 to 64 letters, digits and `more`.
fn is_plain(text: &str, more: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

/// Reads a request.
///
/// # Errors
/// Why it is refused; nothing of it is repeated there.
pub(crate) fn read(address: &Address, payload: &[u8], now_ms: i64) -> Result<Request, Refused> {
    let Some(name) = Name::of(&address.name) else {
        return Err(unknown());
    };
    if payload.len() > REQUEST_BYTES {
        return Err(Refused::new(Reason::TooLarge, format!("a request has {REQUEST_BYTES} bytes at most")));
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(payload) else {
        return Err(malformed("a request is one JSON object"));
    };
    only(&fields, &["id", "issued_at", "expires_at", "issuer", "params", "dry_run"]).map_err(malformed_one)?;
    if fields.get("id").and_then(Value::as_str) != Some(&address.id) {
        return Err(malformed("id must be the one in the topic"));
    }
    let issuer = fields.get("issuer").and_then(Value::as_str).filter(|issuer| is_plain(issuer, "._-@:"));
    let Some(issuer) = issuer else { return Err(malformed("issuer must be 1 to 64 of letters, digits and . _ - @ :")) };
    let dry_run = match fields.get("dry_run") {
        None => false,
        Some(Value::Bool(dry_run)) => *dry_run,
        Some(_) => return Err(malformed("dry_run must be true or false")),
    };
    let expires_ms = life(&fields, now_ms)?;
    let nothing = Map::new();
    let params = match fields.get("params") {
        None => &nothing,
        Some(Value::Object(params)) => params,
        Some(_) => return Err(malformed("params must be an object")),
    };
    let order = order(name, params).map_err(|detail| Refused::new(Reason::Parameter, detail))?;
    Ok(Request { order, issuer: issuer.to_owned(), expires_ms, dry_run })
}

/// A request of our own: it may be begun for as long as any.
pub(crate) fn payload((id, issuer): (&str, &str), params: &Value, now_ms: i64) -> Vec<u8> {
    let (issued, expires) = (clock::rfc3339(now_ms), clock::rfc3339(now_ms.saturating_add(LIFE_MS)));
    let request = serde_json::json!({
        "id": id, "issued_at": issued, "expires_at": expires, "issuer": issuer, "params": params,
    });
    request.to_string().into_bytes()
}

/// No such command here.
pub(super) fn unknown() -> Refused {
    Refused::new(Reason::UnknownCommand, "this device has no such command; cmd/+ names those it has")
}

fn malformed(detail: &str) -> Refused {
    Refused::new(Reason::Malformed, detail)
}

fn malformed_one(detail: String) -> Refused {
    Refused::new(Reason::Malformed, detail)
}

/// Holds the request's times against our clock, and returns when it expires.
fn life(fields: &Map<String, Value>, now_ms: i64) -> Result<i64, Refused> {
    let time = |key: &str| time(fields, key).map_err(malformed_one);
    let (Some(issued), Some(expires)) = (time("issued_at")?, time("expires_at")?) else {
        return Err(malformed("issued_at and expires_at are required"));
    };
    if expires <= issued || expires - issued > LIFE_MS {
        return Err(malformed("expires_at must lie after issued_at, by 24 hours at most"));
    }
    if issued > now_ms.saturating_add(CLOCKS_MS) {
        let detail =
            "issued_at is more than five minutes ahead of the device's clock, so that expires_at means nothing";
        return Err(Refused::new(Reason::Clock, detail));
    }
    if expires <= now_ms {
        return Err(Refused::new(Reason::Expired, "expires_at is past by the device's clock"));
    }
    Ok(expires)
}

/// A time, if the field is there.
fn time(fields: &Map<String, Value>, key: &str) -> Result<Option<i64>, String> {
    let read = |value: &Value| value.as_str().and_then(clock::read_rfc3339).filter(|ms| *ms >= 0);
    match fields.get(key) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| format!("{key} must be a time as in RFC 3339")),
    }
}

/// Refuses fields that are not known: a word misspelt must not be a word left out.
fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    if fields.keys().all(|key| known.contains(&key.as_str())) {
        return Ok(());
    }
    Err(if known.is_empty() {
        "there are no parameters".to_owned()
    } else {
        format!("there is only {}", known.join(", "))
    })
}

fn order(name: Name, params: &Map<String, Value>) -> Result<Order, String> {
    match name {
        Name::Reprocess => which(params).map(Order::Reprocess),
        Name::Replay => replay(params),
        Name::Pause => Ok(Order::Pause { reason: reason(params)? }),
        Name::Resume => Ok(Order::Resume { reason: reason(params)? }),
        Name::Selftest => {
            let depth = one_of(params, "depth", [("golden", Depth::Golden), ("full", Depth::Full)])?;
            Ok(Order::Selftest { depth })
        }
        Name::Diag => only(params, &[]).map(|()| Order::Diag),
        Name::Restart => {
            only(params, &["when_idle"])?;
            match params.get("when_idle") {
                None => Ok(Order::Restart { when_idle: false }),
                Some(Value::Bool(when_idle)) => Ok(Order::Restart { when_idle: *when_idle }),
                Some(_) => Err("when_idle must be true or false".to_owned()),
            }
        }
        Name::ModelUpdate => offered(params),
        Name::ModelActivate => {
            only(params, &["digest"])?;
            let digest = params.get("digest").map(|digest| digest.as_str().filter(|text| offer::is_digest(text)));
            match digest {
                None => Ok(Order::ModelActivate { digest: None }),
                Some(Some(digest)) => Ok(Order::ModelActivate { digest: Some(digest.to_owned()) }),
                Some(None) => Err("digest must be 64 of 0-9 and a-f".to_owned()),
            }
        }
        Name::ModelRollback => Ok(Order::ModelRollback { reason: reason(params)? }),
        Name::Cancel => {
            only(params, &["name", "id"])?;
            let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
            let target = address(&format!("cmd/{}/{}/request", text("name"), text("id")));
            target.map(Order::Cancel).ok_or_else(|| "name and id must be those of a command".to_owned())
        }
    }
}

fn offered(params: &Map<String, Value>) -> Result<Order, String> {
    only(params, &OFFERED)?;
    // What serde says would repeat the sender's words.
    let offer: Offer = serde_json::from_value(Value::Object(params.clone()))
        .map_err(|_error| "a parameter is missing or not of its kind; cmd/model_update has their schema".to_owned())?;
    offer.check()?;
    time(params, "deadline")?;
    Ok(Order::ModelUpdate(Box::new(offer)))
}

fn which(params: &Map<String, Value>) -> Result<Which, String> {
    only(params, &["series_key", "study_key", "since", "until"])?;
    let key = |name: &str, begin: &str| match params.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .filter(|key| is_pseudonym(key, begin))
            .map(|key| Some(key.to_owned()))
            .ok_or_else(|| format!("{name} must be {begin} and 26 of a-z and 2-7")),
    };
    let (since, until) = (time(params, "since")?, time(params, "until")?);
    match (key("series_key", "ek1_")?, key("study_key", "sk1_")?, since, until) {
        (Some(series), None, None, None) => Ok(Which::Series(SeriesKey(series))),
        (None, Some(study), None, None) => Ok(Which::Study(StudyKey(study))),
        (None, None, Some(since), until) => Ok(Which::Between(since, until.unwrap_or(i64::MAX))),
        _ => Err("name one of series_key, study_key, and since with or without until".to_owned()),
    }
}

fn is_pseudonym(key: &str, begin: &str) -> bool {
    let base32 = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    key.strip_prefix(begin).is_some_and(|rest| rest.len() == 26 && rest.bytes().all(base32))
}

fn replay(params: &Map<String, Value>) -> Result<Order, String> {
    only(params, &["since", "outcomes", "limit"])?;
    let since_ms = time(params, "since")?.ok_or("since is required")?;
    let outcomes = match params.get("outcomes") {
        None => OUTCOMES.map(str::to_owned).to_vec(),
        Some(value) => {
            let names = value.as_array().filter(|names| (1..=OUTCOMES.len()).contains(&names.len()));
            let known =
                |name: &Value| OUTCOMES.into_iter().find(|known| name.as_str() == Some(known)).map(str::to_owned);
            let all: Option<Vec<String>> = names.and_then(|names| names.iter().map(known).collect());
            all.ok_or_else(|| format!("outcomes must be a list of {}", OUTCOMES.join(", ")))?
        }
    };
    let limit = match params.get("limit") {
        None => REPLAY_MOST,
        Some(value) => {
            let limit = value.as_u64().and_then(|limit| u32::try_from(limit).ok());
            let limit = limit.filter(|limit| (1..=REPLAY_MOST).contains(limit));
            limit.ok_or_else(|| format!("limit must lie between 1 and {REPLAY_MOST}"))?
        }
    };
    Ok(Order::Replay { since_ms, outcomes, limit })
}

fn reason(params: &Map<String, Value>) -> Result<String, String> {
    only(params, &["reason"])?;
    let text = params.get("reason").and_then(Value::as_str).map(str::trim);
    let is_good =
        |text: &&str| (1..=REASON_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    text.filter(is_good)
        .map(str::to_owned)
        .ok_or_else(|| format!("reason must be a text of 1 to {REASON_CHARS} characters without line breaks"))
}

/// A word out of two; without the parameter the first.
fn one_of<T: Copy>(params: &Map<String, Value>, key: &str, words: [(&str, T); 2]) -> Result<T, String> {
    only(params, &[key])?;
    let [(first, without), (second, _)] = words;
    match params.get(key) {
        None => Ok(without),
        Some(value) => {
            let word = words.into_iter().find(|(word, _)| value.as_str() == Some(word));
            word.map(|(_, meant)| meant).ok_or_else(|| format!("{key} must be {first} or {second}"))
        }
    }
}
