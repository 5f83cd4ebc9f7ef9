//! The database's tables: the first version, and what each later one changed.

/// The first version.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS work (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series_key TEXT NOT NULL,
    study_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'ready')),
    digest TEXT,
    instances INTEGER,
    expected INTEGER,
    complete_by TEXT,
    completed_ms INTEGER,
    UNIQUE (series_key, state)
) STRICT;
CREATE TABLE IF NOT EXISTS head (
    series_key TEXT PRIMARY KEY,
    result_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    replaces TEXT,
    outcome TEXT NOT NULL,
    reason TEXT,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS chosen (
    study_key TEXT PRIMARY KEY,
    series_key TEXT NOT NULL,
    rule TEXT,
    thickness_mm REAL NOT NULL,
    coverage_mm REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS counters (
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (day, name)
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    expiry_s INTEGER,
    priority INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (priority, seq);
CREATE TABLE IF NOT EXISTS facts (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
";

/// What each later version of the schema changed, in order; `user_version` says how many of them a file has had.
pub(super) const STEPS: [&str; 8] = [DELIVERIES, ATTEMPTS, URGENCY, EVIDENCE, COMMANDS, ANSWERS, MODELS, DRAFTS];

/// Results are counted through to their delivery.
const DELIVERIES: &str = "
ALTER TABLE outbox ADD COLUMN result_id TEXT;
ALTER TABLE outbox ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
-- Results that earlier versions had sent and forgotten.
INSERT INTO counters (day, name, value)
    SELECT '', 'published', (SELECT SUM(value) FROM counters
        WHERE name IN ('flagged', 'clear', 'inconclusive', 'rejected', 'failed'))
        - (SELECT COUNT(*) FROM outbox WHERE topic LIKE '%/result/%')
    WHERE EXISTS (SELECT 1 FROM counters WHERE name IN ('flagged', 'clear', 'inconclusive', 'rejected', 'failed'));
UPDATE outbox SET result_id = json_extract(payload, '$.id') WHERE topic LIKE '%/result/%';
";

/// The audit log, the flight recorder, other names of series, and identifiers where the site publishes them.
const EVIDENCE: &str = "
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX audit_age ON audit (at_ms);
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL,
    series_key TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_result ON decisions (result_id);
CREATE INDEX decisions_series ON decisions (series_key);
CREATE TABLE aliases (
    series_key TEXT NOT NULL,
    also_study TEXT NOT NULL,
    also_series TEXT NOT NULL,
    PRIMARY KEY (series_key, also_series)
) STRICT;
CREATE TABLE identifiers (
    series_key TEXT PRIMARY KEY,
    accession_number TEXT,
    patient_id TEXT
) STRICT;
";

/// Complete series that go before others.
const URGENCY: &str = "ALTER TABLE work ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0";
/// Attempts at completed series, noted before they begin. `ended` is the reason of a failed one, and NULL while it runs.
const ATTEMPTS: &str = "
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('choose', 'read', 'infer')),
    number INTEGER NOT NULL,
    boot TEXT NOT NULL,
    began_ms INTEGER NOT NULL,
    ended TEXT
) STRICT;
CREATE INDEX attempts_of ON attempts (series_key);
";

/// Commands are journalled, delivered results stay for a replay, and a series that takes too long is told once.
const COMMANDS: &str = "
CREATE TABLE commands (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    request TEXT,
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    told TEXT NOT NULL,
    memory TEXT,
    begun INTEGER NOT NULL DEFAULT 0,
    received_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (name, id)
) STRICT;
CREATE TABLE sent (
    seq INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    expiry_s INTEGER,
    result_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sent_age ON sent (closed_ms);
CREATE INDEX sent_result ON sent (result_id);
ALTER TABLE outbox ADD COLUMN replayed INTEGER;
CREATE INDEX outbox_result ON outbox (result_id);
ALTER TABLE head ADD COLUMN study_key TEXT;
CREATE INDEX head_study ON head (study_key);
ALTER TABLE work ADD COLUMN overdue_ms INTEGER;
";

/// Where a command's sender wants to be answered, and answers on their way: `answers` is the command's number.
const ANSWERS: &str = "
ALTER TABLE commands ADD COLUMN reply_topic TEXT;
ALTER TABLE commands ADD COLUMN correlation BLOB;
ALTER TABLE outbox ADD COLUMN answers INTEGER;
ALTER TABLE outbox ADD COLUMN correlation BLOB;
";

/// Models in their slots, the newest release of each name that has proved itself, and permits that were used up.
const MODELS: &str = "
CREATE TABLE slots (
    slot TEXT PRIMARY KEY CHECK (slot IN ('a', 'b')),
    record TEXT NOT NULL
) STRICT;
CREATE TABLE serials (
    name TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE permits (
    nonce TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL
) STRICT;
";

/// Draft reports of delivered results, kept as long as these: `draft_of` is the id of the result that a draft belongs to.
const DRAFTS: &str = "
ALTER TABLE outbox ADD COLUMN draft_of TEXT;
CREATE TABLE drafts (
    draft_of TEXT PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    expiry_s INTEGER,
    closed_ms INTEGER NOT NULL
) STRICT;
";
