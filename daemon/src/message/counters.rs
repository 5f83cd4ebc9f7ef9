//! The books: what came in, what became of it, and where the results are.
//!
//! Two laws hold in every commit: `received = sum of outcomes + pending`, and `sum of outcomes = queued + unreceipted +
//! published + receipted`. Each side is counted by itself, so that a series or a result that is lost breaks one of them.

use schemars::JsonSchema;
use serde::Serialize;

/// The books, for `counters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Counters {
    /// Since the daemon was set up.
    pub(crate) total: Books,
    /// Since midnight UTC; what was received yesterday may get its outcome today.
    pub(crate) today: Books,
    /// Where the results are.
    pub(crate) delivery: Deliveries,
    /// Name of the ledger that counts; one that was made anew has another.
    pub(crate) ledger: String,
    /// `seq` of the newest result: whoever has not seen it lacks the tail.
    pub(crate) last_seq: i64,
    /// Whether every series and every result is accounted for.
    pub(crate) balanced: bool,
    /// The newest entry of the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audit: Option<AuditHead>,
}

/// The newest entry of the audit log: whoever has kept this notices when the log was written anew or cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct AuditHead {
    /// Its number.
    pub(crate) seq: i64,
    /// Its digest, hex.
    pub(crate) sha256: String,
}

/// Every result is in exactly one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Deliveries {
    /// Waits for a broker.
    pub(crate) queued: u64,
    /// A broker has it, and a subscriber's receipt is waited for.
    pub(crate) unreceipted: u64,
    /// A broker has it, and that was enough.
    pub(crate) published: u64,
    /// A subscriber said that it has it.
    pub(crate) receipted: u64,
}

/// Number of series by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Books {
    pub(crate) received: u64,
    pub(crate) pending: u64,
    pub(crate) flagged: u64,
    pub(crate) clear: u64,
    pub(crate) inconclusive: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
}

impl Counters {
    /// From the ledger's `(name, today, in all)`, the number of series without an outcome, and the results in the outbox.
    pub(crate) fn of(books: &[(String, u64, u64)], pending: u64, outbox: &Kept) -> Self {
        let Kept { queued, unreceipted, ledger, last_seq } = outbox.clone();
        let (mut total, mut today) = (Books::default(), Books::default());
        let mut delivery = Deliveries { queued, unreceipted, ..Deliveries::default() };
        for (name, since_midnight, in_all) in books {
            today.set(name, *since_midnight);
            total.set(name, *in_all);
            delivery.set(name, *in_all);
        }
        (total.pending, today.pending) = (pending, pending);
        let balanced = total.received == total.ended() + pending && total.ended() == delivery.sum();
        Self { total, today, delivery, ledger, last_seq, balanced, audit: None }
    }
}

/// What the outbox knows of the results, for the books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Results that wait for a broker.
    pub(crate) queued: u64,
    /// Results that wait for a receipt.
    pub(crate) unreceipted: u64,
    /// Name of the ledger.
    pub(crate) ledger: String,
    /// Number of the newest result.
    pub(crate) last_seq: i64,
}

impl Deliveries {
    fn set(&mut self, name: &str, value: u64) {
        match name {
            "published" => self.published = value,
            "receipted" => self.receipted = value,
            _ => {}
        }
    }

    fn sum(self) -> u64 {
        self.queued + self.unreceipted + self.published + self.receipted
    }
}

impl Books {
    /// Series with an outcome.
    fn ended(self) -> u64 {
        self.flagged + self.clear + self.inconclusive + self.rejected + self.failed
    }

    fn set(&mut self, name: &str, value: u64) {
        let field = match name {
            "received" => &mut self.received,
            "flagged" => &mut self.flagged,
            "clear" => &mut self.clear,
            "inconclusive" => &mut self.inconclusive,
            "rejected" => &mut self.rejected,
            "failed" => &mut self.failed,
            _ => return,
        };
        *field = value;
    }
}
