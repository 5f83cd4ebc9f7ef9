//! Intake by network: a DICOM storage provider (C-STORE SCP) before the drop folder. Off unless `receive.listen` is set.
//!
//! In: associations of scanners and archives. Out: whole files in the drop folder, where `intake` finds them as it finds
//! any other. What comes over the network is read by a jailed worker process alone; this room's thread in the supervisor
//! starts it, starts it again, and asks it how it goes. **A data set is answered with Success only when it is durable**;
//! one that was not answered is sent again, and lands on the same digest.

mod association;
mod keep;
mod network;
mod socket;
mod store;
mod worker;

pub(crate) use keep::{Door, Doorway, run};
pub(crate) use worker::work;

use network::Network;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who may send what to which door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Address and port to listen on; without it nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// Our application entity title: senders must call it.
    pub(crate) ae_title: String,
    /// Titles of the senders that may call; `*` for any.
    pub(crate) peers: Vec<String>,
    /// Addresses or networks (`192.0.2.0/24`) of the senders that may call; empty for any.
    pub(crate) addresses: Vec<Network>,
    /// Associations at a time; further ones are told to come again.
    pub(crate) associations: usize,
    /// Seconds without a message, or for one message, after which an association ends.
    pub(crate) idle_s: f64,
    /// Largest piece in bytes that a sender may send at a time (maximum length of a PDU).
    pub(crate) pdu_bytes: u32,
    /// TLS; without this table the connections are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

/// Our certificate and the authority of the senders', all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Our certificate, followed by those between it and the authority.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Certificates of the authorities that must have signed a sender's; without it senders need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            ae_title: "CTEDGE".to_owned(),
            peers: Vec::new(),
            addresses: Vec::new(),
            associations: 16,
            idle_s: 60.0,
            pdu_bytes: 128 << 10,
            tls: None,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        /// Each takes three open files, and a worker has 256 for them and those who wait.
        const MOST_ASSOCIATIONS: usize = 48;
        let mut problems = Vec::new();
        if self.listen.is_some() && self.peers.is_empty() {
            problems.push("receive.peers is empty: name the senders that may call, or \"*\" for any".to_owned());
        }
        for (key, title) in self.peers.iter().map(|title| ("peers", title)).chain([("ae_title", &self.ae_title)]) {
            if !is_title(title) {
                problems
                    .push(format!("receive.{key}: {title:?} is no title: 1 to 16 letters, digits, signs or spaces"));
            }
        }
        if !(1..=MOST_ASSOCIATIONS).contains(&self.associations) {
            let most = MOST_ASSOCIATIONS;
            problems.push(format!("receive.associations = {}: must lie between 1 and {most}", self.associations));
        }
        if !(1.0..=3600.0).contains(&self.idle_s) {
            problems.push(format!("receive.idle_s = {}: must lie between 1 and 3600 seconds", self.idle_s));
        }
        if !(4 << 10..=1 << 20).contains(&self.pdu_bytes) {
            problems.push(format!("receive.pdu_bytes = {}: must lie between 4096 and 1048576", self.pdu_bytes));
        }
        problems
    }
}

/// Whether this can be the title of an application entity (PS3.5, 6.2): no backslash, no spaces at its ends.
fn is_title(title: &str) -> bool {
    let is_sign = |letter: char| (letter.is_ascii_graphic() || letter == ' ') && letter != '\\';
    (1..=16).contains(&title.len()) && title.trim() == title && title.chars().all(is_sign)
}

/// What the supervisor hands over to the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Who may send.
    pub(crate) settings: Settings,
    /// The drop folder.
    pub(crate) incoming: PathBuf,
    /// Bytes of the largest file that is taken.
    pub(crate) file_bytes: u64,
}

/// Whether what the configuration asks for can be had, for `ctedge doctor`; `None` where nothing is to be received.
pub(crate) fn check(settings: &Settings) -> Option<Result<String, String>> {
    let listen = settings.listen?;
    let tls = settings.tls.as_ref().map(socket::secured).transpose();
    Some(tls.map(|tls| {
        let secured = if tls.is_some() { "with TLS" } else { "not encrypted" };
        let peers = if settings.peers.iter().any(|peer| peer == "*") { "anybody" } else { "named senders" };
        format!("{} at {listen}, {secured}, from {peers}", settings.ae_title)
    }))
}
