//! Commands to this device: what may be asked of it, what a request must be, and what became of each.
//!
//! In: requests as they came from the broker. Out: [`Entry`]s of the journal, to be carried out by `pipeline`, and what is
//! told about them. Owns the ledger table `commands`. It carries nothing out itself. A request is executed once: it is
//! journalled before anything is done, and whatever comes a second time under its name and id only has its state told again.

mod journal;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use journal::{Came, Entry, Retained, Taken, ends, entries, find, forget, goes_on, next, take};
pub(crate) use reply::Reply;
pub(crate) use request::{Address, Depth, Order, Request, Which, address, payload};
#[cfg(test)]
pub(crate) use request::{OUTCOMES, read};
pub(crate) use told::{Meaning, Told, meaning};

use serde::{Deserialize, Serialize};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Kept series are read again.
    Reprocess,
    /// Kept results are sent again.
    Replay,
    /// No new file is taken from the drop folder.
    Pause,
    /// Files are taken again.
    Resume,
    /// The model's golden volume is run again.
    Selftest,
    /// A scrubbed bundle for support is written on the device.
    Diag,
    /// The daemon ends and is started again by the service manager.
    Restart,
    /// A model is fetched, verified and proved on this device.
    ModelUpdate,
    /// The model that waits counts from now on.
    ModelActivate,
    /// The model before counts again.
    ModelRollback,
    /// A command is not carried out, or not carried on.
    Cancel,
}

/// Commands of one lane are carried out one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those that change something.
    Change,
    /// Those that only look.
    Look,
    /// Those that change the model, and may take hours.
    Model,
}

impl Lane {
    /// Name in the journal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Look => "look",
            Self::Model => "model",
        }
    }
}

impl Name {
    /// Every command.
    pub(crate) const ALL: [Self; 11] = [
        Self::Reprocess,
        Self::Replay,
        Self::Pause,
        Self::Resume,
        Self::Selftest,
        Self::Diag,
        Self::Restart,
        Self::ModelUpdate,
        Self::ModelActivate,
        Self::ModelRollback,
        Self::Cancel,
    ];

    /// Name in topics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reprocess => "reprocess",
            Self::Replay => "replay",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Selftest => "selftest",
            Self::Diag => "diag",
            Self::Restart => "restart",
            Self::ModelUpdate => "model_update",
            Self::ModelActivate => "model_activate",
            Self::ModelRollback => "model_rollback",
            Self::Cancel => "cancel",
        }
    }

    /// The command of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// In which lane it waits.
    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::Selftest | Self::Diag => Lane::Look,
            Self::ModelUpdate | Self::ModelActivate | Self::ModelRollback => Lane::Model,
            Self::Reprocess | Self::Replay | Self::Pause | Self::Resume | Self::Restart | Self::Cancel => Lane::Change,
        }
    }
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Journalled; it waits its turn.
    Accepted,
    /// It is carried out.
    Running,
    /// It was carried out.
    Succeeded,
    /// It could not be carried out.
    Failed,
    /// It was refused; nothing was done.
    Rejected,
    /// Its time was over before it was begun; nothing was done.
    Expired,
    /// Somebody has cancelled it; what was done before that stays.
    Cancelled,
}

impl State {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Accepted, "accepted"),
        (Self::Running, "running"),
        (Self::Succeeded, "succeeded"),
        (Self::Failed, "failed"),
        (Self::Rejected, "rejected"),
        (Self::Expired, "expired"),
        (Self::Cancelled, "cancelled"),
    ];

    /// The published name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("failed", |(_, name)| name)
    }

    /// The state of this name; what nobody knows has failed.
    fn of(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Failed, |(state, _)| *state)
    }

    /// Whether nothing more will happen.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Rejected | Self::Expired | Self::Cancelled => true,
        }
    }
}

/// Why a command was refused or has failed. Published: `reason_code` is [`Reason::name`]. Names are never changed, and never
/// reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The broker had kept the request: when it was meant is not known.
    Retained,
    /// Its time is over.
    Expired,
    /// Somebody has cancelled it.
    Cancelled,
    /// The clocks of sender and device differ too much for `expires_at` to mean anything.
    Clock,
    /// It is no request.
    Malformed,
    /// It is larger than a request may be.
    TooLarge,
    /// The device has no such command.
    UnknownCommand,
    /// A parameter is missing, unknown, or out of its bounds.
    Parameter,
    /// Too many commands wait.
    QueueFull,
    /// What was asked for is not here.
    NotFound,
    /// What was asked for has been deleted.
    Purged,
    /// More was asked for than one command may do.
    TooMany,
    /// A series is being worked on.
    Busy,
    /// The device was stopped while it was at it, again and again.
    Interrupted,
    /// There was no progress for too long.
    Stalled,
    /// The model does not pass.
    Model,
    /// The device could not do it.
    Device,
    /// The model that counts has not proved itself: until then no other takes its place.
    Unproved,
    /// The bundle is refused; the code is that of `BUNDLE.md`.
    Bundle(&'static str),
    /// The bundle could not be fetched; the code is that of `MQTT.md`.
    Fetch(&'static str),
}

impl Reason {
    /// Every reason.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 18] = [
        Self::Retained,
        Self::Expired,
        Self::Cancelled,
        Self::Clock,
        Self::Malformed,
        Self::TooLarge,
        Self::UnknownCommand,
        Self::Parameter,
        Self::QueueFull,
        Self::NotFound,
        Self::Purged,
        Self::TooMany,
        Self::Busy,
        Self::Interrupted,
        Self::Stalled,
        Self::Model,
        Self::Device,
        Self::Unproved,
    ];

    /// The published name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Clock => "clock",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownCommand => "unknown_command",
            Self::Parameter => "parameter",
            Self::QueueFull => "queue_full",
            Self::NotFound => "not_found",
            Self::Purged => "purged",
            Self::TooMany => "too_many",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Stalled => "stalled",
            Self::Model => "model",
            Self::Device => "device",
            Self::Unproved => "unproved",
            Self::Bundle(code) | Self::Fetch(code) => code,
        }
    }
}

/// Why a command is not, or was not, carried out. The detail is ours: it repeats nothing of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.name())]
pub(crate) struct Refused {
    /// The published reason.
    pub(crate) reason: Reason,
    /// What exactly.
    pub(crate) detail: String,
}

impl Refused {
    /// A refusal with its detail.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The state in which this leaves a command: failed where something may have been done, or was tried.
    pub(crate) fn state(&self) -> State {
        match self.reason {
            Reason::Expired => State::Expired,
            Reason::Cancelled => State::Cancelled,
            Reason::Interrupted | Reason::Stalled | Reason::Model | Reason::Device | Reason::Fetch(_) => State::Failed,
            Reason::Retained
            | Reason::Clock
            | Reason::Malformed
            | Reason::TooLarge
            | Reason::UnknownCommand
            | Reason::Parameter
            | Reason::QueueFull
            | Reason::NotFound
            | Reason::Purged
            | Reason::TooMany
            | Reason::Unproved
            | Reason::Bundle(_)
            | Reason::Busy => State::Rejected,
        }
    }
}
