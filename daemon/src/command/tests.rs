use super::*;
use crate::floor::store::Store;
use proptest::prelude::*;
use request::OUTCOMES;
use serde_json::{Value, json};

const NOW: i64 = 1_795_467_600_000;

fn at(seconds: i64) -> String {
    crate::floor::clock::rfc3339(NOW + seconds * 1000)
}

fn at_address(name: &str, id: &str) -> Address {
    address(&format!("cmd/{name}/{id}/request")).unwrap()
}

/// A good request, with changes.
fn request(params: &Value, changes: &Value) -> Vec<u8> {
    let mut request = json!({"id": "a", "issued_at": at(-1), "expires_at": at(60), "issuer": "it", "params": params});
    for (key, value) in changes.as_object().unwrap() {
        request[key] = value.clone();
    }
    request.to_string().into_bytes()
}

fn read(name: &str, payload: &[u8]) -> Result<Request, Refused> {
    request::read(&at_address(name, "a"), payload, NOW)
}

fn reason(name: &str, params: &Value, changes: &Value) -> Reason {
    read(name, &request(params, changes)).unwrap_err().reason
}

fn order(name: &str, params: &Value) -> Result<Order, Reason> {
    read(name, &request(params, &json!({}))).map(|request| request.order).map_err(|refused| refused.reason)
}

fn taken(store: &mut Store, address: Address, payload: &[u8], retained: Retained) -> Taken {
    store.commit(|t| take(t, address, Came { payload, retained, reply: None }, &Name::ALL, NOW)).unwrap()
}

fn pause(store: &mut Store, id: &str) -> Taken {
    let payload = request(&json!({"reason": "why"}), &json!({"id": id}));
    taken(store, at_address("pause", id), &payload, Retained::No)
}

fn new(taken: Taken) -> Entry {
    if let Taken::New(entry, _) = taken { entry } else { panic!("{taken:?}") }
}

#[test]
fn topics_lead_to_commands() {
    let of = |below: &str| address(below).map(|address| (address.name, address.id));
    assert_eq!(of("cmd/pause/A-1_b/request"), Some(("pause".into(), "A-1_b".into())));
    let long = format!("cmd/pause/{}/request", "a".repeat(65));
    for wrong in [
        "cmd/pause/a",
        "cmd//a/request",
        "cmd/pause//request",
        "cmd/pause/a/request/b",
        "cmd/Pause/a/request",
        "cmd/pause/ä/request",
        "cmd/pause/a b/request",
        "status",
        "",
        &long,
    ] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}

#[test]
fn requests_keep_their_bounds() {
    assert_eq!(order("pause", &json!({"reason": " why "})), Ok(Order::Pause { reason: "why".into() }));
    let nothing = json!({});
    assert_eq!(reason("stop", &nothing, &nothing), Reason::UnknownCommand);
    let selftest = |changes: &Value| reason("selftest", &nothing, changes);
    assert_eq!(selftest(&json!({"expires_at": at(0)})), Reason::Expired);
    assert_eq!(selftest(&json!({"issued_at": at(301), "expires_at": at(400)})), Reason::Clock, "our clock is behind");
    for changes in [
        json!({"id": "b"}),
        json!({"issuer": ""}),
        json!({"issuer": "a b"}),
        json!({"issuer": "x".repeat(65)}),
        json!({"issued_at": "today"}),
        json!({"expires_at": null}),
        json!({"expires_at": at(-2)}),
        json!({"expires_at": at(24 * 3600)}),
        json!({"params": []}),
        json!({"dry_run": "yes"}),
        json!({"dryrun": true}),
    ] {
        assert_eq!(selftest(&changes), Reason::Malformed, "{changes}");
    }
    for bytes in [b"".as_slice(), b"[]", b"{", b"\xff\xfe", b"null"] {
        assert_eq!(read("selftest", bytes).unwrap_err().reason, Reason::Malformed);
    }
    let long = request(&json!({}), &json!({"x": "y".repeat(9000)}));
    assert_eq!(read("selftest", &long).unwrap_err().reason, Reason::TooLarge);
    let deep = [vec![b'['; 8000], vec![b']'; 8000]].concat();
    assert!(read("selftest", &deep).is_err());
}

