//! What is told of the slots.

use super::super::House;
use crate::floor::clock::rfc3339;
use crate::floor::store::lock;
use crate::message::{Agreed, Probation, Shadow, SlotModel, SlotState};
use crate::update::{Agreement, Place, Slot, Standing, Trial, table};
use std::sync::PoisonError;
use tracing::error;

impl House {
    /// Posts how both slots stand.
    pub(in crate::pipeline) fn tell_slots(&self) {
        let read = lock(&self.store).read(|connection| {
            Ok((table::slots(connection)?, table::trial(connection)?, table::agreement(connection)?))
        });
        let (slots, trial, agreement) = match read {
            Ok(read) => read,
            Err(error) => {
                error!(%error, "how the models stand cannot be read");
                return;
            }
        };
        let mut told = self.slots_told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states = Vec::new();
        for place in Place::ALL {
            states.push(match slots.get(place) {
                None => empty(place),
                Some(slot) => {
                    let is_it = |digest: &str| digest == slot.bundle.digest;
                    let trial = trial.as_ref().filter(|trial| is_it(&trial.digest));
                    let agreement = agreement.as_ref().filter(|agreement| is_it(&agreement.digest));
                    self.told_slot(place, slot, (trial, agreement))
                }
            });
        }
        for state in states.iter().filter(|state| !told.contains(state)) {
            self.board.post(self.writer.slot(state));
        }
        *told = states;
    }

    fn told_slot(
        &self,
        place: Place,
        slot: &Slot,
        (trial, agreement): (Option<&Trial>, Option<&Agreement>),
    ) -> SlotState {
        let bundle = &slot.bundle;
        let settings = &self.config.update;
        let model = SlotModel {
            name: bundle.name.clone(),
            version: bundle.version.clone(),
            serial: bundle.serial,
            digest: bundle.digest.clone(),
            signer: bundle.signer.clone(),
            trained: bundle.trained,
            precision: bundle.precision.clone(),
            ep: bundle.provider.clone(),
        };
        let (tries, reason_code, reason_detail) = match &slot.standing {
            Standing::Probation { tries } => (Some(*tries), None, None),
            Standing::Failed { code, detail } => (None, Some(code.clone()), Some(detail.clone())),
            Standing::Staged | Standing::Shadow | Standing::Active | Standing::Standby => (None, None, None),
        };
        SlotState {
            slot: place.name(),
            state: slot.standing.name(),
            model: Some(model),
            since: Some(rfc3339(slot.since_ms)),
            tries,
            reason_code,
            reason_detail,
            probation: trial.filter(|_| tries.is_some()).map(|trial| Probation {
                series: trial.series,
                series_needed: settings.probation_series,
                faults: trial.faults,
                until: rfc3339(trial.until_ms(settings)),
            }),
            shadow: agreement.map(shadow),
        }
    }
}

fn empty(place: Place) -> SlotState {
    SlotState {
        slot: place.name(),
        state: "empty",
        model: None,
        since: None,
        tries: None,
        reason_code: None,
        reason_detail: None,
        probation: None,
        shadow: None,
    }
}

fn shadow(agreement: &Agreement) -> Shadow {
    let flags = agreement.flags.iter().map(|(label, tally)| Agreed {
        label: *label,
        both: tally.both,
        active_only: tally.active_only,
        candidate_only: tally.candidate_only,
        neither: tally.neither,
    });
    Shadow {
        against: agreement.against.clone(),
        series: agreement.series,
        agreement: agreement.share(),
        max_difference: agreement.max_difference,
        flags: flags.collect(),
    }
}
