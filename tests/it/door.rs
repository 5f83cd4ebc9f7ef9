//! The door itself: who is let in, who disturbs whom, and what is still true when somebody pulls the plug.

use crate::broker;
use crate::receive::{Hall, answered, folders, lines, opened};
use crate::scene::{self, PATIENCE, Scene};
use ctedge_tests::appliance::{self, Appliance, Setup};
use ctedge_tests::arrival::{self, Dice, Manner};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process::{self, Running};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::subscriber::Subscriber;
use ctedge_tests::{place, tools};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Result, source and reason of a rejection (PS3.8, table 9-21); nothing for who was let in.
fn told_at_the_door(hall: &Hall, more: &Value) -> Value {
    hall.send(more, &[]).pop().unwrap()["door"].clone()
}

#[test]
fn each_caller_is_told_why_it_may_not_come_in() {
    let hall = Hall::new(&["receive.associations = 2"]);
    assert_eq!(told_at_the_door(&hall, &json!({})), Value::Null);
    assert_eq!(told_at_the_door(&hall, &json!({ "called": "OTHER" })), json!([1, 1, 7]));
    assert_eq!(told_at_the_door(&hall, &json!({ "calling": "SCANNER2" })), json!([1, 1, 3]));
    let plan = hall.plan(&json!({}));
    let crowd = lines(&tools::peer("store.py", &["crowd", &plan, "4"].map(Path::new)).unwrap()).remove(0);
    assert_eq!(crowd["doors"], json!([null, null, [2, 3, 2], [2, 3, 2]]));
    assert_eq!(crowd["again"], Value::Null, "who leaves makes place");
    let odd = lines(&tools::peer("store.py", &["odd", &plan].map(Path::new)).unwrap()).remove(0);
    assert_eq!(odd, json!({ "class": 0x0122, "find": 0x0211, "good": 0 }));
}

#[test]
fn a_foreign_address_is_not_let_in() {
    let hall = Hall::new(&["receive.addresses = [\"192.0.2.0/24\", \"2001:db8::1\"]"]);
    assert_eq!(told_at_the_door(&hall, &json!({})), json!([1, 1, 1]));
    let told = || Ok(hall.scene.appliance.log().contains("is not in receive.addresses"));
    assert!(process::wait_until(PATIENCE, told).unwrap(), "{}", hall.scene.appliance.log_end());
}

/// The beginning of a request for an association, as DCMTK's `echoscu` sends it, without its end.
fn begun() -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 0, 200, 0, 1, 0, 0];
    bytes.extend(b"CTEDGE          STORESCU        ");
    bytes
}

#[test]
fn noise_silence_and_a_trickle_disturb_nobody() {
    let made = series::make(&Plan::small(1, 71)).unwrap();
    let hall = Hall::still(&["receive.idle_s = 2.0"]);
    let worker = hall.worker();
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, hall.port)).unwrap();
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    for _ in 0..200 {
        let length = dice.below(3000);
        let mut bytes: Vec<u8> = (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        // Half of them look like a message at first, one of four gigabytes now and then.
        if dice.below(2) == 0 {
            bytes.splice(..bytes.len().min(6), [u8::try_from(dice.below(8)).unwrap(), 0, 0, 0, 3, 0]);
        } else if dice.below(4) == 0 {
            bytes.splice(..bytes.len().min(6), [1, 0, 255, 255, 255, 255]);
        }
        // It may hang up while we write.
        drop(connect().write_all(&bytes));
    }
    // More that say nothing, or begin and do not end, than may wait: those who mean it get through.
    let silent: Vec<TcpStream> = (0..40).map(|_| connect()).collect();
    let half: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(&begun()).unwrap();
            stream
        })
        .collect();
    let mut trickle = connect();
    let since = Instant::now();
    let told = hall.send(&json!({}), &folders(&made));
    assert_eq!(answered(&told).len(), 6, "{told:?}");
    // One byte a second does not hold a connection for ever.
    let mut slowly = begun().into_iter();
    let ended = process::wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        Ok(trickle.write_all(&[slowly.next().unwrap_or_default()]).is_err())
    });
    assert!(ended.unwrap() && since.elapsed() < Duration::from_secs(40));
    drop((silent, half));
    assert_eq!(hall.worker(), worker, "the same worker all the time");
    assert_eq!(hall.stored(made.series[0][0].parent().unwrap()).len(), 6);
}