#[test]
fn parameters_are_known_and_bounded() {
    let key = "ek1_".to_owned() + &"a".repeat(26);
    let which = order("reprocess", &json!({"series_key": key}));
    assert!(matches!(which, Ok(Order::Reprocess(Which::Series(_)))), "{which:?}");
    assert_eq!(order("reprocess", &json!({"since": at(0)})), Ok(Order::Reprocess(Which::Between(NOW, i64::MAX))));
    let all = OUTCOMES.map(str::to_owned).to_vec();
    assert_eq!(
        order("replay", &json!({"since": at(0)})),
        Ok(Order::Replay { since_ms: NOW, outcomes: all, limit: request::REPLAY_MOST })
    );
    assert_eq!(order("restart", &json!({"when_idle": true})), Ok(Order::Restart { when_idle: true }));
    assert_eq!(order("selftest", &json!({"depth": "full"})), Ok(Order::Selftest { depth: Depth::Full }));
    assert_eq!(order("diag", &json!({})), Ok(Order::Diag));
    for (name, params) in [
        ("pause", json!({})),
        ("pause", json!({"reason": "x".repeat(201)})),
        ("pause", json!({"reason": "two\nlines"})),
        ("resume", json!({"reason": "a", "force": true})),
        ("reprocess", json!({})),
        ("reprocess", json!({"series-key": key})),
        ("reprocess", json!({"series_key": "ek1_short"})),
        ("reprocess", json!({"series_key": key, "since": at(0)})),
        ("reprocess", json!({"until": at(0)})),
        ("replay", json!({})),
        ("replay", json!({"since": at(0), "outcomes": []})),
        ("replay", json!({"since": at(0), "outcomes": ["fine"]})),
        ("replay", json!({"since": at(0), "limit": 0})),
        ("replay", json!({"since": at(0), "limit": 1e9})),
        ("selftest", json!({"depth": "deep"})),
        ("restart", json!({"when_idle": 1})),
    ] {
        assert_eq!(order(name, &params), Err(Reason::Parameter), "{name} {params}");
    }
}

#[test]
fn a_command_is_carried_out_once() {
    let mut store = Store::in_memory();
    let first = new(pause(&mut store, "a"));
    assert_eq!(first.state, State::Accepted);
    assert_eq!(pause(&mut store, "a"), Taken::Again(first.clone()));
    let retained = taken(&mut store, at_address("pause", "a"), b"{}", Retained::Yes);
    assert_eq!(retained, Taken::Again(first), "a copy that the broker kept does not touch it");
    let retained = new(taken(&mut store, at_address("pause", "r"), &request(&json!({}), &json!({})), Retained::Yes));
    assert_eq!((retained.state, retained.told.reason_code.as_deref()), (State::Rejected, Some("retained")));
    let mut begun = store.commit(|t| next(t, Lane::Change, NOW)).unwrap().unwrap();
    assert_eq!((begun.address.id.as_str(), begun.state, begun.begun), ("a", State::Running, 1));
    begun.memory = Some("7".into());
    store.commit(|t| goes_on(t, &begun)).unwrap();
    pause(&mut store, "b");
    let again = store.commit(|t| next(t, Lane::Change, NOW)).unwrap().unwrap();
    assert_eq!(
        (again.address.id.as_str(), again.begun, again.memory.as_deref()),
        ("a", 2, Some("7")),
        "it goes on first"
    );
    assert_eq!(store.commit(|t| next(t, Lane::Look, NOW)).unwrap(), None, "another lane");
    let ended = Entry { state: State::Succeeded, ..again };
    store.commit(|t| ends(t, &ended)).unwrap();
    let late = store.commit(|t| next(t, Lane::Change, NOW + 61_000)).unwrap().unwrap();
    assert_eq!((late.address.id.as_str(), late.state), ("b", State::Expired), "its turn came too late");
    assert_eq!(store.commit(|t| next(t, Lane::Change, NOW)).unwrap(), None);
    let but = at_address("pause", "a");
    let gone = store.commit(|t| forget(t, NOW + 61_001, Some(&but))).unwrap();
    assert_eq!(gone.into_iter().map(|address| address.id).collect::<Vec<_>>(), ["r", "b"]);
    assert_eq!(store.read(entries).unwrap().len(), 1);
}

#[test]
fn an_answer_goes_where_no_device_speaks() {
    let reads = |topic: &str| Reply::read(Some(topic), None, "site/ct").is_ok_and(|reply| reply.is_some());
    let long = "x".repeat(256);
    for good in ["a", "replies/me/1", "site", "site/ctx", "site/other/v1/a", "/site/ct/v1", "ä ö/ü", &long] {
        assert!(reads(good), "{good}");
    }
    let (longer, deep) = ("x".repeat(257), "/".repeat(32));
    for bad in [
        "",
        &longer,
        &deep,
        "+",
        "a/#",
        "a/b+",
        "$SYS/broker",
        "$share/a/b",
        "a\0b",
        "a\nb",
        "a\u{7f}",
        "a\u{fffe}",
        "a\u{fdd0}",
        "site/ct",
        "site/ct/",
        "site/ct/v1/box/status",
        "site/ct/v1/other/result/clear",
        "site/ct/v2/x",
    ] {
        assert!(!reads(bad), "{bad:?}");
    }
    let with = |bytes: usize| Reply::read(Some("a"), Some(&vec![7; bytes]), "ctedge").map(Option::unwrap);
    assert_eq!(with(256).unwrap().correlation.unwrap(), [7; 256]);
    assert!(with(257).is_err(), "not answered without the data that it needs");
    assert_eq!(Reply::read(None, Some(b"x"), "ctedge"), Ok(None));
    let words = Reply::read(Some("QQtopicQQ/v1"), Some(b"QQdataQQ"), "ctedge").unwrap();
    assert!(!format!("{words:?}").contains("QQ"), "{words:?}");
}

