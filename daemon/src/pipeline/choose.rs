//! The room that chooses among the series of a study, furnished.

use super::{AGAIN, House};
use crate::floor::fate::Refusal;
use crate::{choice, volume};
use ctedge_models::scan::{Patterns, Traits};
use std::path::Path;
use tracing::warn;

impl House {
    pub(super) fn choice_room(&self) -> choice::Room<'_> {
        let patterns = self.config.choice.patterns();
        choice::Room {
            settings: &self.config.choice,
            store: &self.store,
            read_traits: Box::new(move |folder| self.traits(folder, &patterns)),
        }
    }

    /// What a series is like. `None` when the daemon is told to stop before a worker could be asked.
    fn traits(&self, folder: &Path, patterns: &Patterns) -> Option<Result<Traits, Refusal>> {
        loop {
            match volume::traits(&self.config.volume, folder, patterns) {
                Ok(answer) => return Some(answer),
                Err(error) => warn!(%error, "no scan worker can be started; trying again"),
            }
            if self.wait(AGAIN) {
                return None;
            }
        }
    }
}
