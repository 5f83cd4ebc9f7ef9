//! The structured report: a sentence for each flag.

use crate::labels::Label;
use crate::text::Draft;

/// What is flagged and what is not, in CT-RATE's words for it. The reader of this room reads back exactly these flags.
pub fn template(flags: impl IntoIterator<Item = (Label, bool)>) -> Draft {
    let flags: Vec<(Label, bool)> = flags.into_iter().collect();
    let sentence = |(label, positive): &(Label, bool)| {
        let title = label.title();
        if *positive { format!("{title} is present.") } else { format!("{title} is not present.") }
    };
    let titles: Vec<&str> = flags.iter().filter(|(_, positive)| *positive).map(|(label, _)| label.title()).collect();
    let impression = match titles.as_slice() {
        [] => "None of these findings is present.".to_owned(),
        titles => format!("{}.", titles.join(". ")),
    };
    Draft { findings: flags.iter().map(sentence).collect::<Vec<_>>().join(" "), impression }
}