#[test]
fn an_association_that_falls_silent_is_ended_and_its_half_data_set_is_gone() {
    let made = series::make(&Plan { size: 512, slices: 40, ..Plan::small(1, 72) }).unwrap();
    let hall = Hall::still(&["receive.idle_s = 1.0", "receive.associations = 1"]);
    let plan = hall.plan(&json!({}));
    let mut sender = sender(&plan, folders(&made)[0]);
    let unfinished = || arrival::files(&hall.scene.appliance.incoming()).unwrap();
    let some = || Ok(unfinished().iter().any(|file| is_unfinished(file)));
    assert!(process::wait_until(PATIENCE, some).unwrap());
    kill_process(pid(sender.pid()), Signal::STOP).unwrap();
    let gone = || Ok(!unfinished().iter().any(|file| is_unfinished(file)));
    assert!(process::wait_until(PATIENCE, gone).unwrap(), "{:?}", unfinished());
    // Its place is free again.
    let free = || Ok(told_at_the_door(&hall, &json!({})) == Value::Null);
    assert!(process::wait_until(PATIENCE, free).unwrap());
    sender.child().kill().unwrap();
}

fn pid(raw: u32) -> Pid {
    Pid::from_raw(raw.try_into().unwrap()).unwrap()
}

fn is_unfinished(file: &Path) -> bool {
    file.file_name().unwrap().to_string_lossy().starts_with('.')
}

/// pynetdicom, sending a folder; it tells each answer as it comes.
fn sender(plan: &str, folder: &Path) -> Running {
    let mut command = Command::new(tools::python().unwrap());
    command.arg(place::root().join("tests/peers/store.py")).arg("send").arg(plan).arg(folder);
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null())).unwrap()
}

#[test]
fn whatever_is_killed_what_was_answered_is_there_and_whole() {
    let made = series::make(&Plan { size: 256, slices: 60, ..Plan::small(1, 73) }).unwrap();
    let folder = folders(&made)[0];
    let mut hall = Hall::still(&[]);
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    for round in 0..6 {
        process::wait_for_port(hall.port, PATIENCE).unwrap();
        // It waits this long for an answer that does not come any more.
        let plan = hall.plan(&json!({ "patience_s": 2 }));
        let mut running = sender(&plan, folder);
        let mut output = running.child().stdout.take().unwrap();
        let some = |hall: &Hall| Ok(arrival::files(&hall.scene.appliance.incoming()).unwrap().len() > 1);
        assert!(process::wait_until(PATIENCE, || some(&hall)).unwrap());
        // Not a wait for something, but the random moment itself.
        std::thread::sleep(Duration::from_millis(dice.below(150)));
        let worker = hall.worker();
        if round % 2 == 0 {
            kill_process(pid(worker.try_into().unwrap()), Signal::KILL).unwrap();
        } else {
            hall.scene.appliance.kill().unwrap();
            let gone = || Ok(!Path::new(&format!("/proc/{worker}")).exists());
            assert!(process::wait_until(PATIENCE, gone).unwrap(), "the worker goes with its supervisor");
            hall.scene.appliance.start().unwrap();
        }
        let mut told = String::new();
        output.read_to_string(&mut told).unwrap();
        let answered = answered(&lines(&told));
        assert!(process::wait_until(PATIENCE, || Ok(hall.worker() != worker)).unwrap());
        let left = arrival::files(&hall.scene.appliance.incoming()).unwrap();
        assert!(!left.iter().any(|file| is_unfinished(file)), "seed {seed}: {left:?}");
        let stored: Vec<PathBuf> = hall
            .stored(folder)
            .into_iter()
            .map(|(file, same)| {
                assert!(same);
                file
            })
            .collect();
        let lost: Vec<_> = answered.iter().filter(|file| !stored.contains(file)).collect();
        assert!(lost.is_empty() && stored.len() <= answered.len() + 1, "seed {seed}: {lost:?}");
        println!("round {round}: {} answered, {} stored", answered.len(), stored.len());
        for file in left {
            fs::remove_file(file).unwrap();
        }
    }
}

