//! What the daemon says in its log, as it says it.

use anyhow::ensure;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the log is looked at: a small part of the shortest attempt.
const LOOK: Duration = Duration::from_millis(2);

/// A line, and when it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    line: Value,
}

impl Line {
    /// Whether it is this message.
    pub(crate) fn says(&self, message: &str) -> bool {
        self.text("message") == message
    }

    /// A field of words.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.line.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of a number.
    pub(crate) fn number(&self, key: &str) -> u64 {
        self.line.get(key).and_then(Value::as_u64).unwrap_or_default()
    }
}

/// The log of a daemon over all its lives.
#[derive(Debug)]
pub(crate) struct Diary {
    path: PathBuf,
    read: u64,
    half: Vec<u8>,
    /// Every line so far.
    pub(crate) lines: Vec<Line>,
    seen: usize,
}

impl Diary {
    /// Of the log at a path, which need not be there yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, half: Vec::new(), lines: Vec::new(), seen: 0 }
    }

    /// Reads what has been written since the last time.
    fn catch_up(&mut self) -> anyhow::Result<()> {
        let Ok(mut file) = File::open(&self.path) else { return Ok(()) };
        file.seek(SeekFrom::Start(self.read))?;
        self.read += u64::try_from(file.read_to_end(&mut self.half)?)?;
        let end = self.half.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole: Vec<u8> = self.half.drain(..end).collect();
        let at = Instant::now();
        let parsed = whole.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        self.lines.extend(parsed.map(|line| Line { at, line }));
        Ok(())
    }

    /// Goes through what has been written since the last time, up to the first line that `react` has waited for.
    pub(crate) fn go_on(
        &mut self,
        mut react: impl FnMut(&Line) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Option<Line>> {
        std::thread::sleep(LOOK);
        self.catch_up()?;
        while let Some(line) = self.lines.get(self.seen).cloned() {
            self.seen += 1;
            if react(&line)? {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Waits for a message.
    pub(crate) fn wait(&mut self, message: &str, patience: Duration) -> anyhow::Result<Line> {
        let start = Instant::now();
        loop {
            if let Some(line) = self.go_on(|line| Ok(line.says(message)))? {
                return Ok(line);
            }
            ensure!(start.elapsed() < patience, "waited {patience:?} in vain for: {message}");
        }
    }
}
