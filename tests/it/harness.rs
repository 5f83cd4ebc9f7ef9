//! The harness itself: a broker that loses messages or a subscriber that misses them would make every other test lie.

use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Subscriber;
use ctedge_tests::{broker, runtime};
use std::process::Command;
use std::time::Duration;

fn publish(port: u16, topic: &str, payload: &str) {
    let port = port.to_string();
    process::output(
        Command::new("mosquitto_pub").args(["-p", &port, "-V", "5", "-q", "1", "-t", topic, "-m", payload]),
    )
    .unwrap();
}

#[test]
fn the_subscriber_hears_everything_even_over_a_restart_of_the_broker() {
    let mut broker = Mosquitto::start(Memory::Persistent).unwrap();
    let subscriber = Subscriber::start(broker.port()).unwrap();
    publish(broker.port(), "a/result/clear", r#"{"id": "r1"}"#);
    subscriber.wait_for_results(1, Duration::from_secs(10)).unwrap();
    broker.stop().unwrap();
    broker.resume().unwrap();
    publish(broker.port(), "a/result/clear", r#"{"id": "r2"}"#);
    publish(broker.port(), "a/result/clear", r#"{"id": "r2"}"#);
    subscriber.wait(Duration::from_secs(20), |messages| messages.len() >= 3).unwrap();
    // At least once: the first may come again after the restart, its acknowledgement having been on its way.
    assert!(subscriber.wait_for_results(2, Duration::from_secs(10)).unwrap().len() >= 3);
    let error = subscriber.wait_for_results(3, Duration::from_millis(100)).unwrap_err().to_string();
    assert!(error.contains("in vain") && error.contains("r2"), "{error}");
}

#[test]
fn the_embedded_broker_speaks_mqtt_5() {
    let port = broker::start().unwrap();
    let subscriber = Subscriber::start(port).unwrap();
    publish(port, "a/b", "{}");
    subscriber.wait(Duration::from_secs(10), |messages| messages.iter().any(|message| message.topic == "a/b")).unwrap();
}

#[test]
fn pydicom_writes_the_same_series_for_the_same_seed() {
    let bytes = |seed| {
        let made = series::make(&Plan::small(2, seed)).unwrap();
        assert_eq!(made.series.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6]);
        made.series.concat().iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
    };
    let once = bytes(5);
    assert!(once == bytes(5), "a repetition is the same bytes");
    assert!(once.iter().zip(bytes(6)).all(|(a, b)| *a != b), "another seed is not");
}

#[test]
fn onnx_runtime_is_where_it_should_be() {
    let bytes = std::fs::read(runtime::library().unwrap()).unwrap();
    assert!(bytes.starts_with(b"\x7fELF") && bytes.len() > 10_000_000);
}
