//! A real Mosquitto on a free loopback port.

use crate::process::{self, Running};
use anyhow::Context;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Whether the broker remembers sessions and retained messages over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Sessions and retained messages survive.
    Persistent,
    /// A restart forgets everything.
    Forgetful,
}

/// A broker that can be killed and started again on the same port.
#[derive(Debug)]
pub struct Mosquitto {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl Mosquitto {
    /// Starts a broker on a free port.
    pub fn start(memory: Memory) -> anyhow::Result<Self> {
        Self::with(memory, "")
    }

    /// The same with more lines at the end of its configuration, e.g. a second listener with rules of its own.
    pub fn with(memory: Memory, more: &str) -> anyhow::Result<Self> {
        let mut broker = Self::planned(memory, more)?;
        broker.resume()?;
        Ok(broker)
    }

    fn planned(memory: Memory, more: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ctedge-mosquitto-").tempdir()?;
        let port = process::free_port()?;
        let here = folder.path().display();
        let persistence = match memory {
            // Written at every change: a broker that is killed must not forget what it has acknowledged.
            Memory::Persistent => {
                format!(
                    "persistence true\npersistence_location {here}/\nautosave_interval 1\nautosave_on_changes true\n"
                )
            }
            Memory::Forgetful => "persistence false\n".to_owned(),
        };
        let user = std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "root".to_owned());
        let limits = "max_queued_messages 0\nmax_inflight_messages 100\n";
        let door = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
        let config = format!("per_listener_settings true\nuser {user}\n{limits}{persistence}{door}{more}");
        fs::write(folder.path().join("mosquitto.conf"), config)?;
        Ok(Self { folder, port, running: None })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it (again).
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let log = fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new(if process::on_path("mosquitto") { "mosquitto" } else { "/usr/sbin/mosquitto" });
        command.arg("-c").arg(self.folder.path().join("mosquitto.conf"));
        let running = Running::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
            .context("mosquitto is missing: apt-get install mosquitto, or `cargo verify --only tools`")?;
        self.running = Some(running);
        let up = process::wait_for_port(self.port, Duration::from_secs(10));
        up.with_context(|| fs::read_to_string(self.folder.path().join("log")).unwrap_or_default())
    }

    /// Stops it in an orderly way; a persistent one saves its sessions.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.running.take().map_or(Ok(()), |running| running.stop(Duration::from_secs(10)))
    }

    /// Deletes what a persistent one has saved; it must not be running.
    pub fn wipe(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.folder.path().join("mosquitto.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Kills it at once; messages that it has not saved are gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().map_or(Ok(()), Running::kill)
    }
}
