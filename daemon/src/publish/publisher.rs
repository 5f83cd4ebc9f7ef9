//! Keeps a connection: makes one, and the next when that is lost.

use super::board::Board;
use super::connection::Connection;
use super::session::Session;
use super::settings::Settings;
use super::signal::{Heard, SessionError, Version};
use crate::floor::disk::MayLackRoom;
use crate::floor::store::{self, SharedStore, StoreError, lock};
use crate::outbox::{self, Message};
use rusqlite::Transaction;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

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
    /// Takes pieces of bundles, if that is allowed.
    pub(crate) berth: Option<Berth>,
}

/// Where pieces of bundles go.
pub(crate) struct Berth {
    /// The begin of their topics, with a slash at its end; three levels follow.
    pub(crate) root: String,
    /// Takes them.
    pub(crate) dock: Arc<dyn Dock>,
}

/// Takes pieces of bundles.
pub(crate) trait Dock: Send + Sync {
    /// Whether any are waited for: only then the broker is asked for them.
    fn is_wanted(&self) -> bool;
    /// The broker passes them on from now on.
    fn granted(&self);
    /// The broker refuses to.
    fn denied(&self);
    /// The connection is gone.
    fn lost(&self);
    /// One has come.
    fn land(&self, topic: &str, bytes: &[u8]);
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
/// How often it is looked for results whose receipt has not come, and for room on a full disk.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Publisher {
    /// Runs until `stop` becomes true.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let versions = self.settings.versions();
        let mut attempts = 0u32;
        while !*stop.borrow() {
            let turn = usize::try_from(attempts).unwrap_or_default() % versions.len().max(1);
            let version = versions.get(turn).copied().unwrap_or(Version::Five);
            let mut was_connected = false;
            let ended = self.connection(version, &mut stop, &mut was_connected).await;
            if let Some(Berth { dock, .. }) = &self.berth {
                dock.lost();
            }
            match ended {
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
                Connection::new(self, number, grant)
                    .serve(session, stop)
                    .await
                    .map_or_else(Ended::Lost, |()| Ended::Stopped)
            }
            Err(error) => Ended::Lost(error),
        }
    }
}

/// Exponential, from a quarter of a second; each version gets its turn before the pause grows.
fn pause(attempts: u32, versions: usize) -> Duration {
    let rounds = attempts / u32::try_from(versions.max(1)).unwrap_or(1);
    LONGEST_PAUSE.min(Duration::from_millis(250).saturating_mul(1 << rounds.min(10)))
}
