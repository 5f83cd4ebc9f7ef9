//! The window beside the corridor: HTTP for whoever watches the daemon.
//!
//! In: requests, on the loopback address unless the configuration says otherwise. Out: [`Question`]s, which `pipeline`
//! answers, since it alone knows every room; and, for `ctedge status`, the answer of a daemon that runs. Owns nothing on
//! disk, changes nothing, and takes no request but GET and HEAD. A port that is taken is a check of `health`, never the end
//! of the daemon.

mod exposition;
mod fetch;
mod serve;

pub(crate) use exposition::{Histogram, Kind, Page};
pub(crate) use fetch::fetch;
pub(crate) use serve::run;

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::sync::oneshot;

/// Where the daemon can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Address and port, or `off`. There is no password: what is said is free of patient data.
    pub(crate) listen: Listen,
    /// Folder of the kernel's temperature sensors.
    pub(crate) thermal: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = Listen::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)));
        Self { listen, thermal: "/sys/class/thermal".into() }
    }
}

/// Whether and where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Listen {
    /// Nowhere.
    Off,
    /// Here.
    At(SocketAddr),
}

impl Listen {
    /// Where, if anywhere.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse();
        address.map(Self::At).map_err(|_unclear| format!("{text:?} is neither \"off\" nor an address and port"))
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.address().map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}

/// How it stands with the window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Window {
    /// It is being opened.
    #[default]
    Opening,
    /// Whoever wants may look in.
    Open,
    /// Nobody can, and why.
    Closed(String),
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Does the process live?
    Live,
    /// Can it accept series?
    Ready,
    /// How is it, in one word?
    Health,
    /// How is it, check by check?
    Checks,
    /// All numbers.
    Metrics,
    /// All that an operator wants to see on one screen.
    Status,
}

impl Question {
    /// What a path and its query ask, if anything.
    fn of(path: &str, query: Option<&str>) -> Option<Self> {
        let is_verbose = query.unwrap_or_default().split('&').any(|pair| pair.split('=').next() == Some("verbose"));
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/healthz" if is_verbose => Some(Self::Checks),
            "/healthz" => Some(Self::Health),
            "/metrics" => Some(Self::Metrics),
            "/status" => Some(Self::Status),
            _ => None,
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Whether what was asked for holds; else the status of the response is 503.
    pub(crate) verdict: Verdict,
    /// What the body is.
    pub(crate) form: Form,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A line of text.
    pub(crate) fn line(verdict: Verdict, text: &str) -> Self {
        Self { verdict, form: Form::Text, body: format!("{text}\n").into_bytes() }
    }
}

/// Whether what was asked for holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does: 200.
    Good,
    /// It does not: 503.
    Bad,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// JSON.
    Json,
    /// Prometheus' text format.
    Metrics,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) question: Question,
    /// Takes the answer.
    pub(crate) answer: oneshot::Sender<Answer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_questions() {
        assert_eq!(Question::of("/healthz", None), Some(Question::Health));
        assert_eq!(Question::of("/healthz", Some("verbose")), Some(Question::Checks));
        assert_eq!(Question::of("/healthz", Some("a=b&verbose=1")), Some(Question::Checks));
        assert_eq!(Question::of("/healthz/", None), None);
        assert_eq!(Question::of("/", None), None);
    }

    #[test]
    fn an_address_or_off() {
        let read = |text: &str| Listen::try_from(text.to_owned());
        assert_eq!(read("off"), Ok(Listen::Off));
        assert_eq!(read("[::1]:80").unwrap().address().unwrap().port(), 80);
        assert!(read("localhost").unwrap_err().contains("address and port"));
        assert_eq!(String::from(Settings::default().listen), "127.0.0.1:9464");
    }
}
