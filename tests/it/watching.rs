//! Whoever watches sees what subscribers hear: health, metrics and status by HTTP, and the signs of life for systemd.

use crate::scene::{PATIENCE, Scene, count};
use ctedge_tests::arrival::Manner;
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Message;
use ctedge_tests::tools;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A scene whose daemon can be watched.
fn watched() -> Scene {
    let port = process::free_port().unwrap();
    let scene = Scene::with(|setup| setup.web = Some(port));
    process::wait_for_port(port, PATIENCE).unwrap();
    scene
}

/// The numbers of `/metrics` as Prometheus' own client reads them; names with their labels, as `name{a="b"}`.
fn numbers(scene: &Scene) -> BTreeMap<String, f64> {
    let (status, page) = scene.appliance.ask("/metrics").unwrap();
    assert_eq!(status, 200);
    let file = scene.appliance.path("page");
    std::fs::write(&file, page).unwrap();
    let read = tools::peer("metrics.py", &[&file]).unwrap();
    let samples: Vec<(String, BTreeMap<String, String>, f64)> = serde_json::from_str(&read).unwrap();
    let named = |(name, labels, value): (String, BTreeMap<String, String>, f64)| {
        let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}={text}")).collect();
        (format!("{name}{{{}}}", labels.join(",")), value)
    };
    let count = samples.len();
    let numbers: BTreeMap<String, f64> = samples.into_iter().map(named).collect();
    assert_eq!(numbers.len(), count, "a number is told twice");
    numbers
}

/// A number that has to be a whole one.
fn whole(number: f64) -> u64 {
    number.to_string().parse().unwrap()
}

/// Waits until an answer is as it should be.
fn wait_for(scene: &Scene, path: &str, is_right: impl Fn(u16, &str) -> bool) -> String {
    let mut last = (0, String::new());
    let came = process::wait_until(PATIENCE, || {
        last = scene.appliance.ask(path)?;
        Ok(is_right(last.0, &last.1))
    });
    assert!(came.unwrap(), "{path} answers {last:?}\n{}", scene.appliance.log_end());
    last.1
}

fn newest(scene: &Scene, topic: &str) -> Value {
    let messages = scene.subscriber.messages();
    messages.into_iter().rfind(|message| message.topic.ends_with(topic)).unwrap().payload
}

