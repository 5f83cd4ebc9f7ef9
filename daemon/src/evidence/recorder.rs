//! The flight recorder: a bounded ring of what was decided about each series and on what, enough to decide it once more.

use crate::floor::clock;
use crate::floor::store::{number, set_number};
use crate::floor::subject::Subject;
use ctedge_models::scan::Facts;
use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Everything that led to one result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// Id of the result.
    pub(crate) result_id: String,
    /// When, RFC 3339, UTC.
    pub(crate) at: String,
    /// Version of this software.
    pub(crate) version: String,
    /// Which series, with the digest of its bytes.
    pub(crate) subject: Subject,
    /// Digest of the settings that matter.
    pub(crate) config_digest: String,
    /// The model that was loaded, whether it ran or not.
    pub(crate) model: Loaded,
    /// What was read, once it was read.
    pub(crate) facts: Option<Facts>,
    /// Name of the outcome.
    pub(crate) outcome: String,
    /// Reason code of a refusal, and its detail.
    pub(crate) refusal: Option<(String, String)>,
    /// What the model said, one a label; empty where it did not run.
    pub(crate) logits: Vec<f32>,
    /// Digest over their bytes, hex: equal means equal bit by bit.
    pub(crate) logits_sha256: String,
    /// How earlier attempts at it failed, oldest first: stage and reason.
    pub(crate) faults: Vec<String>,
    /// Where the time went, in ms.
    pub(crate) timing: serde_json::Value,
}

/// The model, and what runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    /// Name and version.
    pub(crate) name: String,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Execution provider.
    pub(crate) provider: String,
    /// ONNX Runtime's version.
    pub(crate) runtime: String,
}

/// SHA-256 over the numbers' bytes (little endian), hex.
pub(crate) fn digest(logits: &[f32]) -> String {
    let mut hasher = Sha256::new();
    for logit in logits {
        hasher.update(logit.to_le_bytes());
    }
    HEXLOWER.encode(&hasher.finalize())
}

/// Name of the number of bytes that are recorded.
const BYTES: &str = "recorded_bytes";

/// Records a decision in the transaction of its result. The oldest make room beyond `most_bytes`.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    decision: &Decision,
    most_bytes: u64,
) -> Result<(), rusqlite::Error> {
    let (record, most) = (serde_json::json!(decision).to_string(), i64::try_from(most_bytes).unwrap_or(i64::MAX));
    let length = bytes(&record);
    if length > most {
        return Ok(());
    }
    transaction.execute(
        "INSERT INTO decisions (result_id, series_key, at_ms, record) VALUES (?1, ?2, ?3, ?4)",
        params![decision.result_id, decision.subject.series_key.0, clock::now_ms(), record],
    )?;
    let mut kept = number(transaction, BYTES)?.saturating_add(length);
    while kept > most {
        let sql = "DELETE FROM decisions WHERE id = (SELECT MIN(id) FROM decisions) RETURNING record";
        let Some(oldest) = transaction.query_row(sql, [], |row| row.get::<_, String>(0)).optional()? else { break };
        kept -= bytes(&oldest);
    }
    set_number(transaction, BYTES, kept)
}

fn bytes(record: &str) -> i64 {
    i64::try_from(record.len()).unwrap_or(i64::MAX)
}

/// The newest decision of a result or a series. `None` where it was never recorded, or has made room since.
pub(crate) fn decision(connection: &Connection, name: &str) -> Result<Option<Decision>, rusqlite::Error> {
    let sql = "SELECT record FROM decisions WHERE result_id = ?1 OR series_key = ?1 ORDER BY id DESC LIMIT 1";
    let record = connection.query_row(sql, [name], |row| row.get::<_, String>(0)).optional()?;
    Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
}

/// All that is recorded, oldest first, as JSON.
pub(crate) fn decisions(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT record FROM decisions ORDER BY id")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::phi::{SeriesKey, StudyKey};
    use crate::floor::store::Store;
    use crate::floor::subject::{CompleteBy, Priority};

    fn of(number: usize) -> Decision {
        let subject = Subject {
            study_key: StudyKey("sk1_a".into()),
            series_key: SeriesKey(format!("ek1_{}", number % 10)),
            digest: String::new(),
            instances: 1,
            priority: Priority::Routine,
            expected: None,
            complete_by: CompleteBy::Marker,
            revision: 1,
            replaces: None,
            completed_ms: 0,
            choice: None,
        };
        let logits = vec![0.1, -1e-30, f32::MIN_POSITIVE];
        Decision {
            result_id: format!("r1_{number}"),
            at: String::new(),
            version: String::new(),
            subject,
            config_digest: String::new(),
            model: Loaded {
                name: String::new(),
                digest: String::new(),
                provider: String::new(),
                runtime: String::new(),
            },
            facts: None,
            outcome: "clear".into(),
            refusal: None,
            logits_sha256: digest(&logits),
            logits,
            faults: vec!["x".repeat(number % 50)],
            timing: serde_json::Value::Null,
        }
    }

    #[test]
    fn the_ring_stays_within_its_bounds_and_forgets_the_oldest() {
        const MOST: u64 = 20_000;
        let mut store = Store::in_memory();
        for number in 0..200 {
            store.commit(|transaction| record(transaction, &of(number), MOST)).unwrap();
            let kept = store.read(decisions).unwrap();
            let length: usize = kept.iter().map(String::len).sum();
            assert!(length <= 20_000, "{length}");
            assert_eq!(store.read(|c| crate::floor::store::number(c, BYTES)).unwrap(), i64::try_from(length).unwrap());
        }
        let find = |name: &str| store.read(|connection| decision(connection, name)).unwrap();
        assert_eq!(find("r1_199"), Some(of(199)), "bit by bit");
        assert_eq!(find("ek1_9"), Some(of(199)), "the newest of the series");
        assert_eq!((find("r1_0"), find("ek1_x")), (None, None));
        let before = store.read(decisions).unwrap().len();
        store.commit(|transaction| record(transaction, &of(200), 10)).unwrap();
        assert_eq!(store.read(decisions).unwrap().len(), before, "larger than the ring, or the ring is off");
    }
}
