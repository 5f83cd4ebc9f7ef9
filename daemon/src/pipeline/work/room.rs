//! What is done where a run takes more memory than there is.

use super::super::House;
use super::super::update::Running;
use crate::floor::fate::Code;
use crate::floor::subject::Subject;
use crate::infer::Rung;
use crate::series::attempts;

/// Where a series is read that has to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// Where it was; its attempts count.
    Same,
    /// On another provider, as if nothing had been.
    Elsewhere,
}

impl House {
    /// A run took more memory than there is. `None` when the daemon is told to stop.
    pub(super) fn made_room(&self, subject: &Subject, running: &mut Running) -> Option<Afterwards> {
        match self.starved(running.active.model().provider)? {
            Rung::Lighten => {
                self.unload_shadow(running, Code::InferMemory)?;
                Some(Afterwards::Same)
            }
            // That was the provider's doing, not the series': it begins anew on the next one.
            Rung::Without(_) => {
                self.stored(|transaction| attempts::forget(transaction, &subject.series_key))?;
                Some(Afterwards::Elsewhere)
            }
            Rung::Replace | Rung::Reboot | Rung::Safe => Some(Afterwards::Same),
        }
    }
}
