//! Who may name whom. Each rule is a function from source to breaches, and catches a planted one.

use crate::code::{self, Named};
use ctedge_tests::place;

/// The daemon's corridor, in the order the data walks.
const DAEMON: [&str; 10] =
    ["receive", "intake", "series", "choice", "volume", "infer", "report", "message", "outbox", "publish"];
/// Stand beside it, and name nothing but what lies under all.
const BESIDE: [&str; 4] = ["command", "evidence", "update", "web"];
/// The trainer's; `corpus` and `text` stand side by side.
const TRAINER: [&str; 8] = ["corpus", "text", "batch", "net", "loss", "run", "eval", "export"];
/// What lies under every room of the trainer: what was asked for, on which device it runs, and what its tests begin with.
const UNDER_TRAINER: [&str; 3] = ["device", "experiment", "fixture"];
/// Files and folders of the daemon that know every room.
const DAEMON_JOINERS: [&str; 6] = ["main", "lib", "config", "pipeline", "cli", ""];
/// And of the trainer.
const TRAINER_JOINERS: [&str; 5] = ["main", "lib", "fixture", "cli", ""];

/// Which rooms of the daemon a room may name: its left neighbour and what lies under all.
fn daemon_plan(room: &str) -> Option<Vec<&'static str>> {
    match DAEMON.iter().position(|&name| name == room) {
        Some(place) => Some([&["floor"], &DAEMON[place.saturating_sub(1)..place]].concat()),
        None if BESIDE.contains(&room) => Some(vec!["floor"]),
        None if room == "floor" => Some(Vec::new()),
        None => None,
    }
}

/// Which rooms of the trainer a room may name. Rooms that are still to come leave no hole: the nearest one that stands on
/// the left is the neighbour.
fn trainer_plan(room: &str, standing: &[&'static str]) -> Option<Vec<&'static str>> {
    match room {
        "device" | "fleet" => return Some(Vec::new()),
        "experiment" => return Some(vec!["fixture"]),
        _ => {}
    }
    let place = TRAINER.iter().position(|&name| name == room)?;
    let left: Vec<&'static str> = TRAINER[..place].iter().copied().filter(|name| standing.contains(name)).collect();
    // `corpus` and `text` share the neighbours on both sides.
    let reach = match left.last() {
        Some(&"text") if left.contains(&"corpus") && room != "text" => 2,
        _ => 1,
    };
    let mut allowed = UNDER_TRAINER.to_vec();
    allowed.extend(left.iter().rev().take(reach));
    Some(allowed)
}

/// Rooms that `room` names but must not.
fn neighbours(file: &str, room: &str, allowed: &[&str], named: &[Named]) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in named.iter().filter(|name| name.path.len() > 1 && name.path[0] == "crate") {
        let target = name.path[1].as_str();
        // Capitals are items re-exported at the crate's root, not rooms.
        if target != room && !allowed.contains(&target) {
            breaches.push(format!("{file} names crate::{target}; {room} may name {allowed:?}"));
        }
    }
    breaches.dedup();
    breaches
}

/// Which places may name a crate.
struct Keeper {
    /// First segment of a path, or with `*` at the end, its beginning.
    what: &'static [&'static str],
    /// Second segment, where only a part of the crate is kept apart.
    parts: &'static [&'static str],
    /// Folder in which the rule holds.
    within: &'static str,
    /// The file or folder that may.
    home: &'static str,
}

const KEEPERS: [Keeper; 12] = [
    Keeper { what: &["ureq"], parts: &[], within: "daemon/src", home: "daemon/src/update/transfer/server.rs" },
    Keeper { what: &["landlock"], parts: &[], within: "", home: "daemon/src/floor/worker/walls.rs" },
    Keeper { what: &["seccompiler"], parts: &[], within: "", home: "daemon/src/floor/worker/calls.rs" },
    Keeper { what: &["ort", "ort_sys"], parts: &[], within: "daemon/src", home: "daemon/src/infer/onnx" },
    Keeper { what: &["rumqttc"], parts: &[], within: "daemon/src", home: "daemon/src/publish/session.rs" },
    Keeper { what: &["rumqttc"], parts: &[], within: "trainer/src", home: "trainer/src/fleet/link.rs" },
    Keeper {
        what: &["hyper", "hyper_util", "http_body_util"],
        parts: &[],
        within: "daemon/src",
        home: "daemon/src/web/",
    },
    Keeper { what: &["dicom_ul"], parts: &[], within: "", home: "daemon/src/receive/association/" },
    Keeper { what: &["rawzip"], parts: &[], within: "", home: "models/src/scan/archive/" },
    Keeper { what: &["dicom*", "nifti"], parts: &[], within: "", home: "models/src/scan/" },
    Keeper { what: &["burn"], parts: &["backend", "flex"], within: "trainer/src", home: "trainer/src/device/" },
    Keeper { what: &["burn_*"], parts: &[], within: "trainer/src", home: "trainer/src/device/" },
];

