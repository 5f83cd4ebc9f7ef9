//! A bundle over the broker, whose connection to the device breaks again and again while results go on.

use super::proxy::Cut;
use super::{RECEIPTS, Stand};
use crate::scene::PATIENCE;
use anyhow::{Context, ensure};
use ctedge_models::bundle::file_digest;
use ctedge_tests::parcel::{Parcel, Publisher};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::subscriber::Message;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// The bar: percent of the bundle that may be sent a second time.
const TWICE_PERCENT: f64 = 5.0;
/// The bar: how long a result may take while a bundle comes and the connection breaks.
const RESULT: Duration = Duration::from_secs(10);
/// Between two series.
const PAUSE: Duration = Duration::from_millis(400);
/// So fast, that connections break in the midst of it.
const MORE: [&str; 3] = [RECEIPTS[0], RECEIPTS[1], "update.kib_s = 10240"];

/// So many MiB with so many breaks; and two controls.
pub(crate) fn run(mib: u64, drops: u32, clock: &Elapsed) -> anyhow::Result<bool> {
    let parcel = Parcel::of(mib)?;
    clock.say(&format!("a bundle of {} bytes", parcel.bytes));
    let breaches = play(&parcel, ("honest", drops), clock)?;
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    let small = Parcel::of(mib.min(2))?;
    let mut found = true;
    for (kind, sign) in [("twice", "were sent twice"), ("spoiled", "chunk_wrong")] {
        let missed = play(&small, (kind, 0), clock)?;
        let is_found = missed.iter().any(|breach| breach.contains(sign));
        found &= is_found;
        let word = if is_found { "was found" } else { "was NOT found" };
        clock.say(&format!("control, pieces sent {kind}: that {word}: {}", missed.join("; ")));
    }
    let held = breaches.is_empty() && found;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// How the command ended, once it has.
fn ended(stand: &Stand) -> Option<Message> {
    let is_over = |message: &Message| {
        message.topic.ends_with("/cmd/model_update/carry")
            && ["succeeded", "failed", "rejected", "expired"].contains(&message.text("state"))
    };
    stand.scene.subscriber.messages().into_iter().find(is_over)
}

/// What is wrong when a bundle has come and its connection was broken so often meanwhile.
fn play(parcel: &Parcel, (kind, drops): (&str, u32), clock: &Elapsed) -> anyhow::Result<Vec<String>> {
    let mut stand = Stand::at(&std::env::temp_dir(), &MORE)?;
    fs::copy(&parcel.public, stand.scene.appliance.path("trust").join("parcel.pub"))?;
    // A device without a model takes its first from its disk.
    let has_model = |message: &Message| {
        message.topic.ends_with("/info") && message.payload.pointer("/model/digest").is_some_and(Value::is_string)
    };
    stand.scene.subscriber.wait(PATIENCE, |messages| messages.iter().any(has_model))?;
    let publisher = Publisher::start(&parcel.path, stand.scene.broker.port(), kind)?;
    ask(&stand, &publisher.offer)?;
    let (mut fed, mut cut, start) = (Vec::new(), 0, Instant::now());
    let end = loop {
        if let Some(end) = ended(&stand) {
            break end;
        }
        let log = || stand.scene.appliance.log_end();
        ensure!(start.elapsed() < PATIENCE * 10, "no end after {} bytes\n{}", publisher.sent(), log());
        if fed.last().is_none_or(|last: &Instant| last.elapsed() > PAUSE) {
            stand.feed()?;
            fed.push(Instant::now());
            stand.receipt()?;
        }
        if cut < drops && publisher.sent() > parcel.bytes / u64::from(drops + 1) * u64::from(cut + 1) {
            stand.proxy.cut(Cut::Close);
            cut += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = start.elapsed();
    let mut breaches = stand.breaches()?;
    let slowest = slowest(&stand, &fed);
    let twice = more(publisher.sent(), parcel.bytes);
    clock.say(&format!(
        "carry, pieces sent {kind}: {} bytes in {:.1} s, {cut} of {drops} connections broken, {twice:.2} % sent twice (bar \
         {TWICE_PERCENT} %); {} results meanwhile, the slowest after {:.1} s (bar {} s), {} breaches",
        parcel.bytes,
        took.as_secs_f64(),
        fed.len(),
        slowest.as_secs_f64(),
        RESULT.as_secs(),
        breaches.len()
    ));
    let here = stand.scene.appliance.path("state/bundles").join(format!("{}.ctb", parcel.digest));
    let is_here = file_digest(&here).is_ok_and(|found| found == (parcel.bytes, parcel.digest.clone()));
    let wrong = [
        (end.text("state") != "succeeded", format!("the command ended: {}", end.raw)),
        (!is_here, "the bundle is not on the device as it was".to_owned()),
        (twice > TWICE_PERCENT, format!("{twice:.2} % were sent twice")),
        (slowest > RESULT, format!("a result took {:.1} s", slowest.as_secs_f64())),
        (cut < drops, format!("only {cut} of {drops} connections were broken")),
    ];
    breaches.extend(wrong.into_iter().filter(|(is_so, _)| *is_so).map(|(_, breach)| breach));
    Ok(breaches)
}

/// By how many percent more was sent than there is; of that the list is a tenth of one.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a percentage of a few hundred MB")]
fn more(sent: u64, bytes: u64) -> f64 {
    sent as f64 * 100.0 / bytes as f64 - 100.0
}

fn ask(stand: &Stand, offer: &Value) -> anyhow::Result<()> {
    let mut params = offer.clone();
    params.as_object_mut().context("an offer")?.insert("mode".to_owned(), json!("stage"));
    let file = stand.scene.appliance.path("request");
    let at = |when: &str| process::output(Command::new("date").args(["-u", "-d", when, "+%Y-%m-%dT%H:%M:%SZ"]));
    let (now, later) = (at("now")?, at("1 hour")?);
    let request = json!({"id": "carry", "issuer": "faults", "issued_at": now.trim(), "expires_at": later.trim(), "params": params});
    fs::write(&file, request.to_string())?;
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &stand.scene.broker.port().to_string(), "-q", "1"]);
    command.args(["-t", "ctedge/v1/test/cmd/model_update/carry/request", "-f"]).arg(&file);
    process::output(&mut command).map(drop)
}

/// The longest time from a series to its result; they come in the order in which they are told.
fn slowest(stand: &Stand, fed: &[Instant]) -> Duration {
    let results = stand.scene.subscriber.results();
    let mut first: Vec<(u64, Instant)> =
        results.iter().filter_map(|r| Some((r.payload.get("seq")?.as_u64()?, r.at))).collect();
    first.sort_unstable();
    first.dedup_by_key(|(seq, _)| *seq);
    let waits = fed.iter().zip(&first).map(|(fed, (_, told))| told.saturating_duration_since(*fed));
    waits.max().unwrap_or_default()
}
