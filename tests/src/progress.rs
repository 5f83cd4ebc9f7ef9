//! What a command is doing, and how far it is.

use std::io::Write;
use std::time::Instant;

/// Prints a line on standard output. A reader that has gone away is no error.
pub fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Lines with the seconds since the start.
#[derive(Debug, Clone, Copy)]
pub struct Elapsed {
    start: Instant,
}

impl Elapsed {
    /// The clock starts now.
    #[expect(clippy::new_without_default, reason = "a clock that starts by default would start unseen")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Prints a line behind the seconds since the start.
    pub fn say(&self, line: &str) {
        say(&format!("[{:6.1} s] {line}", self.start.elapsed().as_secs_f64()));
    }
}
