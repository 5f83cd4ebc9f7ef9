//! What can be said of an offer before anything is fetched, and what installing asks of what comes.

use super::super::House;
use super::super::vitals::ModelState;
use super::install::{Step, refused};
use crate::command::{Reason, Refused};
use crate::floor::clock;
use crate::floor::store::{StoreError, lock};
use crate::infer;
use crate::update::{Slots, Standing, Unable, table};
use ctedge_models::bundle::{Admission, Device, Permission};
use ctedge_models::offer::{Offer, Signed};
use ctedge_models::trust::{Permit, TrustStore};
use std::sync::PoisonError;

/// What installing asks for, and the number of the permit that is used up by it, if there is one.
type Admitted = Result<(Admission, Option<String>), Refused>;

impl House {
    /// What can be said before anything is fetched.
    pub(super) fn may_begin(&self, slots: &Slots, offer: &Offer) -> Step<()> {
        if slots.active().is_some_and(|(_, slot)| matches!(slot.standing, Standing::Probation { .. })) {
            return Ok(Some(Err(refused(Unable::Unproved))));
        }
        // Where no model runs the device is not known yet, and the worker looks at what the bundle requires.
        if let (Some(requires), Some(device)) = (&offer.requires, self.device_of_models())
            && let Err(unfit) = requires.met_by(&device)
        {
            return Ok(Some(Err(Refused::new(Reason::Bundle(unfit.code()), unfit.to_string()))));
        }
        let (admission, _nonce) = match self.admission(offer)? {
            Ok(admitted) => admitted,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        if let (Some(name), Some(serial)) = (&offer.name, offer.serial)
            && let Some(proved) = admission.proved.get(name)
            && admission.permit == Permission::None
            && serial <= proved.serial
            && proved.digest != offer.digest
        {
            let detail = format!("serial {serial} does not rise: {} has proved itself here", proved.serial);
            return Ok(Some(Err(Refused::new(Reason::Bundle("older"), detail))));
        }
        Ok(Some(Ok(())))
    }

    fn device_of_models(&self) -> Option<Device> {
        let state = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let ModelState::Loaded(model) = &*state else { return None };
        Some(infer::device(&self.config.infer, &model.runtime))
    }

    /// What installing asks for.
    pub(super) fn admission(&self, offer: &Offer) -> Result<Admitted, StoreError> {
        let (proved, seen_ms) =
            lock(&self.store).read(|connection| Ok((table::proved(connection)?, table::seen_ms(connection)?)))?;
        let now_ms = clock::now_ms().max(seen_ms);
        let nonce = match offer.permit.as_ref().map(|permit| self.permitted(permit, &offer.digest, now_ms)) {
            None => None,
            Some(Ok(nonce)) => Some(nonce),
            Some(Err(refused)) => return Ok(Err(refused)),
        };
        if let Some(nonce) = &nonce
            && lock(&self.store).read(|connection| table::is_used(connection, nonce))?
        {
            return Ok(Err(Refused::new(Reason::Bundle("used_permit"), "the permit was used up")));
        }
        let permit = if nonce.is_some() { Permission::Older } else { Permission::None };
        let Offer { digest, name, version, serial, .. } = offer.clone();
        Ok(Ok((Admission { digest, name, version, serial, proved, permit, now_ms }, nonce)))
    }

    /// The number of a permit that leads to this bundle, on this device, at this time.
    fn permitted(&self, Signed { document, signature }: &Signed, digest: &str, now_ms: i64) -> Result<String, Refused> {
        let refused = |code, detail: String| Refused::new(Reason::Bundle(code), detail);
        let trust = TrustStore::open(&self.config.infer.trust, &self.config.paths.of_models().trust)
            .map_err(|error| Refused::new(Reason::Device, error.to_string()))?;
        let permit = Permit::read(document.as_bytes(), signature, trust.keys())
            .map_err(|error| refused(error.code(), format!("the permit: {error}")))?;
        if permit.device != self.config.mqtt.device || permit.digest != digest {
            return Err(refused("other_permit", "the permit is for another device or another bundle".to_owned()));
        }
        if permit.expires.as_millisecond() <= now_ms {
            return Err(refused("expired_permit", "the permit's time is over".to_owned()));
        }
        Ok(permit.nonce)
    }
}
