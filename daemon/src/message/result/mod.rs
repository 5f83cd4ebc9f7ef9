//! The payload of a result.

mod draft;
mod evidence;

use draft::DraftedPayload;
pub(super) use draft::ReportPayload;
use evidence::{EvidencePayload, FocusPayload, WatchedPayload, share};

use super::Place;
use crate::floor::clock;
use crate::floor::fate::Code;
use crate::floor::phi::{Names, SeriesKey, StudyKey};
use crate::floor::subject::{Choice, CompleteBy, Priority, Subject};
use crate::report::{Flag, Focus, ModelRun, Outcome, Report, Timing};
use ctedge_models::labels::Label;
use ctedge_models::report::Call;
use ctedge_models::scan::Facts;
use schemars::JsonSchema;
use serde::Serialize;

/// Said in every result.
const REVIEW_STATUS: &str = "unverified_draft";

/// What became of a series: one message for each series and revision, before its `delivery`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ResultPayload<'a> {
    schema: &'a str,
    /// The same for the same bytes, model and settings: a result that comes twice has one id.
    #[schemars(regex(pattern = "^r1_[a-z2-7]{26}$"))]
    id: &'a str,
    /// 1 for the first result of a series; rises when late files change the input.
    #[schemars(range(min = 1))]
    revision: u32,
    /// Id of the result that this revision replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    /// Name of the ledger that counts: another one begins anew.
    ledger: &'a str,
    /// Rises by one with every result of this ledger.
    #[schemars(range(min = 1))]
    seq: i64,
    /// `delivery.sha256` of the result before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_sha256: Option<&'a str>,
    /// RFC 3339, UTC, by the device's clock.
    #[schemars(extend("format" = "date-time"))]
    produced_at: String,
    /// Name of the device, as in the topic.
    device: &'a str,
    study_key: &'a StudyKey,
    series_key: &'a SeriesKey,
    /// While the site's key has several generations: what the same series is called under the others.
    #[serde(skip_serializing_if = "<[Names]>::is_empty")]
    also: &'a [Names],
    priority: Priority,
    outcome: Outcome,
    /// With `rejected` and `failed`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = codes()))]
    reason_code: Option<&'a str>,
    /// The same, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<&'a Choice>,
    /// In the model's order; empty when no model ran.
    flags: Vec<FlagPayload>,
    /// `null` when no model ran.
    model: Option<ModelPayload<'a>>,
    /// Which reference cases of the model the volume is like.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidencePayload>,
    /// The findings that the site watches, in the order of its configuration. They change no outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    watch: Vec<WatchedPayload<'a>>,
    /// The draft report that is sent after it, where the site wants drafts and a model ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<DraftedPayload<'a>>,
    input: Input<'a>,
    timing_ms: Timing,
    /// True where the device was too hot while it worked on the series, or was slowed down for it: it took longer than it usually does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    throttled: bool,
    /// Always `unverified_draft`: a physician has not seen it.
    #[schemars(extend("const" = REVIEW_STATUS))]
    review_status: &'a str,
    /// In the model maker's words.
    intended_use: &'a str,
}

/// One abnormality.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Flag")]
struct FlagPayload {
    #[schemars(with = "Label")]
    code: &'static str,
    /// Calibrated probability.
    #[schemars(range(min = 0, max = 1))]
    p: f64,
    /// Threshold.
    #[schemars(range(min = 0, max = 1))]
    t: f64,
    /// Whether `p` is at or above `t`.
    positive: bool,
    /// Of a positive flag that is less likely than the site takes to be told as present: a draft calls it possible.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    possible: bool,
    /// Where a positive flag comes from, where the model tells: what its tokens add to its logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    focus: Option<FocusPayload>,
    /// Share of `evidence.neighbours` whose own report says so, where the model has reference cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    neighbours: Option<f64>,
}

