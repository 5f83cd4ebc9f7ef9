#![expect(clippy::as_conversions, reason = "small counts")]

use super::*;
use crate::floor::disk::tests::roomy;
use settle::Look;
use std::collections::BTreeMap;
use std::fs;

fn settings(settle_s: f64) -> Settings {
    Settings { settle_s, poll_s: 0.05, ..Settings::default() }
}

fn listing(files: &[(&str, u64)]) -> Listing {
    let look = |&(path, bytes): &(&str, u64)| (PathBuf::from(path), Look { bytes, modified: None });
    Listing { files: files.iter().map(look).collect::<BTreeMap<_, _>>() }
}

/// Runs listings one second apart and returns what settled in each.
fn check(settle_s: f64, listings: &[&[(&str, u64)]], expect: &[&[&str]]) {
    let mut settling = Settling::new(&settings(settle_s));
    for (second, (files, expected)) in listings.iter().zip(expect).enumerate() {
        let settled = settling.step(listing(files), Duration::from_secs(second as u64));
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(settled, expected, "after {second} s");
    }
}

#[test]
fn a_file_settles_when_it_has_not_changed_for_long_enough() {
    check(2.0, &[&[("/in/a", 5)], &[("/in/a", 5)], &[("/in/a", 5)]], &[&[], &[], &["/in/a"]]);
}

#[test]
fn a_growing_file_waits() {
    check(1.0, &[&[("/in/a", 5)], &[("/in/a", 6)], &[("/in/a", 7)], &[("/in/a", 7)]], &[&[], &[], &[], &["/in/a"]]);
}

#[test]
fn a_file_that_vanishes_and_returns_starts_anew() {
    check(1.0, &[&[("/in/a", 5)], &[], &[("/in/a", 5)], &[("/in/a", 5)]], &[&[], &[], &[], &["/in/a"]]);
}

#[test]
fn a_marker_never_overtakes_a_file_of_its_folder() {
    let first: &[(&str, u64)] = &[("/in/s/ok.complete", 0), ("/in/s/1", 5), ("/in/t/1", 1)];
    let grown: &[(&str, u64)] = &[("/in/s/ok.complete", 0), ("/in/s/1", 9), ("/in/t/1", 1)];
    check(1.0, &[first, grown, grown], &[&[], &["/in/t/1"], &["/in/s/1", "/in/s/ok.complete"]]);
}

#[test]
fn temporary_names_links_and_pipes_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.dcm", "b.dcm.part", ".c.dcm", "d.tmp", "e~"] {
        fs::write(folder.path().join(name), b"x").unwrap();
    }
    fs::create_dir(folder.path().join("study")).unwrap();
    fs::write(folder.path().join("study/f"), b"x").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let listing = Listing::of(folder.path(), &settings(0.0)).unwrap();
    let names: Vec<_> = listing.files.keys().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(names, [Path::new("a.dcm"), Path::new("study/f")]);
}

