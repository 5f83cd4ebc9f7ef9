use super::pieces::{Pieces, Taken};
use super::*;
use crate::floor::clock::Stopwatch;
use crate::floor::disk::Disk;
use crate::floor::disk::tests::roomy;
use ctedge_models::offer::{Part, list_digest};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Bytes that repeat nowhere within a bundle of a test.
fn some(bytes: usize, seed: u64) -> Vec<u8> {
    let blocks = (0u64..).flat_map(|number| Sha256::digest([seed.to_be_bytes(), number.to_be_bytes()].concat()));
    blocks.take(bytes).collect()
}

fn list(bundle: &[u8], chunk_bytes: usize) -> Vec<u8> {
    bundle.chunks(chunk_bytes).flat_map(Sha256::digest).collect()
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A publisher's pieces.
fn piece((list, bundle): (&[u8], &[u8]), chunk_bytes: usize, part: Part, number: u32) -> Vec<u8> {
    let whole = if part == Part::List { list } else { bundle };
    whole.chunks(chunk_bytes).nth(number.try_into().unwrap()).unwrap_or_default().to_vec()
}

/// What becomes of a piece on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    Late,
    Wrong,
    Short,
    Foreign,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => Just(Fate::Late),
        1 => Just(Fate::Wrong),
        1 => Just(Fate::Short),
        1 => Just(Fate::Foreign),
    ]
}

/// A piece on its way: part, number, bytes.
type Flying = (Part, u32, Vec<u8>);

/// What becomes of a piece that was sent; `dice` says where it arrives, and what of it is wrong.
fn fly(air: &mut Vec<Flying>, (fate, dice): (Fate, u32), (part, number, good): Flying) {
    let place = usize::try_from(dice).unwrap() % (air.len() + 1);
    match fate {
        Fate::Lost => {}
        Fate::Arrives => air.push((part, number, good)),
        Fate::Twice => {
            air.push((part, number, good.clone()));
            air.insert(place, (part, number, good));
        }
        Fate::Late => air.insert(place, (part, number, good)),
        Fate::Wrong => {
            let mut wrong = good;
            let at = usize::try_from(dice).unwrap() % wrong.len();
            wrong[at] ^= 0x40;
            air.push((part, number, wrong));
        }
        Fate::Short => air.push((part, number, good[..good.len() - 1].to_vec())),
        Fate::Foreign => {
            let other = if part == Part::List { Part::Data } else { Part::List };
            air.push((other, dice, good.clone()));
            air.push((part, number.wrapping_add(dice), good));
        }
    }
}

