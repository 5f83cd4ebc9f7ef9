//! The end of a series: one commit, and then its files move on.

use super::evidence::Ran;
use super::{AGAIN, House};
use crate::evidence::Decision;
use crate::floor::clock;
use crate::floor::store::{StoreError, lock};
use crate::infer::{Inferred, Model};
use crate::intake::Retired;
use crate::report::{Report, Written};
use crate::series::attempts;
use crate::series::ledger::{self, Ending};
use crate::{choice, evidence, message, outbox, report};
use std::sync::PoisonError;
use tracing::{error, info};

impl House {
    /// Reports a series, stores its result and retires its files. Returns false when the daemon is told to stop before that
    /// could be done; the series is then done again at the next start.
    pub(super) fn finish(&self, mut inferred: Inferred, draft: Option<Written>, model: &Model) -> bool {
        inferred.is_hot |= self.is_hot();
        let ran = Ran::of(&inferred);
        let mut report = report::report(&self.config.report, inferred, draft, model);
        let id = message::result_id(&report.subject.identity(), &model.digest, &self.config_digest);
        let reason = report.refusal.as_ref().map(|refusal| refusal.code.name());
        loop {
            match self.disk.patiently(|| self.commit(&id, &mut report, model, &ran)) {
                Ok(()) => break,
                Err(error) => error!(%error, "a result cannot be stored; trying again"),
            }
            if self.wait(AGAIN) {
                return false;
            }
        }
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).count(&report);
        let key = &report.subject.series_key;
        info!(
            series = %key, outcome = report.outcome.name(), reason, result = id,
            revision = report.subject.revision, total_ms = report.timing.total_ms, "series finished"
        );
        if let Err(error) = self.disk.patiently(|| self.spool.retire(key, Retired::after(reason))) {
            error!(series = %key, error = %error.kind(), "the files of a finished series cannot be moved; they stay in work/");
        }
        self.board.wake();
        true
    }

    /// Outcome, counter, revision, attempts, choice, outbox row and the recorder's: all of it or nothing.
    fn commit(&self, id: &str, report: &mut Report, model: &Model, ran: &Ran) -> Result<(), StoreError> {
        let most_bytes = u64::from(self.config.evidence.recorder_mib) << 20;
        let reason = report.refusal.as_ref().map(|refusal| refusal.code.name());
        lock(&self.store).commit(|transaction| {
            let ending = Ending { outcome: report.outcome.name(), reason };
            report.subject = ledger::finish(transaction, &report.subject, id, ending)?;
            report.also = ledger::aliases(transaction, &report.subject.series_key)?;
            let faults = attempts::told(transaction, &report.subject.series_key)?;
            attempts::forget(transaction, &report.subject.series_key)?;
            choice::ledger::settle(transaction, self.config.choice.mode, &report.subject, ending)?;
            let place = outbox::next_place(transaction)?;
            let now_ms = clock::now_ms();
            outbox::put(transaction, &self.writer.result(id, &place, report), now_ms)?;
            if let Some(draft) = self.writer.report(id, report) {
                outbox::put_draft(transaction, id, &draft, now_ms)?;
            }
            self.disclose(transaction, id, report, clock::now_ms())?;
            let decision = ran.decision(id, report, model, &self.config_digest);
            evidence::record(transaction, &Decision { faults, ..decision }, most_bytes)
        })
    }
}
