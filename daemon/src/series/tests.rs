#![expect(clippy::as_conversions, reason = "small counts")]

use super::*;
use crate::floor::disk::tests::with_least;
use crate::floor::fate::Code;
use crate::floor::phi::{SeriesKey, StudyKey};
use crate::floor::store::{Store, lock};
use crate::floor::subject::{CompleteBy, Priority};
use crate::intake::{Claim, Retired};
use ctedge_models::scan::{Format, Reason};
use gather::Sorted;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(name: &str) -> SeriesKey {
    SeriesKey(name.to_owned())
}

fn file(digest: &str, expected: Option<u32>) -> Sorted {
    Sorted {
        study_key: StudyKey("sk1_s".to_owned()),
        digest: digest.to_owned(),
        expected,
        single_file: false,
        priority: Priority::Routine,
        source: None,
        refusal: None,
    }
}

fn gather(quiet_s: f64) -> Gather {
    Gather::new(&Settings { quiet_s, ..Settings::default() })
}

#[test]
fn one_urgent_file_makes_the_series_urgent() {
    let mut gather = gather(1.0);
    let key = SeriesKey("ek1_a".to_owned());
    gather.add(key.clone(), file("1", None), Duration::ZERO);
    gather.add(key.clone(), Sorted { priority: Priority::Urgent, ..file("2", None) }, Duration::ZERO);
    gather.add(key.clone(), file("3", None), Duration::ZERO);
    assert_eq!(gather.take(&key).unwrap().0.priority, Priority::Urgent);
}

#[test]
fn a_quiet_series_is_complete_and_a_new_file_starts_the_pause_anew() {
    let mut gather = gather(10.0);
    gather.add(key("a"), file("1", None), secs(0));
    gather.add(key("a"), file("2", None), secs(9));
    assert!(gather.complete(secs(18)).is_empty());
    assert_eq!(gather.patience(secs(18)), secs(1));
    assert_eq!(gather.complete(secs(19)), [key("a")]);
    let (open, evidence) = gather.take(&key("a")).unwrap();
    assert_eq!((open.digests.len(), evidence), (2, CompleteBy::QuietPeriod));
    assert!(gather.complete(secs(99)).is_empty());
}

#[test]
fn the_announced_count_completes_at_once_and_a_repeated_file_does_not_count() {
    let mut gather = gather(10.0);
    gather.add(key("a"), file("1", Some(2)), secs(0));
    gather.add(key("a"), file("1", Some(2)), secs(1));
    assert!(gather.complete(secs(1)).is_empty());
    gather.add(key("a"), file("2", Some(2)), secs(2));
    assert_eq!(gather.complete(secs(2)), [key("a")]);
    assert_eq!(gather.take(&key("a")).unwrap().1, CompleteBy::ExpectedCount);
}

#[test]
fn a_blocked_series_is_looked_at_again() {
    let mut gather = gather(10.0);
    gather.add(key("a"), file("1", Some(1)), secs(0));
    gather.blocked(secs(0));
    assert!(gather.complete(secs(0)).is_empty());
    assert_eq!(gather.patience(secs(0)), Duration::from_millis(200));
    assert_eq!(gather.complete(secs(1)), [key("a")]);
}

proptest! {
    /// Two series, interleaved and shuffled, with repeats: each is complete once, with all its files.
    #[test]
    fn order_and_repeats_do_not_matter(order in proptest::sample::subsequence((0..40u8).collect::<Vec<_>>(), 40).prop_shuffle()) {
        let mut gather = gather(5.0);
        for (second, number) in order.iter().chain(order.iter().take(7)).enumerate() {
            let series = if number % 2 == 0 { "even" } else { "odd" };
            gather.add(key(series), file(&number.to_string(), None), Duration::from_millis(second as u64));
        }
        let complete = gather.complete(secs(60));
        prop_assert_eq!(&complete, &[key("even"), key("odd")]);
        for series in complete {
            prop_assert_eq!(gather.take(&series).unwrap().0.digests.len(), 20);
        }
    }
}

/// A spool, a ledger, and a fake scan worker that reads `series:expected` out of a file, or refuses it.
struct Bench {
    folder: tempfile::TempDir,
    site: SiteKey,
    store: SharedStore,
    settings: Settings,
    /// MiB of the disk that have to be free.
    least_mib: u64,
    /// For how long another room waits for room on the disk; half of it lies between arrivals.
    full_for: Duration,
}

