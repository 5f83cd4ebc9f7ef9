//! How fast a bundle may come. Pure.

use std::time::Duration;

/// So many bytes a second in the mean.
#[derive(Debug)]
pub(super) struct Pace {
    /// 0 for as fast as they come.
    bytes_s: u64,
    /// When what has been taken so far is paid for.
    paid: Duration,
}

impl Pace {
    /// At so many KiB a second; 0 for as fast as they come.
    pub(super) fn new(kib_s: u32) -> Self {
        Self { bytes_s: u64::from(kib_s) << 10, paid: Duration::ZERO }
    }

    /// How long to wait before more is taken.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.paid.saturating_sub(now)
    }

    /// So many bytes are taken. What was not taken before is not made up for.
    pub(super) fn take(&mut self, now: Duration, bytes: u64) {
        let micros = bytes.saturating_mul(1_000_000).checked_div(self.bytes_s).unwrap_or_default();
        self.paid = self.paid.max(now).saturating_add(Duration::from_micros(micros));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_no_faster_than_they_may() {
        let (mut pace, mut now) = (Pace::new(100), Duration::from_secs(7));
        for _ in 0..50 {
            now += pace.wait(now);
            pace.take(now, 10 << 10);
        }
        assert_eq!(now + pace.wait(now), Duration::from_secs(12), "500 KiB at 100 a second");
        let mut free = Pace::new(0);
        free.take(now, u64::MAX);
        assert_eq!(free.wait(now), Duration::ZERO);
    }
}
