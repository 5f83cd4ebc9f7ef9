//! The structured report: a sentence for each flag.

use super::Call;
use crate::labels::Label;
use crate::text::Draft;

/// What is flagged, what is flagged as possible and what is not, in CT-RATE's words for it. The reader of this room reads back
/// exactly these flags.
pub fn template(flags: impl IntoIterator<Item = (Label, Call)>) -> Draft {
    let flags: Vec<(Label, Call)> = flags.into_iter().collect();
    let findings: Vec<String> = flags.iter().map(|(label, call)| flag_sentence(*label, *call)).collect();
    let summed = |(label, call): &(Label, Call)| match call {
        Call::Absent => None,
        Call::Possible => Some(format!("Possible {}.", label.title().to_lowercase())),
        Call::Present => Some(format!("{}.", label.title())),
    };
    let impression: Vec<String> = flags.iter().filter_map(summed).collect();
    let impression =
        if impression.is_empty() { "None of these findings is present.".to_owned() } else { impression.join(" ") };
    Draft { findings: findings.join(" "), impression }
}

/// What one flag says.
pub fn flag_sentence(label: Label, call: Call) -> String {
    let title = label.title();
    match call {
        Call::Absent => format!("{title} is not present."),
        Call::Possible => format!("{title} is possible."),
        Call::Present => format!("{title} is present."),
    }
}
