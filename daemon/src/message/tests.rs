use super::payload::Overall;
use super::*;
use crate::floor::fate::{Code, Refusal};
use crate::floor::phi::{Names, SeriesKey, StudyKey};
use crate::floor::subject::{Choice, CompleteBy, Priority, Subject, Verdict};
use crate::report::{
    Author, Fallback, Flag, ModelRun, Neighbour, Outcome, Similar, Timing, Unscored, Watched, Written,
};
use ctedge_models::evidence::Judged;
use ctedge_models::labels::Label;
use ctedge_models::scan::Reason;
use serde_json::{Value, json};

fn report() -> Report {
    Report {
        subject: Subject {
            study_key: StudyKey("sk1_a".into()),
            series_key: SeriesKey("ek1_b".into()),
            digest: "00".into(),
            instances: 30,
            expected: None,
            complete_by: CompleteBy::Marker,
            revision: 2,
            replaces: Some("r1_old".into()),
            choice: None,
            completed_ms: 0,
            priority: Priority::Routine,
        },
        outcome: Outcome::Flagged,
        refusal: None,
        flags: Label::all()
            .map(|label| Flag { label, probability: 0.734_561_2, threshold: 0.5, possible_below: 0.5 })
            .collect(),
        foci: Vec::new(),
        similar: None,
        watched: Vec::new(),
        facts: None,
        model: Some(ModelRun {
            name: "scale-vlp-tiny".into(),
            version: "0.1.0".into(),
            digest: "ab".repeat(32),
            signer: "1234567890ABCDEF".into(),
            trained: false,
            provider: "cpu".into(),
            precision: "f32".into(),
            runtime: "1.28.0".into(),
            intended_use: "research".into(),
        }),
        draft: None,
        timing: Timing::default(),
        is_hot: false,
        also: Vec::new(),
    }
}

fn writer() -> Writer {
    Writer::new(Topics::new("ctedge", "box-1").unwrap(), "box-1")
}

fn place(seq: i64) -> Place {
    Place { ledger: "l1_a".into(), seq, prev_sha256: Some("00".into()) }
}

