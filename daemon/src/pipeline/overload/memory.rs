//! A series waits while the device has too little memory for its voxels.

use super::super::{AGAIN, House};
use crate::choice::Completed;
use crate::message::{Check, CheckState};
use crate::volume::{self, Reading};
use std::io;
use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// What is said of the series that waits for memory, if one does.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Shortage(Mutex<Option<String>>);

impl Shortage {
    fn set(&self, told: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

impl House {
    /// Has a series read, as soon as there is a worker and memory for it. `None` when the daemon is told to stop.
    pub(in crate::pipeline) fn read(&self, completed: &Completed) -> Option<Reading> {
        loop {
            match volume::read(&self.config.volume, completed) {
                Ok(reading) => {
                    self.shortage.set(None);
                    return Some(reading);
                }
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    warn!(%error, "the device has too little memory now; the series waits");
                    self.shortage.set(Some(error.to_string()));
                }
                Err(error) => warn!(%error, "no scan worker can be started; trying again"),
            }
            if self.wait(AGAIN) {
                return None;
            }
        }
    }

    /// How it stands with the device's memory.
    pub(in crate::pipeline) fn memory_check(&self) -> Check {
        let told = self.shortage.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = if told.is_some() { CheckState::Degraded } else { CheckState::Ok };
        Check { id: "memory", state, detail: told.unwrap_or_default() }
    }
}
