//! Has a bundle come over the wire to where it arrives.

use super::super::House;
use crate::command::{Entry, Reason, Refused, Told};
use crate::floor::clock::{self, Stopwatch};
use crate::update::transfer::{self, Cut, FetchError, Terms, Wanted};
use ctedge_models::offer::{Offer, Source};
use std::cell::RefCell;
use std::time::Duration;
use tracing::warn;

/// How often it is told how much is there.
const TELL: Duration = Duration::from_secs(5);
/// Time for a bundle where the offer names none, from when the command came.
const DAY_MS: i64 = 24 * 3600 * 1000;

impl House {
    /// Fetches what is offered, from where it is to be had. Nothing where the device stops meanwhile: it goes on from what
    /// is there at the next start.
    pub(super) fn fetch(&self, entry: &mut Entry, offer: &Offer) -> Option<Result<(), Refused>> {
        let partial = self.stock().partial(&offer.digest);
        if let Err(error) = self.stock().open() {
            return Some(Err(Refused::new(Reason::Device, format!("state/bundles: {}", error.kind()))));
        }
        let until_ms = offer.deadline.as_deref().and_then(clock::read_rfc3339);
        let deadline_ms = until_ms.or_else(|| entry.received_ms.checked_add(DAY_MS));
        let told = RefCell::new((entry, Stopwatch::start()));
        let progress = |bytes: u64| {
            let (entry, since) = &mut *told.borrow_mut();
            if since.elapsed() >= TELL {
                *since = Stopwatch::start();
                let told = Told { progress: Some(share(bytes, offer.bytes)), ..Told::at("fetching") };
                if let Err(error) = self.commands.progress(entry, told) {
                    warn!(%error, "how much of a bundle is there cannot be told");
                }
            }
        };
        let wanted = Wanted { digest: &offer.digest, bytes: offer.bytes };
        let terms = Terms {
            settings: &self.config.update,
            deadline_ms,
            disk: &self.disk,
            stop: &self.commands.halt,
            progress: &progress,
            may_go_on: &|| self.broker_has_time(),
        };
        let fetched = match &offer.source {
            Source::Https(url) => transfer::https(url, &wanted, &partial, &terms),
            Source::Mqtt { chunk_bytes, chunks_sha256 } => {
                let cut = Cut { chunk_bytes: *chunk_bytes, chunks_sha256 };
                transfer::mqtt(&cut, &wanted, &partial, &self.landing, &terms)
            }
            // It lies here already, and is copied.
            Source::File(_) => Ok(()),
        };
        let (entry, _) = told.into_inner();
        match fetched {
            Err(FetchError::Stopped) => self.commands.stopped(entry).map(Err),
            Err(error @ (FetchError::File { .. } | FetchError::Certificates { .. })) => {
                Some(Err(Refused::new(Reason::Device, error.to_string())))
            }
            Err(error) => Some(Err(Refused::new(Reason::Fetch(error.code()), error.to_string()))),
            Ok(()) => Some(Ok(())),
        }
    }
}

/// The share that is there, in thousandths.
fn share(bytes: u64, of: u64) -> f64 {
    let thousandths = u128::from(bytes) * 1000 / u128::from(of.max(1));
    f64::from(u16::try_from(thousandths).unwrap_or(1000).min(1000)) / 1000.0
}
