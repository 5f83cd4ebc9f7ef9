//! What support is sent: gathered here, field by field, and written as one bundle.

use crate::config::Config;
use crate::evidence::{self, Piece, Scrub};
use crate::floor::clock;
use crate::floor::store::{Store, StoreError};
use crate::series::ledger;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::fs;
use std::io;
use std::path::Path;

/// What others have found out for the bundle.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The daemon's `/healthz?verbose`, if it answers.
    pub(crate) health: Option<Value>,
    /// Its `/metrics`.
    pub(crate) metrics: Option<String>,
    /// Its `/status`, else what the ledger says.
    pub(crate) status: Value,
    /// The rows of `ctedge doctor`.
    pub(crate) doctor: Vec<Value>,
}

/// Writes the bundle. It stays on the device: whoever sends it on has looked into it.
///
/// # Errors
/// The file cannot be written. What cannot be read is told in the bundle instead.
pub(crate) fn diag(config: &Config, heard: Heard, output: &Path) -> io::Result<()> {
    let scrub = Scrub::of(secrets(config));
    let or_reason = |told: Result<Value, String>| told.unwrap_or_else(|reason| json!({ "unreadable": reason }));
    let store = Store::open_to_read(&config.paths.database()).map_err(|error| error.to_string());
    let of_ledger = |ask: &dyn Fn(&Store) -> Result<Value, StoreError>| {
        let told = store.as_ref().map_err(Clone::clone).and_then(|store| ask(store).map_err(|error| error.to_string()));
        scrub.json(or_reason(told))
    };
    let quarantine = quarantine(&config.paths.spool.join("quarantine")).map_err(|error| error.kind().to_string());
    let pieces = [
        Piece::json("about.json", &scrub.json(about())),
        Piece::json("config.json", &shown(config)),
        Piece::json("status.json", &scrub.json(heard.status)),
        Piece::json("health.json", &scrub.json(heard.health.unwrap_or_default())),
        Piece { name: "metrics.txt", text: scrub.text(&heard.metrics.unwrap_or_default()) },
        Piece::json("doctor.json", &scrub.json(heard.doctor.into())),
        Piece::json("ledger.json", &of_ledger(&|store| store.read(statistics))),
        Piece::json("decisions.json", &of_ledger(&|store| store.read(recorded))),
        Piece::json("quarantine.json", &scrub.json(or_reason(quarantine))),
    ];
    evidence::pack(&pieces, u64::try_from(clock::now_ms() / 1000).unwrap_or_default(), output)
}

/// What this software runs on.
fn about() -> Value {
    let first_line = |path: &str| fs::read_to_string(path).ok()?.lines().next().map(str::to_owned);
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "schema": "diag/1.0",
        "at": clock::rfc3339(clock::now_ms()),
        "version": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "system": system.map(|name| name.trim_matches('"')),
        "nvidia_driver": first_line("/proc/driver/nvidia/version"),
        "jetson": first_line("/etc/nv_tegra_release"),
        "memory": first_line("/proc/meminfo"),
        "log": "not kept by the daemon itself: journalctl -u ctedge",
    })
}

/// Settings whose words are shown: they are ours, not the site's. Numbers and switches always are.
const SHOWN: [&str; 9] = [
    "choice.mode",
    "choice.prefer",
    "infer.policy",
    "infer.providers",
    "intake.marker_suffix",
    "intake.temporary_suffixes",
    "log.format",
    "mqtt.version",
    "report.inconclusive_on",
];

/// The configuration with every other word taken out.
fn shown(config: &Config) -> Value {
    fn walk(value: Value, path: &str) -> Value {
        match value {
            Value::Object(fields) => {
                let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                let shown = |(key, value): (String, Value)| {
                    let shown = walk(value, &below(&key));
                    (key, shown)
                };
                Value::Object(fields.into_iter().map(shown).collect::<Map<_, _>>())
            }
            Value::Array(values) => values.into_iter().map(|value| walk(value, path)).collect(),
            Value::String(_) if !SHOWN.contains(&path) => "[redacted]".into(),
            plain @ (Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }
    walk(json!(config), "")
}

/// Every word of the configuration that is not shown, and what this machine and its user are called.
fn secrets(config: &Config) -> Vec<String> {
    fn walk(value: &Value, path: &str, secrets: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(value, &below, secrets);
            }),
            Value::Array(values) => values.iter().for_each(|value| walk(value, path, secrets)),
            Value::String(text) if !SHOWN.contains(&path) => secrets.push(text.clone()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    /// They stand in words of our own, and tell nothing.
    const PLAIN: [&str; 5] = ["root", "ctedge", "CTEDGE", "localhost", "info"];
    let mut secrets = Vec::new();
    walk(&json!(config), "", &mut secrets);
    secrets.extend(fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()));
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::getuid().as_raw().to_string();
    let own = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&&*uid));
    for field in own.into_iter().flat_map(|user| [0, 4, 5].map(|field| user.get(field).map(|text| (*text).to_owned())))
    {
        secrets.extend(field);
    }
    secrets.retain(|secret| !PLAIN.contains(&secret.as_str()));
    secrets
}

/// Numbers of the ledger, and whether the audit log is whole.
fn statistics(connection: &Connection) -> Result<Value, rusqlite::Error> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let rows = |table: &str| connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0));
    let tables = ["work", "head", "chosen", "counters", "outbox", "audit", "decisions"];
    let rows: Vec<i64> = tables.iter().map(|table| rows(table)).collect::<Result<_, _>>()?;
    let (books, pending) = ledger::books(connection)?;
    let audit = match evidence::verify(connection, None)? {
        Ok(entries) => json!({ "whole": true, "entries": entries }),
        Err(fault) => json!({ "whole": false, "entry": fault.seq, "reason": fault.reason }),
    };
    Ok(json!({
        "version": pragma("user_version")?,
        "bytes": pragma("page_count")? * pragma("page_size")?,
        "free_pages": pragma("freelist_count")?,
        "rows": tables.iter().map(|table| (*table).to_owned()).zip(rows.into_iter().map(Value::from)).collect::<Map<_, _>>(),
        "counters": books.into_iter().map(|(name, _, total)| (name, total.into())).collect::<Map<_, _>>(),
        "pending": pending,
        "audit": audit,
        "audit_head": evidence::head(connection)?.map(|head| head.to_string()),
    }))
}

fn recorded(connection: &Connection) -> Result<Value, rusqlite::Error> {
    let read = |record: &String| serde_json::from_str(record).unwrap_or_default();
    Ok(Value::Array(evidence::decisions(connection)?.iter().map(read).collect()))
}

/// Refused series: reason, key, files, bytes.
fn quarantine(folder: &Path) -> io::Result<Value> {
    let mut refused = Vec::new();
    for reason in fs::read_dir(folder)?.flatten() {
        for series in fs::read_dir(reason.path())?.flatten() {
            let sizes: Vec<u64> = fs::read_dir(series.path())?
                .flatten()
                .filter_map(|file| file.metadata().ok())
                .map(|metadata| metadata.len())
                .collect();
            refused.push(json!({
                "reason": reason.file_name().to_string_lossy(),
                "series_key": series.file_name().to_string_lossy(),
                "files": sizes.len(),
                "bytes": sizes.iter().sum::<u64>(),
            }));
        }
    }
    Ok(refused.into())
}