/// Crates that a file names although another file keeps them.
fn kept(file: &str, named: &[Named]) -> Vec<String> {
    let mut breaches = Vec::new();
    for keeper in KEEPERS.iter().filter(|keeper| file.starts_with(keeper.within) && !file.starts_with(keeper.home)) {
        // A crate that has a keeper by its whole name is none of those that only begin like it.
        let by_name = |have: &str| KEEPERS.iter().any(|keeper| keeper.what.contains(&have));
        let is = |have: &str| {
            let begins = |head| have.starts_with(head) && !by_name(have);
            keeper.what.iter().any(|what| what.strip_suffix('*').map_or(*what == have, begins))
        };
        let part = |path: &[String]| {
            keeper.parts.is_empty() || path.get(1).is_some_and(|second| keeper.parts.contains(&second.as_str()))
        };
        for name in named.iter().filter(|name| is(&name.path[0]) && part(&name.path)) {
            breaches.push(format!("{file} names {}; only {} may", name.path.join("::"), keeper.home));
        }
    }
    breaches
}

/// Renames outside the one file that syncs the folder afterwards. Tests may rename.
fn renames(file: &str, named: &[Named]) -> Vec<String> {
    let rename = |name: &&Named| !name.in_test && name.path.ends_with(&["fs".to_owned(), "rename".to_owned()]);
    let breach = |_: &Named| format!("{file} renames; floor::durable does it and syncs the folder");
    if file == "daemon/src/floor/durable.rs" { Vec::new() } else { named.iter().filter(rename).map(breach).collect() }
}

/// Crates of the workspace that a manifest must not depend on.
fn manifest(file: &str, text: &str, forbidden: &[&str]) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap();
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let named = |section: &str| table.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let found = sections.iter().flat_map(|section| named(section).keys().cloned().collect::<Vec<_>>());
    found.filter(|name| forbidden.contains(&name.as_str())).map(|name| format!("{file} depends on {name}")).collect()
}

