//! The room that chooses among the series of a study, furnished.

use super::{AGAIN, House};
use crate::choice::{self, Series};
use crate::floor::fate::Refusal;
use crate::floor::worker::scan::refusal as of_lost;
use crate::series::attempts::{Begun, Failed, Stage};
use crate::volume::{self, Unread};
use ctedge_models::scan::{Patterns, Traits};
use tracing::warn;

impl House {
    pub(super) fn choice_room(&self) -> choice::Room<'_> {
        let patterns = self.config.choice.patterns();
        choice::Room {
            settings: &self.config.choice,
            store: &self.store,
            read_traits: Box::new(move |series| self.traits(series, &patterns)),
        }
    }

    /// What a series is like. `None` when the daemon is told to stop before a worker has answered.
    fn traits(&self, Series { subject, folder }: &Series, patterns: &Patterns) -> Option<Result<Traits, Refusal>> {
        loop {
            let attempt = match self.begin(subject, Stage::Choose)? {
                Begun::Noted(attempt) => attempt,
                Begun::Spent(refusal) => return Some(Err(refusal)),
            };
            match volume::traits(&self.config.volume, folder, patterns) {
                Ok(answer) => return self.done(attempt).map(|()| answer),
                Err(Unread::Lost(lost)) => {
                    if let Failed::Spent(refusal) = self.failed(subject, attempt, of_lost(lost).code)? {
                        return Some(Err(refusal));
                    }
                }
                Err(error @ Unread::NoWorker(_)) => {
                    warn!(%error, "trying again");
                    self.done(attempt)?;
                    if self.wait(AGAIN) {
                        return None;
                    }
                }
            }
        }
    }
}
