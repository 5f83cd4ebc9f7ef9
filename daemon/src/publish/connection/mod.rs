//! A connection that the broker has accepted: the state, then what waits in the outbox, until it ends.

mod link;
mod silence;
mod subscriptions;

use super::publisher::{Berth, LOOK_AGAIN, Presence, Publisher, Witness};
use super::session::Session;
use super::signal::{Grant, SessionError, Signal, Verdict};
use crate::floor::clock;
use crate::floor::disk::MayLackRoom;
use crate::floor::store::{StoreError, lock};
use crate::outbox::{self, Message, Receipt};
use link::{Link, Ticket};
use silence::Silence;
use std::sync::PoisonError;
use std::time::Duration;
use subscriptions::{Answered, Subscriptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

/// A broker that acknowledges nothing for this long is taken for dead.
const STALLED: Duration = Duration::from_secs(30);
/// Time for the last messages when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// Why a message is refused that is not even sent.
const TOO_LARGE: &str = "larger than the broker takes";

/// A connection that the broker has accepted.
pub(super) struct Connection<'a> {
    publisher: &'a Publisher,
    number: i64,
    grant: Grant,
    link: Link,
    /// Version of the board that has been sent.
    seen: u64,
    /// Whether the ledger could not take down that something is being sent.
    lacks_room: bool,
    /// Whether whoever sends receipts was away.
    silence: Silence,
    /// What the broker was asked to pass on.
    subscriptions: Subscriptions,
}

impl<'a> Connection<'a> {
    /// With this number, and what the broker grants.
    pub(super) fn new(publisher: &'a Publisher, number: i64, grant: Grant) -> Self {
        let [long, pause] = publisher.delivery.shortest_and_longest_patience();
        let (link, silence) = (Link::new(grant.in_flight), Silence::new(long, pause));
        let subscriptions = Subscriptions::default();
        Self { publisher, number, grant, link, seen: 0, lacks_room: false, silence, subscriptions }
    }

