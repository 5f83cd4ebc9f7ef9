//! What devices say of themselves, in one row each. Payloads of other versions, or of others altogether, cost a field and no
//! more: what is not understood is absent.

use super::{Broker, FleetError, Heard, Line, Topics};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Retained topics that are read of each device.
const READ: [&str; 4] = ["status", "info", "health", "model/+"];
/// How long nothing must have come before all that is retained counts as told, and how long that may take.
const QUIET: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(15);
/// Most devices that are kept.
const DEVICES: usize = 4096;
/// Most characters of a text that somebody else has written, and most slots of a device.
const CHARS: usize = 200;
const SLOTS: usize = 8;

/// The fleet as it was last heard.
#[derive(Debug)]
pub struct Overview {
    topics: Topics,
    devices: BTreeMap<String, Device>,
}

/// What one device has said.
#[derive(Debug, Default)]
struct Device {
    status: Value,
    info: Value,
    health: Value,
    slots: BTreeMap<String, Value>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub device: String,
    /// `online`, `offline`, `stopping`, and since when.
    pub state: Option<String>,
    /// RFC 3339.
    pub since: Option<String>,
    /// Overall health.
    pub health: Option<String>,
    /// `update.group`.
    pub group: Option<String>,
    /// Version of ctedge.
    pub version: Option<String>,
    /// By slot.
    pub slots: BTreeMap<String, Slot>,
    /// The newest moment that it has named, RFC 3339.
    pub last_seen: Option<String>,
}

/// The model in a slot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slot {
    /// `empty`, `staged`, `shadow`, `probation`, `active`, `standby` or `failed`.
    pub state: Option<String>,
    /// Name, version and serial of the model.
    pub name: Option<String>,
    /// `MAJOR.MINOR.PATCH`.
    pub version: Option<String>,
    /// Rises with every release.
    pub serial: Option<u64>,
    /// SHA-256 of the bundle.
    pub digest: Option<String>,
    /// In shadow: share of flags on which it agrees with the active model, 0 to 1.
    pub agreement: Option<f64>,
    /// In shadow: series that both have read.
    pub series: Option<u64>,
    /// Why it failed.
    pub reason_code: Option<String>,
    /// The same for people.
    pub reason_detail: Option<String>,
}

impl Overview {
    /// Nothing heard yet.
    pub fn new(topics: Topics) -> Self {
        Self { topics, devices: BTreeMap::new() }
    }

    /// What must be subscribed to.
    pub fn filters(topics: &Topics) -> Vec<String> {
        READ.iter().map(|below| topics.all(below)).collect()
    }

    /// Asks the broker for what it keeps of every device.
    ///
    /// # Errors
    /// It does not answer.
    pub fn gathered(broker: &Broker, topics: &Topics) -> Result<Self, FleetError> {
        let mut line = Line::open(broker.clone(), Self::filters(topics))?;
        let mut overview = Self::new(topics.clone());
        overview.gather(&mut line);
        Ok(overview)
    }

    /// Hears a new line until nothing more comes.
    pub fn gather(&mut self, line: &mut Line) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE
            && let Some(heard) = line.hear(QUIET)
        {
            self.heard(&heard);
        }
    }

    /// Takes one message in.
    pub fn heard(&mut self, heard: &Heard) {
        let Some((name, below)) = self.topics.split(&heard.topic) else { return };
        let is_read = |read: &&str| read.strip_suffix('+').map_or(below == *read, |begin| below.starts_with(begin));
        if !READ.iter().any(is_read) {
            return;
        }
        if self.devices.len() >= DEVICES && !self.devices.contains_key(name) {
            return;
        }
        let device = self.devices.entry(name.to_owned()).or_default();
        let said: Value = serde_json::from_slice(&heard.payload).unwrap_or_default();
        match below.split_once('/') {
            None if below == "status" => device.status(said),
            None if below == "info" => device.info = said,
            None if below == "health" => device.health = said,
            Some(("model", slot)) if device.slots.len() < SLOTS || device.slots.contains_key(slot) => {
                // A message that was taken away leaves no slot behind.
                if heard.payload.is_empty() {
                    device.slots.remove(slot);
                } else {
                    device.slots.insert(plain(slot), said);
                }
            }
            _ => {}
        }
    }

    /// One row a device, by name.
    pub fn rows(&self) -> Vec<Row> {
        self.devices.iter().map(|(name, device)| device.row(name)).collect()
    }
}

impl Device {
    /// An `offline` of an older session comes late, and is not true any more.
    fn status(&mut self, said: Value) {
        let session = |value: &Value| value.get("session").and_then(Value::as_u64);
        let is_late = text(&said, "/state").as_deref() == Some("offline") && session(&said) < session(&self.status);
        if !is_late {
            self.status = said;
        }
    }

    fn row(&self, name: &str) -> Row {
        let said = [&self.status, &self.info, &self.health].into_iter().chain(self.slots.values());
        let moments = said.flat_map(|said| [text(said, "/at"), text(said, "/since")]).flatten();
        let moments = moments.filter_map(|moment| moment.parse::<jiff::Timestamp>().ok());
        Row {
            device: name.to_owned(),
            state: text(&self.status, "/state"),
            since: text(&self.status, "/since"),
            health: text(&self.health, "/overall"),
            group: text(&self.info, "/group"),
            version: text(&self.info, "/version"),
            slots: self.slots.iter().map(|(name, said)| (name.clone(), Slot::of(said))).collect(),
            last_seen: moments.max().map(|moment| moment.to_string()),
        }
    }
}

impl Slot {
    fn of(said: &Value) -> Self {
        let whole = |path| said.pointer(path).and_then(Value::as_u64);
        Self {
            state: text(said, "/state"),
            name: text(said, "/model/name"),
            version: text(said, "/model/version"),
            serial: whole("/model/serial"),
            digest: text(said, "/model/digest"),
            agreement: said.pointer("/shadow/agreement").and_then(Value::as_f64),
            series: whole("/shadow/series"),
            reason_code: text(said, "/reason_code"),
            reason_detail: text(said, "/reason_detail"),
        }
    }
}

/// A text of somebody else's, as a terminal may print it.
fn text(said: &Value, path: &str) -> Option<String> {
    said.pointer(path).and_then(Value::as_str).map(plain)
}

/// Without characters that steer a terminal, and not endless.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(CHARS).collect()
}
