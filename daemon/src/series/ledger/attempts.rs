//! Attempts at completed series, noted in the ledger before they begin, so that no crash of worker, daemon or machine
//! forgets them.
//!
//! A row stands while its attempt runs and goes when that ends well. What is left behind of a daemon that died is told apart
//! by the boot of the machine: if that is another one, the series may have taken the device down, and the attempt failed. If
//! it is the same, only the daemon died, which says little about the series: it is an interruption, of which many are borne.

use crate::floor::clock;
use crate::floor::fate::{Code, Refusal};
use crate::floor::limits::{ATTEMPTS, INTERRUPTIONS, SUSPECT};
use crate::floor::phi::SeriesKey;
use crate::floor::subject::Subject;
use rusqlite::{Connection, Transaction, params};

/// What is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A worker tells what the series is like, for the rules of choice.
    Choose,
    /// A worker decodes it.
    Read,
    /// The model runs on it.
    Infer,
}

impl Stage {
    /// Name in the ledger and in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Choose => "choose",
            Self::Read => "read",
            Self::Infer => "infer",
        }
    }
}

/// An attempt that is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    id: i64,
    /// Which attempt at this series it is: one more than have failed.
    pub(crate) number: u32,
}

/// Whether an attempt may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is noted.
    Noted(Attempt),
    /// There were enough of them: the series ends with this.
    Spent(Refusal),
}

/// What an attempt that failed means for its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It gets another one.
    Again,
    /// It was the last: the series ends with this.
    Spent(Refusal),
}

/// How the attempts at the same bytes of a series have ended so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Past {
    failed: u32,
    interrupted: u32,
    last: Option<Code>,
}

/// Notes that an attempt begins, unless there were enough of them. What an earlier daemon left unfinished is settled first,
/// and attempts at other bytes of the series are forgotten.
pub(crate) fn begin(
    transaction: &Transaction<'_>,
    subject: &Subject,
    stage: Stage,
    boot: &str,
) -> Result<Begun, rusqlite::Error> {
    let (key, digest) = (&subject.series_key.0, &subject.digest);
    transaction.execute("DELETE FROM attempts WHERE series_key = ?1 AND digest <> ?2", [key, digest])?;
    transaction.execute(
        "UPDATE attempts SET ended = CASE WHEN boot = ?2 THEN ?3 ELSE ?4 END WHERE series_key = ?1 AND ended IS NULL",
        [key, boot, Code::Interrupted.name(), Code::DeviceRestarted.name()],
    )?;
    let past = past(transaction, subject)?;
    if let Some(refusal) = past.spent() {
        return Ok(Begun::Spent(refusal));
    }
    let number = past.failed + 1;
    transaction.execute(
        "INSERT INTO attempts (series_key, digest, stage, number, boot, began_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![key, digest, stage.name(), number, boot, clock::now_ms()],
    )?;
    Ok(Begun::Noted(Attempt { id: transaction.last_insert_rowid(), number }))
}

/// An attempt ended well, or the input was refused for a reason of its own: it counts for nothing.
pub(crate) fn done(transaction: &Transaction<'_>, attempt: Attempt) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM attempts WHERE id = ?1", [attempt.id]).map(drop)
}

/// An attempt failed: its worker was lost. One that was withdrawn meanwhile counts for nothing.
pub(crate) fn failed(
    transaction: &Transaction<'_>,
    subject: &Subject,
    attempt: Attempt,
    code: Code,
) -> Result<Failed, rusqlite::Error> {
    transaction.execute("UPDATE attempts SET ended = ?2 WHERE id = ?1", params![attempt.id, code.name()])?;
    Ok(past(transaction, subject)?.spent().map_or(Failed::Again, Failed::Spent))
}

/// The daemon is told to stop: what runs now is cut short by that, and not by its series.
pub(crate) fn withdraw(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM attempts WHERE ended IS NULL", []).map(drop)
}

/// How attempts at a series failed that did not end it, oldest first: stage and reason.
pub(crate) fn told(connection: &Connection, series: &SeriesKey) -> Result<Vec<String>, rusqlite::Error> {
    let sql = "SELECT stage || ' ' || ended FROM attempts WHERE series_key = ?1 AND ended IS NOT NULL ORDER BY id";
    connection.prepare(sql)?.query_map([&series.0], |row| row.get(0))?.collect()
}

/// Forgets the attempts at a series: it has ended, or begins anew.
pub(crate) fn forget(transaction: &Transaction<'_>, series: &SeriesKey) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM attempts WHERE series_key = ?1", [&series.0]).map(drop)
}

/// Whether a series had a setback, for which others are to be read before it.
pub(crate) fn had_setbacks(connection: &Connection, subject: &Subject) -> Result<bool, rusqlite::Error> {
    let Past { failed, interrupted, .. } = past(connection, subject)?;
    Ok(failed > 0 || interrupted >= SUSPECT)
}

/// An attempt that still stands as running counts as interrupted.
fn past(connection: &Connection, subject: &Subject) -> Result<Past, rusqlite::Error> {
    let sql = "SELECT ended FROM attempts WHERE series_key = ?1 AND digest = ?2 ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let ends = statement.query_map([&subject.series_key.0, &subject.digest], |row| row.get::<_, Option<String>>(0))?;
    let mut past = Past::default();
    for end in ends {
        match end?.and_then(|name| Code::try_from(name).ok()) {
            None | Some(Code::Interrupted) => past.interrupted += 1,
            failed => (past.failed, past.last) = (past.failed + 1, failed),
        }
    }
    Ok(past)
}

