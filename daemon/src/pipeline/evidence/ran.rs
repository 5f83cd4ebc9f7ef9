//! What the flight recorder keeps of a series.

use crate::evidence::{Decision, Loaded, logits_digest};
use crate::floor::clock;
use crate::infer::{Inferred, Model};
use crate::report::Report;

/// What came out of the model, before it became a report.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// One a label; none where the model did not run.
    pub(crate) logits: Vec<f32>,
}

impl Ran {
    /// Of a series that has been through the model, or past it.
    pub(crate) fn of(inferred: &Inferred) -> Self {
        let logits = inferred.scores.as_ref().map(|scores| scores.logits.clone()).unwrap_or_default();
        Self { logits }
    }

    /// All of it, for the recorder.
    pub(crate) fn decision(&self, id: &str, report: &Report, model: &Model, config_digest: &str) -> Decision {
        let refusal = report.refusal.as_ref();
        Decision {
            result_id: id.to_owned(),
            at: clock::rfc3339(clock::now_ms()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            subject: report.subject.clone(),
            config_digest: config_digest.to_owned(),
            model: Loaded {
                name: format!("{} {}", model.name, model.version),
                digest: model.digest.clone(),
                provider: model.provider.name().to_owned(),
                runtime: model.runtime.clone(),
            },
            facts: report.facts.clone(),
            outcome: report.outcome.name().to_owned(),
            refusal: refusal.map(|refusal| (refusal.code.name().to_owned(), refusal.detail.clone())),
            logits: self.logits.clone(),
            logits_sha256: logits_digest(&self.logits),
            faults: Vec::new(),
            timing: serde_json::json!(report.timing),
        }
    }
}
