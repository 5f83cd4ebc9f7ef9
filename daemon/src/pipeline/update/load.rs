//! Which bundle is loaded, and what is done where it cannot be.

use super::super::House;
use super::super::obey::Task;
use super::bundle;
use crate::command::{self, Entry, Order, Reason, Refused};
use crate::floor::clock;
use crate::floor::store::lock;
use crate::infer::{Inference, LoadError, Setup};
use crate::update::{Place, Slot, Slots, Standing, Unable, table};
use ctedge_models::bundle::GOLDEN;
use ctedge_models::trust::signature_path;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use tracing::{error, info, warn};

/// The model that counts, and where its bundle is.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Counting {
    /// Its slot; `None` before the device's first model has passed.
    slot: Option<(Place, Slot)>,
    /// The bundle.
    pub(in crate::pipeline) path: PathBuf,
}

impl House {
    /// The bundle to load: that of the slot which counts, else the configuration's.
    pub(in crate::pipeline) fn counting(&self) -> Counting {
        let slots = self.slots().unwrap_or_else(|error| {
            error!(%error, "which model counts cannot be read; the configuration's is loaded");
            Slots::default()
        });
        let slot = slots.active().map(|(place, slot)| (place, slot.clone()));
        let stock = self.stock();
        let path = slot.as_ref().map(|(_, slot)| stock.path(&slot.bundle.digest));
        Counting { slot, path: path.unwrap_or_else(|| self.config.infer.bundle.clone()) }
    }

    /// The device's first model has passed: it counts from now on, whatever becomes of the file that the configuration
    /// names. `None` when told to stop.
    pub(in crate::pipeline) fn adopt(&self, counting: &Counting, inference: &Inference) -> Option<()> {
        if counting.slot.is_some() {
            return Some(());
        }
        let (stock, model) = (self.stock(), inference.model());
        let brought = stock.bring(&counting.path, &model.digest).map_err(|error| error.to_string()).and_then(|()| {
            let signature = fs::read_to_string(signature_path(&counting.path)).map_err(|error| error.to_string())?;
            stock.keep(&model.digest, &signature).map_err(|error| error.to_string())
        });
        if let Err(reason) = brought {
            warn!(reason, "the model is not kept: the next start looks at infer.bundle again");
            return Some(());
        }
        self.change(|transaction, slots| {
            slots.adopt(bundle(model), clock::now_ms());
            let Some((_, slot)) = slots.active() else { return Ok(()) };
            table::proves(transaction, slot)?;
            table::keep_configured(transaction, &slot.bundle.digest)?;
            self.tell_change(transaction, ("adopted", None), Some(slot))
        })
    }

    /// The model that counts cannot be loaded. Where the bundle is at fault, or the model is on probation, it gives way to
    /// the one before, if there is one: then there is something else to load at once. `None` when told to stop.
    pub(in crate::pipeline) fn gives_way_unloaded(&self, counting: &Counting, error: &LoadError) -> Option<Way> {
        let Some((_, slot)) = &counting.slot else { return Some(Way::Blocked) };
        let code = match (error.fault, &slot.standing) {
            (Some(code), _) if code != GOLDEN => code,
            (code, Standing::Probation { .. }) => code.unwrap_or("load"),
            // Every provider may fail for a reason of the device.
            _ => return Some(Way::Blocked),
        };
        self.give_way(code, "it cannot be loaded")
    }

    /// The model that counts gives way to the one before, if there is one. `None` when told to stop.
    pub(super) fn give_way(&self, code: &str, detail: &str) -> Option<Way> {
        let gave_way = self.change(|transaction, slots| {
            let gave_way = slots.gives_way(code, detail, clock::now_ms());
            if let Ok(place) = gave_way {
                table::keep_trial(transaction, None)?;
                self.tell_change(transaction, ("rolled_back", slots.get(place.other())), slots.get(place))?;
            }
            Ok(gave_way)
        })?;
        Some(match gave_way {
            Ok(_) => {
                error!(code, detail, "the model gives way to the one before");
                Way::Open
            }
            Err(Unable::Unproved | Unable::NoCandidate | Unable::NothingBefore) => Way::Blocked,
        })
    }

