//! Bundles that somebody has brought: a file that the configuration names and that is another one than before, and the
//! watched folder. Each becomes a command in the journal, like those that come from the broker.

use super::super::House;
use super::super::obey::Task;
use crate::command::Name;
use crate::floor::clock::{self, Stopwatch};
use crate::floor::store::lock;
use crate::update::{Stock, brought, table};
use ctedge_models::bundle::file_digest;
use ctedge_models::offer::Offer;
use ctedge_models::trust::signature_path;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tracing::{info, warn};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Who the commands are from.
const FOLDER: &str = "update.folder";
const CONFIGURED: &str = "infer.bundle";

/// What was seen of the folder so far.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Looked {
    since: Option<Stopwatch>,
    /// Name and length at the last look: a file that still grows is left alone.
    seen: Vec<(String, u64)>,
    /// Those that have been dealt with.
    done: BTreeSet<(String, u64)>,
}

impl House {
    /// What is told of the slots is told, and models are where they were when the daemon ended.
    pub(in crate::pipeline) fn begin_models(&self, tasks: &SyncSender<Task>) {
        self.tell_slots();
        self.sweep_bundles();
        if let Err(error) = Stock::clear_inbox(&self.config.paths.state, &self.pending_bundles()) {
            warn!(error = %error.kind(), "bundles that were brought before cannot be deleted");
        }
        self.shadow_again(tasks);
    }

    /// Looks for bundles that were brought.
    pub(in crate::pipeline) fn look_for_bundles(&self, looked: &mut Looked) {
        if looked.since.as_ref().is_some_and(|since| since.elapsed() < LOOK) {
            return;
        }
        if looked.since.is_none() {
            self.look_at_configured();
        }
        looked.since = Some(Stopwatch::start());
        let folder = &self.config.update.folder;
        let found = brought(folder);
        for (name, bytes) in &found {
            let is_new = !looked.done.contains(&(name.clone(), *bytes));
            if is_new && looked.seen.contains(&(name.clone(), *bytes)) {
                self.offer_of_folder(name);
                looked.done.insert((name.clone(), *bytes));
            }
        }
        looked.done.retain(|known| found.contains(known));
        looked.seen = found;
    }

    fn offer_of_folder(&self, name: &str) {
        let path = self.config.update.folder.join(name);
        match file_digest(&path) {
            Err(error) => warn!(error = %error.kind(), "a bundle in update.folder cannot be read"),
            Ok((_, digest)) if self.is_known(&digest) => {}
            Ok((_, digest)) => self.offer_file(&path, (name, &digest), FOLDER),
        }
    }

    /// A bundle at the place that the configuration names which is another one than at the last start is an update, too.
    fn look_at_configured(&self) {
        let path = &self.config.infer.bundle;
        let Ok((_, digest)) = file_digest(path) else { return };
        let read = lock(&self.store).read(|connection| Ok((table::slots(connection)?, table::configured(connection)?)));
        let Ok((slots, configured)) = read else { return };
        // Without a model that counts the room `infer` takes this one.
        if slots.active().is_none() || configured.as_deref() == Some(digest.as_str()) {
            return;
        }
        if slots.find(&digest).is_none() {
            let name = format!("{digest}.ctb");
            let inbox = Stock::inbox(&self.config.paths.state);
            let copied = crate::floor::durable::make_folder(&inbox).and_then(|()| {
                drop(fs::remove_file(inbox.join(&name)));
                fs::copy(path, inbox.join(&name)).map(drop)
            });
            if let Err(error) = copied {
                warn!(error = %error.kind(), "the bundle that infer.bundle names cannot be copied");
                return;
            }
            self.offer_file(path, (&name, &digest), CONFIGURED);
        }
        drop(lock(&self.store).commit(|transaction| table::keep_configured(transaction, &digest)));
    }

    fn is_known(&self, digest: &str) -> bool {
        self.slots().is_ok_and(|slots| slots.find(digest).is_some())
    }

    /// Enters a command to take this file, unless there was one.
    fn offer_file(&self, path: &Path, (name, digest): (&str, &str), issuer: &str) {
        let bytes = fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
        let Ok(signature) = fs::read_to_string(signature_path(path)) else { return };
        let offer = Offer::of_file((name.to_owned(), bytes), (digest.to_owned(), signature));
        let id = format!("{}-{}", issuer.replace('.', "-"), digest.get(..16).unwrap_or_default());
        info!(issuer, digest, "a bundle was brought");
        if let Err(error) = self.commands.order(Name::ModelUpdate, (&id, issuer), &json!(offer), clock::now_ms()) {
            warn!(%error, "a bundle that was brought cannot be entered");
        }
    }
}
