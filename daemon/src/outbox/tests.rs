use super::*;
use crate::floor::store::Store;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn event(topic: &str, priority: u8) -> Message {
    Message {
        topic: topic.into(),
        payload: b"{}".to_vec(),
        retain: false,
        expiry_s: Some(60),
        priority,
        result_id: None,
        correlation: None,
    }
}

fn result(id: &str, priority: u8) -> Message {
    Message {
        payload: format!(r#"{{"id":"{id}"}}"#).into_bytes(),
        result_id: Some(id.into()),
        ..event("result", priority)
    }
}

fn receipt(message: &Message) -> Receipt {
    Receipt { id: message.result_id.clone().unwrap(), sha256: message.sha256() }
}

fn with_receipts() -> Settings {
    Settings { receipts: true, receipt_s: 10.0, ..Settings::default() }
}

fn put_in(store: &mut Store, message: &Message) -> i64 {
    store.commit(|t| put(t, message, 5)).unwrap()
}

/// What is sent next, as `(seq, attempt)`; 0 attempts for what does not say.
fn sent(store: &mut Store, now_ms: i64, except: &[i64]) -> Vec<(i64, u64)> {
    let attempt = |message: &Message| {
        let payload: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        let attempt = payload["delivery"]["attempt"].as_u64().unwrap_or_default();
        assert_eq!(payload["delivery"]["dup_possible"].as_bool().unwrap_or_default(), attempt > 1);
        attempt
    };
    let envelopes = store.commit(|t| next(t, now_ms, 99, except)).unwrap();
    envelopes.iter().map(|envelope| (envelope.seq, attempt(&envelope.message))).collect()
}

#[test]
fn urgent_first_then_oldest_until_taken() {
    let mut store = Store::in_memory();
    let first = put_in(&mut store, &event("event", 9));
    let clear = put_in(&mut store, &result("r1_clear", 4));
    let flagged = put_in(&mut store, &result("r1_flagged", 0));
    assert_eq!(sent(&mut store, 5, &[]), [(flagged, 1), (clear, 1), (first, 0)]);
    assert_eq!(sent(&mut store, 5, &[flagged]), [(clear, 2), (first, 0)], "a repeat says so");
    store.commit(|t| taken(t, flagged, 6, &Settings::default())).unwrap();
    assert_eq!(sent(&mut store, 5, &[]), [(clear, 3), (first, 0)]);
    assert_eq!(store.read(waiting).unwrap(), Waiting { messages: 2, oldest_ms: Some(5) });
}

#[test]
fn what_was_rolled_back_was_never_there() {
    let mut store = Store::in_memory();
    let failed = store.commit(|t| {
        put(t, &result("r1_x", 0), 5)?;
        Err::<(), _>(rusqlite::Error::InvalidQuery)
    });
    assert!(failed.is_err());
    assert_eq!(store.read(waiting).unwrap(), Waiting { messages: 0, oldest_ms: None });
    assert_eq!(store.commit(next_place).unwrap().prev_sha256, None);
}

#[test]
fn results_are_chained() {
    let mut store = Store::in_memory();
    let (one, two) = (result("r1_one", 0), result("r1_two", 0));
    let first = store.commit(next_place).unwrap();
    put_in(&mut store, &one);
    put_in(&mut store, &event("event", 9));
    let second = store.commit(next_place).unwrap();
    assert_eq!((first.seq, second.seq, first.prev_sha256), (1, 2, None));
    assert_eq!((second.prev_sha256, second.ledger), (Some(one.sha256()), first.ledger));
    put_in(&mut store, &two);
    assert_eq!(store.commit(next_place).unwrap().prev_sha256, Some(two.sha256()));
}

#[test]
fn the_digest_covers_what_stands_before_the_delivery() {
    let message = result("r1_x", 0);
    let sha256 = message.sha256();
    let sent = message.clone().delivered(Delivery { attempt: 2, dup_possible: true, replayed: false }).payload;
    let text = String::from_utf8(sent).unwrap();
    let (body, delivery) = text.rsplit_once(r#","delivery":"#).unwrap();
    assert_eq!(format!("{body}}}").into_bytes(), message.payload);
    assert!(delivery.contains(&sha256) && delivery.contains(r#""attempt":2,"dup_possible":true"#), "{delivery}");
}

#[test]
fn a_result_without_a_receipt_is_sent_again_later_and_later() {
    let mut store = Store::in_memory();
    let message = result("r1_x", 0);
    let seq = put_in(&mut store, &message);
    let take = |store: &mut Store, now_ms| store.commit(|t| taken(t, seq, now_ms, &with_receipts())).unwrap();
    assert_eq!(sent(&mut store, 0, &[]), [(seq, 1)]);
    take(&mut store, 0);
    assert_eq!(sent(&mut store, 9_999, &[]), []);
    assert_eq!(sent(&mut store, 10_000, &[]), [(seq, 2)]);
    take(&mut store, 10_000);
    assert_eq!(sent(&mut store, 29_999, &[]), [], "twice as long the second time");
    let wrong = Receipt { sha256: "00".into(), ..receipt(&message) };
    assert!(!store.commit(|t| receipted(t, &wrong)).unwrap(), "a receipt for other bytes closes nothing");
    assert!(store.commit(|t| receipted(t, &receipt(&message))).unwrap());
    assert!(!store.commit(|t| receipted(t, &receipt(&message))).unwrap(), "the second means nothing");
    assert_eq!(sent(&mut store, i64::MAX, &[]), []);
    take(&mut store, 10_001);
}

#[test]
fn delivered_results_are_sent_again_page_by_page_and_counted_once() {
    let mut store = Store::in_memory();
    let mut all = Vec::new();
    for number in 0..40 {
        let outcome = if number % 2 == 0 { "flagged" } else { "clear" };
        let message = Message { topic: format!("t/{outcome}"), ..result(&format!("r1_{number}"), 0) };
        all.push(put_in(&mut store, &message));
    }
    sent(&mut store, 5, &[]);
    for seq in &all {
        store.commit(|t| taken(t, *seq, 7, &Settings::default())).unwrap();
    }
    let page = |after, most| Page { topics: vec!["t/flagged".into(), "t/clear".into()], since_ms: 5, after, most };
    let asked = |store: &mut Store, page: &Page| store.commit(|t| replay(t, page, 9)).unwrap();
    assert_eq!(store.read(|c| page(0, 99).count(c)).unwrap(), 40);
    assert_eq!(asked(&mut store, &Page { since_ms: 6, ..page(0, 99) }), Some(Vec::new()), "stored before");
    let first = asked(&mut store, &page(0, 99)).unwrap();
    assert_eq!(first, all[..32]);
    assert_eq!(asked(&mut store, &page(first[31], 99)), None, "no more before those are taken");
    let Kept { queued, .. } = store.read(kept).unwrap();
    assert_eq!(queued, 0, "replays are in no book");
    let fresh = put_in(&mut store, &result("r1_0", 0));
    let envelopes = store.commit(|t| next(t, 9, 99, &[])).unwrap();
    assert_eq!(envelopes[0].seq, fresh, "a new result goes first");
    let told = |envelope: &Envelope| serde_json::from_slice::<serde_json::Value>(&envelope.message.payload).unwrap();
    assert_eq!(told(&envelopes[0])["delivery"]["dup_possible"], true, "one of this id had been delivered");
    assert_eq!(told(&envelopes[0])["delivery"].get("replayed"), None);
    let again = &told(&envelopes[1])["delivery"];
    assert_eq!((&again["replayed"], &again["attempt"]), (&true.into(), &2.into()));
    for envelope in &envelopes[1..] {
        store.commit(|t| taken(t, envelope.seq, 9, &with_receipts())).unwrap();
    }
    assert_eq!(asked(&mut store, &page(first[31], 99)).unwrap(), all[32..]);
    assert_eq!(store.read(delivered).unwrap(), 40, "a replay is no new result");
    assert_eq!(store.commit(|t| forget_delivered(t, 8)).unwrap(), 40);
}

/// What may happen to an outbox.
#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Send,
    Taken(usize),
    Receipt(usize),
    Wait(u16),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4).prop_map(Step::Put),
        Just(Step::Send),
        (0usize..8).prop_map(Step::Taken),
        (0usize..8).prop_map(Step::Receipt),
        (0u16..30_000).prop_map(Step::Wait),
        Just(Step::Reconnect),
    ]
}

/// A result in the reference model.
#[derive(Debug, Clone)]
struct Row {
    message: Message,
    attempts: u64,
    due_ms: i64,
    taken: u32,
}

/// The outbox again, in a few plain lines: what each step does to a map.
#[derive(Debug, Default)]
struct Reference {
    receipts: bool,
    rows: BTreeMap<i64, Row>,
    made: u64,
    published: u64,
    receipted: u64,
    now_ms: i64,
}

impl Reference {
    fn send(&mut self) -> Vec<(i64, u64)> {
        let mut due: Vec<(u8, i64)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.due_ms <= self.now_ms)
            .map(|(seq, row)| (row.message.priority, *seq))
            .collect();
        due.sort_unstable();
        let send = |(_, seq): (u8, i64)| {
            let row = self.rows.get_mut(&seq).unwrap();
            row.attempts += 1;
            (seq, row.attempts)
        };
        due.into_iter().map(send).collect()
    }

    fn taken(&mut self, seq: i64) {
        if !self.receipts {
            self.rows.remove(&seq);
            self.published += 1;
            return;
        }
        let row = self.rows.get_mut(&seq).unwrap();
        row.taken += 1;
        row.due_ms = self.now_ms + 10_000 * (1 << (row.taken - 1).min(10));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_run_does_what_the_reference_does(steps in proptest::collection::vec(step(), 1..40), receipts: bool) {
        let settings = Settings { receipts, receipt_s: 10.0, ..Settings::default() };
        let (mut store, mut reference) = (Store::in_memory(), Reference { receipts, ..Reference::default() });
        for step in steps {
            let nth = |reference: &Reference, place: usize| reference.rows.keys().nth(place).copied();
            match step {
                Step::Put(priority) => {
                    reference.made += 1;
                    let message = result(&format!("r1_{}", reference.made), priority);
                    let seq = put_in(&mut store, &message);
                    reference.rows.insert(seq, Row { message, attempts: 0, due_ms: 0, taken: 0 });
                }
                Step::Send => prop_assert_eq!(sent(&mut store, reference.now_ms, &[]), reference.send()),
                Step::Taken(place) => if let Some(seq) = nth(&reference, place) {
                    store.commit(|t| taken(t, seq, reference.now_ms, &settings)).unwrap();
                    reference.taken(seq);
                },
                Step::Receipt(place) => if let Some(row) = nth(&reference, place).and_then(|seq| reference.rows.remove(&seq)) {
                    prop_assert!(store.commit(|t| receipted(t, &receipt(&row.message))).unwrap());
                    reference.receipted += 1;
                },
                Step::Wait(ms) => reference.now_ms += i64::from(ms),
                Step::Reconnect => {
                    store.commit(|t| wait_anew(t, reference.now_ms, &settings)).unwrap();
                    for row in reference.rows.values_mut().filter(|row| row.taken > 0) {
                        (row.taken, row.due_ms) = (1, row.due_ms.min(reference.now_ms + 10_000));
                    }
                }
            }
            let closed = reference.published + reference.receipted;
            prop_assert_eq!(store.read(delivered).unwrap(), closed, "what is closed is kept");
            let Kept { queued, unreceipted, .. } = store.read(kept).unwrap();
            let of = |taken| u64::try_from(reference.rows.values().filter(|row| (row.taken > 0) == taken).count()).unwrap();
            prop_assert_eq!((queued, unreceipted), (of(false), of(true)));
            prop_assert_eq!(queued + unreceipted + reference.published + reference.receipted, reference.made);
        }
    }
}

#[test]
fn answers_give_way_to_newer_ones_and_are_given_up() {
    let mut store = Store::in_memory();
    let answer = |word: &str| Message {
        payload: word.as_bytes().to_vec(),
        correlation: Some(vec![0, 7]),
        ..event("replies/me", 0)
    };
    let words = |store: &mut Store| -> Vec<String> {
        let sent = store.commit(|t| next(t, 0, 10, &[])).unwrap();
        let answers = sent.iter().filter(|envelope| envelope.is_answer);
        answers.map(|envelope| String::from_utf8(envelope.message.payload.clone()).unwrap()).collect()
    };
    for (command, word) in [(1, "accepted"), (0, "full"), (2, "accepted"), (1, "running"), (0, "also full")] {
        store.commit(|t| super::answer(t, command, &answer(word), 0)).unwrap();
    }
    store.commit(|t| put(t, &result("r1", 1), 0)).unwrap();
    assert_eq!(words(&mut store), ["full", "accepted", "running", "also full"]);
    let sent = store.commit(|t| next(t, 0, 1, &[])).unwrap().remove(0);
    assert_eq!((sent.message, sent.is_answer), (answer("full"), true));
    store.commit(|t| taken(t, sent.seq, 0, &with_receipts())).unwrap();
    assert_eq!(words(&mut store), ["accepted", "running", "also full"], "an answer needs no receipt");
    let mut given_up = Vec::new();
    for _connection in 0..ANSWER_TRIES {
        given_up.push(store.commit(give_up).unwrap());
        words(&mut store);
    }
    store.commit(|t| super::answer(t, 1, &answer("succeeded"), 0)).unwrap();
    given_up.push(store.commit(give_up).unwrap());
    assert_eq!(given_up.iter().sum::<usize>(), 3, "each after as many tries: {given_up:?}");
    assert_eq!(words(&mut store), ["succeeded"], "news has all its tries");
    let waiting = store.commit(|t| next(t, 0, 10, &[])).unwrap();
    assert!(waiting.iter().any(|envelope| envelope.message.result_id.is_some()), "a result is never given up");
}

#[test]
fn a_result_that_is_sent_again_brings_its_draft() {
    let mut store = Store::in_memory();
    let [one, other] = ["r1_1", "r1_2"].map(|id| put_in(&mut store, &Message { topic: "t".into(), ..result(id, 0) }));
    let draft = Message { payload: br#"{"draft":1}"#.to_vec(), ..event("report", 0) };
    store.commit(|t| put_draft(t, "r1_1", &draft, 5)).unwrap();
    let queue = |store: &mut Store| store.commit(|t| next(t, 9, 99, &[])).unwrap();
    let deliver = |store: &mut Store| {
        let envelopes = queue(store);
        for envelope in &envelopes {
            store.commit(|t| taken(t, envelope.seq, 7, &Settings::default())).unwrap();
        }
        envelopes
    };
    assert_eq!(deliver(&mut store).len(), 3);
    let page = Page { topics: vec!["t".into()], since_ms: 5, after: 0, most: 99 };
    for _ in 0..2 {
        assert_eq!(store.commit(|t| replay(t, &page, 9)).unwrap(), Some(vec![one, other]));
        let again = deliver(&mut store);
        let ids: Vec<Option<&str>> = again.iter().map(|envelope| envelope.message.result_id.as_deref()).collect();
        assert_eq!(ids, [Some("r1_1"), None, Some("r1_2")], "the draft after its result");
        assert_eq!(again[1].message.payload, draft.payload);
    }
    assert_eq!(store.commit(|t| forget_delivered(t, 8)).unwrap(), 2);
    assert_eq!(store.read(|c| c.query_row("SELECT COUNT(*) FROM drafts", [], |row| row.get::<_, i64>(0))).unwrap(), 0);
}
