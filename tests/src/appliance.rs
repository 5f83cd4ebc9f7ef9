//! The daemon as its users run it: a process with a configuration file and three folders.

use crate::process::{self, Running};
use crate::{place, runtime};
use anyhow::{Context, ensure};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// Folders, configuration and process of one daemon.
#[derive(Debug)]
pub struct Appliance {
    folder: Folder,
    binary: PathBuf,
    web: Option<u16>,
    environment: Vec<(OsString, OsString)>,
    running: Option<Running>,
}

/// A folder that goes with its owner, or stays.
#[derive(Debug)]
enum Folder {
    Temporary(TempDir),
    Lasting(PathBuf),
}

/// What differs between appliances.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The broker's host.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// Name of the device in topics.
    pub device: String,
    /// Seconds without a new file after which a series is complete.
    pub quiet_s: f64,
    /// Seconds for which a file must not change.
    pub settle_s: f64,
    /// Loopback port at which the daemon can be watched, if it can.
    pub web: Option<u16>,
    /// More lines of TOML, each `table.key = value`.
    pub more: Vec<String>,
}

impl Setup {
    /// Short periods and a broker on the loopback address, for tests.
    pub fn quick(port: u16) -> Self {
        let (host, device) = ("127.0.0.1".to_owned(), "test".to_owned());
        Self { host, port, device, quiet_s: 1.0, settle_s: 0.2, web: None, more: Vec::new() }
    }
}

impl Appliance {
    /// Makes folders and configuration in a temporary folder; nothing runs yet.
    pub fn new(setup: &Setup) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ctedge-appliance-").tempdir()?;
        Self::prepared(Folder::Temporary(folder), binary()?, setup)
    }

    /// The same in a folder that stays, with a given program.
    pub fn in_folder(folder: &Path, binary: PathBuf, setup: &Setup) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        Self::prepared(Folder::Lasting(folder.to_owned()), binary, setup)
    }

    fn prepared(folder: Folder, binary: PathBuf, setup: &Setup) -> anyhow::Result<Self> {
        let appliance = Self { folder, binary, web: setup.web, environment: Vec::new(), running: None };
        for name in ["incoming", "trust"] {
            fs::create_dir_all(appliance.path(name))?;
        }
        let key = place::reference_key()?;
        fs::copy(&key, appliance.path("trust").join(key.file_name().context("a file name")?))?;
        fs::write(appliance.config(), appliance.configuration(setup)?)?;
        Ok(appliance)
    }

    fn configuration(&self, setup: &Setup) -> anyhow::Result<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let text = |value: &Path| toml::Value::from(value.display().to_string()).to_string();
        let mut lines = vec![
            format!("paths.incoming = {:?}", path("incoming")),
            format!("paths.spool = {:?}", path("spool")),
            format!("paths.state = {:?}", path("state")),
            "intake.poll_s = 0.1".to_owned(),
            format!("intake.settle_s = {:?}", setup.settle_s),
            format!("series.quiet_s = {:?}", setup.quiet_s),
            format!("infer.library = {}", text(&runtime::library()?)),
            format!("infer.bundle = {}", text(&place::reference_bundle()?)),
            format!("infer.trust = {:?}", path("trust")),
            format!("mqtt.host = {:?}", setup.host),
            format!("mqtt.port = {}", setup.port),
            format!("mqtt.device = {:?}", setup.device),
            // Off unless asked for: several daemons run beside each other.
            format!("web.listen = {:?}", setup.web.map_or("off".to_owned(), |port| format!("127.0.0.1:{port}"))),
        ];
        if !setup.more.iter().any(|line| line.starts_with("disk.")) {
            // How full the disk of this machine is must not matter to a test.
            lines.extend(["disk.least_mib = 16", "disk.most_mib = 16"].map(str::to_owned));
        }
        lines.extend(setup.more.iter().cloned());
        Ok(lines.join("\n") + "\n")
    }

    /// A variable of the daemon's environment, from its next start on.
    pub fn environment(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// A folder or file of this appliance.
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.folder {
            Folder::Temporary(folder) => folder.path().join(name),
            Folder::Lasting(folder) => folder.join(name),
        }
    }

    /// The drop folder.
    pub fn incoming(&self) -> PathBuf {
        self.path("incoming")
    }

    /// The folder of the model that it has unpacked.
    pub fn model(&self) -> anyhow::Result<PathBuf> {
        let models = fs::read_dir(self.path("state/models"))?.filter_map(Result::ok).map(|entry| entry.path());
        models.into_iter().find(|path| path.join("manifest.json").is_file()).context("the unpacked model")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// A command of the daemon's program with this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // Newer builds of ONNX Runtime keep quiet where they see a CI; the tests must not be kinder than the field.
        command.env_remove("CI");
        command.arg("--config").arg(self.config()).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Asks the running daemon over HTTP: status and body of the response.
    pub fn ask(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let port = self.web.context("the daemon cannot be watched")?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").context("head and body")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// Starts the daemon; its log is appended to `log`.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log"))?;
        let mut command = self.command(&["run"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// An error with the end of the log if the daemon has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.running.as_mut().map_or(Ok(()), Running::check);
        ended.with_context(|| self.log_end())
    }

    /// Process id of the supervisor.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.running.as_ref().map(Running::pid).context("the daemon is not running")
    }

    /// Pulls the plug: SIGKILL, to the supervisor only, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().map_or(Ok(()), Running::kill)
    }

    /// Stops it in an orderly way.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.running.take().map_or(Ok(()), |running| running.stop(Duration::from_secs(20)))
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The log's last lines, for error messages.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default();
        format!("the daemon's log ends with:\n{}", end.join("\n"))
    }
}

/// The daemon's program: named by `CTEDGE_BIN`, else built once by Cargo with the features of the whole workspace, so that
/// nothing is compiled twice.
pub fn binary() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        std::env::var_os("CTEDGE_BIN")
            .map_or_else(|| build().map_err(|error| format!("{error:#}")), |named| Ok(named.into()))
    });
    built.clone().map_err(anyhow::Error::msg)
}

/// The trainer's program, which is built beside the daemon's.
pub fn trainer() -> anyhow::Result<Command> {
    Ok(Command::new(binary()?.with_file_name("ctedge-trainer")))
}

/// Arguments of the build that `cargo nextest run --workspace` shares.
pub const BUILD: [&str; 5] = ["build", "--workspace", "--bins", "--tests", "--quiet"];

fn build() -> anyhow::Result<PathBuf> {
    process::output(Command::new("cargo").args(BUILD).current_dir(place::root())).context("building ctedge")?;
    let binary = place::target().join("debug/ctedge");
    ensure!(binary.is_file(), "{} was not built", binary.display());
    Ok(binary)
}
