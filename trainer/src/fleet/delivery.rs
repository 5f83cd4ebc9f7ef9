//! One command to many devices, and the bundle to those that ask for it.

use super::overview::plain;
use super::{FleetError, Heard, Line, Parcel, Topics};
use ctedge_models::offer::{FETCH_MOST, Fetch, Part};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// After this long without an answer a device is asked again: what was sent while it was away is lost.
const REMIND: Duration = Duration::from_secs(10);
/// Longest wait for a message, so that nothing else waits long.
const LISTEN: Duration = Duration::from_millis(100);
/// Most pieces that wait for a device.
const WAITING: usize = 64;
/// Longest request that devices read.
const REQUEST_BYTES: usize = 8192;
/// Longest time between `issued_at` and `expires_at` that devices take is a day.
const LONGEST: Duration = Duration::from_hours(24);

/// What devices are told to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// Name of the command.
    pub name: &'static str,
    /// What it takes.
    pub params: Value,
    /// Who asks, in their own word.
    pub issuer: String,
    /// How long there is an interest in it.
    pub lasting: Duration,
}

/// What a device has said of its command so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    state: Value,
    /// Bytes of the bundle that were sent to it, repeats included.
    pub sent_bytes: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was done.
    Well,
    /// It was tried in vain, refused, or came too late.
    Badly,
}

impl Told {
    /// `accepted`, `running` and so on; empty where nothing was heard.
    pub fn state(&self) -> String {
        self.text("state")
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        match self.state().as_str() {
            "succeeded" => Some(Ended::Well),
            "failed" | "rejected" | "expired" | "cancelled" => Some(Ended::Badly),
            _ => None,
        }
    }

    /// A field of the state, as a terminal may print it; empty where it is absent.
    pub fn text(&self, key: &str) -> String {
        self.state.get(key).and_then(Value::as_str).map(plain).unwrap_or_default()
    }

    /// How far it is, 0 to 1.
    pub fn progress(&self) -> Option<f64> {
        self.state.get("progress").and_then(Value::as_f64)
    }

    /// What came out of it.
    pub fn result(&self) -> Option<&Value> {
        self.state.get("result")
    }

    /// All that was heard last.
    pub fn heard(&self) -> &Value {
        &self.state
    }
}

/// A command under way.
#[derive(Debug)]
pub struct Delivery {
    topics: Topics,
    line: Line,
    id: String,
    name: &'static str,
    request: Vec<u8>,
    parcel: Option<Parcel>,
    kib_s: Option<u32>,
    devices: BTreeMap<String, Told>,
    asked: BTreeMap<String, Instant>,
    queue: VecDeque<(String, Part, u64)>,
    end: Instant,
    next_piece: Instant,
}

impl Delivery {
    /// Filters of a command of this name and id, and of wishes.
    pub fn filters(topics: &Topics, name: &str, id: &str) -> Vec<String> {
        vec![topics.all(&format!("cmd/{name}/{id}")), topics.all("fetch")]
    }

    /// Prepares a command to these devices; nothing is sent yet. `line` is subscribed to [`Delivery::filters`].
    ///
    /// # Errors
    /// The request is longer than devices read.
    pub fn new(topics: Topics, line: Line, id: &str, order: &Order, devices: Vec<String>) -> Result<Self, FleetError> {
        let lasting = order.lasting.min(LONGEST);
        let issued = Timestamp::now();
        let expires = issued.saturating_add(SignedDuration::try_from(lasting).unwrap_or(SignedDuration::ZERO));
        let request = json!({
            "id": id, "issued_at": issued.to_string(), "issuer": order.issuer, "params": order.params,
            "expires_at": expires.unwrap_or(issued).to_string(),
        })
        .to_string()
        .into_bytes();
        if request.len() > REQUEST_BYTES {
            return Err(FleetError::Request { bytes: request.len() });
        }
        Ok(Self {
            topics,
            line,
            id: id.to_owned(),
            name: order.name,
            request,
            parcel: None,
            kib_s: None,
            devices: devices.into_iter().map(|device| (device, Told::default())).collect(),
            asked: BTreeMap::new(),
            queue: VecDeque::new(),
            end: Instant::now() + lasting,
            next_piece: Instant::now(),
        })
    }

