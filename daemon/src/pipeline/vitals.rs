//! The daemon's own state: info, health and counters, posted when they change and once a minute.

use super::House;
use crate::evidence::{self, Haste, Head};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::power;
use crate::floor::store::{Store, StoreError, lock};
use crate::floor::subject::Subject;
use crate::infer::Model;
use crate::message::{AuditHead, Check, CheckState, Counters, Health, Info, StepKind};
use crate::outbox::{self, Waiting};
use crate::receive::Door;
use crate::report::ModelRun;
use crate::series::ledger;
use rusqlite::Connection;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;
use tracing::{error, warn};

/// How it stands with the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModelState {
    /// Being loaded.
    Loading,
    /// Runs.
    Loaded(Box<Model>),
    /// Cannot be loaded.
    Failed(String),
    /// Not loaded, since nothing is inferred: safe mode.
    Resting,
}

/// What was posted last.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    info: Option<Info>,
    health: Option<Health>,
    counters: Option<Counters>,
    posted: Option<Stopwatch>,
}

/// State is posted again after this long even if nothing changed: a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);
/// A message that has waited this long is worth a look.
const OLD_MS: i64 = 10 * 60 * 1000;

impl Vitals {
    /// Posts what has changed.
    pub(super) fn post(&mut self, house: &House) {
        house.enter_alarms(Haste::Wait);
        house.remove_residue();
        if let Err(error) = tell_overdue(house) {
            warn!(%error, "the ledger does not say which series are overdue");
        }
        let due = self.posted.as_ref().is_none_or(|posted| posted.elapsed() >= SIGN_OF_LIFE);
        let info = info(house);
        if self.info.as_ref() != Some(&info) {
            house.board.post(house.writer.info(&info));
            self.info = Some(info);
        }
        let (health, counters) = match numbers(house) {
            Ok((waiting, counters)) => (Health::of(checks(house, Some((waiting, counters.balanced)))), Some(counters)),
            Err(error) => {
                warn!(%error, "the ledger cannot be read");
                (Health::of(checks(house, None)), None)
            }
        };
        if due || self.health.as_ref() != Some(&health) {
            house.board.post(house.writer.health(&health));
            self.health = Some(health);
        }
        if let Some(counters) = counters.filter(|counters| due || self.counters.as_ref() != Some(counters)) {
            house.board.post(house.writer.counters(&counters));
            self.counters = Some(counters);
        }
        if due {
            self.posted = Some(Stopwatch::start());
        }
    }
}

/// Series that have been complete for too long and have no outcome.
pub(super) fn overdue(house: &House) -> Result<Vec<Subject>, StoreError> {
    let patience_ms = i64::try_from(Duration::from_secs_f64(house.config.series.overdue_s).as_millis());
    let before_ms = clock::now_ms().saturating_sub(patience_ms.unwrap_or(i64::MAX));
    lock(&house.store).read(|connection| ledger::overdue(connection, before_ms))
}

/// Puts an event into the outbox for each of them, once: what has been told stands in the ledger.
fn tell_overdue(house: &House) -> Result<(), StoreError> {
    for subject in overdue(house)? {
        let is_new = lock(&house.store).commit(|transaction| {
            let is_new = ledger::tell_overdue(transaction, &subject.series_key, clock::now_ms())?;
            if is_new {
                let event = house.writer.event(StepKind::Overdue(&subject));
                outbox::put(transaction, &event, clock::now_ms())?;
            }
            Ok(is_new)
        })?;
        if is_new {
            warn!(series = %subject.series_key, "a series is overdue");
            house.board.wake();
        }
    }
    Ok(())
}

pub(super) fn numbers(house: &House) -> Result<(Waiting, Counters), StoreError> {
    let (waiting, counters) =
        lock(&house.store).read(|connection| Ok((outbox::waiting(connection)?, counters(connection)?)))?;
    if !counters.balanced {
        error!(total = ?counters.total, delivery = ?counters.delivery, "the books do not balance: something was lost");
    }
    Ok((waiting, counters))
}

/// The books as the ledger has them.
pub(super) fn counters(connection: &Connection) -> Result<Counters, rusqlite::Error> {
    let (books, pending) = ledger::books(connection)?;
    let audit = evidence::head(connection)?.map(|Head { seq, sha256 }| AuditHead { seq, sha256 });
    Ok(Counters { audit, ..Counters::of(&books, pending, &outbox::kept(connection)?) })
}

pub(super) fn info(house: &House) -> Info {
    let state = house.model.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = if let ModelState::Loaded(model) = &*state { Some(model) } else { None };
    Info {
        model: loaded.map(|model| ModelRun::of(model)),
        passed_over: loaded.map(|model| model.passed_over.clone()).unwrap_or_default(),
        architecture: std::env::consts::ARCH,
        power_mode: power::mode(Path::new("/")).unwrap_or_else(Some),
        clocks: power::clocks(Path::new("/")),
        group: house.config.update.group.clone(),
    }
}

