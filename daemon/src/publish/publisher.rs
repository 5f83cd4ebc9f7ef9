//! Keeps a connection, and sends over it what the board and the outbox hold.

use super::board::Board;
use super::link::{Link, Ticket};
use super::session::Session;
use super::settings::Settings;
use super::signal::{Grant, Heard, SessionError, Signal, Verdict, Version};
use crate::floor::clock;
use crate::floor::disk::MayLackRoom;
use crate::floor::store::{self, SharedStore, StoreError, lock};
use crate::outbox::{self, Message, Receipt};
use rusqlite::Transaction;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

/// What `status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Connected and working.
    Online,
    /// Told to stop.
    Stopping,
    /// Gone, said by the broker.
    Offline,
}

/// How the connection is, for the daemon's health.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkState {
    /// Whether there is one.
    pub(crate) connected: bool,
    /// Why there is none.
    pub(crate) problem: Option<String>,
    /// A result was published and the broker says that nobody is subscribed.
    pub(crate) published_to_nobody: bool,
    /// The broker refuses a subscription.
    pub(crate) deaf: bool,
    /// Messages that the broker refuses, and its reason for the last of them.
    pub(crate) refused: Option<(usize, &'static str)>,
}

/// Who said that it has a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// The broker.
    Broker,
    /// A subscriber.
    Subscriber,
}

/// Called in the transaction by which a result counts as delivered, with its id.
pub(crate) type Delivered = dyn Fn(&Transaction<'_>, &str, Witness) -> Result<(), rusqlite::Error> + Send + Sync;

/// Told why a message to the device was refused.
pub(crate) type TurnedAway = dyn Fn(&str) + Send + Sync;

/// Sends what must be sent.
pub(crate) struct Publisher {
    /// How the broker is reached.
    pub(crate) settings: Settings,
    /// The outbox.
    pub(crate) store: SharedStore,
    /// The retained state.
    pub(crate) board: Arc<Board>,
    /// How the connection is.
    pub(crate) state: Arc<Mutex<LinkState>>,
    /// Writes `status` for a presence and a session number.
    pub(crate) status: Box<dyn Fn(Presence, i64) -> Message + Send + Sync>,
    /// When a result counts as delivered.
    pub(crate) delivery: outbox::Settings,
    /// The topic on which subscribers say that they have a result.
    pub(crate) receipts: String,
    /// Notes what was delivered.
    pub(crate) delivered: Box<Delivered>,
    /// Counts messages to the device that are refused.
    pub(crate) turned_away: Box<TurnedAway>,
    /// Topics of other messages to this device.
    pub(crate) requests: String,
    /// Takes them. An error is the device's: the connection ends, and whoever gets no answer asks again.
    pub(crate) hear: Box<Hear>,
}

/// Takes a message to this device.
pub(crate) type Hear = dyn Fn(&Heard) -> Result<(), StoreError> + Send + Sync;

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost(SessionError),
}

/// Longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A broker that acknowledges nothing for this long is taken for dead.
const STALLED: Duration = Duration::from_secs(30);
/// How often it is looked for results whose receipt has not come, and for room on a full disk.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Time for the last messages when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);

