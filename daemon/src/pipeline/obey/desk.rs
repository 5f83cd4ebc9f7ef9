//! Where commands are taken, and where it is told what becomes of them; shared with the publisher.

use super::cancel::still_to_stop;
use super::rest::{self, Paused};
use crate::command::{self, Address, Came, Entry, Lane, Meaning, Name, Reply, Retained, Taken, Told};
use crate::evidence::{self, Event};
use crate::floor::clock;
use crate::floor::store::{SharedStore, StoreError, fact, lock};
use crate::message::{COMMAND_EXPIRY_S, Capability, CommandState, Message, Writer};
use crate::outbox;
use crate::publish::{Board, Heard, TurnedAway};
use rusqlite::Transaction;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Takes commands and tells what becomes of them; shared with the publisher.
pub(in crate::pipeline) struct Commands {
    store: SharedStore,
    board: Arc<Board>,
    writer: Writer,
    turned_away: Box<TurnedAway>,
    pub(super) paused: AtomicBool,
    pub(super) pause: Mutex<Option<Paused>>,
    pub(super) restarts: AtomicBool,
    /// Numbers of commands that are to end at their next stop.
    pub(super) cancelled: Mutex<BTreeSet<i64>>,
    /// Set where the one that changes models is among them, and when the daemon is told to stop.
    pub(in crate::pipeline) halt: AtomicBool,
    came: Mutex<u64>,
    bell: Condvar,
}

impl Commands {
    /// Opens the journal and posts what stands in it, and what may be asked for.
    pub(in crate::pipeline) fn open(
        store: SharedStore,
        board: Arc<Board>,
        writer: Writer,
        turned_away: Box<TurnedAway>,
    ) -> Result<Self, StoreError> {
        let read =
            |connection: &rusqlite::Connection| Ok((command::entries(connection)?, fact(connection, rest::PAUSED)?));
        let (entries, pause) = lock(&store).read(read)?;
        let pause = pause.and_then(|text| serde_json::from_str(&text).ok());
        let to_stop = still_to_stop(&entries);
        let commands = Self {
            store,
            board,
            writer,
            turned_away,
            paused: AtomicBool::new(pause.is_some()),
            pause: Mutex::new(pause),
            restarts: AtomicBool::new(false),
            halt: AtomicBool::new(entries.iter().any(|entry| to_stop.contains(&entry.seq) && is_of_models(entry))),
            cancelled: Mutex::new(to_stop),
            came: Mutex::new(1),
            bell: Condvar::new(),
        };
        for name in Name::ALL {
            let capability = capability(name);
            commands.board.post(commands.writer.posted(&format!("cmd/{}", name.name()), &capability, None));
        }
        for entry in &entries {
            commands.tell(entry);
        }
        Ok(commands)
    }

    /// Whether intake leaves files where they are.
    pub(in crate::pipeline) fn paused(&self) -> &AtomicBool {
        &self.paused
    }

