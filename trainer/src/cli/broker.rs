//! Which broker, as which user, and which devices are meant: options that several commands share.

use super::bundle::password;
use crate::fleet::{Broker, Choice, Order, Tls, Topics};
use anyhow::{Context, ensure};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the broker is, and who we are to it.
#[derive(Debug, Args)]
pub(super) struct BrokerArgs {
    /// The broker; the port is 1883, or 8883 with --ca, if not given
    #[arg(long, value_name = "HOST[:PORT]")]
    broker: String,
    /// Certificates (PEM) of the authorities that the broker's is by: the connection is encrypted
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our own certificate (PEM), where the broker asks for one
    #[arg(long, value_name = "FILE", requires = "ca", requires = "tls_key")]
    certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(id = "tls_key", long = "key", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// User at the broker
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// File whose first line is the user's password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Begin of the devices' topics (mqtt.prefix)
    #[arg(long, default_value = "ctedge")]
    prefix: String,
}

/// Ports of MQTT, plain and encrypted.
const PORTS: [u16; 2] = [1883, 8883];

impl BrokerArgs {
    pub(super) fn topics(&self) -> anyhow::Result<Topics> {
        Ok(Topics::new(&self.prefix)?)
    }

    /// Reads the files that were named.
    pub(super) fn broker(&self) -> anyhow::Result<Broker> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let tls = match &self.ca {
            Some(ca) => {
                let own = match (&self.certificate, &self.key) {
                    (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
                    _ => None,
                };
                Some(Tls { ca: read(ca)?, own })
            }
            None => None,
        };
        let [plain, encrypted] = PORTS;
        let (host, port) = address(&self.broker, if tls.is_some() { encrypted } else { plain })?;
        let login = match (&self.username, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), password(file)?)),
            _ => None,
        };
        Ok(Broker { host, port, tls, login })
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn address(text: &str, usual: u16) -> anyhow::Result<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(usual), str::parse).ok().filter(|port| *port > 0);
    let port = port.with_context(|| format!("--broker {text}: write it as HOST or HOST:PORT"))?;
    ensure!(!host.is_empty(), "--broker {text}: write it as HOST or HOST:PORT");
    Ok((host.to_owned(), port))
}

/// Which devices are meant, and how they are asked.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// A device, by its name on the broker (mqtt.device); may be given several times
    #[arg(long, value_name = "DEVICE", required_unless_present_any = ["group", "all"])]
    device: Vec<String>,
    /// All devices of this group (update.group)
    #[arg(long, value_name = "GROUP", conflicts_with = "device")]
    group: Option<String>,
    /// All devices that the broker knows of
    #[arg(long, conflicts_with_all = ["device", "group"])]
    all: bool,
    /// Seconds after which what has not ended counts as failed; a device that has not begun by then never will
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    /// Who asks, in your own word; devices repeat it
    #[arg(long, value_name = "NAME", default_value = "ctedge-trainer", value_parser = issuer)]
    issuer: String,
}

impl Asking {
    pub(super) fn choice(&self) -> Choice {
        match (&self.group, self.all) {
            (Some(group), _) => Choice::Group(group.clone()),
            (None, true) => Choice::All,
            (None, false) => Choice::Named(self.device.clone()),
        }
    }

    /// The one device that is named, if one is.
    pub(super) fn single(&self) -> Option<&str> {
        match self.device.as_slice() {
            [device] => Some(device),
            _ => None,
        }
    }

    pub(super) fn lasting(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    pub(super) fn order(&self, name: &'static str, params: serde_json::Value) -> Order {
        Order { name, params, issuer: self.issuer.clone(), lasting: self.lasting() }
    }
}

/// As devices take it.
fn issuer(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("1 to 64 of letters, digits and . _ - @ :".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_named_in_every_usual_way() {
        let said = |text: &str| address(text, 1883).ok();
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(said("broker.site"), is("broker.site", 1883));
        assert_eq!(said("10.0.0.1:8883"), is("10.0.0.1", 8883));
        assert_eq!(said("[::1]:8883"), is("::1", 8883));
        assert_eq!(said("[::1]"), is("::1", 1883));
        for wrong in ["", ":1", "host:", "host:0", "host:x", "host:70000"] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
    }
}
