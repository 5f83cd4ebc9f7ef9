//! A subscriber that is not ours: `mosquitto_sub` with a session that outlives its connection.

use crate::contract;
use crate::process::{self, Running};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    /// Full topic.
    pub topic: String,
    /// Payload; `Null` where it is no JSON.
    pub payload: Value,
    /// Whether the broker had kept it.
    pub retained: bool,
    /// When it came.
    pub at: Instant,
    /// The line as printed.
    pub raw: String,
}

impl Message {
    /// A text field of the payload, empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.payload.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether this is a result.
    pub fn is_result(&self) -> bool {
        self.topic.contains("/result/")
    }
}

/// A running `mosquitto_sub` and everything it has heard.
#[derive(Debug)]
pub struct Subscriber {
    heard: Arc<Mutex<Vec<Message>>>,
    /// The program that runs now. It goes with its last owner, and we are that but for a moment.
    running: Arc<Mutex<Option<Running>>>,
    away: Arc<AtomicBool>,
}

const MISSING: &str = "mosquitto_sub is missing: apt-get install mosquitto-clients";

impl Subscriber {
    /// Subscribes to everything on a broker, at least once, and waits until the broker has confirmed it.
    pub fn start(port: u16) -> anyhow::Result<Self> {
        let id = format!("sub-{}-{port}", std::process::id());
        let record = contract::record(&id);
        // Pieces of bundles are no messages that anybody reads.
        Self::recording(port, id, (record, &["-T", "+/v1/+/chunk/#"]))
    }

    /// The same where others than the device send on its topics: what is heard there is not held against the contract.
    pub fn of_strangers(port: u16) -> anyhow::Result<Self> {
        Self::recording(port, format!("sub-{}-{port}", std::process::id()), (contract::Record::default(), &[]))
    }

    fn recording(
        port: u16,
        id: String,
        (mut record, but): (contract::Record, &'static [&'static str]),
    ) -> anyhow::Result<Self> {
        // `-E` leaves when the broker has confirmed the subscription; from then on its session misses nothing.
        process::output(command(port, &id).arg("-E")).context(MISSING)?;
        let heard = Arc::default();
        let running = Arc::default();
        let mut output = connect(port, (&id, but), &running)?;
        let away = Arc::new(AtomicBool::new(false));
        let (hears, owner, leaves) = (Arc::clone(&heard), Arc::downgrade(&running), Arc::clone(&away));
        let attend = move || {
            loop {
                listen(output, &hears, &mut record);
                // It leaves when the broker says that it shuts down; with its session it misses nothing.
                std::thread::sleep(Duration::from_millis(100));
                while leaves.load(Ordering::Relaxed) && owner.strong_count() > 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
                let Some(running) = owner.upgrade() else { return };
                let Ok(again) = connect(port, (&id, but), &running) else { return };
                output = again;
            }
        };
        std::thread::Builder::new().name("subscriber".to_owned()).spawn(attend)?;
        Ok(Self { heard, running, away })
    }

    /// Goes away until [`Subscriber::come_back`]; the broker keeps for it what comes meanwhile, if it can.
    pub fn leave(&self) {
        self.away.store(true, Ordering::Relaxed);
        drop(lock(&self.running).take());
    }

    /// Is there again, with its old session.
    pub fn come_back(&self) {
        self.away.store(false, Ordering::Relaxed);
    }

    /// Everything heard so far.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.heard).clone()
    }

    /// The results heard so far.
    pub fn results(&self) -> Vec<Message> {
        self.messages().into_iter().filter(Message::is_result).collect()
    }

    /// Waits until what was heard fulfils a condition; the error lists the topics heard.
    pub fn wait(&self, patience: Duration, enough: impl Fn(&[Message]) -> bool) -> anyhow::Result<Vec<Message>> {
        let came = process::wait_until(patience, || Ok(enough(&lock(&self.heard))))?;
        let messages = self.messages();
        let last: Vec<&str> = messages.iter().map(|message| message.raw.as_str()).collect();
        ensure!(came, "waited {patience:?} in vain; heard {} messages:\n{}", messages.len(), last.join("\n"));
        Ok(messages)
    }

    /// Waits for so many results with different ids and returns all results.
    pub fn wait_for_results(&self, count: usize, patience: Duration) -> anyhow::Result<Vec<Message>> {
        let distinct = |messages: &[Message]| {
            let mut ids: Vec<&str> = messages.iter().filter(|m| m.is_result()).map(|m| m.text("id")).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.len()
        };
        let messages = self.wait(patience, |messages| distinct(messages) >= count)?;
        Ok(messages.into_iter().filter(Message::is_result).collect())
    }
}

fn command(port: u16, id: &str) -> Command {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-V", "5", "-q", "1", "-c", "-x", "86400", "-t", "#"]);
    command.args(["-p", &port.to_string(), "-i", id]);
    command
}

/// Starts the program and returns what it prints.
fn connect(port: u16, (id, but): (&str, &[&str]), running: &Mutex<Option<Running>>) -> anyhow::Result<ChildStdout> {
    let mut command = command(port, id);
    command.args(but).args(["-F", "%r %t %p"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut started = Running::start(&mut command).context(MISSING)?;
    let output = started.child().stdout.take().context("its output")?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
    Ok(output)
}

/// Reads lines of `retained topic payload`.
fn listen(output: ChildStdout, heard: &Mutex<Vec<Message>>, record: &mut contract::Record) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        if let Some(message) = parse(&String::from_utf8_lossy(&line)) {
            record.heard(&message.raw);
            lock(heard).push(message);
        }
    }
}

fn parse(line: &str) -> Option<Message> {
    let (retained, rest) = line.split_once(' ')?;
    let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Message {
        topic: topic.to_owned(),
        payload: serde_json::from_str(payload).unwrap_or(Value::Null),
        retained: retained == "1",
        at: Instant::now(),
        raw: rest.to_owned(),
    })
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_messages() {
        let message = parse(r#"0 ctedge/v1/box/result/clear {"id":"r1 x"}"#).unwrap();
        assert!(message.is_result() && !message.retained);
        assert_eq!(message.text("id"), "r1 x");
        assert!(parse("").is_none());
        assert_eq!(parse("1 a/b ").unwrap().payload, Value::Null);
    }
}