impl Past {
    /// With what the series ends, if there were enough attempts.
    fn spent(self) -> Option<Refusal> {
        match self.last {
            Some(code) if self.failed >= ATTEMPTS => {
                Some(Refusal::new(code, format!("{}; {} attempts failed", story(code), self.failed)))
            }
            _ if self.interrupted >= INTERRUPTIONS => {
                let detail = format!("{}; {} attempts were interrupted", story(Code::Interrupted), self.interrupted);
                Some(Refusal::new(Code::Interrupted, detail))
            }
            _ => None,
        }
    }
}

/// What happened to a failed attempt.
fn story(code: Code) -> &'static str {
    const STORIES: [(Code, &str); 8] = [
        (Code::ScanCrashed, "the reader died"),
        (Code::ScanMemory, "the reader ran out of memory"),
        (Code::ScanCpu, "the reader used up its processor time"),
        (Code::ScanTime, "the reader did not answer in time"),
        (Code::InferCrashed, "the inference worker died"),
        (Code::InferTime, "the model did not answer in time"),
        (Code::DeviceRestarted, "the device restarted meanwhile"),
        (Code::Interrupted, "the daemon died meanwhile"),
    ];
    STORIES.iter().find(|(known, _)| *known == code).map_or("it failed", |(_, story)| story)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::phi::StudyKey;
    use crate::floor::store::Store;
    use crate::floor::subject::{CompleteBy, Priority};

    fn subject(digest: &str) -> Subject {
        Subject {
            study_key: StudyKey("sk1_a".into()),
            series_key: SeriesKey("ek1_b".into()),
            digest: digest.into(),
            instances: 3,
            expected: None,
            complete_by: CompleteBy::QuietPeriod,
            revision: 1,
            replaces: None,
            priority: Priority::Routine,
            completed_ms: 0,
            choice: None,
        }
    }

    fn noted(store: &mut Store, digest: &str, boot: &str) -> Attempt {
        match began(store, digest, boot) {
            Begun::Noted(attempt) => attempt,
            Begun::Spent(refusal) => panic!("{refusal}"),
        }
    }

    fn began(store: &mut Store, digest: &str, boot: &str) -> Begun {
        store.commit(|transaction| begin(transaction, &subject(digest), Stage::Read, boot)).unwrap()
    }

    fn fail(store: &mut Store, attempt: Attempt, code: Code) -> Failed {
        store.commit(|transaction| failed(transaction, &subject("d"), attempt, code)).unwrap()
    }

    fn setbacks(store: &Store) -> bool {
        store.read(|connection| had_setbacks(connection, &subject("d"))).unwrap()
    }

    #[test]
    fn the_second_failed_attempt_is_the_last_and_stays_it_after_a_restart() {
        let mut store = Store::in_memory();
        let first = noted(&mut store, "d", "boot 1");
        assert_eq!(first.number, 1);
        assert_eq!(fail(&mut store, first, Code::ScanCrashed), Failed::Again);
        assert!(setbacks(&store));
        // Another daemon, on a machine that has been restarted.
        let second = noted(&mut store, "d", "boot 2");
        assert_eq!(second.number, 2);
        let Failed::Spent(refusal) = fail(&mut store, second, Code::ScanMemory) else { panic!("a third attempt") };
        assert_eq!(refusal.to_string(), "scan_memory: the reader ran out of memory; 2 attempts failed");
        assert_eq!(began(&mut store, "d", "boot 3"), Begun::Spent(refusal));
    }

    #[test]
    fn a_series_that_takes_the_machine_down_does_so_twice_at_most() {
        let mut store = Store::in_memory();
        for boot in ["boot 1", "boot 2"] {
            noted(&mut store, "d", boot);
        }
        let Begun::Spent(refusal) = began(&mut store, "d", "boot 3") else { panic!("a third attempt") };
        assert_eq!(refusal.code, Code::DeviceRestarted);
        assert!(refusal.detail.contains("2 attempts"), "{refusal}");
    }

    #[test]
    fn a_daemon_that_dies_alone_is_borne_for_long_but_not_for_ever() {
        let mut store = Store::in_memory();
        for time in 0..INTERRUPTIONS {
            assert_eq!(setbacks(&store), time >= SUSPECT, "{time}");
            assert_eq!(noted(&mut store, "d", "boot").number, 1, "none has failed");
        }
        let Begun::Spent(refusal) = began(&mut store, "d", "boot") else { panic!("it goes on for ever") };
        assert_eq!(refusal.to_string(), "interrupted: the daemon died meanwhile; 10 attempts were interrupted");
    }

    #[test]
    fn a_stop_in_good_order_a_good_end_other_bytes_and_a_fresh_start_count_for_nothing() {
        let mut store = Store::in_memory();
        for _ in 0..=INTERRUPTIONS {
            noted(&mut store, "d", "boot");
            store.commit(withdraw).unwrap();
            let attempt = noted(&mut store, "d", "boot");
            store.commit(|transaction| done(transaction, attempt)).unwrap();
        }
        assert!(!setbacks(&store));
        // Withdrawn while it failed.
        let attempt = noted(&mut store, "d", "boot");
        store.commit(withdraw).unwrap();
        assert_eq!(fail(&mut store, attempt, Code::InferTime), Failed::Again);
        assert!(!setbacks(&store));

        let attempt = noted(&mut store, "d", "boot");
        fail(&mut store, attempt, Code::InferTime);
        assert_eq!(noted(&mut store, "late slices", "boot").number, 1);
        let attempt = noted(&mut store, "d", "boot");
        fail(&mut store, attempt, Code::InferTime);
        store.commit(|transaction| forget(transaction, &subject("d").series_key)).unwrap();
        assert_eq!(noted(&mut store, "d", "boot").number, 1);
    }
}