/// `books`: what waits, and whether the books balance; nothing when they cannot be read.
pub(super) fn checks(house: &House, books: Option<(Waiting, bool)>) -> Vec<Check> {
    let check = |id, state, detail: String| Check { id, state, detail };
    let mut checks = of_model(house);
    checks.push(house.inference_check());
    let link = house.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let broker = match (&link.problem, link.refused, link.published_to_nobody) {
        (Some(problem), _, _) => check("broker", CheckState::Degraded, problem.clone()),
        (None, Some((count, reason)), _) => {
            check("broker", CheckState::Degraded, format!("{count} messages refused: {reason}"))
        }
        (None, None, _) if link.deaf => {
            let detail = "the broker refuses a subscription: receipts or commands do not reach this device";
            check("broker", CheckState::Degraded, detail.to_owned())
        }
        (None, None, true) => {
            check("broker", CheckState::Degraded, "published_to_nobody: no subscriber for results".to_owned())
        }
        (None, None, false) => check("broker", CheckState::Ok, String::new()),
    };
    checks.push(broker);
    checks.extend(house.config.receive.listen.map(|_| {
        let (state, detail) = match house.door.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Door::Opening => (CheckState::Warming, "being opened".to_owned()),
            Door::Open => (CheckState::Ok, String::new()),
            Door::Full(reason) | Door::Closed(reason) => (CheckState::Degraded, reason),
        };
        check("receive", state, detail)
    }));
    let stuck = house.stuck.lock().unwrap_or_else(PoisonError::into_inner).detail();
    checks.extend(stuck.map(|detail| check("drop_folder", CheckState::Degraded, detail)));
    checks.extend(house.commands.pause_check());
    checks.extend(late(house));
    checks.extend(house.window_check());
    checks.push(match &house.isolation {
        Ok(()) => check("isolation", CheckState::Ok, String::new()),
        Err(lacking) => check("isolation", CheckState::Degraded, lacking.clone()),
    });
    checks.extend([house.disk_check(), house.memory_check(), house.thermal_check()]);
    checks.push(store(house, books.map(|(_, balanced)| balanced)));
    checks.extend(books.map(|(waiting, _)| match waiting {
        Waiting { messages, oldest_ms: Some(oldest) } if clock::now_ms() - oldest > OLD_MS => check(
            "outbox",
            CheckState::Degraded,
            format!("{messages} messages wait, the oldest for more than ten minutes"),
        ),
        Waiting { .. } => check("outbox", CheckState::Ok, String::new()),
    }));
    checks
}

/// The model, the provider that runs it, and the engine that is missing to it.
fn of_model(house: &House) -> Vec<Check> {
    let check = |id, state, detail: String| Check { id, state, detail };
    match &*house.model.lock().unwrap_or_else(PoisonError::into_inner) {
        ModelState::Loading => vec![check("model", CheckState::Warming, "being loaded".to_owned())],
        ModelState::Failed(reason) => vec![check("model", CheckState::Failed, reason.clone())],
        ModelState::Resting => vec![check("model", CheckState::Degraded, "not loaded: safe mode".to_owned())],
        ModelState::Loaded(model) => {
            let detail = if model.trained { "" } else { "random weights: the flags mean nothing" };
            let state = if model.trained { CheckState::Ok } else { CheckState::Degraded };
            let model_check = check("model", state, detail.to_owned());
            let state = if model.passed_over.is_empty() { CheckState::Ok } else { CheckState::Degraded };
            let provider = check("provider", state, model.passed_over.join("; "));
            [model_check, provider].into_iter().chain(house.engine_check(model)).collect()
        }
    }
}

/// Series that take too long, if there are any.
fn late(house: &House) -> Option<Check> {
    let overdue = overdue(house).ok()?;
    let since = overdue.iter().map(|subject| subject.completed_ms).min()?;
    let detail = format!("{} series are overdue, the first complete since {}", overdue.len(), clock::rfc3339(since));
    Some(Check { id: "series", state: CheckState::Degraded, detail })
}

/// The ledger: readable, balanced, and never lost.
fn store(house: &House, balanced: Option<bool>) -> Check {
    let (state, detail) = match balanced {
        None => (CheckState::Failed, "the ledger cannot be read"),
        Some(false) => (CheckState::Failed, "unbalanced: a series or a result is not accounted for; see counters"),
        Some(true) if Store::has_set_aside(&house.config.paths.database()) => (
            CheckState::Degraded,
            "rebuilt: the ledger was damaged and was made anew from the spool; the old one lies beside it as \
             ctedge.db.damaged-*, remove it when you have looked at it",
        ),
        Some(true) => (CheckState::Ok, ""),
    };
    Check { id: "store", state, detail: detail.to_owned() }
}
