//! A connection that comes back.

use super::link::Link;
use super::{Broker, FleetError, Heard};
use std::time::{Duration, Instant};

/// First and longest pause before the broker is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// A line to the broker: what is lost is opened again, each time after a longer pause, with the same subscriptions. Retained
/// messages are then heard again.
pub struct Line {
    broker: Broker,
    filters: Vec<String>,
    link: Option<Link>,
    pause: Duration,
    again: Instant,
    cuts: u32,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("broker", &self.broker).field("cuts", &self.cuts).finish_non_exhaustive()
    }
}

impl Line {
    /// Connects and subscribes.
    ///
    /// # Errors
    /// The first connection fails: an address or a password may be wrong, and trying again would not tell.
    pub fn open(broker: Broker, filters: Vec<String>) -> Result<Self, FleetError> {
        let link = Some(Link::open(&broker, &filters)?);
        Ok(Self { broker, filters, link, pause: Self::first(), again: Instant::now(), cuts: 0 })
    }

    const fn first() -> Duration {
        let [first, _] = PAUSES;
        first
    }

    /// How often the connection was lost.
    pub fn cuts(&self) -> u32 {
        self.cuts
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        self.link.is_some()
    }

    /// The next message, if one comes in time. Without a connection the time is spent on getting one.
    pub fn hear(&mut self, within: Duration) -> Option<Heard> {
        let Some(link) = &mut self.link else {
            self.mend(within);
            return None;
        };
        match link.next(within) {
            Ok(heard) => {
                if heard.is_some() {
                    self.pause = Self::first();
                }
                heard
            }
            Err(_lost) => {
                self.cut();
                None
            }
        }
    }

    /// Sends a JSON message, at least once. Returns whether there was a connection to send it on.
    pub fn ask(&mut self, topic: &str, payload: Vec<u8>) -> bool {
        let sent = self.link.as_ref().is_some_and(|link| link.ask(topic, payload).is_ok());
        if !sent && self.link.is_some() {
            self.cut();
        }
        sent
    }

    /// Sends bytes, at most once; without a connection they are lost.
    ///
    /// # Errors
    /// The broker takes no packet of this length.
    pub fn throw(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), FleetError> {
        match self.link.as_ref().map(|link| link.throw(topic, payload)) {
            Some(Err(too_long @ FleetError::Packet { .. })) => Err(too_long),
            Some(Err(_lost)) => {
                self.cut();
                Ok(())
            }
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn cut(&mut self) {
        self.link = None;
        self.cuts = self.cuts.saturating_add(1);
        self.wait();
    }

    fn wait(&mut self) {
        self.again = Instant::now() + self.pause;
        let [_, longest] = PAUSES;
        self.pause = (self.pause * 2).min(longest);
    }

    /// Waits for the next try, or makes it.
    fn mend(&mut self, within: Duration) {
        let wait = self.again.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait.min(within));
            return;
        }
        match Link::open(&self.broker, &self.filters) {
            Ok(link) => self.link = Some(link),
            Err(_refused) => self.wait(),
        }
    }
}