impl Bench {
    fn new(quiet_s: f64) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            site: SiteKey::from_hex(&"11".repeat(32)).unwrap(),
            store: Arc::new(Mutex::new(Store::in_memory())),
            settings: Settings { quiet_s, ..Settings::default() },
            least_mib: 0,
            full_for: Duration::ZERO,
        }
    }

    fn spool(&self) -> Spool {
        Spool::open(&self.folder.path().join("spool")).unwrap()
    }

    fn claim(&self, name: &str, content: &str) -> Arrival {
        self.spool();
        let path = self.folder.path().join("spool/claimed").join(name);
        fs::write(&path, content).unwrap();
        Arrival::File(Claim { path, source: None, since: Stopwatch::start() })
    }

    /// Runs the room until the arrivals are used up and `want` series have come out. They are new, unless the word that what
    /// was claimed has been handed over stands among them.
    fn run(&self, arrivals: Vec<Arrival>, want: usize) -> Vec<Completed> {
        let spool = self.spool();
        let disk = &with_least(self.folder.path(), self.least_mib);
        let (in_sender, in_receiver) = sync_channel(64);
        let (out_sender, out_receiver) = sync_channel(64);
        std::thread::scope(|scope| {
            let room = move || {
                let mut seen = BTreeSet::new();
                let room = Room {
                    settings: &self.settings,
                    site: &self.site,
                    spool: &spool,
                    store: &self.store,
                    disk,
                    read_header: Box::new(move |path| fake_header(path, &mut seen)),
                    read_identifiers: None,
                    unpack: Box::new(fake_unpack),
                    announce: Box::new(|_, _| Ok(())),
                };
                run(room, &in_receiver, &out_sender)
            };
            let room = scope.spawn(room);
            let since = Stopwatch::start();
            let full = move || {
                if since.elapsed() < self.full_for { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
            };
            scope.spawn(move || disk.patiently(full).unwrap());
            let was_claimed = arrivals.contains(&Arrival::CaughtUp);
            let first = (!was_claimed).then_some(Arrival::CaughtUp);
            for arrival in first.into_iter().chain(arrivals) {
                in_sender.send(arrival).unwrap();
                std::thread::sleep(self.full_for / 2);
            }
            let completed = (0..want).map(|_| out_receiver.recv_timeout(secs(10)).unwrap()).collect();
            drop(in_sender);
            room.join().unwrap().unwrap();
            completed
        })
    }

    fn books(&self) -> (u64, u64) {
        let (counters, pending) = lock(&self.store).commit(|transaction| ledger::books(transaction)).unwrap();
        let received = counters.iter().find(|(name, _, _)| name == "received").map_or(0, |(_, _, all)| *all);
        (received, pending)
    }

    fn finish(&self, subject: &Subject, id: &str) -> Subject {
        let ending = ledger::Ending { outcome: "clear", reason: None };
        let finished =
            lock(&self.store).commit(|transaction| ledger::finish(transaction, subject, id, ending)).unwrap();
        self.spool().retire(&subject.series_key, Retired::Done).unwrap();
        finished
    }
}

/// Dies of what begins with `weak` when it sees it for the first time, and of what begins with `deadly` always.
fn fake_header(path: &Path, seen: &mut BTreeSet<PathBuf>) -> HeaderAnswer {
    let content = fs::read_to_string(path).unwrap();
    if content.starts_with("deadly") || content.starts_with("weak") && seen.insert(path.to_owned()) {
        return HeaderAnswer::Refused(Refusal::new(Code::ScanCrashed, "it died"));
    }
    let digest = data_encoding::HEXLOWER.encode(content.as_bytes());
    if content.starts_with("slow:") {
        std::thread::sleep(Duration::from_millis(400));
    }
    match content.split(':').collect::<Vec<_>>().as_slice() {
        [series, expected, _] => HeaderAnswer::Header(Header {
            study_uid: "1".to_owned(),
            series_uid: (*series).to_owned(),
            digest,
            expected: expected.parse().ok(),
            modality: None,
            format: Format::Dicom,
            urgent: false,
        }),
        ["archive", ..] => HeaderAnswer::Archive,
        _ => HeaderAnswer::Refused(Refusal::new(Code::Scan(Reason::NotAScan), "no scan")),
    }
}