fn parsed(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

#[test]
fn topics_are_made_of_safe_names() {
    assert_eq!(Topics::new("site/ct", "box_1").unwrap().below("status"), "site/ct/v1/box_1/status");
    for device in ["", "Box", "a b", "a/b", "+", "#", "ä", &"x".repeat(49)] {
        assert!(Topics::new("ctedge", device).is_err(), "{device:?}");
    }
    for prefix in ["", "/ctedge", "ctedge/", "a//b", "+", "a/#"] {
        assert!(Topics::new(prefix, "box").is_err(), "{prefix:?}");
    }
}

#[test]
fn results_are_not_retained_and_stay_small() {
    let message = writer().result("r1_x", &place(7), &report());
    assert_eq!((message.topic.as_str(), message.retain), ("ctedge/v1/box-1/result/flagged", false));
    assert!(message.payload.len() < 8 << 10, "{} bytes", message.payload.len());
    let payload = parsed(&message);
    assert_eq!(payload["flags"][12], json!({"code": "pleural_effusion", "p": 0.73456, "t": 0.5, "positive": true}));
    assert_eq!((&payload["revision"], &payload["replaces"], &payload["seq"]), (&json!(2), &json!("r1_old"), &json!(7)));
    assert_eq!((&payload["model"]["ep"], &payload["model"]["trained"]), (&json!("cpu"), &json!(false)));
    assert_eq!((&payload["input"]["files"], &payload["input"]["complete_by"]), (&json!(30), &json!("marker")));
    assert_eq!(payload["review_status"], "unverified_draft");
}

#[test]
fn other_names_are_told_where_there_are_any() {
    let also = vec![Names { study_key: StudyKey("sk2_a".into()), series_key: SeriesKey("ek2_b".into()) }];
    let message = writer().result("r1_x", &place(7), &Report { also, ..report() });
    assert_eq!(parsed(&message)["also"], json!([{"study_key": "sk2_a", "series_key": "ek2_b"}]));
    assert!(parsed(&writer().result("r1_x", &place(7), &report())).get("also").is_none());
}

#[test]
fn identifiers_are_on_one_topic_not_retained_and_not_printed() {
    use ctedge_models::scan::Identifiers;
    let identifiers = Identifiers { accession_number: Some("ZQAQZ".into()), patient_id: Some("ZQPQZ".into()) };
    let message = writer().idmap("r1_x", &report().subject, &identifiers);
    assert_eq!(
        (message.topic.as_str(), message.retain, message.expiry_s),
        ("ctedge/v1/box-1/idmap", false, Some(86_400))
    );
    assert_eq!((&parsed(&message)["accession_number"], &parsed(&message)["id"]), (&json!("ZQAQZ"), &json!("r1_x")));
    let printed = format!("{message:?} {identifiers:?}");
    assert!(!printed.contains("ZQ"), "{printed}");
}

#[test]
fn refusals_say_why() {
    let refusal = Refusal::new(Code::Scan(Reason::GantryTilt), "slices sheared by 18.50 degrees (gantry tilt)");
    let refused =
        Report { outcome: Outcome::Rejected, refusal: Some(refusal), flags: Vec::new(), model: None, ..report() };
    let message = writer().result("r1_x", &place(8), &refused);
    assert_eq!(message.topic, "ctedge/v1/box-1/result/rejected");
    let payload = parsed(&message);
    assert_eq!(payload["reason_code"], "gantry_tilt");
    assert!(payload["intended_use"].as_str().unwrap().contains("Not a diagnosis"));
    assert!(writer().result("r1_x", &place(8), &report()).priority < message.priority, "flagged results go first");
}

#[test]
fn state_is_retained() {
    let writer = writer();
    let health = Health::of(vec![
        Check { id: "model", state: Overall::Ok, detail: String::new() },
        Check { id: "broker", state: Overall::Degraded, detail: "why".into() },
    ]);
    assert_eq!(health.overall, Overall::Degraded, "the worst counts");
    let info = Info {
        model: None,
        passed_over: Vec::new(),
        architecture: "x86_64",
        power_mode: None,
        clocks: None,
        group: None,
    };
    for message in [writer.status(State::Online, 3), writer.health(&health), writer.info(&info)] {
        assert!(message.retain && message.expiry_s.is_none(), "{}", message.topic);
    }
    assert_eq!(parsed(&writer.status(State::Offline, 3))["state"], "offline");
    assert_eq!(parsed(&writer.health(&health))["overall"], "degraded");
}

fn numbers() -> Metrics {
    Metrics {
        uptime_s: 86_400,
        pending: 1,
        outbox_messages: 2,
        outbox_oldest_s: 3,
        disk_free_bytes: DiskFree { incoming: Some(1), spool: Some(1), state: Some(1) },
        hottest_celsius: Some(61.5),
        resident_bytes: Some(1),
        ended: 37,
        complete_to_result_mean_s: Some(0.463),
        complete_to_result_last_s: Some(0.42),
    }
}

#[test]
fn numbers_pass_and_leave_out_what_is_not_known() {
    let unknown = Metrics {
        disk_free_bytes: DiskFree { incoming: None, spool: Some(1), state: None },
        hottest_celsius: None,
        resident_bytes: None,
        complete_to_result_mean_s: None,
        complete_to_result_last_s: None,
        ..numbers()
    };
    let message = writer().metrics(&unknown);
    assert_eq!(
        (message.topic.as_str(), message.retain, message.expiry_s),
        ("ctedge/v1/box-1/metrics", false, Some(120))
    );
    let told = parsed(&message);
    assert_eq!(told["disk_free_bytes"], json!({"spool": 1}));
    assert!(told.as_object().unwrap().values().all(|value| !value.is_null()), "{told}");
    let schema = documents().into_iter().find(|document| document.name == "metrics").unwrap().schema();
    assert_eq!(schema["required"].as_array().unwrap().len(), 9, "the others may be absent: {schema}");
}

#[test]
fn counters_balance_as_the_ledger_does() {
    let mut books: Vec<(String, u64, u64)> =
        [("received", 2, 5), ("flagged", 1, 3), ("rejected", 1, 1), ("published", 1, 2)]
            .map(|(name, today, total)| (name.to_owned(), today, total))
            .into();
    let kept = Kept { queued: 1, unreceipted: 1, ledger: "l1_a".into(), last_seq: 4 };
    let audit = AuditHead { seq: 9, sha256: "ab".into() };
    let payload = parsed(&writer().counters(&Counters { audit: Some(audit), ..Counters::of(&books, 1, &kept) }));
    assert_eq!(payload["audit"], json!({"seq": 9, "sha256": "ab"}));
    assert_eq!(payload["total"]["received"], 5);
    assert_eq!(payload["today"]["received"], 2);
    assert_eq!(payload["delivery"], json!({"queued": 1, "unreceipted": 1, "published": 2, "receipted": 0}));
    assert_eq!((&payload["balanced"], &payload["last_seq"]), (&json!(true), &json!(4)));
    assert!(!Counters::of(&books, 0, &kept).balanced, "a series without outcome that nobody works on is lost");
    assert!(!Counters::of(&books, 1, &Kept { queued: 0, ..kept.clone() }).balanced, "so is a result that is nowhere");
    books[1].2 += 1;
    assert!(!Counters::of(&books, 1, &kept).balanced);
}

#[test]
fn ids_follow_from_input_model_and_settings() {
    let id = result_id("series", "model", "config");
    assert_eq!(id, result_id("series", "model", "config"));
    assert_eq!(id.len(), 29);
    for other in [
        result_id("serie", "smodel", "config"),
        result_id("series", "model2", "config"),
        result_id("series", "model", "c"),
    ] {
        assert_ne!(id, other);
    }
}

/// Keys of an object and of the objects in it, as dotted paths.
fn keys(value: &Value, prefix: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![prefix.trim_end_matches('.').to_owned()] };
    object.iter().flat_map(|(key, value)| keys(value, &format!("{prefix}{key}."))).collect()
}

