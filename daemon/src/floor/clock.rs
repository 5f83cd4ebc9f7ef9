//! The only place that asks the machine for the time.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
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

/// Milliseconds since 1970 of a moment as people write it: RFC 3339, or a day (its begin, UTC).
pub(crate) fn parse(text: &str) -> Option<i64> {
    read_rfc3339(text).or_else(|| read_rfc3339(&format!("{text}T00:00:00Z")))
}

/// Milliseconds since 1970 of an RFC 3339 time with any offset; nothing where it is none.
pub(crate) fn read_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// The day of `ms` in UTC, e.g. `2026-11-23`.
pub(crate) fn day(ms: i64) -> String {
    rfc3339(ms).chars().take(10).collect()
}

/// Which run of the machine this is: another name after each of its restarts. Empty where the kernel does not say.
pub(crate) fn boot() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        name.map(|name| name.trim().to_owned()).unwrap_or_default()
    });
    &BOOT
}

/// A running stopwatch on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    idle(|| {
        let since = Stopwatch::start();
        while since.elapsed() < pause && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100).min(pause));
        }
        stop.load(Ordering::Relaxed)
    })
}

/// Whether a thread waits or works, and since when it has been at one piece of work: what the watchdog asks.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    /// Milliseconds of [`START`] plus one; 0 while it waits.
    busy_since: AtomicU64,
}

/// The monotonic clock's zero.
static START: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);

impl Beat {
    /// How long the thread has been at its piece of work; nothing while it waits.
    pub(crate) fn busy(&self) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => START.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    fn begins(&self) {
        self.busy_since.store(START.ms() + 1, Ordering::Relaxed);
    }

    fn rests(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }
}

thread_local! {
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// From now on this thread's work is told by `beat`; it ends with the thread's last wait or with [`no_beat`].
pub(crate) fn keep_beat(beat: &Arc<Beat>) {
    beat.begins();
    BEAT.with(|kept| *kept.borrow_mut() = Some(Arc::clone(beat)));
}

/// This thread's work is over.
pub(crate) fn no_beat() {
    if let Some(beat) = BEAT.with(|kept| kept.borrow_mut().take()) {
        beat.rests();
    }
}

/// Waits for others by `pause`, which is no work of this thread. What comes after it is a new piece of work.
pub(crate) fn idle<T>(pause: impl FnOnce() -> T) -> T {
    let beat = BEAT.with(|kept| kept.borrow().clone());
    if let Some(beat) = &beat {
        beat.rests();
    }
    let value = pause();
    if let Some(beat) = &beat {
        beat.begins();
    }
    value
}

/// A piece of work is done, the next one begins.
pub(crate) fn next_piece() {
    idle(|| ());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn stamps_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_467_600_000), "2026-11-23T21:00:00.000Z");
        assert_eq!(rfc3339(1_795_467_600_042), "2026-11-23T21:00:00.042Z");
        assert_eq!(day(1_795_467_600_042), "2026-11-23");
        for text in ["2026-11-23T21:00:00.042Z", "2026-11-23T23:00:00.042+02:00"] {
            assert_eq!(read_rfc3339(text), Some(1_795_467_600_042), "{text}");
        }
        assert_eq!([read_rfc3339("2026-11-23"), read_rfc3339("")], [None, None]);
    }

    #[test]
    fn a_beat_tells_work_from_waiting() {
        let beat = Arc::new(Beat::default());
        let (told, hears) = sync_channel::<()>(1);
        let (tell, go_on) = sync_channel::<()>(1);
        let of_room = Arc::clone(&beat);
        let room = move || {
            keep_beat(&of_room);
            told.send(()).unwrap();
            // Stuck: a wait that nobody calls one.
            go_on.recv().unwrap();
            told.send(()).unwrap();
            idle(|| go_on.recv().unwrap());
            assert!(of_room.busy() < Duration::from_secs(5), "a new piece of work");
            no_beat();
        };
        std::thread::scope(|scope| {
            scope.spawn(room);
            hears.recv().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            assert!(beat.busy() >= Duration::from_millis(40), "{:?}", beat.busy());
            tell.send(()).unwrap();
            hears.recv().unwrap();
            while beat.busy() > Duration::ZERO {
                std::thread::yield_now();
            }
            tell.send(()).unwrap();
        });
        assert_eq!(beat.busy(), Duration::ZERO, "its work is over");
    }
}
