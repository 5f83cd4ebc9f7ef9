//! When a subscriber that was away is there again: its first receipt after a silence.

use std::time::Duration;
use tokio::time::Instant;

/// Listens for the end of a silence of whoever sends receipts.
#[derive(Debug)]
pub(super) struct Silence {
    /// No receipt for this long is one.
    long: Duration,
    /// How often an end may be found at most: a subscriber that takes its time over each result is not sent all others
    /// again and again.
    pause: Duration,
    heard: Option<Instant>,
    ended: Option<Instant>,
}

impl Silence {
    /// Begins with one.
    pub(super) fn new(long: Duration, pause: Duration) -> Self {
        Self { long, pause, heard: None, ended: None }
    }

    /// A receipt comes. Whether it ends a silence.
    pub(super) fn ends(&mut self, now: Instant) -> bool {
        let since = |moment: Option<Instant>, span: Duration| moment.is_none_or(|moment| now - moment >= span);
        let ends = since(self.heard, self.long) && since(self.ended, self.pause);
        self.heard = Some(now);
        if ends {
            self.ended = Some(now);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_ends_with_the_first_receipt_and_not_too_often() {
        let start = Instant::now();
        let mut silence = Silence::new(Duration::from_mins(1), Duration::from_mins(10));
        let ends: Vec<bool> = [0, 1, 59, 200, 599, 700, 701, 1400, 1460]
            .map(|second| silence.ends(start + Duration::from_secs(second)))
            .to_vec();
        assert_eq!(ends, [true, false, false, false, false, true, false, true, false]);
    }
}
