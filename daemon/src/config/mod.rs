//! The configuration: one TOML table a room, put together from files, environment and command line, and checked whole.
//!
//! Later wins: built-in default < `config.toml` < `conf.d/*.toml` by name < environment `CTEDGE__TABLE__KEY` <
//! `--set table.key=value`. A key that nobody knows is an error that names the nearest known one; all problems are
//! reported at once.

mod layers;
#[cfg(test)]
mod tests;

use crate::floor::disk;
use crate::floor::phi::{self, Encryption};
use crate::message::Topics;
use crate::{choice, evidence, infer, intake, outbox, publish, receive, report, series, update, volume, web};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Keys that the default configuration leaves out; one that ends with `*` stands for all below it.
const OPTIONAL: [&str; 16] = [
    "choice.rules",
    "infer.device_class",
    "infer.library",
    "mqtt.username",
    "mqtt.password_file",
    "mqtt.tls.ca",
    "mqtt.tls.certificate",
    "mqtt.tls.key",
    "receive.listen",
    "receive.tls.certificate",
    "receive.tls.key",
    "receive.tls.client_ca",
    "report.thresholds.*",
    "update.group",
    "update.ca",
    "watch",
];

/// Where the configuration is looked for when nobody names a file.
pub(crate) const DEFAULT_FILE: &str = "/etc/ctedge/config.toml";

/// The whole configuration, checked: one field a room, of the room's own settings type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folders.
    pub(crate) paths: Paths,
    /// When a disk is too full.
    pub(crate) disk: disk::Settings,
    /// Intake by network.
    pub(crate) receive: receive::Settings,
    /// The drop folder.
    pub(crate) intake: intake::Settings,
    /// When a series is complete.
    pub(crate) series: series::Settings,
    /// Which series of a study are read.
    pub(crate) choice: choice::Settings,
    /// Reading and its limits.
    pub(crate) volume: volume::Settings,
    /// The model and where it runs.
    pub(crate) infer: infer::Settings,
    /// How reports are drafted.
    pub(crate) draft: infer::DraftSettings,
    /// How models change.
    pub(crate) update: update::Settings,
    /// From scores to outcomes.
    pub(crate) report: report::Settings,
    /// When a result counts as delivered.
    pub(crate) outbox: outbox::Settings,
    /// How long evidence is kept.
    pub(crate) evidence: evidence::Settings,
    /// Findings that the site looks for in its own words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) watch: Vec<infer::Watch>,
    /// What of a patient leaves the device.
    pub(crate) phi: phi::Settings,
    /// The broker.
    pub(crate) mqtt: publish::Settings,
    /// Where the daemon can be watched.
    pub(crate) web: web::Settings,
    /// What a hot device does.
    pub(crate) thermal: Thermal,
    /// What is written to the log.
    pub(crate) log: Log,
}

/// Folders of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Paths {
    /// The drop folder. Best on the same filesystem as `spool`: then a claim is one rename.
    pub(crate) incoming: PathBuf,
    /// Files on their way through the daemon.
    pub(crate) spool: PathBuf,
    /// Ledger, outbox, site key, unpacked models.
    pub(crate) state: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            incoming: "/var/spool/ctedge/incoming".into(),
            spool: "/var/spool/ctedge/work".into(),
            state: "/var/lib/ctedge".into(),
        }
    }
}

impl Paths {
    /// The ledger.
    pub(crate) fn database(&self) -> PathBuf {
        self.state.join("ctedge.db")
    }

    /// The secret of the pseudonyms.
    pub(crate) fn site_key(&self) -> PathBuf {
        self.state.join("site.key")
    }

    /// What models need.
    pub(crate) fn of_models(&self) -> infer::Folders {
        let [models, trust, engine_key] = ["models", "trust", "engines.key"].map(|name| self.state.join(name));
        infer::Folders { models, trust, engine_key }
    }
}

