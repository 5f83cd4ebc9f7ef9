//! The daemon's one database: ledger of series, counters and outbox, one commit per transition.

mod schema;

use super::disk::{Ballast, MayLackRoom};
use super::{clock, durable};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use schema::{SCHEMA, STEPS};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much of the database is held in memory at most: a negative number is KiB. `SQLite`'s own bound of 2 MiB is reached after
/// days only, and looks like a leak until then.
const CACHE_KIB: i32 = -256;

/// SQLite in WAL mode with `synchronous=FULL`: 80 simulated power cuts lost nothing, `NORMAL` lost data in 24.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    /// Room that is given up when a commit finds none.
    ballast: Option<Ballast>,
}

/// The store as the rooms share it. Locked for one commit at a time, never across a wait.
pub(crate) type SharedStore = Arc<Mutex<Store>>;

/// Locks the store. A thread that panicked while it held the lock has rolled its transaction back: the data is sound.
pub(crate) fn lock(store: &SharedStore) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[error("the database: {source}")]
pub(crate) struct StoreError {
    source: rusqlite::Error,
    lacks_room: bool,
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        let lacks_room = source.sqlite_error_code() == Some(ErrorCode::DiskFull);
        Self { source, lacks_room }
    }
}

impl MayLackRoom for StoreError {
    fn lacks_room(&self) -> bool {
        self.lacks_room
    }
}

impl StoreError {
    /// Whether the file is damaged: no other attempt will read it.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self.source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

impl Store {
    /// Opens or makes the database file.
    ///
    /// # Errors
    /// The file cannot be opened, or is damaged ([`StoreError::is_damage`]).
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Self::prepare(Connection::open(path)?)?;
        let verdict: String = store.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damage, None).into());
        }
        Ok(store)
    }

    /// Moves a damaged database out of the way, the file itself last: until then the next start finds it damaged again.
    pub(crate) fn set_aside(path: &Path) -> io::Result<()> {
        let with = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let aside = format!("{ASIDE}{}", clock::now_ms());
        for suffix in ["-wal", "-shm", ""] {
            let file = with(suffix);
            if file.exists() {
                durable::move_to(&file, &with(&format!("{aside}{suffix}")))?;
            }
        }
        Ok(())
    }

    /// Whether there are damaged databases beside this one that somebody should look at.
    pub(crate) fn has_set_aside(path: &Path) -> bool {
        let Some(begin) = path.file_name().map(|name| format!("{}{ASIDE}", name.to_string_lossy())) else {
            return false;
        };
        let beside = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
        let mut names = beside.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with(&begin))
    }

    /// Opens the database of a daemon to read it, whether that runs or not.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { connection, ballast: None })
    }

    /// From now on a commit that finds no room gives this up, so that the next try finds some.
    pub(crate) fn with_ballast(self, ballast: Ballast) -> Self {
        Self { ballast: Some(ballast), ..self }
    }

    /// Opens the database of a daemon to write beside it. One that is not there is not made.
    pub(crate) fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(Self { connection, ballast: None })
    }

    /// From now on overwrites what it deletes.
    pub(crate) fn delete_securely(&self) -> Result<(), StoreError> {
        // It answers with the new value.
        self.connection.query_row("PRAGMA secure_delete = ON", [], |_row| Ok(()))?;
        Ok(())
    }

    /// A database in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::prepare(Connection::open_in_memory().unwrap()).unwrap()
    }

    fn prepare(connection: Connection) -> Result<Self, StoreError> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.execute_batch(SCHEMA)?;
        let mut store = Self { connection, ballast: None };
        store.commit(|transaction| {
            let had: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            for (version, step) in (1u32..).zip(STEPS).filter(|(version, _)| *version > had) {
                transaction.execute_batch(step)?;
                transaction.pragma_update(None, "user_version", version)?;
            }
            // A ledger that is made anew begins above the sessions of one that was lost.
            let (name, now_s) = (format!("l1_{:x}", clock::now_ms()), clock::now_ms() / 1000);
            if transaction.execute("INSERT OR IGNORE INTO facts (key, value) VALUES ('ledger', ?1)", [name])? > 0 {
                transaction.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('session', ?1)", [now_s])?;
            }
            Ok(())
        })?;
        Ok(store)
    }

    /// Runs `work` in one transaction: all of it is durable when this returns `Ok`, none of it otherwise.
    ///
    /// # Errors
    /// Those of the database. Where there was no room ([`MayLackRoom`]) the ballast has been released: try again.
    pub(crate) fn commit<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        self.transact(work).map_err(|source| {
            let error = StoreError::from(source);
            let lacks_room = error.lacks_room || self.is_beyond_quota(&error.source);
            if lacks_room && let Some(ballast) = &self.ballast {
                ballast.release();
            }
            StoreError { lacks_room, ..error }
        })
    }

    /// Whether a write failed for a quota: `SQLite` tells it from a full disk, and calls it an error of the disk.
    fn is_beyond_quota(&self, error: &rusqlite::Error) -> bool {
        let is_write = matches!(error, rusqlite::Error::SqliteFailure(failure, _)
            if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE);
        #[expect(unsafe_code, reason = "rusqlite does not hand on the operating system's word")]
        // SAFETY: the handle is that of our own open connection, and the function only reads a number from it.
        let errno = unsafe { rusqlite::ffi::sqlite3_system_errno(self.connection.handle()) };
        is_write && errno == rustix::io::Errno::DQUOT.raw_os_error()
    }

    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Reads without changing anything.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        Ok(work(&self.connection)?)
    }
}