#[test]
fn the_journal_knows_where_to_answer() {
    let mut store = Store::in_memory();
    let reply = |topic: &str| Reply { topic: topic.into(), correlation: Some(vec![0, 255]) };
    let mut ask = |id: &str, retained: Retained, reply: Option<Reply>| {
        let payload = request(&json!({"reason": "why"}), &json!({"id": id}));
        let came = Came { payload: &payload, retained, reply };
        let taken = store.commit(|t| take(t, at_address("pause", id), came, &Name::ALL, NOW)).unwrap();
        let kept = store.read(entries).unwrap().into_iter().find(|entry| entry.address.id == id).unwrap();
        let (Taken::New(entry, _) | Taken::Again(entry) | Taken::Unkept(entry)) = taken;
        assert_eq!(entry, kept, "what is told is what is remembered");
        kept.reply
    };
    assert_eq!(ask("a", Retained::No, Some(reply("one"))), Some(reply("one")));
    assert_eq!(ask("a", Retained::No, None), Some(reply("one")), "asked again without one");
    assert_eq!(ask("a", Retained::No, Some(reply("two"))), Some(reply("two")), "whoever asks again is answered");
    assert_eq!(
        ask("a", Retained::Yes, Some(reply("three"))),
        Some(reply("two")),
        "but for a copy that the broker kept"
    );
    assert_eq!(ask("b", Retained::Yes, Some(reply("four"))), Some(reply("four")), "a refusal is answered, too");
    assert_eq!(ask("c", Retained::No, None), None);
    let begun = store.commit(|t| next(t, Lane::Change, NOW)).unwrap().unwrap();
    assert_eq!(begun.reply, Some(reply("two")));
}

#[test]
fn queue_and_journal_are_bounded() {
    use crate::floor::limits::{COMMANDS_KEPT, COMMANDS_WAITING};
    let mut store = Store::in_memory();
    for number in 0..COMMANDS_WAITING {
        assert_eq!(new(pause(&mut store, &format!("a{number}"))).state, State::Accepted);
    }
    let full = new(pause(&mut store, "b"));
    assert_eq!((full.state, full.told.reason_code.as_deref()), (State::Rejected, Some("queue_full")));
    for number in 0..COMMANDS_KEPT - COMMANDS_WAITING - 1 {
        new(pause(&mut store, &format!("c{number}")));
    }
    let Taken::New(_, forgotten) = pause(&mut store, "d") else { panic!("no room") };
    assert_eq!(forgotten.map(|address| address.id).as_deref(), Some("b"), "the oldest refusal goes");
    store.commit(|t| t.execute("UPDATE commands SET state = 'succeeded' WHERE state = 'rejected'", [])).unwrap();
    let unkept = pause(&mut store, "e");
    assert!(matches!(&unkept, Taken::Unkept(entry) if entry.state == State::Rejected), "{unkept:?}");
    assert_eq!(store.read(entries).unwrap().len(), usize::try_from(COMMANDS_KEPT).unwrap());
}

#[test]
fn commands_that_a_device_lacks_are_refused() {
    let mut store = Store::in_memory();
    let payload = request(&json!({}), &json!({}));
    let came = Came { payload: &payload, retained: Retained::No, reply: None };
    let take = |t: &rusqlite::Transaction<'_>| take(t, at_address("diag", "a"), came, &[Name::Pause], NOW);
    let entry = new(store.commit(take).unwrap());
    assert_eq!(entry.told.reason_code.as_deref(), Some("unknown_command"));
}

fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 10] =
        ["id", "a", "issued_at", "expires_at", "issuer", "params", "since", "limit", "reason", "flagged"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        (-90_000i64..90_000).prop_map(|seconds| at(seconds).into()),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(&WORDS[..]), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_are_a_request_or_a_refusal(
        name in 0usize..7, bytes in proptest::collection::vec(any::<u8>(), 0..200), json in any_json(), params in any_json()
    ) {
        let name = Name::ALL[name].name();
        let good = request(&params, &json!({}));
        for payload in [bytes, json.to_string().into_bytes(), good] {
            if let Ok(request) = read(name, &payload) {
                prop_assert!(request.expires_ms > NOW && request.order.name().name() == name);
                let stored = serde_json::to_string(&request).unwrap();
                prop_assert_eq!(serde_json::from_str::<Request>(&stored).unwrap(), request);
            }
        }
    }

    #[test]
    fn any_topic_is_safe_or_none(below in "(cmd/)?.{0,12}/.{0,12}(/request)?") {
        if let Some(Address { name, id }) = address(&below) {
            prop_assert!(name.len() <= 32 && id.len() <= 64 && name.is_ascii() && id.is_ascii());
            prop_assert_eq!(format!("cmd/{name}/{id}/request"), below);
        }
    }
}

#[test]
fn the_contract_names_every_state_and_reason() {
    let text = include_str!("../../MQTT.md");
    for reason in Reason::ALL {
        assert!(text.contains(&format!("`{}`", reason.name())), "{}", reason.name());
    }
    for (_, state) in State::ALL {
        assert!(text.contains(&format!("`{state}`")), "{state}");
    }
    for name in Name::ALL {
        assert!(text.contains(&format!("`{}`", name.name())), "{}", name.name());
    }
}
