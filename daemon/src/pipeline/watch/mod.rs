//! What is told to whoever watches: the answers behind the window, one line for the service manager, and whether the rooms
//! make progress. Every number is the one that the messages tell, read at the same places.

mod beats;
mod device;
mod metrics;
mod tally;

pub(super) use beats::Beats;
pub(super) use tally::Tally;

use super::vitals::{checks, counters, info, numbers};
use super::{Heard, House};
use crate::config::Config;
use crate::floor::clock;
use crate::floor::store::{Store, StoreError, lock};
use crate::message::{Check, CheckState, Counters, Health};
use crate::outbox::{self, Waiting};
use crate::report::ModelRun;
use crate::series::ledger;
use crate::web::{Answer, Form, Question, Verdict, Window};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Everything an operator wants to see on one screen: the JSON of `/status` and `ctedge status --json`.
#[derive(Debug, Serialize)]
struct Overview<'a> {
    schema: &'a str,
    at: String,
    version: &'a str,
    device: &'a str,
    overall: Option<CheckState>,
    checks: Vec<Check>,
    connected: Option<bool>,
    counters: Option<Counters>,
    queue: Option<Queue>,
    outbox: Option<Outbox>,
    model: Option<ModelRun>,
    last: Option<Last<'a>>,
}

#[derive(Debug, Serialize)]
struct Queue {
    filling: u64,
    complete: u64,
}

#[derive(Debug, Serialize)]
struct Outbox {
    messages: u64,
    oldest_s: i64,
}

#[derive(Debug, Serialize)]
struct Last<'a> {
    outcome: &'a str,
    at: String,
}

impl Queue {
    fn of((filling, complete): (u64, u64)) -> Self {
        Self { filling, complete }
    }
}

impl Outbox {
    fn of(Waiting { messages, oldest_ms }: Waiting) -> Self {
        Self { messages, oldest_s: oldest_ms.map_or(0, age_s) }
    }
}

impl<'a> Last<'a> {
    fn of((outcome, at_ms): (&'a str, i64)) -> Self {
        Self { outcome, at: clock::rfc3339(at_ms) }
    }
}

impl<'a> Overview<'a> {
    fn of(device: &'a str) -> Self {
        Self {
            schema: "overview/1.0",
            at: clock::rfc3339(clock::now_ms()),
            version: env!("CARGO_PKG_VERSION"),
            device,
            overall: None,
            checks: Vec::new(),
            connected: None,
            counters: None,
            queue: None,
            outbox: None,
            model: None,
            last: None,
        }
    }
}

/// Whole seconds since `ms`, by the wall clock; none when that was set back.
fn age_s(ms: i64) -> i64 {
    (clock::now_ms() - ms).max(0) / 1000
}

/// What the ledger says when no daemon answers: the overview without health, model and connection.
pub(crate) fn of_ledger(config: &Config) -> Result<Value, StoreError> {
    let store = Store::open_to_read(&config.paths.database())?;
    let tally = Tally::since(&store)?;
    Ok(json!(Overview {
        counters: Some(store.read(counters)?),
        queue: Some(Queue::of(store.read(ledger::queue)?)),
        outbox: Some(Outbox::of(store.read(outbox::waiting)?)),
        last: tally.last().map(Last::of),
        ..Overview::of(&config.mqtt.device)
    }))
}

impl House {
    /// Answers whoever watches.
    pub(super) fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Live => Answer::line(Verdict::Good, "alive"),
            Question::Ready => match self.unready() {
                None => Answer::line(Verdict::Good, "ready"),
                Some(reason) => Answer::line(Verdict::Bad, &reason),
            },
            Question::Health => {
                let overall = self.health().0.overall;
                Answer::line(verdict(overall), word(overall))
            }
            Question::Checks => {
                let health = self.health().0;
                // The very object of the message `health`.
                let body = self.writer.health(&health).payload;
                Answer { verdict: verdict(health.overall), form: Form::Json, body }
            }
            Question::Metrics => Answer { verdict: Verdict::Good, form: Form::Metrics, body: self.metrics() },
            Question::Status => {
                Answer { verdict: Verdict::Good, form: Form::Json, body: self.overview().to_string().into_bytes() }
            }
        }
    }

    /// What goes into a bundle for support.
    pub(super) fn told(&self) -> Heard {
        let json = |question| serde_json::from_slice(&self.answer(question).body).ok();
        let metrics = String::from_utf8(self.answer(Question::Metrics).body).ok();
        Heard { health: json(Question::Checks), metrics, status: self.overview(), doctor: Vec::new() }
    }

    fn health(&self) -> (Health, Option<(Waiting, Counters)>) {
        let numbers = numbers(self).ok();
        (Health::of(checks(self, numbers.as_ref().map(|(waiting, counters)| (*waiting, counters.balanced)))), numbers)
    }

    /// Why no series can be accepted, if none can.
    fn unready(&self) -> Option<String> {
        if self.stop.load(Ordering::Relaxed) {
            return Some("stopping".to_owned());
        }
        if let Err(error) = numbers(self) {
            return Some(error.to_string());
        }
        if !self.disk.may_claim(0, 0) {
            return Some(self.disk_check().detail);
        }
        let paths = &self.config.paths;
        let folders = [("incoming", &paths.incoming), ("spool", &paths.spool), ("state", &paths.state)];
        folders.into_iter().find_map(|(name, path)| device::unusable(path).map(|reason| format!("{name}: {reason}")))
    }

    fn overview(&self) -> Value {
        let (health, numbers) = self.health();
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = lock(&self.store).read(ledger::queue).ok();
        let (outbox, counters) = numbers.unzip();
        json!(Overview {
            overall: Some(health.overall),
            checks: health.checks,
            connected: Some(self.link.lock().unwrap_or_else(PoisonError::into_inner).connected),
            counters,
            queue: queue.map(Queue::of),
            outbox: outbox.map(Outbox::of),
            model: info(self).model,
            last: tally.last().map(Last::of),
            ..Overview::of(&self.config.mqtt.device)
        })
    }

    /// One line for the service manager.
    pub(super) fn status_line(&self) -> String {
        let (health, numbers) = self.health();
        let waiting = numbers.map_or_else(String::new, |(_, books)| format!("; {} waiting", books.total.pending));
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let last = tally.last().map(Last::of);
        let last = last.map_or_else(String::new, |last| format!("; last result {} at {}", last.outcome, last.at));
        format!("{}{waiting}{last}", word(health.overall))
    }

    /// How it stands with the window, where there is one.
    pub(super) fn window_check(&self) -> Option<Check> {
        self.config.web.listen.address()?;
        let (state, detail) = match self.window.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Window::Opening | Window::Open => (CheckState::Ok, String::new()),
            Window::Closed(reason) => (CheckState::Degraded, reason),
        };
        Some(Check { id: "web", state, detail })
    }
}

fn verdict(overall: CheckState) -> Verdict {
    if overall == CheckState::Failed { Verdict::Bad } else { Verdict::Good }
}

fn word(overall: CheckState) -> &'static str {
    match overall {
        CheckState::Ok => "ok",
        CheckState::Warming => "warming",
        CheckState::Degraded => "degraded",
        CheckState::Failed => "failed",
    }
}
