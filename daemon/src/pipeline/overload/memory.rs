//! A series waits while the device has too little memory for its voxels.

use super::super::House;
use crate::message::{Check, CheckState};
use std::sync::{Mutex, PoisonError};

/// What is said of the series that waits for memory, if one does.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Shortage(Mutex<Option<String>>);

impl Shortage {
    /// A series waits, for this reason; or none does any more.
    pub(in crate::pipeline) fn set(&self, told: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

impl House {
    /// How it stands with the device's memory.
    pub(in crate::pipeline) fn memory_check(&self) -> Check {
        let told = self.shortage.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = if told.is_some() { CheckState::Degraded } else { CheckState::Ok };
        Check { id: "memory", state, detail: told.unwrap_or_default() }
    }
}
