//! Models come and go here: what `update` says is done, and what became of it is told to it.
//!
//! Three threads take part. The room `models` carries out commands, fetches, and has the model that is to count next, a new one
//! or the one before, loaded in a worker of its own, beside the one that serves. The room `infer` owns the models that run: it switches, between two series, and judges
//! a model on probation after each. Every change of the slots is one commit with the event that tells it.

mod admit;
mod bring;
mod fetch;
mod install;
mod judge;
mod load;
mod told;

pub(super) use judge::{Blamed, Running, Switched};
pub(super) use load::Way;

use super::House;
use crate::floor::clock;
use crate::floor::store::{Store, StoreError, lock};
use crate::infer::Model;
use crate::message::{ModelChanged, Named};
use crate::outbox;
use crate::update::{Bundle, Slot, Slots, Stock, table};
use rusqlite::Transaction;
use tracing::{error, info};

/// What the configuration's bundle and the folder are looked at for.
pub(super) use bring::Looked;

impl House {
    /// Bundles on this device.
    fn stock(&self) -> Stock {
        Stock::below(&self.config.paths.state)
    }

    fn slots(&self) -> Result<Slots, StoreError> {
        lock(&self.store).read(table::slots)
    }

    /// Changes the slots in one commit, until that succeeds, and tells how they stand. `None` when told to stop.
    fn change<T>(&self, work: impl Fn(&Transaction<'_>, &mut Slots) -> Result<T, rusqlite::Error>) -> Option<T> {
        let (value, slots) = self.stored(|transaction| {
            let mut slots = table::slots(transaction)?;
            let value = work(transaction, &mut slots)?;
            table::keep(transaction, &slots)?;
            Ok((value, slots))
        })?;
        // A copy for the day on which the ledger is lost.
        if let Err(error) = self.stock().note(&slots) {
            error!(error = %error.kind(), "which models are in the slots cannot be noted beside the ledger");
        }
        self.board.wake();
        self.tell_slots();
        Some(value)
    }

    /// Puts into the outbox that another model counts, or that it has proved itself.
    fn tell_change(
        &self,
        transaction: &Transaction<'_>,
        (cause, from): (&'static str, Option<&Slot>),
        to: Option<&Slot>,
    ) -> Result<(), rusqlite::Error> {
        let Some(to) = to else { return Ok(()) };
        info!(
            cause,
            model = to.bundle.name,
            version = to.bundle.version,
            digest = to.bundle.digest,
            "another model counts"
        );
        let (reason_code, detail) = match from.map(|slot| &slot.standing) {
            Some(crate::update::Standing::Failed { code, detail }) => (Some(code.clone()), Some(detail.clone())),
            _ => (None, None),
        };
        let changed = ModelChanged { cause, from: from.map(named), to: named(to), reason_code, detail };
        outbox::put(transaction, &self.writer.model_changed(&changed), clock::now_ms()).map(drop)
    }

    /// The daemon starts: a model on probation has a try less. `None` when told to stop.
    pub(super) fn models_start(&self) -> Option<()> {
        self.change(|transaction, slots| {
            let before = slots.clone();
            if let Some(place) = slots.starts(clock::now_ms()) {
                table::keep_trial(transaction, None)?;
                self.tell_change(transaction, ("rolled_back", slots.get(place.other())), slots.get(place))?;
            }
            if before != *slots {
                info!("the model that counts is on probation");
            }
            Ok(())
        })
    }
}

fn named(slot: &Slot) -> Named {
    let Bundle { name, version, digest, .. } = slot.bundle.clone();
    Named { name, version, digest }
}

/// What the slots keep of a model that has passed.
fn bundle(model: &Model) -> Bundle {
    Bundle {
        name: model.name.clone(),
        version: model.version.clone(),
        serial: model.serial,
        digest: model.digest.clone(),
        signer: model.signer.clone(),
        trained: model.trained,
        precision: model.precision.clone(),
        provider: model.provider.name().to_owned(),
    }
}

/// The bundle that a device runs which is not running: that of the slot which counts, else the configuration's.
pub(crate) fn bundle_of(config: &crate::config::Config) -> std::path::PathBuf {
    let slots = Store::open_to_read(&config.paths.database()).and_then(|store| store.read(table::slots));
    let counts = slots.ok().and_then(|slots| slots.active().map(|(_, slot)| slot.bundle.digest.clone()));
    counts.map_or_else(|| config.infer.bundle.clone(), |digest| Stock::below(&config.paths.state).path(&digest))
}