#[test]
fn the_numbers_are_those_that_subscribers_hear() {
    let made = series::make(&Plan::small(2, 91)).unwrap();
    let scene = watched();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    // The second loses the end of every slice.
    let short = tempfile::tempdir().unwrap();
    for (number, file) in made.series[1].iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(short.path().join(format!("{number}.dcm")), &bytes[..bytes.len() - 2000]).unwrap();
    }
    scene.drop_folder(short.path(), "t");
    let results = scene.results(2);
    let books = scene.balanced(2);
    wait_for(&scene, "/status", |_, body| body.contains("\"messages\":0"));
    let numbers = numbers(&scene);
    let number = |name: &str| *numbers.get(name).unwrap_or_else(|| panic!("{name} is missing: {numbers:#?}"));
    let counted = |name: &str| whole(number(name));
    for outcome in ["flagged", "clear", "inconclusive", "rejected", "failed"] {
        let told = counted(&format!("ctedge_series_total{{outcome={outcome}}}"));
        assert_eq!(told, count(&books, outcome), "{outcome}");
    }
    assert_eq!(counted("ctedge_series_received_total{}"), 2);
    assert_eq!([counted("ctedge_series_pending{}"), counted("ctedge_outbox_messages{}")], [0, 0]);
    assert_eq!(counted("ctedge_mqtt_connected{}"), 1);
    // The first model counts, two series arrived and were complete, two results and the draft of one.
    assert_eq!(counted("ctedge_mqtt_published_total{reason=taken}"), 8);
    assert_eq!(counted("ctedge_complete_to_result_seconds_count{}"), 2);
    let read = results.iter().find(|result| result.text("outcome") != "rejected").unwrap();
    let refused = results.iter().find(|result| result.text("outcome") == "rejected").unwrap();
    let code = refused.text("reason_code");
    assert_eq!(counted(&format!("ctedge_rejected_total{{code={code}}}")), 1);
    for (stage, field) in [("decode", "decode_ms"), ("infer", "infer_ms")] {
        assert_eq!(counted(&format!("ctedge_stage_seconds_count{{stage={stage}}}")), 1);
        let seconds = read.payload["timing_ms"][field].as_f64().unwrap() / 1000.0;
        let sum = number(&format!("ctedge_stage_seconds_sum{{stage={stage}}}"));
        assert!((sum - seconds).abs() < 1e-9, "{stage}: {sum} and {seconds}");
    }
    let flags = read.payload["flags"].as_array().unwrap();
    let positive = flags.iter().filter(|flag| flag["positive"] == true).count();
    let told = numbers.iter().filter(|(name, _)| name.starts_with("ctedge_flag_positive_total")).map(|(_, n)| n);
    assert_eq!(told.map(|count| whole(*count)).sum::<u64>(), u64::try_from(positive).unwrap());
    let model = &read.payload["model"];
    let of = |key: &str| model[key].as_str().unwrap();
    let labels = format!("digest={},ep={},name={},version={}", of("digest"), of("ep"), of("name"), of("version"));
    assert_eq!(counted(&format!("ctedge_model_info{{{labels}}}")), 1);
    assert!(number("ctedge_disk_free_bytes{path=spool}") > 1e6 && number("process_threads{}") >= 6.0);
    assert!(number("process_resident_memory_bytes{}") > 1e6 && number("process_open_fds{}") > 3.0);
    assert!(number("ctedge_last_success_timestamp_seconds{}") > 1.7e9);
    let mentioned = |message: &&Message| message.topic.ends_with("/metrics");
    assert_eq!(scene.subscriber.messages().iter().find(mentioned).map(|message| &message.raw), None, "off by default");
}

/// The newest message `metrics` that fulfils a condition.
fn brief(scene: &Scene, is_right: impl Fn(&Value) -> bool) -> Value {
    scene.wait(1, |message| message.topic.ends_with("/metrics") && is_right(&message.payload)).pop().unwrap().payload
}

/// Numbers over MQTT are those of the ledger and of the page, told once and kept by nobody, whatever the version of MQTT.
fn numbers_over(version: &str, expires: &str) -> Scene {
    let made = series::make(&Plan::small(1, 92)).unwrap();
    let sensors = tempfile::tempdir().unwrap();
    for (number, celsius) in [48_250, 61_500, 40_000].iter().enumerate() {
        let zone = sensors.path().join(format!("thermal_zone{number}"));
        std::fs::create_dir(&zone).unwrap();
        std::fs::write(zone.join("temp"), celsius.to_string()).unwrap();
    }
    let port = process::free_port().unwrap();
    let thermal = format!("web.thermal = {:?}", sensors.path().display().to_string());
    let more = ["mqtt.metrics_s = 1".to_owned(), format!("mqtt.version = {version:?}"), thermal];
    let scene = Scene::with(|setup| (setup.web, setup.more) = (Some(port), more.to_vec()));
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    std::fs::write(scene.appliance.incoming().join("letter.txt"), "no scan").unwrap();
    scene.results(2);
    let books = scene.balanced(2);
    let brief_of_two = |told: &Value| told["ended"] == 2 && told["outbox_messages"] == 0;
    let told = brief(&scene, brief_of_two);
    assert_eq!((&told["pending"], &told["outbox_oldest_s"]), (&books["total"]["pending"], &json!(0)));
    assert_eq!(told["hottest_celsius"], 61.5);
    let page = numbers(&scene);
    let mean = page["ctedge_complete_to_result_seconds_sum{}"] / page["ctedge_complete_to_result_seconds_count{}"];
    assert!((told["complete_to_result_mean_s"].as_f64().unwrap() - mean).abs() < 0.000_51, "{told} and {mean}");
    for place in ["incoming", "spool", "state"] {
        assert!(told["disk_free_bytes"][place].as_u64().unwrap() > 1 << 20, "{told}");
    }
    assert!(told["resident_bytes"].as_u64().unwrap() > 1 << 20, "{told}");
    let words: Vec<&String> =
        told.as_object().unwrap().iter().filter(|(_, value)| value.is_string()).map(|(key, _)| key).collect();
    assert_eq!(words, ["schema", "at", "version"], "all else is numbers");

    // Quality, whether the broker is to keep it, seconds until it expires.
    let listen = ["-p", &scene.broker.port().to_string(), "-V", "5", "-q", "1", "-t", "ctedge/v1/test/metrics"]
        .map(str::to_owned);
    let mut listener = Command::new("mosquitto_sub");
    listener.args(listen).args(["--retain-as-published", "-C", "2", "-W", "30", "-F", "%q %r [%E]"]);
    let line = format!("0 0 [{expires}]\n");
    assert_eq!(process::output(&mut listener).unwrap(), line.repeat(2));
    scene
}

