//! Bytes to messages, under a budget.
//!
//! Two bytes of a file can stand for an empty message that takes a hundred times as much memory. Every number, text and
//! message costs the decoder at least one step through its buffer, so the steps are counted: when they are used up the
//! buffer ends, and so does the decoder.

use super::proto::Model;
use super::refusal::Refusal;
use prost::Message;
use prost::bytes::{Buf, Bytes};

/// Bytes of memory for each step. The costliest message is [`Tensor`](super::proto::Tensor): two steps, under 400 bytes, and
/// a growing list holds up to three times what is in it.
const STEP_BYTES: u64 = 600;
/// Most steps, whatever the manifest asks for: some thirty for each of the most nodes.
const STEPS: u64 = 1 << 21;

/// The model in a file.
///
/// The messages take at most `memory` bytes beside the file itself.
pub(super) fn model(bytes: Bytes, memory: u64) -> Result<Model, Refusal> {
    let steps = (memory / STEP_BYTES).min(STEPS);
    let mut budget = Budget { bytes, left: steps };
    let model = Model::decode(&mut budget);
    if budget.left == 0 {
        return Err(Refusal::Complex { what: "fields", most: steps });
    }
    model.map_err(|error| Refusal::malformed(end(&error.to_string())))
}

/// Most characters of what the decoder says.
const REASON: usize = 120;

/// The end of a reason: before it stands the way through the messages, one word or two for each level.
fn end(reason: &str) -> String {
    let skipped = reason.chars().count().saturating_sub(REASON);
    if skipped == 0 { reason.to_owned() } else { format!("…{}", reason.chars().skip(skipped).collect::<String>()) }
}

/// A buffer that ends when its steps are used up.
struct Budget {
    bytes: Bytes,
    left: u64,
}

impl Buf for Budget {
    fn remaining(&self) -> usize {
        if self.left == 0 { 0 } else { self.bytes.remaining() }
    }

    fn chunk(&self) -> &[u8] {
        if self.left == 0 { &[] } else { self.bytes.chunk() }
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(1);
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.left = self.left.saturating_sub(1);
        self.bytes.copy_to_bytes(length)
    }
}
