//! What happens when the ledger is damaged: it never keeps the daemon from starting.

use super::PipelineError;
use crate::config::Config;
use crate::floor::store::Store;
use crate::intake::Spool;
use std::time::Duration;
use tracing::error;

/// Opens the ledger. A damaged one is kept aside and made anew, and the series of the spool are read once more: whether
/// their results had been sent is not known any longer, and a repeat has the same id.
pub(super) fn ledger(config: &Config, spool: &Spool) -> Result<Store, PipelineError> {
    let path = config.paths.database();
    match Store::open(&path) {
        Err(damage) if damage.is_damage() => {
            error!(error = %damage, "the ledger is damaged; it is kept aside and made anew from the spool");
            let folder = |source| PipelineError::Folder { path: config.paths.spool.clone(), source };
            let again = spool.reopen(Duration::from_secs_f64(config.series.keep_h * 3600.0)).map_err(folder)?;
            let state = |source| PipelineError::Folder { path: config.paths.state.clone(), source };
            Store::set_aside(&path).map_err(state)?;
            error!(series = again, "finished series are read again");
            Ok(Store::open(&path)?)
        }
        opened => Ok(opened?),
    }
}