#[test]
fn numbers_are_mentioned_in_mqtt_5() {
    let mut scene = numbers_over("5", "120");
    // What would have been told while the broker was away is not told later.
    scene.broker.stop().unwrap();
    let before = newest(&scene, "/metrics")["uptime_s"].as_u64().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    scene.broker.resume().unwrap();
    let after = scene.wait(1, |message| {
        message.topic.ends_with("/metrics") && message.payload["uptime_s"].as_u64().unwrap() > before
    });
    let first = after[0].payload["uptime_s"].as_u64().unwrap();
    assert!(first >= before + 4, "{first} s was told late, {before} s was the last before");
    scene.balanced(2);
}

#[test]
fn numbers_without_a_connection_are_dropped() {
    // The first are told when the daemon starts, before it is connected, and the next in an hour.
    let scene = Scene::with(|setup| setup.more = vec!["mqtt.metrics_s = 3600".to_owned()]);
    scene.wait(1, |message| message.topic.ends_with("/counters"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!scene.subscriber.messages().iter().any(|message| message.topic.ends_with("/metrics")));
}

#[test]
fn numbers_are_mentioned_in_mqtt_3_1_1() {
    numbers_over("3.1.1", "");
}

#[test]
fn health_is_the_one_that_subscribers_hear_also_when_they_cannot() {
    let mut scene = watched();
    assert_eq!(scene.appliance.ask("/livez").unwrap(), (200, "alive\n".to_owned()));
    wait_for(&scene, "/readyz", |status, body| status == 200 && body == "ready\n");
    let is_settled = |message: &Message| message.topic.ends_with("/health") && message.text("overall") != "warming";
    scene.wait(1, is_settled);
    let verbose = wait_for(&scene, "/healthz?verbose", |_, body| {
        let (asked, heard): (Value, Value) = (serde_json::from_str(body).unwrap(), newest(&scene, "/health"));
        asked["overall"] != "warming" && [&asked["checks"], &asked["overall"]] == [&heard["checks"], &heard["overall"]]
    });
    let verbose: Value = serde_json::from_str(&verbose).unwrap();
    assert!(verbose["checks"].as_array().unwrap().contains(&json!({"id": "web", "state": "ok", "detail": ""})));
    assert_eq!(scene.appliance.ask("/healthz").unwrap().1.trim(), verbose["overall"]);
    assert_eq!(scene.appliance.ask("/elsewhere").unwrap().0, 404);

    scene.broker.kill().unwrap();
    wait_for(&scene, "/healthz?verbose", |status, body| {
        let health: Value = serde_json::from_str(body).unwrap();
        let checks = health["checks"].as_array().unwrap();
        let broker = checks.iter().find(|check| check["id"] == "broker").unwrap();
        status == 200 && health["overall"] == "degraded" && broker["state"] == "degraded"
    });
    assert_eq!(scene.appliance.ask("/healthz").unwrap(), (200, "degraded\n".to_owned()));
    assert_eq!(whole(numbers(&scene)["ctedge_mqtt_connected{}"]), 0);
    assert_eq!(scene.appliance.ask("/readyz").unwrap().0, 200, "series are accepted all the same");

    std::fs::remove_dir_all(scene.appliance.incoming()).unwrap();
    wait_for(&scene, "/readyz", |status, body| status == 503 && body.starts_with("incoming: "));
    assert_eq!(scene.appliance.ask("/livez").unwrap().0, 200);
}

#[test]
fn a_port_that_is_taken_is_told_and_taken_over_when_it_is_free() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let made = series::make(&Plan::small(1, 92)).unwrap();
    let scene = Scene::with(|setup| setup.web = Some(port));
    let is_told = |message: &Message| {
        let checks = message.payload["checks"].as_array().into_iter().flatten();
        message.topic.ends_with("/health") && checks.clone().any(|c| c["id"] == "web" && c["state"] == "degraded")
    };
    scene.wait(1, is_told);
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    scene.results(1);
    drop(taken);
    let is_open = || Ok(scene.appliance.ask("/livez").is_ok_and(|(status, _)| status == 200));
    assert!(process::wait_until(PATIENCE, is_open).unwrap(), "{}", scene.appliance.log_end());
}

