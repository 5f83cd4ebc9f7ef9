//! What happens when the ledger is damaged: it never keeps the daemon from starting.

use super::PipelineError;
use crate::config::Config;
use crate::floor::disk::{Ballast, MayLackRoom};
use crate::floor::store::{Store, StoreError};
use crate::intake::Spool;
use tracing::error;

/// Opens the ledger. A damaged one is kept aside and made anew, and the series of the spool are read once more: whether
/// their results had been sent is not known any longer, and a repeat has the same id. One that finds no room gets what was
/// set aside for it.
pub(super) fn ledger(config: &Config, spool: &Spool, ballast: &Ballast) -> Result<Store, PipelineError> {
    let path = config.paths.database();
    let open = || match Store::open(&path) {
        Err(error) if error.lacks_room() && ballast.release() => Store::open(&path),
        opened => opened,
    };
    let store = opened(config, spool, &open)?;
    Ok(store.with_ballast(ballast.clone()))
}

fn opened(
    config: &Config,
    spool: &Spool,
    open: &dyn Fn() -> Result<Store, StoreError>,
) -> Result<Store, PipelineError> {
    match open() {
        Err(damage) if damage.is_damage() => {
            error!(error = %damage, "the ledger is damaged; it is kept aside and made anew from the spool");
            let folder = |source| PipelineError::Folder { path: config.paths.spool.clone(), source };
            let again = spool.reopen(config.series.keep()).map_err(folder)?;
            let state = |source| PipelineError::Folder { path: config.paths.state.clone(), source };
            Store::set_aside(&config.paths.database()).map_err(state)?;
            error!(series = again, "finished series are read again");
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}
