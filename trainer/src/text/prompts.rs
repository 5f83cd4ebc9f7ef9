//! Sentences that say of one label whether its finding is there: how flags are read without a head.

use ctedge_models::labels::Label;

/// The sentence that says that a finding is there; `{title}` is CT-RATE's title of the label. CT-CLIP's template (its
/// `scripts/zero_shot.py`).
pub const PRESENT: &str = "{title} is present.";
/// The sentence that says that it is not; likewise.
pub const ABSENT: &str = "{title} is not present.";

/// The sentence for a label.
pub fn prompt(label: Label, presence: Presence) -> String {
    let template = match presence {
        Presence::Present => PRESENT,
        Presence::Absent => ABSENT,
    };
    template.replace("{title}", label.title())
}

/// Whether a finding is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// It is not.
    Absent,
}