#[test]
fn status_is_one_screen_also_when_the_daemon_is_gone() {
    let made = series::make(&Plan::small(1, 93)).unwrap();
    let mut scene = watched();
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    let outcome = scene.results(1)[0].text("outcome").to_owned();
    let books = scene.balanced(1);
    let status = |scene: &Scene, arguments: &[&str]| {
        let done = scene.appliance.command(&["status"]).args(arguments).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    let overall = scene.appliance.ask("/healthz").unwrap().1.trim().to_owned();
    let good = i32::from(overall != "ok");
    let (code, told) = status(&scene, &["--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["overall"]), (good, &json!(overall)));
    assert_eq!([&told["counters"]["total"], &told["last"]["outcome"]], [&books["total"], &json!(outcome)]);
    let (code, told) = status(&scene, &[]);
    assert!(told.starts_with("ctedge ") && told.contains(&overall) && told.contains("received 1"), "{told}");
    assert_eq!(code, good);
    let (code, told) = status(&scene, &["--monitor"]);
    assert_eq!(code, i32::from(overall != "ok"), "{told}");
    assert!(told.starts_with("CTEDGE ") && told.contains("received=1c pending=0"), "{told}");

    scene.appliance.stop().unwrap();
    let (code, told) = status(&scene, &["--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["overall"], &told["counters"]["total"]), (1, &Value::Null, &books["total"]));
    assert_eq!(status(&scene, &["--monitor"]).0, 2, "a daemon that should answer does not");
    let (code, told) = status(&scene, &["--monitor", "--set", "web.listen=off"]);
    assert_eq!(code, 3, "nobody can know: {told}");
}

/// A socket as the service manager has one.
fn manager(folder: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn told(socket: &UnixDatagram) -> Option<String> {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

#[test]
fn signs_of_life_come_while_it_is_idle_and_stop_when_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let socket = manager(folder.path());
    let mut scene = Scene::waiting(|_setup| {});
    scene.appliance.environment("NOTIFY_SOCKET", folder.path().join("notify"));
    scene.appliance.environment("WATCHDOG_USEC", "400000");
    scene.appliance.start().unwrap();
    let mut heard = Vec::new();
    let is_ping = |text: &String| text.lines().any(|line| line == "WATCHDOG=1");
    let started = Instant::now();
    while heard.iter().filter(|text| is_ping(text)).count() < 10 || !heard.iter().any(|t| t.contains("0 waiting")) {
        heard.push(told(&socket).expect("a sign of life"));
        assert!(started.elapsed() < PATIENCE, "{heard:?}");
    }
    assert_eq!(heard.iter().filter(|text| text.lines().any(|line| line == "READY=1")).count(), 1, "{heard:?}");
    assert!(heard.iter().any(|text| text.starts_with("STATUS=")), "{heard:?}");

    let pid = Pid::from_raw(scene.appliance.pid().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // What was sent before it stopped is heard first; then there is silence.
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    while told(&socket).is_some() {}
    kill_process(pid, Signal::CONT).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(told(&socket).is_some(), "it goes on");
    scene.appliance.stop().unwrap();
}