    /// Loads a model of the slots beside the one that serves, so that no series waits for it. Nothing where the device has no
    /// room for both: then it is loaded once the other has gone.
    ///
    /// # Errors
    /// The bundle is at fault, or loading hung: the model that serves had better go on.
    pub(super) fn beside(&self, digest: &str) -> Result<Option<Box<Inference>>, Refused> {
        match Inference::start(&self.candidate(digest)) {
            Ok(inference) => Ok(Some(Box::new(inference))),
            Err(LoadError { fault: Some(code), reason, .. }) => Err(Refused::new(Reason::Bundle(code), reason)),
            Err(LoadError { hung: Some(_), reason, .. }) => Err(Refused::new(Reason::Model, reason)),
            Err(error) => {
                warn!(%error, "the model cannot be loaded beside the one that serves; series wait while it is loaded");
                Ok(None)
            }
        }
    }

    /// The same for a model that waits: one in the shadow is loaded already.
    pub(super) fn standing_by(&self, digest: &str, standing: &Standing) -> Result<Option<Box<Inference>>, Refused> {
        if *standing == Standing::Shadow { Ok(None) } else { self.beside(digest) }
    }

    /// Models that were in the shadow when the daemon ended are there again.
    pub(in crate::pipeline) fn shadow_again(&self, tasks: &SyncSender<Task>) {
        let Ok(slots) = self.slots() else { return };
        let Some((place, slot)) = slots.candidate().filter(|(_, slot)| slot.standing == Standing::Shadow) else {
            return;
        };
        let digest = slot.bundle.digest.clone();
        match Inference::start(&self.candidate(&digest)) {
            // Without a model that counts there is nothing to compare it with.
            Ok(candidate) => {
                self.hand_to_model(Task::Shadow(Some(Box::new(candidate))), tasks);
            }
            Err(error) => {
                warn!(%error, "the model in the shadow cannot be loaded");
                let code = error.fault.unwrap_or("load");
                self.change(|_transaction, slots| {
                    slots.fails(place, code, "it cannot be loaded", clock::now_ms());
                    Ok(())
                });
            }
        }
    }

    /// How a bundle of the stock is loaded.
    pub(super) fn candidate(&self, digest: &str) -> Setup {
        self.setup(self.stock().path(digest), &self.ladder())
    }

    /// A ledger that was made anew knows of no slots: they are as they were noted beside it.
    pub(in crate::pipeline) fn recall_slots(&self) {
        let is_new = self.slots().is_ok_and(|slots| slots.active().is_none());
        let Some(noted) = self.stock().noted().filter(|noted| is_new && noted.active().is_some()) else { return };
        let recalled = self.change(|transaction, slots| {
            *slots = noted.clone();
            let proved = |slot: &&Slot| matches!(slot.standing, Standing::Active | Standing::Standby);
            let mut all: Vec<&Slot> =
                Place::ALL.into_iter().filter_map(|place| slots.get(place)).filter(proved).collect();
            all.sort_by_key(|slot| slot.bundle.serial);
            all.into_iter().try_for_each(|slot| table::proves(transaction, slot))
        });
        if recalled.is_some() {
            info!("the slots of models are as they were noted beside the ledger");
        }
    }

    /// Deletes bundles that are in no slot, and that no command is at.
    pub(in crate::pipeline) fn sweep_bundles(&self) {
        let Ok(slots) = self.slots() else { return };
        // Before the first is adopted nothing is known to be unneeded.
        if slots.active().is_none() {
            return;
        }
        let pending = self.pending_bundles();
        let needed: Vec<&str> = slots.digests().into_iter().chain(pending.iter().map(String::as_str)).collect();
        if let Err(error) = self.stock().keep_only(&needed, &self.config.paths.of_models().models) {
            warn!(error = %error.kind(), "bundles that are not used any more cannot be deleted");
        }
    }

    /// Bundles that commands in the journal wait for or are at.
    pub(super) fn pending_bundles(&self) -> Vec<String> {
        let entries = lock(&self.store).read(command::entries).unwrap_or_default();
        let offered = |entry: Entry| {
            let request = entry.request.filter(|_| !entry.state.is_final())?;
            if let Order::ModelUpdate(offer) = request.order { Some(offer.digest) } else { None }
        };
        entries.into_iter().filter_map(offered).collect()
    }
}

/// Whether there is another model to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Way {
    /// There is.
    Open,
    /// There is none.
    Blocked,
}
