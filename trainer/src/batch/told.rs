//! What is told in another way than it is: reports in the sentences of zero-shot prompts, so that the report tower knows
//! them, and flags, so that a decoder does not rely on them.

use super::order::{below, stream};
use super::{Presence, prompt};
use crate::experiment;
use ctedge_models::labels::{LABEL_COUNT, Label};
use rand_chacha::ChaCha8Rng;

/// Every label's sentence with probability 1/2, in random order, for a `share` of the calls; what is drawn follows from
/// (seed, step, place) alone.
pub(super) fn told(
    labels: [bool; LABEL_COUNT],
    share: f64,
    (seed, step, place): (u64, usize, usize),
) -> Option<String> {
    let mut random = stream("told", seed, &[step, place]);
    let is_told = happens(&mut random, share);
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

/// The flags of a case as a step tells them: every second time what the tower raises (`own`), else the truth where there is
/// one; each dropped or turned round with the probabilities of `settings`. 1 present, -1 absent, 0 unknown.
pub(super) fn flags(
    own: [bool; LABEL_COUNT],
    truth: Option<[bool; LABEL_COUNT]>,
    settings: &experiment::Decoder,
    (seed, step, place): (u64, usize, usize),
) -> [f32; LABEL_COUNT] {
    let mut random = stream("flags", seed, &[step, place]);
    let told = truth.filter(|_| below(&mut random, 2) == 0).unwrap_or(own);
    let mut told = told_flags(told);
    for flag in &mut told {
        let is_wrong = happens(&mut random, settings.corrupt_flags);
        if happens(&mut random, settings.drop_flags) {
            *flag = 0.0;
        } else if is_wrong {
            *flag = -*flag;
        }
    }
    told
}

/// Flags as a decoder is told them: 1 present, -1 absent.
pub fn told_flags(flags: [bool; LABEL_COUNT]) -> [f32; LABEL_COUNT] {
    flags.map(|is_present| if is_present { 1.0 } else { -1.0 })
}

/// Whether something of this probability happens, to a thousandth.
pub(super) fn happens(random: &mut ChaCha8Rng, probability: f64) -> bool {
    f64::from(u16::try_from(below(random, 1000)).unwrap_or(u16::MAX)) < probability * 1000.0
}
