//! What of the drop folder cannot be taken: told once, and kept for whoever asks how it stands.

use super::{Listing, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use tracing::{info, warn};

/// What of the drop folder cannot be taken, and why.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    /// The folder itself.
    folder: Option<ErrorKind>,
    /// Files, as hashes of where they lie.
    files: BTreeMap<Source, ErrorKind>,
}

impl Stuck {
    /// What is wrong, in a sentence, if anything is.
    pub(crate) fn detail(&self) -> Option<String> {
        if let Some(why) = self.folder {
            return Some(format!("the drop folder cannot be listed: {why}"));
        }
        let why = self.files.values().next()?;
        let count = self.files.len();
        Some(format!(
            "files that cannot be taken out of the drop folder: {count} ({why}); this daemon must be able to write there"
        ))
    }

    /// The folder was listed. What has gone from it is stuck no more.
    pub(super) fn listed(&mut self, listing: &Listing) {
        if self.folder.take().is_some() {
            info!("the drop folder can be listed again");
        }
        if self.files.is_empty() {
            return;
        }
        let there: BTreeSet<Source> = listing.files.keys().map(|path| Source::of(path)).collect();
        self.files.retain(|file, _| there.contains(file));
        if self.files.is_empty() {
            info!("no file is stuck in the drop folder any more");
        }
    }

    /// The folder could not be listed.
    pub(super) fn unlisted(&mut self, why: ErrorKind) {
        if self.folder.replace(why) != Some(why) {
            warn!(error = %why, "the drop folder cannot be listed; trying again");
        }
    }

    /// A file could not be taken.
    pub(super) fn left(&mut self, file: &Path, why: ErrorKind) {
        if self.files.is_empty() {
            warn!(error = %why, "a file cannot be taken out of the drop folder; trying again, and health counts further ones");
        }
        self.files.insert(Source::of(file), why);
    }
}