/// `archive:` and members between bars; with `full` among them the first attempt finds no room.
fn fake_unpack(archive: &Path, into: &Path) -> io::Result<Result<Unpacked, Refusal>> {
    let content = fs::read_to_string(archive).unwrap();
    let members: Vec<&str> = content.trim_start_matches("archive:").split('|').collect();
    if members.contains(&"broken") {
        return Ok(Err(Refusal::new(Code::Scan(Reason::Truncated), "cut off")));
    }
    let tried = archive.with_file_name("tried");
    if members.contains(&"full") && !tried.exists() {
        fs::write(tried, "").unwrap();
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    for (number, member) in members.iter().enumerate() {
        fs::write(into.join(number.to_string()), member).unwrap();
    }
    Ok(Ok(Unpacked { members: members.len(), left_out: 0 }))
}

#[test]
fn the_series_of_an_archive_are_complete_with_its_last_member() {
    let bench = Bench::new(60.0);
    let plain = bench.claim("0", "a::0");
    let completed = bench.run(vec![plain, bench.claim("1", "archive:a::1|b::1|a::2|text|archive:c::1")], 4);
    let of = |evidence| {
        let of = completed.iter().filter(|ready| ready.series.subject.complete_by == evidence);
        of.map(|ready| ready.series.subject.instances).collect::<BTreeSet<u32>>()
    };
    assert_eq!(of(CompleteBy::Archive), BTreeSet::from([1, 3]), "the file that came before belongs to it");
    assert_eq!(of(CompleteBy::SingleFile), BTreeSet::from([1]), "a text and an archive inside, refused");
    assert_eq!(bench.books(), (4, 4));
    let left = |folder: &str| fs::read_dir(bench.folder.path().join("spool").join(folder)).unwrap().count();
    assert_eq!((left("claimed"), left("unpacking")), (0, 0));
}

#[test]
fn a_broken_archive_is_one_stray_with_its_reason_before_and_after_a_restart() {
    let bench = Bench::new(60.0);
    for arrivals in [vec![bench.claim("1", "archive:a::1|broken")], Vec::new()] {
        let completed = bench.run(arrivals, 1);
        assert_eq!(completed[0].refusal.as_ref().unwrap().code, Code::Scan(Reason::Truncated));
        assert_eq!(completed[0].series.subject.instances, 1);
    }
    assert_eq!(bench.books(), (1, 1));
}

#[test]
fn an_archive_waits_for_room_unless_the_disk_has_room_for_all_but_it() {
    const ARCHIVE: &str = "archive:a::1|full";
    let large = Bench::new(60.0);
    let refusal = large.run(vec![large.claim("1", ARCHIVE)], 1).remove(0).refusal.unwrap();
    assert_eq!(refusal.code, Code::Scan(Reason::LimitExceeded));
    let full = Bench { least_mib: 1 << 40, ..Bench::new(60.0) };
    let completed = full.run(vec![full.claim("1", ARCHIVE)], 2);
    assert!(completed.iter().any(|ready| ready.refusal.is_none()), "it was unpacked when there was room");
}

#[test]
fn an_archive_that_was_sorted_in_part_is_sorted_again_and_counts_once() {
    let bench = Bench::new(60.0);
    bench.run(vec![bench.claim("x", "a:2:1")], 0);
    // Killed when the second member had come into the open series, too, and the archive had not been let go.
    let series = fs::read_dir(bench.folder.path().join("spool/series")).unwrap().next().unwrap().unwrap().path();
    fs::write(series.join(data_encoding::HEXLOWER.encode(b"a:2:2")), "a:2:2").unwrap();
    let completed = bench.run(vec![bench.claim("1", "archive:a:2:1|a:2:2|text"), Arrival::CaughtUp], 2);
    let instances: BTreeSet<u32> = completed.iter().map(|ready| ready.series.subject.instances).collect();
    assert_eq!(instances, BTreeSet::from([1, 2]));
    assert_eq!(bench.books(), (2, 2));
    assert!(bench.spool().open_keys().unwrap().is_empty(), "nothing is left for a second result");
}

#[test]
fn an_absence_is_no_quiet_period() {
    let mut gather = gather(10.0);
    gather.add(key("a"), file("1", None), secs(0));
    gather.listens(secs(20));
    assert!(gather.complete(secs(29)).is_empty());
    assert_eq!(gather.complete(secs(30)), [key("a")]);
}

#[test]
fn a_slow_worker_is_no_quiet_period() {
    let bench = Bench::new(0.3);
    let claims = ["slow::1", "slow::2", "b::1", "slow::3"];
    let arrivals = claims.iter().enumerate().map(|(n, content)| bench.claim(&n.to_string(), content)).collect();
    let completed = bench.run(arrivals, 2);
    let instances: BTreeSet<u32> = completed.iter().map(|ready| ready.series.subject.instances).collect();
    assert_eq!(instances, BTreeSet::from([1, 3]), "what waits for the worker has come");
    assert_eq!(bench.books(), (2, 2));
}

#[test]
fn only_a_file_that_brings_down_two_workers_is_to_blame() {
    let bench = Bench::new(0.3);
    let completed =
        bench.run(vec![bench.claim("1", "weak::1"), bench.claim("2", "deadly"), bench.claim("3", "weak::2")], 2);
    let told = |ready: &Completed| (ready.series.subject.instances, ready.refusal.as_ref().map(|refusal| refusal.code));
    assert_eq!(completed.iter().map(told).collect::<Vec<_>>(), [(1, Some(Code::ScanCrashed)), (2, None)]);
}

#[test]
fn a_wait_for_room_on_the_disk_is_no_quiet_period() {
    let bench = Bench { full_for: secs(2), ..Bench::new(0.3) };
    let completed = bench.run(vec![bench.claim("1", "a::1"), bench.claim("2", "a::2")], 1);
    assert_eq!(completed[0].series.subject.instances, 2, "the rest of it may be what finds no room");
}

#[test]
fn two_interleaved_series_come_out_whole() {
    let bench = Bench::new(60.0);
    let contents = ["a:2:1", "b:3:1", "b:3:2", "a:2:2", "b:3:3"];
    let arrivals = contents.iter().enumerate().map(|(n, content)| bench.claim(&n.to_string(), content)).collect();
    let completed = bench.run(arrivals, 2);
    let counts: Vec<u32> = completed.iter().map(|ready| ready.series.subject.instances).collect();
    assert_eq!(counts, [2, 3]);
    assert!(completed.iter().all(|ready| ready.series.subject.complete_by == CompleteBy::ExpectedCount));
    assert_eq!(bench.books(), (2, 2));
}

#[test]
fn a_file_of_no_series_is_refused_on_its_own() {
    let bench = Bench::new(60.0);
    let completed = bench.run(vec![bench.claim("x", "just text")], 1);
    assert_eq!(completed[0].refusal.as_ref().unwrap().code, Code::Scan(Reason::NotAScan));
    assert_eq!(bench.books(), (1, 1));
}

#[test]
fn a_restart_finds_frozen_and_open_series_and_counts_nothing_twice() {
    let bench = Bench::new(0.3);
    let first = bench.run(vec![bench.claim("1", "a:2:1"), bench.claim("2", "a:2:2"), bench.claim("3", "b:2:1")], 1);
    assert_eq!(bench.books(), (2, 2));
    let again = bench.run(vec![bench.claim("4", "b:2:2")], 2);
    assert_eq!(again[0].series.subject, first[0].series.subject, "the frozen one is handed over as it was");
    assert_eq!(again[1].series.subject.instances, 2);
    assert_eq!(bench.books(), (2, 2));
}

#[test]
fn the_digest_depends_on_the_bytes_alone_and_late_files_make_a_revision() {
    let bench = Bench::new(0.3);
    let first = bench.run(vec![bench.claim("1", "a:2:1"), bench.claim("2", "a:2:2")], 1);
    let one = bench.finish(&first[0].series.subject, "r1");
    assert_eq!((one.revision, one.replaces), (1, None));
    let other_way = bench.run(vec![bench.claim("8", "a:2:2"), bench.claim("9", "a:2:1")], 1);
    assert_eq!(other_way[0].series.subject.digest, first[0].series.subject.digest);
    let repeat = bench.finish(&other_way[0].series.subject, "r1");
    assert_eq!((repeat.revision, repeat.replaces), (1, None), "a repeat is the same result");
    let late = bench.run(vec![bench.claim("5", "a:2:3")], 1);
    assert_eq!(late[0].series.subject.instances, 3, "the late file meets the earlier ones");
    let two = bench.finish(&late[0].series.subject, "r2");
    assert_eq!((two.revision, two.replaces.as_deref()), (2, Some("r1")));
    assert_eq!(bench.books(), (3, 0));
}

#[test]
fn a_crash_between_freezing_and_the_ledger_is_mended() {
    let bench = Bench::new(0.3);
    let first = bench.run(vec![bench.claim("1", "a::1")], 1);
    let back_to_open = "UPDATE work SET state = 'open'";
    lock(&bench.store).commit(|transaction| transaction.execute(back_to_open, [])).unwrap();
    let again = bench.run(Vec::new(), 1);
    assert_eq!(again[0].series.subject.digest, first[0].series.subject.digest);
    assert_eq!(bench.books(), (1, 1));
}

#[test]
fn an_open_series_whose_files_were_taken_away_still_ends() {
    let bench = Bench::new(0.3);
    bench.run(vec![bench.claim("1", "a:9:1")], 0);
    let folder = bench.folder.path().join("spool/series");
    for series in fs::read_dir(&folder).unwrap() {
        fs::remove_dir_all(series.unwrap().path()).unwrap();
    }
    let completed = bench.run(Vec::new(), 1);
    assert_eq!(completed[0].refusal.as_ref().unwrap().code, Code::Scan(Reason::Unreadable));
}
