//! What proves afterwards what happened: the audit log, the flight recorder, and the bundle for support.
//!
//! Beside the corridor: `pipeline` and `cli/` call it inside the transactions of the rooms. Owns the tables `audit` and
//! `decisions` of the ledger. Everything here is made of pseudonyms, digests, numbers and our own words.

mod alarm;
mod bundle;
mod chain;
mod event;
mod recorder;
mod xml;

pub(crate) use alarm::{Alarm, Alarms, Haste};
pub(crate) use bundle::{Piece, Scrub, pack};
pub(crate) use chain::{Fault, Head, append, entries, forget, head, note_digest, verify};
pub(crate) use event::{Delivered, Entry, Event};
pub(crate) use recorder::{Decision, Loaded, decision, decisions, digest as logits_digest, record};
pub(crate) use xml::message as xml_message;

use serde::{Deserialize, Serialize};

/// How long evidence is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Days for which entries of the audit log are kept.
    pub(crate) audit_keep_d: u32,
    /// Mebibytes of decisions that the flight recorder keeps; 0 for none.
    pub(crate) recorder_mib: u32,
}

/// Six months: what the EU's AI Act (Article 19) asks of automatic logs.
const SHORTEST_KEEP_D: u32 = 184;

impl Default for Settings {
    fn default() -> Self {
        Self { audit_keep_d: 366, recorder_mib: 16 }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { audit_keep_d, recorder_mib } = self;
        let mut problems = Vec::new();
        if !(SHORTEST_KEEP_D..=36_600).contains(audit_keep_d) {
            let shortest = SHORTEST_KEEP_D;
            problems
                .push(format!("evidence.audit_keep_d = {audit_keep_d}: must lie between {shortest} and 36600 days"));
        }
        if *recorder_mib > 1024 {
            problems.push(format!("evidence.recorder_mib = {recorder_mib}: must not be more than 1024"));
        }
        problems
    }
}
