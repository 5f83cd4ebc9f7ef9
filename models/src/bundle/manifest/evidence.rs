//! What a manifest says of the reference cases that a series is compared with.

use serde::{Deserialize, Serialize};

/// Bytes of a 16-bit float.
const HALF_BYTES: u64 = 2;

/// Reference cases: of each the embedding of its report and of its volume, its labels and its report's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Number of cases N.
    pub count: usize,
    /// Path of the unit embeddings of their reports `[N, E]`: 16-bit floats, little endian, row after row.
    pub reports: String,
    /// Path of those of their volumes, alike.
    pub volumes: String,
    /// Path of the cases themselves, one JSON object a line, in the order of the rows: `labels`, a list of names, `findings` and
    /// `impression`.
    pub cases: String,
    /// The data, in words.
    pub data: String,
    /// How unlike the reference a volume may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub novelty: Option<Novelty>,
}

/// How unlike the reference cases a volume is: one minus the mean cosine of its embedding and those of the `neighbours` nearest
/// volumes. Beyond the bound the model's word on it is not to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Novelty {
    /// How many of them.
    pub neighbours: usize,
    /// The largest value that still counts as alike.
    pub bound: f32,
    /// Share of the patients that the bound was chosen on, none of them a reference case, that lie within it.
    pub share: f32,
    /// Number of these patients.
    pub patients: usize,
}

impl Evidence {
    /// Length of a file of embeddings of this width in bytes.
    pub fn bytes(&self, width: usize) -> Option<u64> {
        let values = u64::try_from(self.count).ok()?.checked_mul(u64::try_from(width).ok()?)?;
        values.checked_mul(HALF_BYTES).filter(|bytes| *bytes > 0)
    }
}

impl Novelty {
    pub(super) fn check(&self, count: usize) -> Result<(), String> {
        if !(1..=count).contains(&self.neighbours) {
            return Err(format!("evidence.novelty: {} neighbours are not 1 to the {count} cases", self.neighbours));
        }
        let is_sound = (0.0..=2.0).contains(&self.bound) && (0.0..=1.0).contains(&self.share);
        if is_sound { Ok(()) } else { Err("evidence.novelty: bound must be 0 to 2, share 0 to 1".to_owned()) }
    }
}