/// A daemon whose program is started by a script.
fn scripted(script: &str) -> Hall {
    let folder = tempfile::tempdir().unwrap().keep();
    let binary = folder.join("ctedge.sh");
    let program = appliance::binary().unwrap();
    let script = script.replace("DAEMON", program.to_str().unwrap()).replace("FOLDER", folder.to_str().unwrap());
    fs::write(&binary, format!("#!/bin/sh\n{script} \"$@\"\n")).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let broker = Mosquitto::start(Memory::Persistent).unwrap();
    let subscriber = Subscriber::start(broker.port()).unwrap();
    let port = process::free_port().unwrap();
    let mut setup = Setup { settle_s: 3600.0, ..Setup::quick(broker.port()) };
    opened(&mut setup, port, &[]);
    let mut appliance = Appliance::in_folder(&folder, binary, &setup).unwrap();
    appliance.start().unwrap();
    process::wait_for_port(port, PATIENCE).unwrap();
    Hall { scene: Scene { subscriber, appliance, broker }, port }
}

#[test]
fn file_and_folder_are_synced_before_the_answer_is_sent() {
    let made = series::make(&Plan::small(1, 74)).unwrap();
    let calls = "fsync,fdatasync,rename,renameat,renameat2,sendto";
    let mut hall =
        scripted(&format!("exec strace -D -f -y -qq -e signal=none -e trace={calls} -o FOLDER/trace DAEMON"));
    let told = hall.send(&json!({}), &folders(&made));
    assert_eq!(answered(&told).len(), 6, "{told:?}");
    let trace = fs::read_to_string(hall.scene.appliance.path("trace")).unwrap();
    // While it runs it makes files; strace may write a last line.
    hall.scene.appliance.kill().unwrap();
    drop(fs::remove_dir_all(hall.scene.appliance.path("")));
    let thread = trace.lines().find(|line| line.contains("/.receive-")).unwrap().split(' ').next().unwrap();
    let kind = |line: &str| match line {
        _ if line.contains("fsync(") && line.contains("/.receive-") => 'f',
        _ if line.contains("rename") => 'r',
        _ if line.contains("fsync(") && line.contains("/incoming>") => 'd',
        _ if line.contains("sendto(") => 'a',
        _ => '?',
    };
    // A call during which another thread makes one has two lines.
    let is_its = |line: &&str| line.split(' ').next() == Some(thread) && !line.contains(" resumed>");
    let order: String = trace.lines().filter(is_its).map(kind).collect();
    // Let in, the echo, six data sets, and the farewell.
    assert_eq!(order, format!("aa{}a", "frda".repeat(6)), "{trace}");
}

#[test]
fn a_full_disk_is_told_to_the_sender_and_to_the_operator_and_passes() {
    let made = series::make(&Plan::small(1, 75)).unwrap();
    let folder = folders(&made)[0];
    // A file that may not grow fails as on a full disk once its signal is ignored.
    let mut hall = scripted("trap '' XFSZ; exec DAEMON");
    let room = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(pid(hall.worker().try_into().unwrap())), Resource::Fsize, limit).unwrap();
    };
    let receiver = |state: &str| {
        let is = |check: &Value| check["id"] == "receive" && check["state"] == state;
        let state = |message: &ctedge_tests::subscriber::Message| {
            message.payload["checks"].as_array().is_some_and(|checks| checks.iter().any(is))
        };
        hall.scene.wait(1, state);
    };
    receiver("ok");
    room(Some(2000));
    let told = hall.send(&json!({}), &[folder]);
    let statuses: Vec<_> = told.iter().filter_map(|line| line["status"].as_u64()).collect();
    assert_eq!(statuses, [0xa700; 6], "{told:?}");
    assert!(arrival::files(&hall.scene.appliance.incoming()).unwrap().is_empty(), "nothing half stays");
    receiver("degraded");
    room(None);
    let told = hall.send(&json!({}), &[folder]);
    assert_eq!(answered(&told).len(), 6, "{told:?}");
    assert_eq!(hall.stored(folder).len(), 6);
    // While it runs it makes files.
    hall.scene.appliance.kill().unwrap();
    fs::remove_dir_all(hall.scene.appliance.path("")).unwrap();
}