    /// Sends the state, then `online`, then whatever comes, until told to stop.
    pub(super) async fn serve(
        mut self,
        mut session: Session,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), SessionError> {
        self.all_state(&mut session).await?;
        self.give_up()?;
        if self.publisher.delivery.receipts {
            let (now_ms, delivery) = (clock::now_ms(), &self.publisher.delivery);
            let waiting =
                lock(&self.publisher.store).commit(|transaction| outbox::wait_anew(transaction, now_ms, delivery));
            waiting.map_err(|error| stored(&error))?;
            session.ask_for(&self.publisher.receipts).await?;
            self.subscriptions.asked();
        }
        session.ask_for(&self.publisher.requests).await?;
        self.subscriptions.asked();
        self.hand_over(&session, Ticket::State, (self.publisher.status)(Presence::Online, self.number)).await?;
        // What was mentioned while there was no connection is late.
        self.publisher.board.mentioned();
        let mut progress = Instant::now();
        loop {
            self.fill(&session).await?;
            tokio::select! {
                signal = session.next() => {
                    let signal = signal?;
                    // Pieces that come are no sign that the broker takes anything.
                    if !self.is_piece(&signal) {
                        progress = Instant::now();
                    }
                    self.handle(&signal)?;
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
        if let Some(Berth { root, dock }) = &self.publisher.berth
            && dock.is_wanted()
            && self.subscriptions.may_ask_for_pieces()
        {
            session.ask_for_passing(&format!("{root}+/+/+")).await?;
        }
        self.publisher.board.mentioned().into_iter().for_each(|message| session.mention(message));
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
        for outbox::Envelope { seq, message, is_answer } in due {
            let bytes = message.payload.len() + message.correlation.as_ref().map_or(0, Vec::len);
            match (bytes > self.largest(), is_answer) {
                (false, false) => self.hand_over(session, Ticket::Row(seq), message).await?,
                (false, true) => self.hand_over(session, Ticket::Answer(seq), message).await?,
                (true, false) => self.refused(seq, TOO_LARGE),
                (true, true) => self.told_asker(seq, Verdict::Refused(TOO_LARGE))?,
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
                Some(Ticket::Answer(seq)) => self.told_asker(seq, *verdict)?,
                Some(Ticket::Clearing(version)) => self.publisher.board.cleared(version),
                Some(Ticket::State) | None => {}
            },
            Signal::Message(heard) if heard.topic == self.publisher.receipts => self.receipted(&heard.payload)?,
            Signal::Message(heard) => match self.berth_of(&heard.topic) {
                Some(berth) => berth.dock.land(&heard.topic, &heard.payload),
                None => (self.publisher.hear)(heard).map_err(|error| stored(&error))?,
            },
            Signal::Denied => self.denied(),
            Signal::Subscribed => {
                let answered = self.subscriptions.answered();
                if let (Answered::Pieces, Some(berth)) = (answered, &self.publisher.berth) {
                    berth.dock.granted();
                }
            }
            Signal::Connected(_) => {}
        }
        Ok(())
    }

    fn denied(&mut self) {
        match (self.subscriptions.answered(), &self.publisher.berth) {
            (Answered::Pieces, Some(berth)) => {
                warn!("the broker refuses a subscription: pieces of a bundle do not reach this device");
                berth.dock.denied();
            }
            (Answered::Pieces | Answered::Other, _) => {
                warn!("the broker refuses a subscription: receipts or commands do not reach this device");
                self.publisher.state.lock().unwrap_or_else(PoisonError::into_inner).deaf = true;
            }
        }
    }

    /// Where a piece of a bundle goes, if a message of this topic is one.
    fn berth_of(&self, topic: &str) -> Option<&'a Berth> {
        self.publisher.berth.as_ref().filter(|berth| topic.starts_with(&berth.root))
    }

    fn is_piece(&self, signal: &Signal) -> bool {
        matches!(signal, Signal::Message(heard) if self.berth_of(&heard.topic).is_some())
    }

    /// A subscriber's word. What cannot be read, or names nothing that waits, changes nothing.
    fn receipted(&mut self, payload: &[u8]) -> Result<(), SessionError> {
        let Ok(receipt) = serde_json::from_slice::<Receipt>(payload) else {
            warn!("a receipt is no JSON object with id and sha256; see MQTT.md");
            (self.publisher.turned_away)("a receipt is no JSON object with id and sha256");
            return Ok(());
        };
        let (now_ms, ends_silence) = (clock::now_ms(), self.silence.ends(Instant::now()));
        let known = lock(&self.publisher.store).commit(|transaction| {
            let known = outbox::receipted(transaction, &receipt)?;
            if known {
                (self.publisher.delivered)(transaction, &receipt.id, Witness::Subscriber)?;
            }
            if ends_silence {
                outbox::wait_anew(transaction, now_ms, &self.publisher.delivery)?;
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

    /// An answer to a command is done with, taken or refused: the sender may have named a topic on which this device may not
    /// write, or on which nobody listens, and that is no fault of the device.
    fn told_asker(&self, seq: i64, verdict: Verdict) -> Result<(), SessionError> {
        self.publisher.board.count(verdict.name());
        if let Verdict::Refused(reason) = verdict {
            warn!(reason, "the broker refuses an answer to a command; it is dropped");
        }
        let (now_ms, delivery) = (clock::now_ms(), &self.publisher.delivery);
        let done = lock(&self.publisher.store).commit(|transaction| outbox::taken(transaction, seq, now_ms, delivery));
        done.map(drop).map_err(|error| stored(&error))
    }

    /// Gives up answers to commands that no broker has taken in many connections.
    fn give_up(&self) -> Result<(), SessionError> {
        let given_up = match lock(&self.publisher.store).commit(outbox::give_up) {
            // Then they are tried once more.
            Err(error) if error.lacks_room() => 0,
            given_up => given_up.map_err(|error| stored(&error))?,
        };
        if given_up > 0 {
            warn!(
                answers = given_up,
                "answers to commands are given up: each connection ended before a broker took them"
            );
        }
        Ok(())
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

/// A store that fails ends the connection: what is on its way is sent again by the next.
fn stored(error: &StoreError) -> SessionError {
    SessionError::Lost { reason: error.to_string() }
}