/// The model that made the flags, and how it really ran.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Model")]
struct ModelPayload<'a> {
    name: &'a str,
    version: &'a str,
    /// SHA-256 of the bundle file, hex.
    digest: &'a str,
    /// Id of the trusted key that signed it.
    signer: &'a str,
    /// False for random weights: the flags mean nothing.
    trained: bool,
    /// Execution provider that really ran.
    #[schemars(extend("examples" = ["tensorrt", "cuda", "cpu"]))]
    ep: &'a str,
    /// Of the weights.
    precision: &'a str,
    /// Version of ONNX Runtime.
    runtime: &'a str,
}

/// What the result rests on. What was read is absent where nothing could be.
#[derive(Debug, Serialize, JsonSchema)]
struct Input<'a> {
    /// Files that came.
    files: u32,
    /// Files that the header announced.
    expected: Option<u32>,
    complete_by: CompleteBy,
    #[serde(flatten)]
    facts: Option<&'a Facts>,
}

/// A result as it is sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Result")]
pub(super) struct Sent<'a> {
    #[serde(flatten)]
    result: ResultPayload<'a>,
    delivery: super::DeliveryPayload<'a>,
}

impl<'a> ResultPayload<'a> {
    /// What this device says of a report.
    pub(super) fn of(device: &'a str, id: &'a str, place: &'a Place, report: &'a Report) -> Self {
        let Subject { study_key, series_key, expected, complete_by, instances, revision, replaces, priority, .. } =
            &report.subject;
        Self {
            schema: "result/1.0",
            id,
            revision: *revision,
            replaces: replaces.as_deref(),
            ledger: &place.ledger,
            seq: place.seq,
            prev_sha256: place.prev_sha256.as_deref(),
            produced_at: clock::rfc3339(clock::now_ms()),
            device,
            study_key,
            series_key,
            also: &report.also,
            priority: *priority,
            outcome: report.outcome,
            reason_code: report.refusal.as_ref().map(|refusal| refusal.code.name()),
            reason_detail: report.refusal.as_ref().map(|refusal| refusal.detail.as_str()),
            choice: report.subject.choice.as_ref(),
            flags: flags(report),
            model: report.model.as_ref().map(model),
            evidence: report.similar.as_ref().map(EvidencePayload::of),
            watch: report.watched.iter().map(WatchedPayload::of).collect(),
            report: report.draft.as_ref().map(DraftedPayload::of),
            input: Input {
                files: *instances,
                expected: *expected,
                complete_by: *complete_by,
                facts: report.facts.as_ref(),
            },
            timing_ms: report.timing,
            throttled: report.is_hot,
            review_status: REVIEW_STATUS,
            intended_use: intended_use(report),
        }
    }
}

const NO_DIAGNOSIS: &str = "Draft for review by a physician. Not a diagnosis.";

/// In the model maker's words, else in ours.
fn intended_use(report: &Report) -> &str {
    report.model.as_ref().map_or(NO_DIAGNOSIS, |model| &model.intended_use)
}

fn flags(report: &Report) -> Vec<FlagPayload> {
    let foci = report.foci.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let payload = |(flag, focus): (&Flag, Option<&Focus>)| FlagPayload {
        code: flag.label.name(),
        p: rounded(flag.probability),
        t: rounded(flag.threshold),
        positive: flag.positive(),
        possible: flag.call() == Call::Possible,
        focus: focus.filter(|_| flag.positive()).map(FocusPayload::of),
        neighbours: report.similar.as_ref().and_then(|similar| share(similar, flag.label)),
    };
    report.flags.iter().zip(foci).map(payload).collect()
}

fn codes() -> Vec<&'static str> {
    Code::all().map(Code::name).collect()
}

/// Five decimals: more are noise of the arithmetic, and differ between execution providers.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

fn model(run: &ModelRun) -> ModelPayload<'_> {
    let ModelRun { name, version, digest, signer, trained, provider: ep, precision, runtime, .. } = run;
    ModelPayload { name, version, digest, signer, trained: *trained, ep, precision, runtime }
}