#[test]
fn a_port_that_is_taken_is_told_and_taken_when_it_is_free() {
    let squatter = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = squatter.local_addr().unwrap().port();
    let made = series::make(&Plan::small(1, 76)).unwrap();
    let scene = Scene::with(|setup| opened(setup, port, &[]));
    let closed = |message: &ctedge_tests::subscriber::Message| message.raw.contains("address in use");
    scene.wait(1, closed);
    // The rest of the house works meanwhile.
    scene.drop_files(&made.series[0], "s", Manner::Copy);
    assert!(scene::read(&scene.results(1)[0]));
    drop(squatter);
    let hall = Hall { scene, port };
    let open = || Ok(told_at_the_door(&hall, &json!({})) == Value::Null);
    assert!(process::wait_until(PATIENCE, open).unwrap(), "{}", hall.scene.appliance.log_end());
}

#[test]
fn with_tls_only_those_with_a_certificate_come_in() {
    let made = series::make(&Plan::small(1, 77)).unwrap();
    let papers = tempfile::tempdir().unwrap();
    broker::authority(papers.path(), "ca");
    broker::certificate(papers.path(), "server");
    broker::certificate(papers.path(), "client");
    let at = |name: &str| papers.path().join(name).to_str().unwrap().to_owned();
    let line = |key: &str, file: &str| format!("receive.tls.{key} = {:?}", at(file));
    let more = [line("certificate", "server.pem"), line("key", "server.key"), line("client_ca", "ca.pem")];
    let hall = Hall::still(&more.each_ref().map(String::as_str));
    let (ca, client, key) = (at("ca.pem"), at("client.pem"), at("client.key"));
    let folder = folders(&made)[0].to_str().unwrap();
    let trusted = ["+tls", &key, &client, "+cf", &ca, "+sd", folder];
    process::output(&mut hall.storescu(&trusted)).unwrap();
    assert_eq!(hall.stored(folders(&made)[0]).len(), 6);
    let with = |tls: &Value| told_at_the_door(&hall, &json!({ "tls": tls }));
    assert_eq!(with(&json!({ "ca": ca, "certificate": client, "key": key })), Value::Null);
    assert_eq!(with(&json!({ "ca": ca })), "lost", "without a certificate");
    assert_eq!(with(&Value::Null), "lost", "without TLS");
    // One of another authority.
    let others = tempfile::tempdir().unwrap();
    broker::authority(others.path(), "ca");
    broker::certificate(others.path(), "client");
    let other = |name: &str| others.path().join(name).display().to_string();
    let tls = json!({ "ca": ca, "certificate": other("client.pem"), "key": other("client.key") });
    assert_eq!(with(&tls), "lost");
    assert!(!hall.storescu(&["+sd", folder]).output().unwrap().status.success());
}

#[test]
fn mistakes_are_named_before_the_daemon_runs() {
    let setup = |lines: &[&str]| {
        let mut setup = Setup::quick(1);
        opened(&mut setup, 11_112, lines);
        Appliance::new(&setup).unwrap()
    };
    let of = |appliance: &Appliance, command: &str| {
        let done = appliance.command(&[command]).output().unwrap();
        [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    };
    let told =
        of(&setup(&["receive.ae_title = \"A TITLE THAT IS TOO LONG\"", "receive.peer = [\"A\"]"]), "check-config");
    assert!(told.contains("did you mean `receive.peers`?"), "{told}");
    let told = of(&setup(&["receive.ae_title = \"A TITLE THAT IS TOO LONG\""]), "check-config");
    assert!(told.contains("receive.ae_title"), "{told}");
    let tls = ["receive.tls.certificate = \"/nowhere.pem\"", "receive.tls.key = \"/nowhere.key\""];
    let told = of(&setup(&tls), "doctor");
    assert!(told.contains("receive.tls.certificate: /nowhere.pem"), "{told}");
}
