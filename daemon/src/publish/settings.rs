//! How the broker is reached.

use super::Version;
use crate::floor::limits::MESSAGE_BYTES;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::{fs, io};

/// The broker and who we are to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Host name or address.
    pub(crate) host: String,
    /// Port: 1883, with TLS usually 8883.
    pub(crate) port: u16,
    /// Name of this device in topics: 1 to 48 of a-z, 0-9, _ and -; nothing of the patient, nothing of the scanner.
    pub(crate) device: String,
    /// Begin of all topics.
    pub(crate) prefix: String,
    /// `auto` (MQTT 5, else 3.1.1), `5` or `3.1.1`.
    pub(crate) version: Versions,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// File with the password. With systemd: the path below `/run/credentials/ctedge.service/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// Seconds of silence after which the broker is asked for a sign of life.
    pub(crate) keep_alive_s: u16,
    /// Largest message in bytes; a smaller limit of the broker counts.
    pub(crate) message_bytes: usize,
    /// Whether the schemas of the messages are published, retained.
    pub(crate) schemas: bool,
    /// Seconds between two messages `metrics`; 0 for none.
    pub(crate) metrics_s: u32,
    /// TLS; without this table the connection is not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

/// Certificates, all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificates of the authorities that may have signed the broker's.
    pub(crate) ca: PathBuf,
    /// Our own certificate, if the broker asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// The key of our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

/// Versions of MQTT to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Versions {
    /// MQTT 5, and 3.1.1 with brokers that do not speak it.
    #[serde(rename = "auto")]
    Auto,
    /// MQTT 5.
    #[serde(rename = "5")]
    Five,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    ThreeOneOne,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 1883,
            device: "ctedge".to_owned(),
            prefix: "ctedge".to_owned(),
            version: Versions::Auto,
            username: None,
            password_file: None,
            keep_alive_s: 30,
            message_bytes: MESSAGE_BYTES,
            schemas: false,
            metrics_s: 0,
            tls: None,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.host.is_empty() {
            problems.push("mqtt.host is empty".to_owned());
        }
        if !(5..=3600).contains(&self.keep_alive_s) {
            problems.push(format!("mqtt.keep_alive_s = {}: must lie between 5 and 3600 seconds", self.keep_alive_s));
        }
        if self.message_bytes < 8 << 10 {
            problems.push(format!("mqtt.message_bytes = {}: a result may need 8192", self.message_bytes));
        }
        if self.metrics_s > 3600 {
            problems.push(format!("mqtt.metrics_s = {}: must be 0, or 1 to 3600 seconds", self.metrics_s));
        }
        if self.password_file.is_some() && self.username.is_none() {
            problems.push("mqtt.password_file without mqtt.username".to_owned());
        }
        if let Some(Tls { certificate, key, .. }) = &self.tls
            && certificate.is_some() != key.is_some()
        {
            problems.push("mqtt.tls: certificate and key belong together".to_owned());
        }
        problems
    }

    /// Versions in the order in which they are tried.
    pub(super) fn versions(&self) -> Vec<Version> {
        match self.version {
            Versions::Auto => vec![Version::Five, Version::ThreeOneOne],
            Versions::Five => vec![Version::Five],
            Versions::ThreeOneOne => vec![Version::ThreeOneOne],
        }
    }

    /// The password, read anew for each connection so that it can be changed without a restart.
    pub(super) fn password(&self) -> io::Result<String> {
        let text = self.password_file.as_ref().map(fs::read_to_string).transpose()?;
        Ok(text.unwrap_or_default().trim_end_matches(['\r', '\n']).to_owned())
    }
}
