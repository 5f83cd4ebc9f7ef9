//! Where a report says that findings are: in which sixth of the lungs, by side and zone.

use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::report::{Claim, Reading, Side, Statement, Zone};

/// Sixths of the lungs: two sides of three zones.
const PARTS: usize = 6;
/// Findings times sixths, finding after finding, and of each the right upper, middle and lower zone before the left.
pub const LOCATED: usize = LABEL_COUNT * PARTS;

/// For each finding and each sixth whether it is there, or `None` where the report leaves that open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sixths(pub(super) [Option<bool>; LOCATED]);

impl Sixths {
    /// What a report says. A finding that it does not affirm is nowhere, unless the case's labels know better; one that it affirms
    /// is where it says, and nowhere else; where it names no side or no zone, every sixth that fits is open.
    pub(super) fn of(reading: &Reading, labels: Option<[bool; LABEL_COUNT]>) -> Self {
        let mut cells = [Some(false); LOCATED];
        for ((label, cells), place) in Label::all().zip(cells.chunks_mut(PARTS)).zip(0..) {
            let affirmed = |said: &&Statement| said.label == label && said.claim == Claim::Present;
            let said: Vec<&Statement> = reading.statements.iter().filter(affirmed).collect();
            let is_there = labels.is_some_and(|labels| labels.get(place).copied().unwrap_or_default());
            if said.is_empty() && is_there {
                cells.fill(None);
            }
            let (exact, open): (Vec<&Statement>, Vec<&Statement>) = said.into_iter().partition(|said| is_exact(said));
            for (statements, cell) in [(open, None), (exact, Some(true))] {
                for sixth in statements.into_iter().flat_map(sixths) {
                    cells.iter_mut().skip(sixth).take(1).for_each(|known| *known = cell);
                }
            }
        }
        Self(cells)
    }
}

/// Whether a statement names a side, or both, and a zone.
fn is_exact(said: &Statement) -> bool {
    said.side.is_some() && said.zone.is_some()
}

/// The sixths that fit a statement.
fn sixths(said: &Statement) -> impl Iterator<Item = usize> {
    let sides = match said.side {
        Some(Side::Right) => 0..1,
        Some(Side::Left) => 1..2,
        Some(Side::Both) | None => 0..2,
    };
    let zones = match said.zone {
        Some(Zone::Upper) => 0..1,
        Some(Zone::Middle) => 1..2,
        Some(Zone::Lower) => 2..3,
        None => 0..3,
    };
    sides.flat_map(move |side| zones.clone().map(move |zone| side * 3 + zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctedge_models::report::read;

    fn told(text: &str, labels: Option<[bool; LABEL_COUNT]>, label: Label) -> String {
        let Sixths(cells) = Sixths::of(&read(text), labels);
        let sign = |cell: &Option<bool>| match cell {
            Some(true) => 'x',
            Some(false) => '.',
            None => '?',
        };
        cells[label.index() * PARTS..][..PARTS].iter().map(sign).collect()
    }

    #[test]
    fn a_report_says_where_its_findings_are() {
        let text = "A 9 mm nodule in the right upper lobe. A nodule of 12 mm in the left lower lobe. Consolidation on the left. \
                    No pleural effusion. Emphysema.";
        assert_eq!(told(text, None, Label::LungNodule), "x....x");
        assert_eq!(told(text, None, Label::Consolidation), "...???");
        assert_eq!(told(text, None, Label::PleuralEffusion), "......");
        assert_eq!(told(text, None, Label::Emphysema), "??????");
        assert_eq!(told("Consolidation in both lower lobes.", None, Label::Consolidation), "..x..x");
        let exact = "Consolidation on the left. Consolidation in the left lower lobe.";
        assert_eq!(told(exact, None, Label::Consolidation), "...??x");
    }

    #[test]
    fn what_labels_know_and_the_report_does_not_say_is_open() {
        let labels = std::array::from_fn(|place| place == Label::LungNodule.index());
        assert_eq!(told("Normal chest.", Some(labels), Label::LungNodule), "??????");
        assert_eq!(told("Normal chest.", Some(labels), Label::Consolidation), "......");
    }
}
