//! Where pieces from the broker land: between the thread that talks to the broker and the one that fetches.

use super::pieces::Run;
use crate::floor::clock;
use ctedge_models::offer::Part;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pieces that wait to be looked at. As many are asked for at a time at most; what comes beside them is not ours.
const PIECES: usize = 16;

/// What the thread that talks to the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say<'a> {
    /// Have the broker pass pieces on.
    Listen,
    /// Ask for pieces of the bundle of this digest.
    Ask(&'a str, Run),
}

/// Tells it.
pub(crate) type Voice = dyn Fn(Say<'_>) + Send + Sync;

/// Whether the broker passes pieces on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// Not, or not yet.
    #[default]
    Away,
    /// It does; the number is another one after each time that it did not.
    Granted(u64),
    /// It refuses to.
    Denied,
}

/// A piece as it came. Nothing about it is true but that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) part: Part,
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
}

/// The place of a device where pieces land.
pub(crate) struct Landing {
    voice: Box<Voice>,
    most_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Digest of the bundle that somebody fetches.
    wanted: Option<String>,
    pieces: VecDeque<Piece>,
    link: Link,
    grants: u64,
    /// Pieces that nobody waited for, since somebody waits.
    dropped: u64,
}

impl fmt::Debug for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Landing").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Landing {
    /// With a voice to the broker, and the bytes of the largest message that this device takes.
    pub(crate) fn new(most_bytes: usize, voice: Box<Voice>) -> Self {
        Self { voice, most_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether somebody waits for pieces.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state().wanted.is_some()
    }

    /// The broker passes pieces on from now on.
    pub(crate) fn granted(&self) {
        let mut state = self.state();
        state.grants = state.grants.saturating_add(1);
        state.link = Link::Granted(state.grants);
        self.changed.notify_all();
    }

    /// The broker refuses to pass pieces on.
    pub(crate) fn denied(&self) {
        self.state().link = Link::Denied;
        self.changed.notify_all();
    }

    /// The connection is gone.
    pub(crate) fn lost(&self) {
        self.state().link = Link::Away;
    }

    /// A piece has come, on a topic that ends with `{digest}/{part}/{number}`. One that nobody waits for is dropped.
    pub(crate) fn land(&self, topic: &str, bytes: &[u8]) {
        let mut state = self.state();
        match named(topic).filter(|(digest, ..)| state.wanted.as_deref() == Some(*digest)) {
            Some((_, part, number)) if state.pieces.len() < PIECES && bytes.len() <= self.most_bytes => {
                state.pieces.push_back(Piece { part, number, bytes: bytes.to_vec() });
                self.changed.notify_all();
            }
            Some(_) | None => state.dropped = state.dropped.saturating_add(1),
        }
    }

    /// Bytes of the largest piece that can come.
    pub(super) fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// From now on pieces of this bundle land, until what is returned goes.
    pub(super) fn expect<'a>(&'a self, digest: &'a str) -> Expected<'a> {
        let mut state = self.state();
        state.wanted = Some(digest.to_owned());
        state.pieces.clear();
        state.dropped = 0;
        drop(state);
        (self.voice)(Say::Listen);
        Expected { landing: self, digest }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bundle whose pieces land.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    landing: &'a Landing,
    digest: &'a str,
}

impl Expected<'_> {
    /// The next piece, waited for so long, and how the link is.
    pub(super) fn next(&self, pause: Duration) -> (Option<Piece>, Link) {
        clock::idle(|| {
            let is_quiet = |state: &mut State| state.pieces.is_empty();
            let waited = self.landing.changed.wait_timeout_while(self.landing.state(), pause, is_quiet);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            (state.pieces.pop_front(), state.link)
        })
    }

    /// Asks for pieces.
    pub(super) fn ask(&self, run: Run) {
        (self.landing.voice)(Say::Ask(self.digest, run));
    }

    /// Pieces that came and that nobody waited for.
    pub(super) fn dropped(&self) -> u64 {
        self.landing.state().dropped
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut state = self.landing.state();
        state.wanted = None;
        state.pieces.clear();
    }
}

/// Digest, part and number that a topic ends with.
fn named(topic: &str) -> Option<(&str, Part, u32)> {
    let mut levels = topic.rsplit('/');
    let (number, part, digest) = (levels.next()?, levels.next()?, levels.next()?);
    let part = [Part::List, Part::Data].into_iter().find(|known| known.name() == part)?;
    Some((digest, part, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_is_dropped_and_counted() {
        let landing = Landing::new(4, Box::new(|_| ()));
        landing.land("ctedge/v1/box/chunk/aa/data/1", b"none");
        assert!(!landing.is_wanted());
        let expected = landing.expect("aa");
        let now = Duration::ZERO;
        assert_eq!(expected.next(now), (None, Link::Away));
        for (topic, bytes) in [
            ("c/aa/data/1", b"1234".as_slice()),
            ("c/aa/data/2", b"12345"),
            ("c/bb/data/1", b"1"),
            ("c/aa/list/0", b""),
            ("c/aa/lists/0", b""),
            ("c/aa/list/-1", b""),
            ("aa", b""),
        ] {
            landing.land(topic, bytes);
        }
        landing.granted();
        let one = Piece { part: Part::Data, number: 1, bytes: b"1234".to_vec() };
        assert_eq!(expected.next(now), (Some(one), Link::Granted(1)));
        assert_eq!(expected.next(now), (Some(Piece { part: Part::List, number: 0, bytes: vec![] }), Link::Granted(1)));
        assert_eq!((expected.next(now), expected.dropped()), ((None, Link::Granted(1)), 5));
        (0..40).for_each(|number| landing.land(&format!("c/aa/data/{number}"), b""));
        assert_eq!(expected.dropped(), 5 + 24, "a flood fills no memory");
        landing.lost();
        landing.granted();
        assert_eq!(expected.next(now).1, Link::Granted(2), "another connection");
        drop(expected);
        assert!(!landing.is_wanted());
    }
}
