use super::*;
use ctedge_models::offer::Part;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;

fn heard(topic: &str, payload: &str) -> Heard {
    Heard { topic: topic.to_owned(), payload: payload.as_bytes().to_vec() }
}

/// What an overview makes of these messages.
fn rows(messages: &[(&str, &str)]) -> Vec<Row> {
    let mut overview = Overview::new(Topics::new("site/ct").unwrap());
    for (below, payload) in messages {
        overview.heard(&heard(&format!("site/ct/v1/{below}"), payload));
    }
    overview.rows()
}

#[test]
fn a_file_in_pieces_is_the_file_and_the_list_proves_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for length in [0, 1, 1024, 1025, 70_001] {
        let content: Vec<u8> = (0..length).map(|place: u32| u8::try_from(place * 31 % 251).unwrap()).collect();
        fs::write(&path, &content).unwrap();
        let parcel = Parcel::open(&path, Some(1024)).unwrap();
        let whole = |part| -> Vec<Vec<u8>> { (0..).map_while(|number| parcel.piece(part, number).unwrap()).collect() };
        let (pieces, list) = (whole(Part::Data), whole(Part::List).concat());
        assert_eq!(pieces.concat(), content);
        assert_eq!(pieces.len(), content.len().div_ceil(1024));
        let digests: Vec<u8> = pieces.iter().flat_map(Sha256::digest).collect();
        assert_eq!(list, digests);
        let list = data_encoding::HEXLOWER.encode(&Sha256::digest(&digests));
        assert_eq!(json!(parcel.source())["mqtt"]["chunks_sha256"], list.as_str());
        assert_eq!(parcel.digest(), data_encoding::HEXLOWER.encode(&Sha256::digest(&content)));
        assert_eq!(parcel.piece(Part::Data, u64::MAX).unwrap(), None);
    }
    assert!(Parcel::open(&path, Some(1023)).is_err() && Parcel::open(&path, Some((1 << 20) + 1)).is_err());
    // As sparse a file as one likes: what matters is how many pieces there would be.
    fs::File::options().write(true).open(&path).unwrap().set_len(1024 * (CHUNKS + 1)).unwrap();
    assert!(Parcel::open(&path, Some(1024)).is_err());
    assert_eq!(json!(Parcel::open(&path, None).unwrap().source())["mqtt"]["chunk_bytes"], CHUNK_BYTES);
}

#[test]
fn devices_are_shown_as_they_say_that_they_are() {
    let slot = r#"{"schema": "model/1.0", "at": "2026-11-27T10:00:02Z", "slot": "b", "state": "failed",
        "model": {"name": "m", "version": "2.0.0", "serial": 7, "digest": "ab"}, "since": "2026-11-27T09:00:00Z",
        "reason_code": "wrong_digest", "reason_detail": "x"}"#;
    let row = &rows(&[
        ("ct-1/status", r#"{"state": "online", "session": 4, "since": "2026-11-27T10:00:00Z"}"#),
        ("ct-1/info", r#"{"at": "2026-11-27T10:00:01Z", "version": "0.2.0", "group": "pilot"}"#),
        ("ct-1/model/b", slot),
        ("ct-1/model/a", r#"{"state": "shadow", "shadow": {"agreement": 0.5, "series": 3}, "model": null}"#),
        // It comes late, and is not true any more.
        ("ct-1/status", r#"{"state": "offline", "session": 3}"#),
    ])[0];
    assert_eq!((row.state.as_deref(), row.group.as_deref()), (Some("online"), Some("pilot")));
    assert_eq!(row.last_seen.as_deref(), Some("2026-11-27T10:00:02Z"));
    let (a, b) = (&row.slots["a"], &row.slots["b"]);
    assert_eq!((a.agreement, a.series, a.name.clone()), (Some(0.5), Some(3), None));
    assert_eq!(
        (b.version.as_deref(), b.serial, b.reason_code.as_deref()),
        (Some("2.0.0"), Some(7), Some("wrong_digest"))
    );
    let gone =
        rows(&[("ct-1/model/b", slot), ("ct-1/model/b", ""), ("ct-1/status", r#"{"state": "offline", "session": 9}"#)]);
    assert!(gone[0].slots.is_empty() && gone[0].state.as_deref() == Some("offline"));
}

#[test]
fn what_others_say_costs_a_field_and_no_more() {
    let mut messages = vec![
        ("ct-1/status", "not json"),
        ("ct-1/info", r#"{"group": 5, "version": null}"#),
        ("ct-1/model/a", r#"["a list"]"#),
        ("ct-1/model/b", "{\"state\": \"act\\u001b[2Jive\", \"model\": {\"serial\": -1, \"version\": {}}}"),
        ("ct-1/model/a/b", r#"{"state": "active"}"#),
        ("CT 1/status", r#"{"state": "online"}"#),
        ("../status", r#"{"state": "online"}"#),
        ("ct-2/result/clear", "{}"),
    ];
    let slots: Vec<String> = (0..50).map(|number| format!("ct-1/model/{number}")).collect();
    messages.extend(slots.iter().map(|slot| (slot.as_str(), "{}")));
    let rows = rows(&messages);
    let row = &rows[0];
    assert_eq!((row.state.clone(), row.group.clone(), row.last_seen.clone()), (None, None, None));
    assert_eq!(row.slots["b"].state.as_deref(), Some("act[2Jive"), "a terminal is not steered");
    assert!(row.slots.len() <= 8, "{}", row.slots.len());
    assert_eq!(rows.iter().map(|row| row.device.as_str()).collect::<Vec<_>>(), ["ct-1"]);
}

#[test]
fn topics_are_those_of_the_prefix() {
    let topics = Topics::new("a/b-1").unwrap();
    assert_eq!(topics.of("ct-1", "fetch"), "a/b-1/v1/ct-1/fetch");
    assert_eq!(topics.split("a/b-1/v1/ct-1/cmd/x/y"), Some(("ct-1", "cmd/x/y")));
    for other in ["a/v1/ct-1/fetch", "a/b-1/v2/ct-1/fetch", "a/b-1/v1/CT/fetch", "a/b-1/v1/ct-1"] {
        assert_eq!(topics.split(other), None, "{other}");
    }
    for wrong in ["", "/a", "a/", "a//b", "A", "a/+"] {
        assert!(Topics::new(wrong).is_err(), "{wrong}");
    }
    assert!(!is_device("") && !is_device(&"a".repeat(49)) && is_device(&"a".repeat(48)));
}
