//! The only place that asks the machine for the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Wall-clock time in milliseconds since 1970 (UTC). For stamps and ages; never for ordering events.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// `ms` as RFC 3339 UTC with milliseconds, e.g. `2026-11-23T21:00:00.000Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

/// The day of `ms` in UTC, e.g. `2026-11-23`.
pub(crate) fn day(ms: i64) -> String {
    rfc3339(ms).chars().take(10).collect()
}

/// A running stopwatch on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Milliseconds since the start.
    pub(crate) fn ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Sleeps; returns true at once when `stop` is set.
pub(crate) fn wait(pause: Duration, stop: &AtomicBool) -> bool {
    let since = Stopwatch::start();
    while since.elapsed() < pause && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100).min(pause));
    }
    stop.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_467_600_000), "2026-11-23T21:00:00.000Z");
        assert_eq!(rfc3339(1_795_467_600_042), "2026-11-23T21:00:00.042Z");
        assert_eq!(day(1_795_467_600_042), "2026-11-23");
    }
}