/// What the name of a damaged database ends with, before the time.
const ASIDE: &str = ".damaged-";

/// A stored text: the ledger's name, the digest of the newest result.
pub(crate) fn fact(connection: &Connection, key: &str) -> Result<Option<String>, rusqlite::Error> {
    connection.query_row("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Forgets a stored text.
pub(crate) fn forget_fact(transaction: &Transaction<'_>, key: &str) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM facts WHERE key = ?1", [key]).map(drop)
}

/// Replaces a stored text.
pub(crate) fn set_fact(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), rusqlite::Error> {
    transaction.execute("INSERT OR REPLACE INTO facts (key, value) VALUES (?1, ?2)", [key, value]).map(drop)
}

/// A stored number, 0 before it was first raised.
pub(crate) fn number(connection: &Connection, key: &str) -> Result<i64, rusqlite::Error> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    Ok(value.optional()?.unwrap_or_default())
}

/// Replaces a stored number.
pub(crate) fn set_number(transaction: &Transaction<'_>, key: &str, value: i64) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    transaction.execute(sql, (key, value)).map(drop)
}

/// Counts something that happened today.
pub(crate) fn count(transaction: &Transaction<'_>, name: &str) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "INSERT INTO counters (day, name, value) VALUES (?1, ?2, 1)
         ON CONFLICT (day, name) DO UPDATE SET value = value + 1",
        [&clock::day(clock::now_ms()), name],
    )?;
    Ok(())
}

/// Raises a stored number by one and returns it: session and sequence numbers.
pub(crate) fn next_number(transaction: &Transaction<'_>, key: &str) -> Result<i64, rusqlite::Error> {
    transaction.query_row(
        "INSERT INTO meta (key, value) VALUES (?1, 1)
         ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value",
        [key],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_without_room_gives_up_the_ballast_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path(), 1 << 20);
        ballast.hold().unwrap();
        let mut store = Store::open(&folder.path().join("ctedge.db")).unwrap().with_ballast(ballast.clone());
        let insert = |transaction: &Transaction<'_>| set_fact(transaction, "a", &"x".repeat(1 << 20));
        let foreign = store.commit(|transaction| transaction.execute("INSERT INTO nowhere VALUES (1)", []).map(drop));
        assert!(!foreign.unwrap_err().lacks_room() && ballast.is_held(), "another error costs nothing");
        store.connection.pragma_update(None, "max_page_count", 20).unwrap();
        assert!(store.commit(insert).unwrap_err().lacks_room());
        assert!(!ballast.is_held());
        store.connection.pragma_update(None, "max_page_count", 100_000).unwrap();
        store.commit(insert).unwrap();
        assert!(store.read(|connection| fact(connection, "a")).unwrap().is_some_and(|text| text.len() == 1 << 20));
    }
}