/// What an earlier start has left: some chunks are right, and they alone count.
fn find(pieces: &mut Pieces, (bundle, file): (&[u8], &mut [u8]), there: u64) {
    for number in 0..pieces.count() {
        let (offset, length) = pieces.place(number);
        let (offset, length) = (usize::try_from(offset).unwrap(), usize::try_from(length).unwrap());
        if (there >> (number % 64)) & 1 == 1 {
            file[offset..offset + length].copy_from_slice(&bundle[offset..offset + length]);
        }
        pieces.found(number, &file[offset..offset + length]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens to pieces on their way, and in whichever order they come, the file is the bundle in the end, and
    /// nothing else is ever written.
    #[test]
    fn pieces_become_exactly_the_bundle(
        bytes in 1usize..20_000,
        chunk_bytes in prop_oneof![Just(32usize), Just(100), Just(1024), Just(40_000)],
        seed: u64,
        fates in prop::collection::vec((fate(), any::<u32>()), 40..400),
        there in any::<u64>(),
    ) {
        let bundle = some(bytes, seed);
        let list = list(&bundle, chunk_bytes);
        let chunks_sha256 = list_digest(&list);
        let cut = Cut { chunk_bytes: chunk_bytes.try_into().unwrap(), chunks_sha256: &chunks_sha256 };
        let mut pieces = Pieces::new(bytes.try_into().unwrap(), &cut);
        let mut file = vec![0xA5; bytes];
        let (mut now, mut air, mut fates) = (Duration::ZERO, Vec::new(), fates.into_iter().chain(
            std::iter::repeat((Fate::Arrives, 0)),
        ));
        let mut steps = 0;
        while !pieces.is_whole() {
            steps += 1;
            prop_assert!(steps < 100_000, "it never ends: {pieces:?}");
            while let Some(run) = pieces.ask(now) {
                prop_assert!(run.count >= 1 && run.count <= 16);
                for number in run.from..run.from + run.count {
                    let good = piece((&list, &bundle), chunk_bytes, run.part, number);
                    prop_assert!(!good.is_empty(), "asks for what there is not: {run:?}");
                    fly(&mut air, fates.next().unwrap(), (run.part, number, good));
                }
            }
            now += Duration::from_secs(1);
            let Some((part, number, came)) = air.pop() else {
                now += Duration::from_secs(81);
                continue;
            };
            match pieces.take(part, number, &came, now) {
                Taken::Chunk(offset) => {
                    let offset = usize::try_from(offset).unwrap();
                    prop_assert_eq!(&bundle[offset..offset + came.len()], &came[..], "only what is right is written");
                    file[offset..offset + came.len()].copy_from_slice(&came);
                }
                Taken::List => find(&mut pieces, (&bundle, &mut file), there),
                Taken::Idle | Taken::Listed | Taken::Wrong => {}
            }
        }
        prop_assert_eq!(pieces.bytes_there(), u64::try_from(bytes).unwrap());
        prop_assert!(file == bundle);
    }
}

/// A folder, and what a fetch needs beside.
struct Bench {
    folder: TempDir,
    disk: Disk,
    settings: Settings,
    stop: AtomicBool,
    /// Bytes that were there when it was told last.
    told: AtomicU64,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let disk = roomy(folder.path());
        disk.look();
        let (settings, stop, told) = Default::default();
        Self { folder, disk, settings, stop, told }
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("bundle.part")
    }

    fn left(&self) -> Vec<u8> {
        fs::read(self.part()).unwrap_or_default()
    }

    /// With the terms of this bench, and a time limit.
    fn with<T>(&self, within: Duration, fetch: impl FnOnce(&Terms<'_>) -> T) -> T {
        let progress = |bytes| self.told.store(bytes, Ordering::Relaxed);
        let terms = Terms {
            settings: &self.settings,
            deadline_ms: Some(clock::now_ms() + i64::try_from(within.as_millis()).unwrap()),
            disk: &self.disk,
            stop: &self.stop,
            progress: &progress,
            may_go_on: &|| true,
        };
        fetch(&terms)
    }
}

const SOON: Duration = Duration::from_secs(20);

/// A publisher in this process: what it is asked for lands at once, but for what `spoil` makes of it.
fn publisher(
    bundle: Vec<u8>,
    chunk_bytes: usize,
    spoil: impl Fn(u32, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Arc<Landing>, Arc<AtomicU64>) {
    let (sent, shared) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Option<Arc<Landing>>>>::default());
    let (counts, place, list) = (Arc::clone(&sent), Arc::clone(&shared), list(&bundle, chunk_bytes));
    let voice = move |say: Say<'_>| {
        let landing = place.lock().unwrap().clone().unwrap();
        match say {
            Say::Listen => landing.granted(),
            Say::Ask(digest, run) => {
                for number in run.from..run.from + run.count {
                    counts.fetch_add(1, Ordering::Relaxed);
                    if let Some(piece) = spoil(number, piece((&list, &bundle), chunk_bytes, run.part, number)) {
                        landing.land(&format!("c/{digest}/{}/{number}", run.part.name()), &piece);
                    }
                }
            }
        }
    };
    let landing = Arc::new(Landing::new(64 << 10, Box::new(voice)));
    *shared.lock().unwrap() = Some(Arc::clone(&landing));
    (landing, sent)
}

fn over_the_broker(bench: &Bench, landing: &Landing, bundle: &[u8], chunk_bytes: u32) -> Result<(), FetchError> {
    let chunks_sha256 = list_digest(&list(bundle, chunk_bytes.try_into().unwrap()));
    let cut = Cut { chunk_bytes, chunks_sha256: &chunks_sha256 };
    let digest = digest(bundle);
    let wanted = Wanted { digest: &digest, bytes: bundle.len().try_into().unwrap() };
    bench.with(SOON, |terms| mqtt(&cut, &wanted, &bench.part(), landing, terms))
}

#[test]
fn a_bundle_comes_over_the_broker_and_what_was_there_is_not_sent_again() {
    let bench = Bench::new();
    let bundle = some(100_000, 1);
    let mut left = bundle.clone();
    left.truncate(70_000);
    left[30_000] ^= 1;
    fs::write(bench.part(), &left).unwrap();
    let (landing, sent) = publisher(bundle.clone(), 4096, |_, piece| Some(piece));
    over_the_broker(&bench, &landing, &bundle, 4096).unwrap();
    assert!(bench.left() == bundle);
    // 25 chunks, of which 17 were there and one of these was wrong; the list is one piece.
    assert_eq!((sent.load(Ordering::Relaxed), bench.told.load(Ordering::Relaxed)), (1 + 8 + 1, 100_000));
    over_the_broker(&bench, &landing, &bundle, 4096).unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 10, "a file that is whole is not fetched");
    assert!(!landing.is_wanted());
}