impl Publisher {
    /// Runs until `stop` becomes true.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let versions = self.settings.versions();
        let mut attempts = 0u32;
        while !*stop.borrow() {
            let turn = usize::try_from(attempts).unwrap_or_default() % versions.len().max(1);
            let version = versions.get(turn).copied().unwrap_or(Version::Five);
            let mut was_connected = false;
            match self.connection(version, &mut stop, &mut was_connected).await {
                Ended::Stopped => return,
                Ended::Lost(error) => self.lost(&error),
            }
            attempts = if was_connected { 0 } else { attempts.saturating_add(1) };
            tokio::select! {
                () = sleep(pause(attempts, versions.len())) => {}
                _ = stop.changed() => {}
            }
        }
    }

    fn lost(&self, error: &SessionError) {
        let problem = error.to_string();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.problem.as_ref() != Some(&problem) {
            warn!(%problem, "no connection to the broker; messages wait in the outbox");
        }
        *state = LinkState { problem: Some(problem), ..LinkState::default() };
    }

    /// The number of the next connection. A disk that is full is waited for, in short pauses: there is no need to spare it.
    async fn number(&self, stop: &mut watch::Receiver<bool>) -> Result<i64, StoreError> {
        loop {
            match lock(&self.store).commit(|transaction| store::next_number(transaction, "session")) {
                Err(error) if error.lacks_room() && !*stop.borrow() => {
                    self.lost(&SessionError::Lost { reason: error.to_string() });
                }
                number => return number,
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// One connection from beginning to end.
    async fn connection(&self, version: Version, stop: &mut watch::Receiver<bool>, was_connected: &mut bool) -> Ended {
        let number = match self.number(stop).await {
            Ok(number) => number,
            Err(error) => return Ended::Lost(SessionError::Lost { reason: error.to_string() }),
        };
        let will = (self.status)(Presence::Offline, number);
        let name = format!("ctedge-{}", self.settings.device);
        let mut session = match Session::open(&self.settings, version, &name, Some(will)) {
            Ok(session) => session,
            Err(error) => return Ended::Lost(error),
        };
        let grant = tokio::select! {
            grant = session.connected() => grant,
            _ = stop.changed() => return Ended::Stopped,
        };
        match grant {
            Ok(grant) => {
                *was_connected = true;
                info!(mqtt = version.name(), session = number, "connected to the broker");
                *self.state.lock().unwrap_or_else(PoisonError::into_inner) =
                    LinkState { connected: true, ..LinkState::default() };
                let link = Link::new(grant.in_flight);
                let connection = Connection { publisher: self, number, grant, link, seen: 0, lacks_room: false };
                connection.serve(session, stop).await.map_or_else(Ended::Lost, |()| Ended::Stopped)
            }
            Err(error) => Ended::Lost(error),
        }
    }
}

/// A store that fails ends the connection: what is on its way is sent again by the next.
fn stored(error: &StoreError) -> SessionError {
    SessionError::Lost { reason: error.to_string() }
}

/// Exponential, from a quarter of a second; each version gets its turn before the pause grows.
fn pause(attempts: u32, versions: usize) -> Duration {
    let rounds = attempts / u32::try_from(versions.max(1)).unwrap_or(1);
    LONGEST_PAUSE.min(Duration::from_millis(250).saturating_mul(1 << rounds.min(10)))
}

/// A connection that the broker has accepted.
struct Connection<'a> {
    publisher: &'a Publisher,
    number: i64,
    grant: Grant,
    link: Link,
    /// Version of the board that has been sent.
    seen: u64,
    /// Whether the ledger could not take down that something is being sent.
    lacks_room: bool,
}

impl Connection<'_> {
    /// Sends the state, then `online`, then whatever comes, until told to stop.
    async fn serve(mut self, mut session: Session, stop: &mut watch::Receiver<bool>) -> Result<(), SessionError> {
        self.all_state(&mut session).await?;
        if self.publisher.delivery.receipts {
            let (now_ms, delivery) = (clock::now_ms(), &self.publisher.delivery);
            let waiting =
                lock(&self.publisher.store).commit(|transaction| outbox::reconnected(transaction, now_ms, delivery));
            waiting.map_err(|error| stored(&error))?;
            session.ask_for(&self.publisher.receipts).await?;
        }
        session.ask_for(&self.publisher.requests).await?;
        self.hand_over(&session, Ticket::State, (self.publisher.status)(Presence::Online, self.number)).await?;
        // What was mentioned while there was no connection is late.
        self.publisher.board.mentioned();
        let mut progress = Instant::now();
        loop {
            self.fill(&session).await?;
            tokio::select! {
                signal = session.next() => {
                    self.handle(&signal?)?;
                    progress = Instant::now();
                }
                () = self.publisher.board.changed() => {
                    if self.link.under_way() == 0 {
                        progress = Instant::now();
                    }
                }
                _ = stop.changed() => return self.leave(session).await,
                () = sleep(LOOK_AGAIN), if self.publisher.delivery.receipts || self.lacks_room => {}
                () = sleep_until(progress + STALLED), if self.link.under_way() > 0 => return Err(SessionError::Timeout),
            }
        }
    }

    /// Sends all state there is, as much at a time as may be on its way.
    async fn all_state(&mut self, session: &mut Session) -> Result<(), SessionError> {
        while let Some((version, message)) = self.publisher.board.after(self.seen) {
            while self.link.free() == 0 {
                let signal = timeout(STALLED, session.next()).await;
                self.handle(&signal.map_err(|_elapsed| SessionError::Timeout)??)?;
            }
            self.state(session, version, message).await?;
        }
        Ok(())
    }

    async fn state(&mut self, session: &Session, version: u64, message: Message) -> Result<(), SessionError> {
        self.seen = version;
        let ticket = if message.payload.is_empty() { Ticket::Clearing(version) } else { Ticket::State };
        self.hand_over(session, ticket, message).await
    }

    /// Hands over as much as may be on its way: state first, it is small and replaces itself.
    async fn fill(&mut self, session: &Session) -> Result<(), SessionError> {
        if let Some(message) = self.publisher.board.mentioned() {
            session.mention(message);
        }
        while self.link.free() > 0
            && let Some((version, message)) = self.publisher.board.after(self.seen)
        {
            self.state(session, version, message).await?;
        }
        if self.link.free() == 0 {
            return Ok(());
        }
        let rows = self.link.rows();
        let due = match self.due(&rows) {
            // State is told all the same, above all that the disk is full.
            Err(error) if error.lacks_room() => {
                self.lacks_room = true;
                return Ok(());
            }
            due => due.map_err(|error| stored(&error))?,
        };
        self.lacks_room = false;
        for outbox::Envelope { seq, message } in due {
            if message.payload.len() > self.largest() {
                self.refused(seq, "larger than the broker takes");
            } else {
                self.hand_over(session, Ticket::Row(seq), message).await?;
            }
        }
        Ok(())
    }

    /// What is to be sent now. A commit that changes nothing costs no sync.
    fn due(&self, under_way: &[i64]) -> Result<Vec<outbox::Envelope>, StoreError> {
        let (now_ms, most) = (clock::now_ms(), self.link.free());
        lock(&self.publisher.store).commit(|transaction| outbox::next(transaction, now_ms, most, under_way))
    }

    /// Bytes of the largest payload, with room for topic and properties.
    fn largest(&self) -> usize {
        let granted = self.grant.packet_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        granted.saturating_sub(512).min(self.publisher.settings.message_bytes)
    }

    async fn hand_over(&mut self, session: &Session, ticket: Ticket, message: Message) -> Result<(), SessionError> {
        self.link.handed_over(ticket);
        session.publish(message).await
    }

    fn handle(&mut self, signal: &Signal) -> Result<(), SessionError> {
        match signal {
            Signal::Sent(packet) => self.link.sent(*packet),
            Signal::Answered(packet, verdict) => match self.link.answered(*packet) {
                Some(Ticket::Row(seq)) => self.answered(seq, *verdict)?,
                Some(Ticket::Clearing(version)) => self.publisher.board.cleared(version),
                Some(Ticket::State) | None => {}
            },
            Signal::Message(heard) if heard.topic == self.publisher.receipts => self.receipted(&heard.payload)?,
            Signal::Message(heard) => (self.publisher.hear)(heard).map_err(|error| stored(&error))?,
            Signal::Denied => {
                warn!("the broker refuses a subscription: receipts or commands do not reach this device");
                self.publisher.state.lock().unwrap_or_else(PoisonError::into_inner).deaf = true;
            }
            Signal::Connected(_) | Signal::Subscribed => {}
        }
        Ok(())
    }

    /// A subscriber's word. What cannot be read, or names nothing that waits, changes nothing.
    fn receipted(&self, payload: &[u8]) -> Result<(), SessionError> {
        let Ok(receipt) = serde_json::from_slice::<Receipt>(payload) else {
            warn!("a receipt is no JSON object with id and sha256; see MQTT.md");
            (self.publisher.turned_away)("a receipt is no JSON object with id and sha256");
            return Ok(());
        };
        let known = lock(&self.publisher.store).commit(|transaction| {
            let known = outbox::receipted(transaction, &receipt)?;
            if known {
                (self.publisher.delivered)(transaction, &receipt.id, Witness::Subscriber)?;
            }
            Ok(known)
        });
        if !known.map_err(|error| stored(&error))? {
            debug!("a receipt names no result that waits for one");
        }
        Ok(())
    }

    fn answered(&mut self, seq: i64, verdict: Verdict) -> Result<(), SessionError> {
        self.publisher.board.count(verdict.name());
        if let Verdict::Refused(reason) = verdict {
            self.refused(seq, reason);
            return Ok(());
        }
        self.publisher.state.lock().unwrap_or_else(PoisonError::into_inner).published_to_nobody =
            verdict == Verdict::Nobody;
        let (now_ms, delivery) = (clock::now_ms(), &self.publisher.delivery);
        let taken = lock(&self.publisher.store).commit(|transaction| {
            let result_id = outbox::taken(transaction, seq, now_ms, delivery)?;
            result_id.map_or(Ok(()), |id| (self.publisher.delivered)(transaction, &id, Witness::Broker))
        });
        taken.map_err(|error| stored(&error))
    }

    fn refused(&mut self, seq: i64, reason: &'static str) {
        warn!(seq, reason, "the broker refuses a message; it is held until the next connection");
        self.link.hold(seq);
        self.publisher.state.lock().unwrap_or_else(PoisonError::into_inner).refused = Some((self.link.held(), reason));
    }

    /// Says that we stop, waits for what is on its way, and takes leave.
    async fn leave(mut self, mut session: Session) -> Result<(), SessionError> {
        let stopping = (self.publisher.status)(Presence::Stopping, self.number);
        self.hand_over(&session, Ticket::State, stopping).await?;
        let last_answers = async {
            while self.link.under_way() > 0 {
                let signal = session.next().await?;
                self.handle(&signal)?;
            }
            Ok::<(), SessionError>(())
        };
        drop(timeout(FAREWELL, last_answers).await);
        session.disconnect(FAREWELL).await;
        Ok(())
    }
}
