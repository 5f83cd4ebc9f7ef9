//! What can be said of an offer before anything is fetched, and what installing asks of what comes.

use super::super::House;
use super::super::vitals::ModelState;
use super::install::{Memory, Step, refused};
use crate::command::{Entry, Reason, Refused, Told};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::store::{StoreError, lock};
use crate::infer::{self, Inference};
use crate::update::{Slots, Unable, table};
use ctedge_models::bundle::{Admission, Device, Permission};
use ctedge_models::offer::{Offer, Signed};
use ctedge_models::trust::{Permit, TrustStore};
use serde_json::json;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::Duration;
use tracing::warn;

/// A device that goes down so often while it checks a bundle is not asked to again.
const CHECKS: u32 = 3;
/// How often it is told how far a model is loaded.
const TELL: Duration = Duration::from_secs(5);

/// What installing asks for, and the number of the permit that is used up by it, if there is one.
type Admitted = Result<(Admission, Option<String>), Refused>;

impl House {
    /// What can be said before anything is fetched.
    pub(super) fn may_begin(&self, slots: &Slots, offer: &Offer) -> Step<()> {
        if slots.active().is_some_and(|(_, slot)| slot.standing.is_unproved()) {
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
        let rises =
            offer.name.as_ref().zip(offer.serial).map_or(Ok(()), |(name, serial)| admission.rises(name, serial));
        Ok(Some(rises.map_err(|older| Refused::new(Reason::Bundle(older.code()), older.to_string()))))
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

    /// Has a worker of its own verify the bundle, load it and run its golden volume, beside the model that serves.
    pub(super) fn check(&self, entry: &mut Entry, offer: &Offer) -> Step<Inference> {
        let mut memory = Memory::of(entry);
        memory.checks += 1;
        if memory.checks > CHECKS {
            let detail = format!("the device went down {CHECKS} times while it checked the bundle");
            return Ok(Some(Err(Refused::new(Reason::Interrupted, detail))));
        }
        entry.memory = Some(json!(memory).to_string());
        self.commands.progress(entry, Told::at("checking"))?;
        let admission = match self.admission(offer)? {
            Ok((admission, _nonce)) => admission,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        let setup = self.candidate(&offer.digest);
        let since = Stopwatch::start();
        let (ends, end) = sync_channel::<()>(0);
        let (began, of) = (&since, &mut *entry);
        let started = std::thread::scope(|scope| {
            // Loaded by this thread and told by another: a worker goes with the thread that has started it.
            let tell = move || {
                while end.recv_timeout(TELL) == Err(RecvTimeoutError::Timeout) {
                    self.tell_loading(of, began);
                }
            };
            if let Err(error) = Builder::new().name("loading".to_owned()).spawn_scoped(scope, tell) {
                warn!(%error, "nobody can tell how far a model is loaded");
            }
            let started = Inference::start_new(&setup, admission, &|| self.commands.halt.load(Ordering::Relaxed));
            drop(ends);
            started
        });
        if started.is_ok() {
            self.note_loading(&since);
        } else if let Some(refused) = self.commands.stopped(entry) {
            return Ok(Some(Err(refused)));
        }
        let candidate = started.map_err(|error| {
            let reason = error.fault.map_or(Reason::Model, Reason::Bundle);
            Refused::new(reason, error.reason)
        });
        Ok(Some(candidate))
    }

    /// Tells that a model is being loaded: an engine may be built for minutes. How far it is is told by how long the last one
    /// took.
    fn tell_loading(&self, entry: &mut Entry, since: &Stopwatch) {
        let took = lock(&self.store).read(table::loading_ms).ok().flatten();
        let share = took.map(|took| (since.elapsed().as_secs_f64() * 1000.0 / f64::from(took.max(1))).min(0.99));
        if let Err(error) = self.commands.progress(entry, Told { progress: share, ..Told::at("checking") }) {
            warn!(%error, "how far a model is loaded cannot be told");
        }
    }
}