fn room_of(below_src: &str) -> &str {
    below_src.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn each_room_of_the_daemon_names_only_its_left_neighbour() {
    let mut breaches = Vec::new();
    for file in code::rust("daemon/src") {
        let below = file.path.trim_start_matches("daemon/src/");
        let room = room_of(below);
        let named = code::paths(&file.text, &code::module_of(below));
        breaches.extend(renames(&file.path, &named));
        match daemon_plan(room) {
            Some(allowed) => breaches.extend(neighbours(&file.path, room, &allowed, &named)),
            None if DAEMON_JOINERS.contains(&room) => {}
            None => breaches.push(format!("{} stands in no room of the plan", file.path)),
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn each_room_of_the_trainer_names_only_its_left_neighbour() {
    let files = code::rust("trainer/src");
    let below = |path: &str| path.trim_start_matches("trainer/src/").to_owned();
    let rooms: Vec<String> = files.iter().map(|file| room_of(&below(&file.path)).to_owned()).collect();
    let standing: Vec<&str> = TRAINER.into_iter().filter(|room| rooms.iter().any(|stands| stands == room)).collect();
    let mut breaches = Vec::new();
    for (file, room) in files.iter().zip(&rooms) {
        let below = below(&file.path);
        let named = code::paths(&file.text, &code::module_of(&below));
        match trainer_plan(room, &standing) {
            Some(allowed) => breaches.extend(neighbours(&file.path, room, &allowed, &named)),
            None if TRAINER_JOINERS.contains(&room.as_str()) => {}
            None => breaches.push(format!("{} stands in no room of the plan", file.path)),
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn one_file_knows_each_foreign_framework() {
    let files = ["models", "daemon", "trainer"].map(|crate_folder| code::rust(&format!("{crate_folder}/src")));
    let check = |file: &code::Source| kept(&file.path, &code::paths(&file.text, &[]));
    let breaches: Vec<String> = files.iter().flatten().flat_map(check).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn daemon_and_trainer_never_meet() {
    let read = |name: &str| std::fs::read_to_string(place::root().join(name)).unwrap();
    let mut breaches = manifest("trainer/Cargo.toml", &read("trainer/Cargo.toml"), &["ctedge", "ctedge-tests"]);
    breaches.extend(manifest("daemon/Cargo.toml", &read("daemon/Cargo.toml"), &["ctedge-trainer", "ctedge-tests"]));
    let above = ["ctedge", "ctedge-trainer", "ctedge-tests", "tokio", "ort", "rumqttc", "burn"];
    breaches.extend(manifest("models/Cargo.toml", &read("models/Cargo.toml"), &above));
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn planted_breaches_are_caught() {
    let named = |text: &str| code::paths(text, &["series", "gather"]);
    let allowed = daemon_plan("series").unwrap();
    assert_eq!(allowed, ["floor", "intake"]);
    let check = |text: &str| neighbours("x.rs", "series", &allowed, &named(text)).len();
    assert_eq!(check("use crate::{intake::Arrival, floor::clock}; use super::sort;"), 0);
    assert_eq!(check("use crate::{intake::Arrival, outbox::Envelope};"), 1, "a jump");
    assert_eq!(check("fn f(v: crate::volume::Scan) {}"), 1, "a look to the right");
    assert_eq!(check("use super::super::pipeline;"), 1, "a way round by super");
    assert_eq!(check("fn f() { assert_eq!(crate::report::x(), 1) }"), 1, "inside a macro");
    assert_eq!(daemon_plan("floor").unwrap(), Vec::<&str>::new());
    assert_eq!(BESIDE.map(|room| daemon_plan(room).unwrap()), [["floor"]; 4]);
}

#[test]
fn planted_breaches_are_caught_in_the_trainer_and_in_manifests() {
    let standing = ["net", "run", "export"];
    assert_eq!(trainer_plan("export", &standing).unwrap(), ["device", "experiment", "fixture", "run"]);
    assert_eq!(
        trainer_plan("batch", &["corpus", "text"]).unwrap(),
        ["device", "experiment", "fixture", "text", "corpus"]
    );

    let rename = "fn f() { std::fs::rename(a, b); } mod tests { fn g() { fs::rename(a, b); } }";
    assert_eq!(renames("daemon/src/intake/spool.rs", &code::paths(rename, &[])).len(), 1);
    assert_eq!(manifest("t", "[dependencies]\nctedge.workspace = true", &["ctedge"]).len(), 1);
}

#[test]
fn planted_strangers_are_caught() {
    let kept = |file: &str, text: &str| kept(file, &code::paths(text, &[])).len();
    assert_eq!(kept("daemon/src/infer/worker.rs", "use ort::session::Session;"), 1);
    assert_eq!(kept("daemon/src/infer/onnx.rs", "use ort::session::Session;"), 0);
    assert_eq!(kept("daemon/src/publish/link.rs", "fn f() { rumqttc::v5::x() }"), 1);
    assert_eq!(kept("daemon/src/pipeline/mod.rs", "use hyper::Request;"), 1);
    assert_eq!(kept("daemon/src/update/transfer/part.rs", "fn f() { ureq::get(a) }"), 1);
    assert_eq!(kept("daemon/src/web/serve.rs", "use hyper::Request;"), 0);
    assert_eq!(kept("models/src/volume.rs", "use dicom_object as d;"), 1);
    assert_eq!(kept("models/src/scan/file.rs", "use dicom_ul::pdu::Pdu;"), 1);
    assert_eq!(kept("models/src/scan/file.rs", "use rawzip::ZipArchive;"), 1);
    assert_eq!(kept("daemon/src/receive/association/mod.rs", "use dicom_ul::pdu::Pdu;"), 0);
    assert_eq!(kept("daemon/src/receive/association/mod.rs", "use dicom_object as d;"), 1);
    assert_eq!(kept("trainer/src/net/vit.rs", "use burn::{backend::Flex, tensor::Tensor};"), 1);
    assert_eq!(kept("trainer/src/net/vit.rs", "use burn::tensor::Tensor;"), 0);
    assert_eq!(kept("trainer/src/fleet/line.rs", "use rumqttc::v5::Client;"), 1);
    assert_eq!(kept("trainer/src/fleet/link.rs", "use rumqttc::v5::Client;"), 0);
}