#[test]
fn what_is_wrong_ends_with_its_name_and_is_not_kept() {
    let bundle = some(60_000, 2);
    let wrong = |spoil: fn(u32, Vec<u8>) -> Option<Vec<u8>>| {
        let bench = Bench::new();
        let (landing, _) = publisher(bundle.clone(), 4096, spoil);
        let ended = over_the_broker(&bench, &landing, &bundle, 4096).unwrap_err();
        (ended.code(), bench.left().len())
    };
    assert_eq!(wrong(|_, piece| Some(piece[1..].to_vec())), ("chunk_wrong", 0));
    let flip = |number, mut piece: Vec<u8>| {
        piece[0] ^= u8::from(number == 9);
        Some(piece)
    };
    assert_eq!(wrong(flip), ("chunk_wrong", 60_000), "the others are kept: another publisher may have this one");

    let bench = Bench::new();
    let (landing, _) = publisher(bundle.clone(), 4096, |_, piece| Some(piece));
    let (digest, chunks_sha256) = (digest(&bundle), "0".repeat(64));
    let wanted = Wanted { digest: &digest, bytes: 60_000 };
    let fetch = |cut: &Cut<'_>, wanted: &Wanted<'_>| {
        bench.with(SOON, |terms| mqtt(cut, wanted, &bench.part(), &landing, terms)).unwrap_err().code()
    };
    assert_eq!(fetch(&Cut { chunk_bytes: 4096, chunks_sha256: &chunks_sha256 }, &wanted), "chunk_list");
    let chunks_sha256 = list_digest(&list(&bundle, 4096));
    let cut = Cut { chunk_bytes: 4096, chunks_sha256: &chunks_sha256 };
    assert_eq!(fetch(&cut, &Wanted { digest: &"0".repeat(64), bytes: 60_000 }), "wrong_digest");
    assert!(!bench.part().exists());
    assert_eq!(fetch(&Cut { chunk_bytes: 65_537, ..cut }, &wanted), "chunk_too_large");
    let off = Bench { settings: Settings { mqtt: false, ..Settings::default() }, ..Bench::new() };
    assert_eq!(over_the_broker(&off, &landing, &bundle, 4096).unwrap_err().code(), "mqtt_off");
}

