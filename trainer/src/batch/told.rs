//! Reports told in the sentences of zero-shot prompts, so that the report tower knows them.

use super::order::{below, stream};
use super::{Presence, prompt};
use ctedge_models::labels::{LABEL_COUNT, Label};

/// Every label's sentence with probability 1/2, in random order, for a `share` of the calls; what is drawn follows from
/// (seed, step, place) alone.
pub(super) fn told(
    labels: [bool; LABEL_COUNT],
    share: f64,
    (seed, step, place): (u64, usize, usize),
) -> Option<String> {
    let mut random = stream("told", seed, &[step, place]);
    let is_told = f64::from(u16::try_from(below(&mut random, 1000)).unwrap_or(u16::MAX)) < share * 1000.0;
    let sentence = |(label, is_present)| {
        let presence = if is_present { Presence::Present } else { Presence::Absent };
        (below(&mut random, 2) == 0).then(|| prompt(label, presence))
    };
    let mut sentences: Vec<String> = Label::all().zip(labels).filter_map(sentence).collect();
    for last in (1..sentences.len()).rev() {
        sentences.swap(last, below(&mut random, last + 1));
    }
    is_told.then(|| sentences.join(" "))
}
