//! A daemon between a drop folder and a real broker with a real subscriber.

use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::arrival::{self, Manner};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::subscriber::{Message, Subscriber};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Long enough for a loaded machine; whoever waits leaves as soon as the condition holds.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Everything that stands around one daemon.
pub(crate) struct Scene {
    pub(crate) subscriber: Subscriber,
    pub(crate) appliance: Appliance,
    // Last, so that it goes last.
    pub(crate) broker: Mosquitto,
}

impl Scene {
    /// Broker, subscriber and daemon, all up.
    pub(crate) fn start() -> Self {
        Self::with(|_setup| {})
    }

    /// The same with changes to the daemon's set-up.
    pub(crate) fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut scene = Self::waiting(change);
        scene.appliance.start().unwrap();
        scene.wait(1, |message| message.topic.ends_with("/status") && message.text("state") == "online");
        scene
    }

    /// Broker and subscriber up, the daemon not started yet.
    pub(crate) fn waiting(change: impl FnOnce(&mut Setup)) -> Self {
        let broker = Mosquitto::start(Memory::Persistent).unwrap();
        let subscriber = Subscriber::start(broker.port()).unwrap();
        let mut setup = Setup::quick(broker.port());
        change(&mut setup);
        let appliance = Appliance::new(&setup).unwrap();
        Self { subscriber, appliance, broker }
    }

    /// Drops files one after the other.
    pub(crate) fn drop_files(&self, files: &[PathBuf], label: &str, manner: Manner) {
        arrival::drop_files(files, &self.appliance.incoming(), label, manner).unwrap();
    }

    /// Drops the files of a folder.
    pub(crate) fn drop_folder(&self, folder: &Path, label: &str) {
        self.drop_files(&arrival::files(folder).unwrap(), label, Manner::Copy);
    }

    /// Waits for so many messages of a kind.
    pub(crate) fn wait(&self, count: usize, kind: impl Fn(&Message) -> bool) -> Vec<Message> {
        let enough = |messages: &[Message]| messages.iter().filter(|message| kind(message)).count() >= count;
        match self.subscriber.wait(PATIENCE, enough) {
            Ok(messages) => messages.into_iter().filter(|message| kind(message)).collect(),
            Err(error) => panic!("{error:#}\n{}", self.appliance.log_end()),
        }
    }

    /// Waits for results of so many different ids and returns all results.
    pub(crate) fn results(&self, count: usize) -> Vec<Message> {
        match self.subscriber.wait_for_results(count, PATIENCE) {
            Ok(results) => results,
            Err(error) => panic!("{error:#}\n{}", self.appliance.log_end()),
        }
    }

    /// Waits until the published books show nothing pending and so many series received, checks that they balance, and
    /// returns them.
    pub(crate) fn balanced(&self, received: u64) -> Value {
        let settled = |message: &Message| {
            message.topic.ends_with("/counters")
                && count(&message.payload, "pending") == 0
                && count(&message.payload, "received") >= received
        };
        let books = self.wait(1, settled).pop().unwrap().payload;
        let outcomes = ["flagged", "clear", "inconclusive", "rejected", "failed"].map(|name| count(&books, name));
        assert_eq!(count(&books, "received"), outcomes.iter().sum::<u64>(), "the books do not balance: {books}");
        assert_eq!(count(&books, "received"), received, "{books}");
        books
    }
}

/// A number of the books since the beginning.
pub(crate) fn count(books: &Value, name: &str) -> u64 {
    books["total"][name].as_u64().unwrap_or_default()
}

/// Different values of a text field, sorted.
pub(crate) fn distinct<'a>(messages: &'a [Message], key: &str) -> Vec<&'a str> {
    let mut values: Vec<&str> = messages.iter().map(|message| message.text(key)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Whether an outcome is that of a volume which the model has seen.
pub(crate) fn read(message: &Message) -> bool {
    ["flagged", "clear", "inconclusive"].contains(&message.text("outcome"))
}
