//! Why a series has no flags, and whose fault it is.
//!
//! The fate of an error stands in its type: a [`Refusal`] refuses the series, the error of a room's `run` stops the daemon,
//! and everything else (no worker, no model, a locked database) is tried again.

use ctedge_models::scan::{Reason, ScanError};
use serde::{Deserialize, Serialize};

/// Why a series has no flags. Published: `reason_code` is [`Code::name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub(crate) struct Refusal {
    /// The published reason.
    pub(crate) code: Code,
    /// What exactly, written by us and free of patient data.
    pub(crate) detail: String,
}

impl Refusal {
    /// A refusal with its detail.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<ScanError> for Refusal {
    fn from(error: ScanError) -> Self {
        Self { code: Code::Scan(error.reason), detail: error.detail }
    }
}

/// The published reason codes. A name is never changed, and never reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Code {
    /// The input is at fault in a way that the reader recognised.
    Scan(Reason),
    /// The reader of this series died.
    ScanCrashed,
    /// The reader of this series asked for more memory than its limit.
    ScanMemory,
    /// The reader of this series used up its processor time.
    ScanCpu,
    /// The reader of this series did not answer in time.
    ScanTime,
    /// ONNX Runtime refused or failed on this volume.
    InferFailed,
    /// The inference worker died on this volume.
    InferCrashed,
    /// The inference worker did not answer in time.
    InferTime,
    /// The model gave values that are no numbers.
    InferNotFinite,
    /// The device restarted while it worked on this series.
    DeviceRestarted,
    /// The daemon died while it worked on this series, again and again.
    Interrupted,
    /// No rule of choice fits the series.
    NotChosen,
    /// Another series of the study was chosen.
    OtherChosen,
}

/// Whether the input or the device is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Outcome `rejected`: another device would refuse it too.
    Input,
    /// Outcome `failed`: worth another try elsewhere or later.
    Device,
}

impl Code {
    const OWN: [(Self, &'static str); 12] = [
        (Self::ScanCrashed, "scan_crashed"),
        (Self::ScanMemory, "scan_memory"),
        (Self::ScanCpu, "scan_cpu"),
        (Self::ScanTime, "scan_time"),
        (Self::InferFailed, "infer_failed"),
        (Self::InferCrashed, "infer_crashed"),
        (Self::InferTime, "infer_time"),
        (Self::InferNotFinite, "infer_not_finite"),
        (Self::DeviceRestarted, "device_restarted"),
        (Self::Interrupted, "interrupted"),
        (Self::NotChosen, "not_chosen"),
        (Self::OtherChosen, "other_chosen"),
    ];

    /// Every code.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Reason::ALL.into_iter().map(Self::Scan).chain(Self::OWN.into_iter().map(|(code, _)| code))
    }

    /// The published name.
    pub(crate) fn name(self) -> &'static str {
        if let Self::Scan(reason) = self {
            return reason.name();
        }
        Self::OWN.iter().find(|(code, _)| *code == self).map_or("unknown", |(_, name)| name)
    }

    /// Whether the input or the device is at fault.
    pub(crate) fn blame(self) -> Blame {
        match self {
            Self::Scan(_)
            | Self::ScanCrashed
            | Self::ScanMemory
            | Self::ScanCpu
            | Self::ScanTime
            | Self::NotChosen
            | Self::OtherChosen => Blame::Input,
            Self::InferFailed
            | Self::InferCrashed
            | Self::InferTime
            | Self::InferNotFinite
            | Self::DeviceRestarted
            | Self::Interrupted => Blame::Device,
        }
    }

    /// Whether nothing is wrong with the files: the series was left out by the site's own rules.
    pub(crate) fn spares_files(self) -> bool {
        matches!(self, Self::NotChosen | Self::OtherChosen)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.name().to_owned()
    }
}

impl TryFrom<String> for Code {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        if let Some((code, _)) = Self::OWN.iter().find(|(_, own)| *own == name) {
            return Ok(*code);
        }
        let reason = serde_json::from_value(serde_json::Value::String(name));
        reason.map(Self::Scan).map_err(|_unknown| "unknown reason code".to_owned())
    }
}
