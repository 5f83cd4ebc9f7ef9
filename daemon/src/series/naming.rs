//! Under which pseudonyms a series goes while the site's key has several generations: those of the newest one, unless the
//! series or its study is under way under older ones. A name never changes while its files are here.

use super::gather::Gather;
use super::{Room, SeriesError, ledger};
use crate::floor::phi::Names;
use crate::floor::store::lock;

/// The names of a series.
#[derive(Debug)]
pub(super) struct Named {
    /// Under which it goes.
    pub(super) names: Names,
    /// Those under the other generations.
    pub(super) also: Vec<Names>,
}

impl Room<'_> {
    /// Decides under which names a series goes.
    pub(super) fn name(&self, study_uid: &str, series_uid: &str, gather: &Gather) -> Result<Named, SeriesError> {
        let (newest, older) = self.site.names(study_uid, series_uid);
        let mut all = vec![newest];
        all.extend(older);
        let mut place = 0;
        // With one generation, as almost always, nothing is looked up.
        if all.len() > 1 {
            for (number, names) in all.iter().enumerate() {
                if gather.knows(&names.series_key)
                    || self.spool.holds(&names.series_key)
                    || lock(self.store).read(|connection| ledger::is_under_way(connection, &names.study_key))?
                {
                    place = number;
                    break;
                }
            }
        }
        let names = all.remove(place);
        Ok(Named { names, also: all })
    }
}