#[test]
fn what_an_earlier_run_had_claimed_comes_first_and_nothing_is_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    let incoming = folder.path().join("incoming");
    fs::create_dir(&incoming).unwrap();
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    fs::write(folder.path().join("spool/claimed/old"), b"1").unwrap();
    fs::write(incoming.join("new"), b"22").unwrap();
    let (sender, receiver) = sync_channel(8);
    let (settings, disk) = (settings(0.0), roomy(folder.path()));
    let (stop, paused, stuck) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::default());
    let room =
        Room { settings: &settings, incoming: &incoming, spool: &spool, disk: &disk, paused: &paused, stuck: &stuck };
    std::thread::scope(|scope| {
        scope.spawn(|| run(room, &sender, &stop));
        let sizes: Vec<Option<u64>> = (0..3)
            .map(|_| match receiver.recv_timeout(Duration::from_secs(5)).unwrap() {
                Arrival::File(claim) => Some(fs::metadata(claim.path).unwrap().len()),
                Arrival::CaughtUp => None,
                Arrival::Marker(_) | Arrival::Again(_) => panic!("nobody asked for this"),
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(sizes, [Some(1), None, Some(2)]);
    });
    assert!(receiver.try_recv().is_err(), "each file arrives once");
    assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_taken_is_told_until_it_is_gone() {
    let mut stuck = Stuck::default();
    assert_eq!(stuck.detail(), None);
    for file in ["/in/a", "/in/b", "/in/a"] {
        stuck.left(Path::new(file), io::ErrorKind::PermissionDenied);
    }
    let detail = stuck.detail().unwrap();
    assert!(detail.contains("2 (permission denied)") && !detail.contains("/in"), "{detail}");
    stuck.listed(&listing(&[("/in/b", 1)]));
    assert!(stuck.detail().unwrap().contains("1 (permission denied)"));
    stuck.listed(&listing(&[]));
    assert_eq!(stuck.detail(), None);
    stuck.unlisted(io::ErrorKind::NotFound);
    assert!(stuck.detail().unwrap().contains("cannot be listed"));
    stuck.listed(&listing(&[]));
    assert_eq!(stuck.detail(), None);
}

#[test]
fn a_series_goes_through_the_spool_and_late_files_meet_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let key = crate::floor::phi::SeriesKey("ek1_a".into());
    let put = |name: &str| {
        let claimed = folder.path().join("claimed").join(name);
        fs::write(&claimed, name).unwrap();
        spool.sort_in(&claimed, &key, name).unwrap();
    };
    put("d1");
    assert!(spool.freeze(&key).unwrap().is_some());
    put("d2");
    assert_eq!(spool.freeze(&key).unwrap(), None, "the first batch is still being read");
    assert_eq!(spool.digests(&key).unwrap(), ["d1"]);
    spool.retire(&key, Retired::Done).unwrap();
    spool.retire(&key, Retired::Done).unwrap();
    assert!(spool.freeze(&key).unwrap().is_some());
    assert_eq!(spool.digests(&key).unwrap(), ["d1", "d2"]);
    spool.retire(&key, Retired::Quarantine("truncated".into())).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("quarantine/truncated/ek1_a")).unwrap().count(), 2);
}

#[test]
fn a_paused_intake_leaves_files_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let incoming = folder.path().join("incoming");
    fs::create_dir_all(&incoming).unwrap();
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    fs::write(incoming.join("new"), b"22").unwrap();
    let (sender, receiver) = sync_channel(8);
    let (stop, paused, stuck) = (AtomicBool::new(false), AtomicBool::new(true), Mutex::default());
    let (settings, disk) = (settings(0.0), roomy(folder.path()));
    let room =
        Room { settings: &settings, incoming: &incoming, spool: &spool, disk: &disk, paused: &paused, stuck: &stuck };
    std::thread::scope(|scope| {
        scope.spawn(|| run(room, &sender, &stop));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), Arrival::CaughtUp);
        assert!(receiver.recv_timeout(Duration::from_millis(500)).is_err());
        paused.store(false, Ordering::Relaxed);
        assert!(matches!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), Arrival::File(_)));
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn finished_and_refused_series_are_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool");
    let spool = Spool::open(&root).unwrap();
    let key = |name: &str| crate::floor::phi::SeriesKey(name.to_owned());
    for path in ["done/ek1_a", "quarantine/corrupt/ek1_b"] {
        fs::create_dir_all(root.join(path)).unwrap();
        fs::write(root.join(path).join("d1"), b"1").unwrap();
    }
    let day = Duration::from_hours(24);
    assert!(!spool.keeps(&key("ek1_a"), Duration::from_secs(30)).unwrap(), "it is deleted soon");
    assert!(!spool.open_again(&key("ek1_c"), day).unwrap(), "there is none");
    for name in ["ek1_a", "ek1_b"] {
        assert!(spool.keeps(&key(name), day).unwrap());
        assert!(spool.open_again(&key(name), day).unwrap());
        assert_eq!(spool.open_files(&key(name)).unwrap(), [root.join("series").join(name).join("d1")]);
        assert!(!spool.keeps(&key(name), day).unwrap());
    }
    // A refused series that is older than finished ones may be is not swept while it is opened, and late files join it.
    fs::create_dir_all(root.join("quarantine/truncated/ek1_a")).unwrap();
    fs::write(root.join("quarantine/truncated/ek1_a/d2"), b"2").unwrap();
    assert!(spool.open_again(&key("ek1_a"), Duration::ZERO).unwrap());
    assert_eq!(spool.open_files(&key("ek1_a")).unwrap().len(), 2);
}