    /// Whether the daemon ends in order to be started again.
    pub(in crate::pipeline) fn restarts(&self) -> bool {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Takes a message to this device.
    pub(in crate::pipeline) fn hear(&self, heard: &Heard) -> Result<(), StoreError> {
        // A topic that is cleared is no request.
        if heard.payload.is_empty() {
            return Ok(());
        }
        let Some(address) = self.writer.below(&heard.topic).and_then(command::address) else {
            let why = "a command is refused without a word: its name or id has characters that are not told";
            warn!("{why}");
            (self.turned_away)(why);
            return Ok(());
        };
        let retained = if heard.retained { Retained::Yes } else { Retained::No };
        let came = Came { payload: &heard.payload, retained, reply: self.reply(heard) };
        let now_ms = clock::now_ms();
        let (taken, cancelled) = lock(&self.store).commit(|transaction| {
            let mut taken = command::take(transaction, address, came, &Name::ALL, now_ms)?;
            let cancelled = match &mut taken {
                Taken::New(entry, _) => self.cancel(transaction, entry)?,
                Taken::Again(_) | Taken::Unkept(_) => None,
            };
            match &taken {
                // The broker repeats what it keeps at every connection.
                Taken::Again(_) if heard.retained => {}
                Taken::New(entry, _) | Taken::Again(entry) => self.answer(transaction, entry)?,
                Taken::Unkept(entry) => {
                    outbox::put(transaction, &Message { retain: false, ..self.state(entry) }, now_ms)?;
                    self.answer(transaction, entry)?;
                }
            }
            Ok((taken, cancelled))
        })?;
        self.cancels(cancelled);
        match &taken {
            Taken::New(entry, forgotten) => {
                self.note_taken(entry);
                if let Some(address) = forgotten {
                    self.clear(address);
                }
                self.announce(entry);
            }
            Taken::Again(entry) => self.tell(entry),
            Taken::Unkept(entry) => {
                self.note_taken(entry);
                self.board.wake();
            }
        }
        Ok(())
    }

    /// Enters a command of our own, unless its name and id are known.
    pub(in crate::pipeline) fn order(
        &self,
        name: Name,
        (id, issuer): (&str, &str),
        params: &Value,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let address = Address { name: name.name().to_owned(), id: id.to_owned() };
        let payload = command::payload((id, issuer), params, now_ms);
        let came = Came { payload: &payload, retained: Retained::No, reply: None };
        let taken =
            lock(&self.store).commit(|transaction| command::take(transaction, address, came, &Name::ALL, now_ms))?;
        if let Taken::New(entry, _) = &taken {
            self.note_taken(entry);
            self.announce(entry);
        }
        Ok(())
    }

    /// Tells that a command has come, and wakes whoever carries it out.
    fn announce(&self, entry: &Entry) {
        self.tell(entry);
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.notify_all();
    }

    /// Whoever is refused is counted, since that costs them nothing; what is accepted gets its entry when it ends.
    fn note_taken(&self, entry: &Entry) {
        note(entry);
        if let Some(reason) = entry.told.reason_code.as_deref() {
            (self.turned_away)(&format!("a command: {reason}"));
        }
    }

    /// Where the sender of a request wants to be answered, if that may be.
    fn reply(&self, heard: &Heard) -> Option<Reply> {
        let (topic, correlation) = (heard.response_topic.as_deref(), heard.correlation.as_deref());
        Reply::read(topic, correlation, self.writer.prefix()).unwrap_or_else(|reason| {
            warn!(reason, "a command's sender is not answered but on the command's own topic");
            None
        })
    }

    /// Answers the sender of a command, if that was asked for, in the transaction of what is told.
    pub(super) fn answer(&self, transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
        let Some(Reply { topic, correlation }) = entry.reply.clone() else { return Ok(()) };
        let message = Message { topic, retain: false, correlation, ..self.state(entry) };
        outbox::answer(transaction, entry.seq, &message, clock::now_ms())
    }

    fn state(&self, entry: &Entry) -> Message {
        self.writer.posted(&below(&entry.address), &state_of(entry), Some(COMMAND_EXPIRY_S))
    }

    /// Posts the state of a command.
    pub(super) fn tell(&self, entry: &Entry) {
        self.board.post(self.state(entry));
    }

    fn clear(&self, address: &Address) {
        self.board.post(self.writer.cleared(&below(address)));
    }

    /// Notes how far a running command is, and posts it.
    pub(in crate::pipeline) fn progress(&self, entry: &mut Entry, told: Told) -> Result<(), StoreError> {
        (entry.told, entry.updated_ms) = (told, clock::now_ms());
        lock(&self.store).commit(|transaction| self.goes_on(transaction, entry))?;
        self.tell(entry);
        Ok(())
    }

    /// Notes how far a running command is, and answers its sender; [`Commands::tell`] follows.
    pub(super) fn goes_on(&self, transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
        command::goes_on(transaction, entry)?;
        self.answer(transaction, entry)
    }

    /// Forgets commands whose end was told long enough, and clears their topics.
    pub(in crate::pipeline) fn sweep(&self) -> Result<(), StoreError> {
        let before_ms = clock::now_ms().saturating_sub(i64::from(COMMAND_EXPIRY_S) * 1000);
        // What pauses the intake is told for as long as it does.
        let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let but = pause.map(|pause| Address { name: Name::Pause.name().to_owned(), id: pause.id });
        let forgotten =
            lock(&self.store).commit(|transaction| command::forget(transaction, before_ms, but.as_ref()))?;
        for address in &forgotten {
            self.clear(address);
        }
        Ok(())
    }

    /// Waits until a command has come that was not `seen`.
    pub(super) fn wait(&self, seen: &mut u64) {
        clock::idle(|| {
            let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            let woken = self.bell.wait_timeout_while(came, Duration::from_secs(1), |came| *came == *seen);
            *seen = *woken.unwrap_or_else(PoisonError::into_inner).0;
        });
    }
}

fn is_of_models(entry: &Entry) -> bool {
    entry.request.as_ref().is_some_and(|request| request.order.name().lane() == Lane::Model)
}

/// What is told of a command that this device has.
fn capability(name: Name) -> Capability<'static> {
    let Meaning { description, params } = command::meaning(name);
    let mutating = name.lane() != Lane::Look;
    Capability { schema: "capability/1.0", name: name.name(), description, mutating, params }
}