/// The JSON examples of the contract.
fn examples() -> Vec<Value> {
    let text = include_str!("../../MQTT.md");
    let blocks = text.split("```json").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

#[test]
fn the_contract_shows_what_is_sent() {
    use crate::report::Report;
    use ctedge_models::scan::{Facts, Format, Identifiers};
    let writer = writer();
    let facts = Facts {
        format: Format::Dicom,
        instances: 30,
        slices: 30,
        dropped: std::collections::BTreeMap::new(),
        transfer_syntax: Some("1.2.840.10008.1.2.1".into()),
        size: [512, 512, 30],
        spacing_mm: [1.0; 3],
        orientation: "LPS".into(),
        gaps: 0,
        tilt_deg: 0.0,
        hu_range: [-1024.0, 3071.0],
        warnings: Vec::new(),
    };
    let similar = Similar {
        neighbours: vec![Neighbour { reference: 1, similarity: 0.9, labels: vec![Label::Emphysema] }],
        novelty: Some(Judged { score: 0.1, bound: 0.2 }),
        of: 2,
    };
    let mut draft = Written { author: Author::Decoder, tokens: 96, ..Written::template(&report().flags, None) };
    (draft.cost.steps, draft.cost.draft_ms) = (110, 90);
    let watch = |name: &str, score, calibrated| Watched { name: name.to_owned(), score, calibrated };
    let watched = vec![
        watch("pneumothorax", Ok(2.5), Some((0.9, 0.5))),
        watch("rib_fracture", Ok(-1.0), None),
        watch("goitre", Err(Unscored::TooLong), None),
    ];
    let mut first = Report { facts: Some(facts), similar: Some(similar), watched, draft: Some(draft), ..report() };
    (first.subject.revision, first.subject.replaces) = (1, None);
    let health = Health::of(vec![Check { id: "provider", state: CheckState::Degraded, detail: String::new() }]);
    let identifiers = Identifiers { accession_number: Some("4711".into()), patient_id: None };
    let audit = AuditHead { seq: 61, sha256: String::new() };
    let incident = Incident { step: "provider_bad", provider: Some("cuda"), detail: String::new() };
    let sent = [
        writer.incident(&incident),
        writer.result("r1_x", &place(1), &first).delivered(Delivery {
            attempt: 1,
            dup_possible: false,
            replayed: false,
        }),
        writer.report("r1_x", &first).unwrap(),
        writer.status(State::Online, 17),
        writer.counters(&Counters { audit: Some(audit), ..Counters::of(&[], 0, &Kept::default()) }),
        writer.health(&health),
        writer.metrics(&numbers()),
        writer.event(StepKind::Complete(&first.subject)),
        writer.disk_low(&DiskLow { level: "stopped", folders: vec!["spool"], used_percent: 97, free_mib: 300 }),
        writer.idmap("r1_x", &first.subject, &identifiers),
        writer.fetch(&Fetch { digest: "67", part: "data", from: 40, count: 2 }),
    ];
    sent.iter().for_each(shown);
}

/// A message has the fields of its example.
fn shown(message: &Message) {
    let sent = parsed(message);
    let example = examples().into_iter().find(|example| example["schema"] == sent["schema"]).unwrap();
    let sorted = |value| {
        let mut all = keys(value, "");
        all.sort();
        all
    };
    assert_eq!(sorted(&sent), sorted(&example), "{}", message.topic);
}

#[test]
fn the_contract_shows_models() {
    let (name, version, digest) = ("m".to_owned(), "1.0.0".to_owned(), "d".to_owned());
    let model = SlotModel {
        name: name.clone(),
        version: version.clone(),
        serial: 1,
        digest: digest.clone(),
        signer: String::new(),
        trained: true,
        precision: "f32".to_owned(),
        ep: "cpu".to_owned(),
    };
    let agreed = Agreed { label: Label::PleuralEffusion, both: 1, active_only: 0, candidate_only: 0, neither: 0 };
    let shadow =
        Shadow { against: digest.clone(), series: 1, agreement: Some(1.0), max_difference: 0.0, flags: vec![agreed] };
    let slot = SlotState {
        slot: "b",
        state: "shadow",
        model: Some(model),
        since: Some(String::new()),
        tries: None,
        reason_code: None,
        reason_detail: None,
        probation: None,
        shadow: Some(shadow),
    };
    let message = writer().slot(&slot);
    assert_eq!((message.topic.as_str(), message.retain), ("ctedge/v1/box-1/model/b", true));
    shown(&message);
    let named = Named { name, version, digest };
    let (reason_code, detail) = (Some("faults".to_owned()), Some(String::new()));
    let changed = ModelChanged { cause: "rolled_back", from: Some(named.clone()), to: named, reason_code, detail };
    shown(&writer().model_changed(&changed));
}

#[test]
fn a_device_asks_in_the_words_that_publishers_read() {
    let fetch = Fetch { digest: "67", part: "list", from: 0, count: 3 };
    let message = writer().fetch(&fetch);
    assert_eq!((message.topic.as_str(), message.retain, message.expiry_s), ("ctedge/v1/box-1/fetch", false, Some(30)));
    let read: ctedge_models::offer::Fetch = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((read.part, read.from, read.count), (ctedge_models::offer::Part::List, 0, 3));
    assert_eq!(writer().chunks(), "ctedge/v1/box-1/chunk/");
}

#[test]
fn the_contract_shows_a_verdict() {
    let mut chosen = report();
    chosen.subject.choice = Some(Choice {
        verdict: Verdict::Chosen,
        rule: Some("soft tissue, thin".into()),
        rank: Some(1),
        of: 2,
        kernel: Some("B4*".into()),
        thickness_mm: 1.0,
        coverage_mm: 312.0,
        chosen_series_key: None,
        instead_of: None,
    });
    let example = examples().into_iter().find(|example| example.get("verdict").is_some()).unwrap();
    assert_eq!(parsed(&writer().result("r1_x", &place(1), &chosen))["choice"], example);
}

#[test]
fn the_contract_names_every_code() {
    let text = include_str!("../../MQTT.md");
    for label in Label::all() {
        assert!(text.contains(&format!("`{}`", label.name())), "{}", label.name());
    }
    for code in crate::floor::fate::Code::all() {
        assert!(text.contains(&format!("`{}`", code.name())), "{}", code.name());
    }
    for outcome in Outcome::ALL {
        assert!(text.contains(&format!("`{}`", outcome.name())), "{}", outcome.name());
    }
}

#[test]
fn a_draft_goes_by_a_topic_of_its_own_and_never_without_its_mark() {
    let flags = report().flags;
    let written = Written::template(&flags, Some(Fallback::NoDecoder));
    let words = written.draft.findings.clone();
    let report = Report { draft: Some(written), ..report() };
    let (result, draft) = (writer().result("r1_x", &place(1), &report), writer().report("r1_x", &report).unwrap());
    assert_eq!(
        (draft.topic.as_str(), draft.retain, draft.priority),
        ("ctedge/v1/box-1/report", false, result.priority)
    );
    assert!(draft.result_id.is_none(), "it is no result: the chain does not count it");
    let (result, draft) = (parsed(&result), parsed(&draft));
    assert_eq!((&draft["review_status"], &draft["draft"]["findings"]), (&json!("unverified_draft"), &json!(words)));
    assert_eq!((&draft["author"], &draft["fallback"]), (&json!("template"), &json!("no_decoder")));
    assert_eq!(draft.get("tokens_per_s"), None, "a template costs none");
    assert!(!result.to_string().contains(&words), "rights on topics can keep the words back");
    let told = format!("{words}\n{}", draft["draft"]["impression"].as_str().unwrap());
    assert_eq!(result["report"]["sha256"], HEXLOWER.encode(&Sha256::digest(told)));
    assert_eq!(writer().report("r1_x", &Report { draft: None, ..report }), None);
}
