//! Models that come and go: which one counts, which one it replaces, and how a new one proves itself.
//!
//! In: bundles from a folder, a server or the broker, and what becomes of the series that they read. Out: which bundle runs.
//! Owns the ledger tables `slots`, `serials` and `permits`, and `state/bundles`. It loads no model: `pipeline/update/` has
//! that done, and does what this room says.

mod shadow;
mod slots;
mod stock;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;
mod trial;
mod window;

pub(crate) use shadow::{Agreement, Flagged, Said};
#[cfg(test)]
use slots::TRIES;
pub(crate) use slots::{Bundle, Place, Slot, Slots, Standing, Unable};
pub(crate) use stock::{Stock, Untaken, brought};
pub(crate) use trial::{Run, Trial, Verdict};
pub(crate) use window::Window;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How models change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// A folder in which bundles are looked for, their signatures beside them: the mount of a memory stick, for instance.
    pub(crate) folder: PathBuf,
    /// To which group of devices this one belongs, in the site's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// When models may change by themselves, UTC, e.g. `01:00-05:00`; empty for always.
    pub(crate) window: String,
    /// Seconds for which a new model waits until no study is half read.
    pub(crate) patience_s: f64,
    /// Series that a new model must have read before it counts as proved.
    pub(crate) probation_series: u32,
    /// Hours after which it does, however few there were.
    pub(crate) probation_h: f64,
    /// Series on which it may fail meanwhile.
    pub(crate) probation_faults: u32,
    /// How many times as long as the model before it may take; half a second longer is always allowed.
    pub(crate) slower: f64,
    /// Positive flags of a series that it may give more or fewer than the model before, in the mean.
    pub(crate) flags_shift: f64,
    /// Whether bundles may come over the broker.
    pub(crate) mqtt: bool,
    /// Certificates (PEM) of authorities for servers of bundles, beside those that the system knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// KiB a second at which a bundle is fetched; 0 for as fast as it comes.
    pub(crate) kib_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: "/var/lib/ctedge/update".into(),
            group: None,
            window: String::new(),
            patience_s: 600.0,
            probation_series: 20,
            probation_h: 24.0,
            probation_faults: 1,
            slower: 3.0,
            flags_shift: 6.0,
            mqtt: true,
            ca: None,
            kib_s: 0,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.0..=86_400.0).contains(&self.patience_s) {
            problems.push(format!("update.patience_s = {}: must lie between 0 and 86400 seconds", self.patience_s));
        }
        if !(0.0..=8760.0).contains(&self.probation_h) || self.probation_series == 0 {
            problems
                .push("update.probation_series and probation_h: at least one series, and at most a year".to_owned());
        }
        if !self.window.is_empty() && Window::read(&self.window).is_none() {
            problems.push(format!("update.window = {:?}: must be as 01:00-05:00, or empty", self.window));
        }
        if !(1.0..=1000.0).contains(&self.slower) || !(0.0..=18.0).contains(&self.flags_shift) {
            problems.push("update.slower must be 1 or more, update.flags_shift between 0 and 18 flags".to_owned());
        }
        problems
    }
}
