//! The supervisor's side: starts the worker, starts it again when it dies, and tells the log what came.

use super::Order;
use crate::floor::clock::{Stopwatch, wait};
use crate::floor::disk::Disk;
use crate::floor::limits::RECEIVER_BYTES;
use crate::floor::worker::{Jail, Worker};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Role name of the worker.
const RECEIVE: &str = "receive";

/// A request to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Listen.
    Open(Box<Order>),
    /// Say what came since you were asked last, and from now on take data sets or not.
    Tell(Taking),
}

/// Whether data sets are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Taking {
    /// They are.
    #[default]
    All,
    /// The disk is too full: their senders are told so.
    Nothing,
}

/// What is said of a disk that is too full.
pub(super) const NO_ROOM: &str = "the disk is too full; see the check disk";

/// An answer of the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Open,
    Failed { reason: String },
    Told(Tally),
}

/// What came since the last time, free of patient data.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Associations that were let in.
    pub(super) associations: u64,
    /// Data sets that are durable now.
    pub(super) stored: u64,
    /// Data sets that could not be kept, and why the last one could not.
    pub(super) failed: u64,
    pub(super) failure: Option<String>,
    /// Data sets that were not what their command or the agreement said.
    pub(super) refused: u64,
    /// Associations that were not let in, and who the last one was.
    pub(super) rejected: u64,
    pub(super) rejection: Option<String>,
    /// Connections that did not end as they should, and how the last one did.
    pub(super) broken: u64,
    pub(super) breach: Option<String>,
}

/// How it stands with the door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Door {
    /// It is being opened.
    #[default]
    Opening,
    /// Senders may come.
    Open,
    /// Senders may come, but what they bring cannot be kept.
    Full(String),
    /// Nobody can come, and why.
    Closed(String),
}

/// What the room is told, and what it tells.
pub(crate) struct Doorway<'a> {
    /// How it stands with the door.
    pub(crate) door: &'a Mutex<Door>,
    /// Whether the disk has room for what senders bring.
    pub(crate) disk: &'a Disk,
    /// Whether to end.
    pub(crate) stop: &'a AtomicBool,
    /// Told how many associations were not let in, and who the last one was.
    pub(crate) turned_away: &'a dyn Fn(u64, &str),
}

/// Keeps the door open until `stop` is set.
pub(crate) fn run(order: &Order, doorway: &Doorway<'_>) {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    let &Doorway { door, stop, .. } = doorway;
    let mut pause = FIRST;
    while !stop.load(Ordering::Relaxed) {
        let since = Stopwatch::start();
        let reason = match open(order) {
            Ok(worker) => attend(worker, doorway),
            Err(reason) => reason,
        };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        warn!(reason, "nothing can be received by network; trying again");
        set(door, Door::Closed(reason));
        pause = if since.elapsed() > LONGEST { FIRST } else { (pause * 2).min(LONGEST) };
        wait(pause, stop);
    }
}

fn open(order: &Order) -> Result<Worker, String> {
    /// Binding a port and reading three certificates.
    const OPENING: Duration = Duration::from_secs(30);
    let jail = Jail { memory_bytes: Some(RECEIVER_BYTES), ..Jail::default() };
    // The allocator would set aside 64 MiB of address space for every other thread.
    let environment = [("MALLOC_ARENA_MAX", "2".to_owned())];
    let started = Worker::start(RECEIVE, jail, &environment);
    let mut worker = started.map_err(|error| format!("no worker can be started: {}", error.kind()))?;
    match worker.ask::<_, Answer>(&Request::Open(Box::new(order.clone())), None, OPENING) {
        Ok((Answer::Open, _)) => {
            let listen = order.settings.listen.map(|listen| listen.to_string());
            let encrypted = order.settings.tls.is_some();
            info!(listen, encrypted, worker = worker.id(), "receiving by network");
            Ok(worker)
        }
        Ok((Answer::Failed { reason }, _)) => Err(reason),
        Ok((Answer::Told(_), _)) => Err("the worker answered something else".to_owned()),
        Err(lost) => Err(lost.to_string()),
    }
}

/// Asks the worker how it goes until it is lost, and returns why.
fn attend(mut worker: Worker, doorway: &Doorway<'_>) -> String {
    const PULSE: Duration = Duration::from_secs(1);
    /// A worker that is busy writing answers all the same: its callers have threads of their own.
    const ANSWERING: Duration = Duration::from_secs(10);
    let &Doorway { door, disk, stop, .. } = doorway;
    set(door, Door::Open);
    let mut before = Taking::All;
    while !wait(PULSE, stop) {
        let taking = if disk.may_receive() { Taking::All } else { Taking::Nothing };
        match worker.ask::<_, Answer>(&Request::Tell(taking), None, ANSWERING) {
            Ok((Answer::Told(tally), _)) => tell(&tally, doorway),
            Ok((Answer::Open | Answer::Failed { .. }, _)) => return "the worker answered something else".to_owned(),
            Err(lost) => return lost.to_string(),
        }
        if taking != before {
            set(door, if taking == Taking::All { Door::Open } else { Door::Full(NO_ROOM.to_owned()) });
            before = taking;
        }
    }
    String::new()
}

fn tell(tally: &Tally, doorway: &Doorway<'_>) {
    let door = doorway.door;
    if tally.associations + tally.stored > 0 {
        info!(associations = tally.associations, stored = tally.stored, "received by network");
    }
    tell_of_data_sets(tally);
    tell_of_callers(tally);
    if let Some(caller) = &tally.rejection {
        (doorway.turned_away)(tally.rejected, caller);
    }
    if let Some(reason) = &tally.failure {
        set(door, Door::Full(reason.clone()));
    } else if tally.stored > 0 {
        set(door, Door::Open);
    }
}

fn tell_of_data_sets(tally: &Tally) {
    if let Some(reason) = &tally.failure {
        warn!(failed = tally.failed, reason, "data sets cannot be kept; their sender was told");
    }
    if tally.refused > 0 {
        warn!(refused = tally.refused, "data sets were not what their sender said; it was told");
    }
}

fn tell_of_callers(tally: &Tally) {
    if let Some(caller) = &tally.rejection {
        warn!(rejected = tally.rejected, caller, "associations were not let in");
    }
    if let Some(reason) = &tally.breach {
        info!(broken = tally.broken, reason, "connections did not end as they should");
    }
}

fn set(door: &Mutex<Door>, state: Door) {
    *door.lock().unwrap_or_else(PoisonError::into_inner) = state;
}