#[test]
fn a_broker_that_refuses_a_stop_and_a_deadline_end_a_fetch() {
    let (bench, bundle) = (Bench::new(), some(30_000, 3));
    let denied = Arc::new(Landing::new(64 << 10, Box::new(|_| ())));
    denied.denied();
    assert_eq!(over_the_broker(&bench, &denied, &bundle, 4096).unwrap_err().code(), "chunk_denied");
    let (deaf, _) = publisher(bundle.clone(), 4096, |number, piece| (number < 3).then_some(piece));
    let wanted = Wanted { digest: &digest(&bundle), bytes: 30_000 };
    let chunks_sha256 = list_digest(&list(&bundle, 4096));
    let cut = Cut { chunk_bytes: 4096, chunks_sha256: &chunks_sha256 };
    let soon = Duration::from_millis(700);
    let ended = bench.with(soon, |terms| mqtt(&cut, &wanted, &bench.part(), &deaf, terms)).unwrap_err();
    assert_eq!((ended.code(), ended.to_string().contains("nobody sends")), ("fetch_deadline", true), "{ended}");
    assert!(bench.left() == bundle[..3 * 4096], "what has come is kept");
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| over_the_broker(&bench, &deaf, &bundle, 4096));
        std::thread::sleep(Duration::from_millis(300));
        let asked = Stopwatch::start();
        bench.stop.store(true, Ordering::Relaxed);
        assert!(matches!(fetching.join().unwrap(), Err(FetchError::Stopped)));
        assert!(asked.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_bundle_comes_no_faster_than_it_may_and_after_results() {
    let bundle = some(100 << 10, 4);
    let slow = Bench { settings: Settings { kib_s: 100, ..Settings::default() }, ..Bench::new() };
    let (landing, sent) = publisher(bundle.clone(), 8192, |_, piece| Some(piece));
    let took = Stopwatch::start();
    over_the_broker(&slow, &landing, &bundle, 8192).unwrap();
    let s = took.elapsed().as_secs_f64();
    assert!((0.8..10.0).contains(&s), "100 KiB at 100 KiB a second took {s} s");
    let busy = Bench::new();
    let before = sent.load(Ordering::Relaxed);
    let digest = digest(&bundle);
    let chunks_sha256 = list_digest(&list(&bundle, 8192));
    let ended = busy.with(Duration::from_millis(500), |terms| {
        let terms = Terms { may_go_on: &|| false, ..*terms };
        let wanted = Wanted { digest: &digest, bytes: 100 << 10 };
        mqtt(&Cut { chunk_bytes: 8192, chunks_sha256: &chunks_sha256 }, &wanted, &busy.part(), &landing, &terms)
    });
    assert!(ended.unwrap_err().to_string().contains("results wait"));
    assert_eq!(sent.load(Ordering::Relaxed), before, "nothing is asked for");
}

#[test]
fn the_contract_names_every_reason() {
    let text = include_str!("../../../MQTT.md");
    for error in [
        FetchError::Stopped,
        FetchError::Deadline { trouble: String::new() },
        FetchError::Refused { reason: String::new() },
        FetchError::Length,
        FetchError::Digest,
        FetchError::MqttOff,
        FetchError::LargeChunks { chunk_bytes: 1, most_bytes: 1 },
        FetchError::Denied,
        FetchError::List,
        FetchError::Chunks { count: 1 },
        FetchError::Certificates { reason: String::new() },
    ] {
        assert!(text.contains(&format!("`{}`", error.code())), "{}", error.code());
    }
}

/// A server of one file that misbehaves as the address says.
struct Server {
    child: Child,
    port: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    fn of(bundle: &[u8], folder: &Path) -> Self {
        let [file, certificate, key] = ["bundle", "server.pem", "server.key"].map(|name| folder.join(name));
        fs::write(&file, bundle).unwrap();
        let mut openssl = Command::new("openssl");
        let of = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        openssl
            .args(of)
            .args(["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let made = openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/serve_file.py");
        let mut python = Command::new("python3");
        let mut child = python.arg(script).args([&file, &certificate, &key]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, port: port.trim().to_owned() }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }
}

/// A bench that trusts the server, and the server.
fn served(bundle: &[u8]) -> (Bench, Server) {
    let mut bench = Bench::new();
    let server = Server::of(bundle, bench.folder.path());
    bench.settings.ca = Some(bench.folder.path().join("server.pem"));
    (bench, server)
}

fn from_server(bench: &Bench, url: &str, bundle: &[u8]) -> Result<(), FetchError> {
    let digest = digest(bundle);
    let wanted = Wanted { digest: &digest, bytes: bundle.len().try_into().unwrap() };
    bench.with(SOON, |terms| https(url, &wanted, &bench.part(), terms))
}

/// What the server was asked for: which part of the file.
fn spans(bench: &Bench, server: &Server) -> Vec<Option<u64>> {
    let at = bench.folder.path().join("asked");
    let agent = super::server::agent(&bench.settings).unwrap();
    let text = agent.get(server.url("count")).call().unwrap().into_body().read_to_string().unwrap();
    fs::write(at, &text).unwrap();
    let asked: Vec<(String, Option<String>)> = serde_json::from_str(&text).unwrap();
    let first = |span: String| span.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    asked.into_iter().map(|(_, span)| span.map(first)).collect()
}

#[test]
fn a_server_is_asked_for_the_rest_only() {
    let bundle = some(1 << 20, 5);
    let (bench, server) = served(&bundle);
    from_server(&bench, &server.url("file"), &bundle).unwrap();
    assert!(bench.left() == bundle);
    fs::write(bench.part(), &bundle[..300_000]).unwrap();
    from_server(&bench, &server.url("file"), &bundle).unwrap();
    assert!(bench.left() == bundle);
    fs::remove_file(bench.part()).unwrap();
    from_server(&bench, &server.url("cutting/a"), &bundle).unwrap();
    assert!(bench.left() == bundle);
    let half = 1 << 19;
    assert_eq!(spans(&bench, &server), [None, Some(300_000), None, Some(half), Some(half + half / 2)]);
    fs::remove_file(bench.part()).unwrap();
    from_server(&bench, &server.url("redirect/redirect/redirect/busy"), &bundle).unwrap();
    assert!(bench.left() == bundle);
}

#[test]
fn a_server_that_cannot_go_on_begins_again() {
    let bundle = some(1 << 20, 6);
    let (bench, server) = served(&bundle);
    for manner in ["deaf", "changing"] {
        fs::remove_file(bench.part()).ok();
        from_server(&bench, &server.url(manner), &bundle).unwrap();
        assert!(bench.left() == bundle, "{manner}");
    }
    fs::write(bench.part(), some(400_000, 7)).unwrap();
    from_server(&bench, &server.url("file"), &bundle).unwrap();
    assert!(bench.left() == bundle, "what was there belonged to another bundle");
}

#[test]
fn a_server_is_refused_what_it_must_not_do() {
    let bundle = some(1 << 20, 8);
    let (bench, server) = served(&bundle);
    let refused = |path: &str| {
        fs::remove_file(bench.part()).ok();
        let ended = from_server(&bench, &server.url(path), &bundle).unwrap_err();
        (ended.code(), ended.to_string())
    };
    for (path, code, says) in [
        ("endless", "wrong_length", "another length"),
        ("longer", "wrong_length", "another length"),
        ("wrong", "wrong_digest", "another digest"),
        ("plain", "fetch_failed", "without TLS"),
        ("circle", "fetch_failed", "from address to address"),
        ("missing", "fetch_failed", "404"),
    ] {
        let (had, text) = refused(path);
        assert!(had == code && text.contains(says), "{path}: {had} {text}");
        assert!(!bench.part().exists() || bench.left().is_empty(), "{path}: nothing is kept");
    }
    let stranger = Bench::new();
    let ended = from_server(&stranger, &server.url("file"), &bundle).unwrap_err();
    assert!(ended.code() == "fetch_failed" && ended.to_string().contains("certificate"), "{ended}");
    let numbers = from_server(&bench, &server.url("file").replace("localhost", "127.0.0.1"), &bundle).unwrap_err();
    assert!(numbers.to_string().contains("certificate"), "another name than the certificate's: {numbers}");
}

#[test]
fn a_silent_server_holds_nobody_up_that_stops_and_what_came_is_kept() {
    let bundle = some(1 << 20, 9);
    let (bench, server) = served(&bundle);
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| from_server(&bench, &server.url("silent"), &bundle));
        let since = Stopwatch::start();
        while bench.told.load(Ordering::Relaxed) < 1 << 19 {
            assert!(since.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(10));
        }
        let asked = Stopwatch::start();
        bench.stop.store(true, Ordering::Relaxed);
        assert!(matches!(fetching.join().unwrap(), Err(FetchError::Stopped)));
        assert!(asked.elapsed() < Duration::from_secs(2));
    });
    assert!(bench.left() == bundle[..1 << 19]);
}

#[test]
fn a_disk_without_room_is_waited_for() {
    let bundle = some(1 << 20, 10);
    let (mut bench, server) = served(&bundle);
    bench.disk = crate::floor::disk::tests::with_least(bench.folder.path(), 1 << 30);
    bench.disk.look();
    let digest = digest(&bundle);
    let wanted = Wanted { digest: &digest, bytes: 1 << 20 };
    let soon = Duration::from_millis(300);
    let ended = bench.with(soon, |terms| https(&server.url("file"), &wanted, &bench.part(), terms)).unwrap_err();
    assert!(ended.code() == "fetch_deadline" && ended.to_string().contains("no room"), "{ended}");
    bench.disk = roomy(bench.folder.path());
    bench.disk.look();
    from_server(&bench, &server.url("file"), &bundle).unwrap();
}