    /// The same, with a bundle for those that ask for its pieces, not faster than this.
    #[must_use]
    pub fn with(mut self, parcel: Parcel, kib_s: Option<u32>) -> Self {
        self.parcel = Some(parcel);
        self.kib_s = kib_s;
        self
    }

    /// How often the connection was lost.
    pub fn cuts(&self) -> u32 {
        self.line.cuts()
    }

    /// Asks every device, follows what they say and serves them until all have ended or the time is up. `watch` is told of
    /// every change.
    ///
    /// # Errors
    /// The bundle cannot be read any more, or its pieces are too long for the broker.
    pub fn run(&mut self, watch: &mut dyn FnMut(&str, &Told)) -> Result<&BTreeMap<String, Told>, FleetError> {
        while Instant::now() < self.end && self.devices.values().any(|told| told.ended().is_none()) {
            self.remind();
            let pause = self.next_piece.saturating_duration_since(Instant::now());
            let is_idle = self.queue.is_empty() || !self.line.is_up();
            let listen = if is_idle { LISTEN } else { pause.min(LISTEN) };
            if let Some(heard) = self.line.hear(listen) {
                self.heard(&heard, watch);
            }
            if self.line.is_up() && self.next_piece <= Instant::now() {
                self.serve(watch)?;
            }
        }
        Ok(&self.devices)
    }

    /// Asks those that have not answered: the same command under the same id is carried out once.
    fn remind(&mut self) {
        let now = Instant::now();
        for (device, told) in &self.devices {
            let is_due = self.asked.get(device).is_none_or(|last| now.duration_since(*last) >= REMIND);
            if told.heard().is_null() && is_due {
                let topic = self.topics.of(device, &format!("cmd/{}/{}/request", self.name, self.id));
                if self.line.ask(&topic, self.request.clone()) {
                    self.asked.insert(device.clone(), now);
                }
            }
        }
    }

    fn heard(&mut self, heard: &Heard, watch: &mut dyn FnMut(&str, &Told)) {
        let Some((name, below)) = self.topics.split(&heard.topic) else { return };
        let Some(told) = self.devices.get_mut(name).filter(|told| told.ended().is_none()) else { return };
        if below == "fetch" {
            if let Ok(fetch) = serde_json::from_slice(&heard.payload) {
                self.wished(name, &fetch);
            }
        } else if let Ok(state @ Value::Object(_)) = serde_json::from_slice(&heard.payload) {
            told.state = state;
            watch(name, told);
            if told.ended().is_some() {
                self.queue.retain(|(device, ..)| device != name);
            }
        }
    }

    fn wished(&mut self, device: &str, fetch: &Fetch) {
        let is_ours = self.parcel.as_ref().is_some_and(|parcel| parcel.digest() == fetch.digest);
        if !is_ours || !fetch.schema.starts_with("fetch/1.") {
            return;
        }
        let mut waiting = self.queue.iter().filter(|(of, ..)| *of == device).count();
        for number in (u64::from(fetch.from)..).take(usize::try_from(fetch.count.min(FETCH_MOST)).unwrap_or_default()) {
            let piece = (device.to_owned(), fetch.part, number);
            if waiting < WAITING && !self.queue.contains(&piece) {
                self.queue.push_back(piece);
                waiting += 1;
            }
        }
    }

    /// Sends the piece that has waited longest.
    fn serve(&mut self, watch: &mut dyn FnMut(&str, &Told)) -> Result<(), FleetError> {
        let (Some((device, part, number)), Some(parcel)) = (self.queue.pop_front(), &self.parcel) else {
            return Ok(());
        };
        let Some(piece) = parcel.piece(part, number)? else { return Ok(()) };
        let bytes = u64::try_from(piece.len()).unwrap_or_default();
        let topic = self.topics.of(&device, &format!("chunk/{}/{}/{number}", parcel.digest(), part.name()));
        self.line.throw(&topic, piece)?;
        if let Some(kib_s) = self.kib_s {
            let nanos = bytes.saturating_mul(1_000_000_000) / (u64::from(kib_s.max(1)) << 10);
            self.next_piece = self.next_piece.max(Instant::now()) + Duration::from_nanos(nanos);
        }
        if let Some(told) = self.devices.get_mut(&device) {
            told.sent_bytes = told.sent_bytes.saturating_add(bytes);
            watch(&device, told);
        }
        Ok(())
    }
}
