//! A bundle over the broker: asks for pieces, and puts those that are right in their place.

use super::landing::{Expected, Landing, Link, Piece};
use super::pace::Pace;
use super::part::PartFile;
use super::pieces::{Pieces, Taken};
use super::{Cut, FetchError, NO_ROOM, Terms, Wanted};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::disk::MayLackRoom;
use std::path::Path;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How often it is looked whether to stop, and whether results still wait.
const LOOK: Duration = Duration::from_millis(200);
/// Pieces in a row that may be wrong: a stranger's, or those of another file. Lists: the same.
const WRONG: (u32, u32) = (32, 3);

/// Fetches a bundle over the broker into `partial`; chunks that are there already count. On return the file is whole,
/// has the digest, and is synced.
///
/// # Errors
/// See [`FetchError`]. What has come is kept, unless all of it is there and is something else.
pub(crate) fn mqtt(
    cut: &Cut<'_>,
    wanted: &Wanted<'_>,
    partial: &Path,
    landing: &Landing,
    terms: &Terms<'_>,
) -> Result<(), FetchError> {
    if !terms.settings.mqtt {
        return Err(FetchError::MqttOff);
    }
    let most_bytes = landing.most_bytes();
    if usize::try_from(cut.chunk_bytes).map_or(true, |bytes| bytes > most_bytes) {
        return Err(FetchError::LargeChunks { chunk_bytes: cut.chunk_bytes, most_bytes });
    }
    let part = PartFile::open(partial, wanted)?;
    if part.is_whole(wanted, terms)? {
        return Ok(());
    }
    terms.wait_for_room(terms.until_ms(), wanted.bytes.saturating_sub(part.len()?))?;
    let expected = landing.expect(wanted.digest);
    let transfer = Transfer {
        terms,
        until_ms: terms.until_ms(),
        pieces: Pieces::new(wanted.bytes, cut),
        part: &part,
        pace: Pace::new(terms.settings.kib_s),
        up: Stopwatch::start(),
        link: Link::Away,
        trouble: NOBODY,
    };
    transfer.run(&expected)?;
    drop(expected);
    if part.is_whole(wanted, terms)? {
        return Ok(());
    }
    part.delete()?;
    Err(FetchError::Digest)
}

const NOBODY: &str = "nobody sends what the device asks for";
const AWAY: &str = "there is no connection to the broker";
const RESULTS: &str = "results wait for the broker, and go first";

/// One bundle on its way.
struct Transfer<'a> {
    terms: &'a Terms<'a>,
    until_ms: i64,
    pieces: Pieces,
    part: &'a PartFile<'a>,
    pace: Pace,
    up: Stopwatch,
    link: Link,
    /// What is in the way.
    trouble: &'static str,
}

impl Transfer<'_> {
    /// Until all chunks are there.
    fn run(mut self, expected: &Expected<'_>) -> Result<(), FetchError> {
        while !self.pieces.is_whole() {
            self.terms.go_on(self.until_ms, self.trouble)?;
            let (piece, link) = expected.next(self.pause());
            self.linked(link)?;
            if let Some(piece) = piece {
                self.take(&piece)?;
            }
            self.ask(expected);
        }
        let (again, dropped) = (self.pieces.again(), expected.dropped());
        info!(pieces = self.pieces.count(), again, dropped, "a bundle has come over the broker");
        Ok(())
    }

    /// How long to wait for a piece: no longer than until the next one may be asked for.
    fn pause(&self) -> Duration {
        let wait = self.pace.wait(self.up.elapsed());
        if wait.is_zero() { LOOK } else { wait.min(LOOK) }
    }

    fn linked(&mut self, link: Link) -> Result<(), FetchError> {
        if link == Link::Denied {
            return Err(FetchError::Denied);
        }
        if link != self.link {
            debug!(?link, "pieces of a bundle");
            self.link = link;
            self.pieces.anew();
        }
        Ok(())
    }

    fn take(&mut self, Piece { part, number, bytes }: &Piece) -> Result<(), FetchError> {
        self.trouble = NOBODY;
        match self.pieces.take(*part, *number, bytes, self.up.elapsed()) {
            Taken::Idle | Taken::Listed => Ok(()),
            Taken::List => self.find(),
            Taken::Chunk(offset) => self.write(*number, offset, bytes),
            Taken::Wrong => {
                warn!(number, "a piece of a bundle is not what it should be");
                let (count, lists) = self.pieces.wrong();
                match (count >= WRONG.0, lists >= WRONG.1) {
                    (_, true) => Err(FetchError::List),
                    (true, false) => Err(FetchError::Chunks { count }),
                    (false, false) => Ok(()),
                }
            }
        }
    }

    /// Looks which chunks are on the disk.
    fn find(&mut self) -> Result<(), FetchError> {
        let there = self.part.len()?;
        for number in 0..self.pieces.count() {
            let (offset, bytes) = self.pieces.place(number);
            if offset >= there {
                break;
            }
            self.terms.go_on(self.until_ms, self.trouble)?;
            clock::next_piece();
            self.pieces.found(number, &self.part.read(offset, bytes)?);
        }
        (self.terms.progress)(self.pieces.bytes_there());
        Ok(())
    }

    fn write(&mut self, number: u32, offset: u64, bytes: &[u8]) -> Result<(), FetchError> {
        match self.part.write(offset, bytes) {
            Err(error) if error.lacks_room() => {
                self.pieces.unwritten(number);
                self.trouble = NO_ROOM;
                self.terms.wait_for_room(self.until_ms, self.pieces.place(number).1)
            }
            written => {
                written?;
                (self.terms.progress)(self.pieces.bytes_there());
                Ok(())
            }
        }
    }

    fn ask(&mut self, expected: &Expected<'_>) {
        let now = self.up.elapsed();
        if !matches!(self.link, Link::Granted(_)) {
            self.trouble = AWAY;
        } else if !(self.terms.may_go_on)() {
            self.trouble = RESULTS;
        } else if self.pace.wait(now).is_zero()
            && let Some(run) = self.pieces.ask(now)
        {
            let bytes = (run.from..run.from.saturating_add(run.count)).map(|number| self.pieces.place(number).1).sum();
            self.pace.take(now, bytes);
            expected.ask(run);
        }
    }
}
