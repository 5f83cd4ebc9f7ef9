use super::*;
use crate::floor::store::Store;
use proptest::prelude::*;

/// A log of so many entries, of every length.
fn log(count: usize) -> Store {
    let mut store = Store::in_memory();
    let now = |number: usize| "0".repeat(number % 7 + 1);
    store
        .commit(|transaction| {
            (0..count).try_for_each(|number| {
                append(transaction, Event::Changed { what: "model", before: "", now: &now(number) })
            })
        })
        .unwrap();
    store
}

fn rows(store: &Store) -> Vec<(i64, String)> {
    store
        .read(|connection| {
            let mut statement = connection.prepare("SELECT seq, record FROM audit ORDER BY seq")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .unwrap()
}

fn told(store: &Store) -> Option<Head> {
    store.read(head).unwrap()
}

#[test]
fn an_untouched_log_is_whole() {
    for count in [0, 1, 2, 30] {
        let store = log(count);
        let head = told(&store);
        assert_eq!(store.read(|connection| verify(connection, head.as_ref())).unwrap(), Ok(count));
    }
}

#[test]
fn deleted_entries_leave_a_log_that_can_be_checked() {
    let mut store = log(10);
    let early = Head { seq: 6, sha256: digest(&rows(&store)[5].1) };
    store.commit(|tx| tx.execute("UPDATE audit SET at_ms = seq", [])).unwrap();
    assert_eq!(store.commit(|tx| forget(tx, 1)).unwrap(), 0, "nothing is that old");
    assert_eq!(store.commit(|tx| forget(tx, 4)).unwrap(), 3);
    assert_eq!(store.read(|c| verify(c, Some(&early))).unwrap(), Ok(8), "seven, and the one that says so");
    assert_eq!(store.commit(|tx| forget(tx, 7)).unwrap(), 3);
    assert_eq!(store.read(|c| verify(c, None)).unwrap(), Ok(6));
    // Somebody helps: one more goes, silently.
    store.commit(|tx| tx.execute("DELETE FROM audit WHERE seq = 7", [])).unwrap();
    let fault = store.read(|c| verify(c, None)).unwrap().unwrap_err();
    assert_eq!((fault.seq, fault.reason), (7, "is missing, and no entry says that it was deleted"));
}

#[test]
fn a_chain_that_was_written_anew_does_not_pass_for_the_published_one() {
    let (first, second) = (log(5), log(9));
    let published = told(&first).unwrap();
    // Entries hold their time, so that two logs differ.
    let fault = second.read(|connection| verify(connection, Some(&published))).unwrap();
    let differs = rows(&first)[4] != rows(&second)[4];
    assert_eq!(fault.is_err(), differs);
    let forged = Head { sha256: "00".repeat(32), ..published };
    let fault = second.read(|connection| verify(connection, Some(&forged))).unwrap().unwrap_err();
    assert_eq!((fault.seq, fault.reason), (5, "is not what was published"));
}

#[test]
fn only_changes_are_entered() {
    let mut store = Store::in_memory();
    for digest in ["a", "a", "b", "b", "a"] {
        store.commit(|transaction| note_digest(transaction, "model", digest)).unwrap();
    }
    assert_eq!(rows(&store).len(), 2);
}

/// What somebody does to a log.
#[derive(Debug, Clone)]
enum Tampering {
    Change { entry: usize, byte: usize },
    Remove { entry: usize },
    Swap { entry: usize, other: usize },
    Cut { left: usize },
    Repeat { entry: usize },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(entry, byte)| Tampering::Change { entry, byte }),
        any::<usize>().prop_map(|entry| Tampering::Remove { entry }),
        (any::<usize>(), any::<usize>()).prop_map(|(entry, other)| Tampering::Swap { entry, other }),
        any::<usize>().prop_map(|left| Tampering::Cut { left }),
        any::<usize>().prop_map(|entry| Tampering::Repeat { entry }),
    ]
}

/// The rows after it; the numbers stay in order, as the table keeps them.
fn tampered(rows: &[(i64, String)], tampering: &Tampering) -> Vec<(i64, String)> {
    let count = rows.len();
    let mut after = rows.to_vec();
    match *tampering {
        Tampering::Change { entry, byte } => {
            let record = &mut after[entry % count].1;
            let place = byte % record.len();
            let other = if record.as_bytes()[place] == b'0' { "1" } else { "0" };
            record.replace_range(place..=place, other);
        }
        Tampering::Remove { entry } => drop(after.remove(entry % count)),
        Tampering::Swap { entry, other } => {
            let (entry, other) = (entry % count, other % count);
            let (one, two) = (after[entry].1.clone(), after[other].1.clone());
            (after[entry].1, after[other].1) = (two, one);
        }
        Tampering::Cut { left } => after.truncate(left % count),
        Tampering::Repeat { entry } => {
            let (last, record) = (after[count - 1].0, after[entry % count].1.clone());
            after.push((last + 1, record));
        }
    }
    after
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_log_is_found(count in 1usize..20, tampering in tampering()) {
        let store = log(count);
        let (before, head) = (rows(&store), told(&store));
        let after = tampered(&before, &tampering);
        let found = whole(&after, head.as_ref(), head.as_ref());
        prop_assert_eq!(found.is_ok(), after == before, "{:?} of {} was not found: {:?}", tampering, count, found);
    }

    /// Whoever may write the ledger can rewrite its own head, too, but not what was published.
    #[test]
    fn a_forged_head_is_found_by_the_published_one(count in 2usize..20, tampering in tampering()) {
        let store = log(count);
        let (before, published) = (rows(&store), told(&store));
        let after = tampered(&before, &tampering);
        let forged = after.last().map(|(seq, record)| Head { seq: *seq, sha256: digest(record) });
        let found = whole(&after, forged.as_ref(), published.as_ref());
        prop_assert_eq!(found.is_ok(), after == before, "{:?} of {} was not found: {:?}", tampering, count, found);
    }
}