/// What a device does that is too hot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Thermal {
    /// Seconds of the pause between two series, at most: it ends when the device has cooled down. 0 for none.
    pub(crate) pause_s: f64,
}

impl Default for Thermal {
    fn default() -> Self {
        Self { pause_s: 20.0 }
    }
}

/// What is written to the log, always without patient data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// `auto` (JSON lines unless standard error is a terminal), `json` or `human`.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,ctedge::publish=debug`.
    pub(crate) level: String,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Auto,
    Json,
    Human,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// One sentence each.
    pub(crate) problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks the configuration. Without `file` the default file is read if it is there.
    ///
    /// `environment` is the process's; `set` are the command line's `table.key=value`.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        set: &[String],
    ) -> Result<Self, ConfigError> {
        let mut table = toml::Table::new();
        let mut problems = Vec::new();
        layers::files(&mut table, file, &mut problems);
        layers::environment(&mut table, environment, &mut problems);
        layers::arguments(&mut table, set, &mut problems);
        layers::unknown_keys(&table, &known(), &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let config: Self = serde_path_to_error::deserialize(table).map_err(|error| ConfigError {
            problems: vec![format!("{}: {}", error.path(), error.inner().message())],
        })?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    /// What it takes to load the model of a bundle file.
    pub(crate) fn setup(&self, bundle: PathBuf) -> infer::Setup {
        infer::Setup {
            settings: infer::Settings { bundle, ..self.infer.clone() },
            folders: self.paths.of_models(),
            watches: self.watch.clone(),
            engines: infer::Engines::Build,
        }
    }

    /// The configuration as TOML.
    pub(crate) fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// SHA-256 over the settings that can change a result, hex. Part of every result's id.
    pub(crate) fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let text =
            serde_json::json!({ "report": self.report, "draft": self.draft, "watch": self.watch, "limits": self.volume.limits })
                .to_string();
        data_encoding::HEXLOWER.encode(&Sha256::digest(text))
    }

    /// SHA-256 over all settings, hex: whether anything has changed.
    pub(crate) fn digest_of_all(&self) -> String {
        use sha2::{Digest, Sha256};
        data_encoding::HEXLOWER.encode(&Sha256::digest(serde_json::json!(self).to_string()))
    }

    fn problems(&self) -> Vec<String> {
        let rooms = [
            self.disk.problems(),
            self.receive.problems(),
            self.intake.problems(),
            self.series.problems(),
            self.choice.problems(),
            self.volume.problems(),
            self.infer.problems(),
            self.draft.problems(),
            infer::problems_of_watches(&self.watch),
            self.update.problems(),
            self.report.problems(),
            self.outbox.problems(),
            self.evidence.problems(),
            self.mqtt.problems(),
        ];
        let mut problems = rooms.concat();
        if !(0.0..=3600.0).contains(&self.thermal.pause_s) {
            problems.push(format!("thermal.pause_s = {}: must lie between 0 and 3600 seconds", self.thermal.pause_s));
        }
        let encryption = if self.mqtt.tls.is_some() { Encryption::Tls } else { Encryption::Without };
        problems.extend(self.phi.problems(encryption));
        problems.extend(Topics::new(&self.mqtt.prefix, &self.mqtt.device).err().map(|error| error.to_string()));
        if let Err(error) = self.log.level.parse::<tracing_subscriber::EnvFilter>() {
            problems.push(format!("log.level = {:?}: {error}", self.log.level));
        }
        let folders = [&self.paths.incoming, &self.paths.spool, &self.paths.state];
        for (index, folder) in folders.iter().enumerate() {
            if folders.iter().skip(index + 1).any(|other| other.starts_with(folder) || folder.starts_with(other)) {
                problems.push("paths: incoming, spool and state must not lie in each other".to_owned());
            }
        }
        problems
    }
}

/// A table that has every key there is.
fn known() -> toml::Table {
    toml::Table::try_from(Config::default()).unwrap_or_default()
}