/// What is told of an entry of the journal.
fn state_of(entry: &Entry) -> CommandState<'_> {
    let (request, told) = (entry.request.as_ref(), &entry.told);
    CommandState {
        schema: "command/1.0",
        at: clock::rfc3339(entry.updated_ms),
        name: &entry.address.name,
        id: &entry.address.id,
        state: entry.state.name(),
        received_at: clock::rfc3339(entry.received_ms),
        issuer: request.map(|request| request.issuer.as_str()),
        expires_at: request.map(|request| clock::rfc3339(request.expires_ms)),
        dry_run: request.and_then(|request| request.dry_run.then_some(true)),
        reason: request.and_then(|request| request.order.words()),
        stage: told.stage.as_deref(),
        progress: told.progress,
        reason_code: told.reason_code.as_deref(),
        reason_detail: told.reason_detail.as_deref(),
        result: told.result.as_ref(),
    }
}

fn below(address: &Address) -> String {
    format!("cmd/{}/{}", address.name, address.id)
}

/// A line in the log. Names and ids are the sender's words: only a name that we know is told.
pub(super) fn note(entry: &Entry) {
    let reason = entry.told.reason_code.as_deref();
    info!(command = ours(entry), number = entry.seq, state = entry.state.name(), reason, "a command");
}

/// The command's name, if it is one of ours.
fn ours(entry: &Entry) -> &'static str {
    Name::of(&entry.address.name).map_or("unknown", Name::name)
}

/// Enters into the audit log how a command ended.
pub(super) fn enter(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
    let (command, number, state) = (ours(entry), entry.seq, entry.state.name());
    evidence::append(transaction, Event::Commanded { command, number, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::State;

    #[test]
    fn the_contract_shows_what_is_told() {
        const NOW: i64 = 1_795_467_600_000;
        let text = include_str!("../../../MQTT.md");
        let blocks = text.split("```json").skip(1).filter_map(|rest| rest.split("```").next());
        let examples: Vec<Value> = blocks.filter_map(|block| serde_json::from_str(block).ok()).collect();
        let example = |schema: &str| examples.iter().find(|example| example["schema"] == schema).unwrap();
        let request = examples.iter().find(|it| it.get("issuer").is_some() && it.get("schema").is_none()).unwrap();
        let address = command::address("cmd/replay/20261123-01/request").unwrap();
        let told = Told { progress: Some(0.64), ..Told::at("sending") };
        let entry = Entry {
            seq: 1,
            request: Some(command::read(&address, request.to_string().as_bytes(), NOW + 1000).unwrap()),
            address,
            reply: None,
            state: State::Running,
            told,
            memory: None,
            begun: 1,
            received_ms: NOW + 1000,
            updated_ms: NOW + 2000,
        };
        assert_eq!(&serde_json::to_value(state_of(&entry)).unwrap(), example("command/1.0"));
        assert_eq!(&serde_json::to_value(capability(Name::Selftest)).unwrap(), example("capability/1.0"));
    }
}
