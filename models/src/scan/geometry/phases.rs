//! Several acquisitions in one series: parts that follow each other make one volume, phases of the same part do not.

use super::Placed;
use crate::scan::{Dropped, Warning};
use std::collections::{BTreeMap, BTreeSet};

/// Slices of an acquisition that only repeats a few of another: no phase.
const REPEATED: usize = 2;
/// How much of the shorter of two acquisitions the other must cover to be a phase of the same part; stations of a table
/// overlap by less.
const SAME_PART: f64 = 0.5;

/// The slices of one acquisition.
struct Phase {
    /// Acquisition number and temporal position.
    key: [i64; 2],
    first_mm: f64,
    last_mm: f64,
    count: usize,
}

impl Phase {
    fn length_mm(&self) -> f64 {
        self.last_mm - self.first_mm
    }

    /// Whether it shows the same part of the body as another.
    fn is_of_part(&self, other: &Self) -> bool {
        let common_mm = self.last_mm.min(other.last_mm) - self.first_mm.max(other.first_mm);
        common_mm > SAME_PART * self.length_mm().min(other.length_mm())
    }
}

/// Leaves the longest of the acquisitions that cover the same part (of equal ones the one with more slices, then the
/// last), and all that lie beside it. The slices left out are counted.
pub(super) fn one_of_each_part(
    slices: Vec<Placed>,
    dropped: &mut BTreeMap<Dropped, u32>,
    warnings: &mut BTreeSet<Warning>,
) -> Vec<Placed> {
    let mut phases: BTreeMap<[i64; 2], Phase> = BTreeMap::new();
    for Placed { slice, along_mm, .. } in &slices {
        let phase = Phase { key: slice.phase, first_mm: *along_mm, last_mm: *along_mm, count: 0 };
        let phase = phases.entry(slice.phase).or_insert(phase);
        phase.first_mm = phase.first_mm.min(*along_mm);
        phase.last_mm = phase.last_mm.max(*along_mm);
        phase.count += 1;
    }
    let mut longest: Vec<Phase> = phases.into_values().filter(|phase| phase.count > REPEATED).collect();
    longest.sort_by(|a, b| {
        let by_length = b.length_mm().total_cmp(&a.length_mm());
        by_length.then_with(|| b.count.cmp(&a.count)).then_with(|| b.key.cmp(&a.key))
    });
    let (mut kept, mut left_out): (Vec<Phase>, BTreeSet<[i64; 2]>) = (Vec::new(), BTreeSet::new());
    for phase in longest {
        if kept.iter().any(|other| phase.is_of_part(other)) {
            left_out.insert(phase.key);
        } else {
            kept.push(phase);
        }
    }
    if left_out.is_empty() {
        return slices;
    }
    warnings.insert(Warning::SeveralPhases);
    let (others, slices): (Vec<Placed>, Vec<Placed>) =
        slices.into_iter().partition(|placed| left_out.contains(&placed.slice.phase));
    *dropped.entry(Dropped::OtherPhase).or_default() += u32::try_from(others.len()).unwrap_or(u32::MAX);
    slices
}
