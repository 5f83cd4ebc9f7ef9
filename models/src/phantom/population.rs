//! Patients as they come: findings about as common as in CT-RATE, of common sizes, in places where they can be told apart.

use super::choice::Choice;
use super::{Finding, Lobe, Recipe, Side};
use crate::labels::Label;

/// How an abnormality occurs.
struct Habit {
    label: Label,
    /// Share of the patients who have it: CT-RATE's training prevalence, raised where too few would be left to learn from.
    prevalence: f64,
    /// Common sizes in mm; small ones are commoner than large ones.
    from_mm: f64,
    to_mm: f64,
    /// What it often comes with.
    beside: Option<Label>,
}

const fn habit(label: Label, prevalence: f64, from_mm: f64, to_mm: f64) -> Habit {
    Habit { label, prevalence, from_mm, to_mm, beside: None }
}

impl Habit {
    const fn beside(self, cause: Label) -> Self {
        Self { beside: Some(cause), ..self }
    }
}

/// Findings that have no lobe, from what lies below to what lies above: later ones are drawn over earlier ones.
const WIDESPREAD: [Habit; 12] = [
    habit(Label::Cardiomegaly, 0.14, 136.0, 168.0),
    habit(Label::PericardialEffusion, 0.13, 6.0, 22.0).beside(Label::Cardiomegaly),
    habit(Label::HiatalHernia, 0.15, 28.0, 70.0),
    habit(Label::Lymphadenopathy, 0.24, 11.0, 34.0),
    habit(Label::ArterialWallCalcification, 0.28, 10.0, 75.0),
    habit(Label::CoronaryArteryWallCalcification, 0.25, 6.0, 36.0).beside(Label::ArterialWallCalcification),
    habit(Label::MedicalMaterial, 0.14, 35.0, 55.0),
    habit(Label::Emphysema, 0.19, 5.0, 18.0),
    habit(Label::MosaicAttenuationPattern, 0.14, 24.0, 50.0),
    habit(Label::InterlobularSeptalThickening, 0.14, 1.0, 3.5).beside(Label::Cardiomegaly),
    habit(Label::PeribronchialThickening, 0.14, 2.0, 5.0),
    habit(Label::PleuralEffusion, 0.15, 8.0, 60.0).beside(Label::Cardiomegaly),
];

/// Findings of a lobe.
const FOCAL: [Habit; 6] = [
    habit(Label::LungNodule, 0.45, 4.0, 40.0),
    habit(Label::LungOpacity, 0.36, 25.0, 110.0),
    habit(Label::PulmonaryFibroticSequela, 0.27, 20.0, 60.0),
    habit(Label::Atelectasis, 0.26, 4.0, 25.0).beside(Label::PleuralEffusion),
    habit(Label::Consolidation, 0.2, 20.0, 90.0),
    habit(Label::Bronchiectasis, 0.15, 6.0, 16.0),
];

/// Share of patients without any finding; a few more have none by chance.
const NORMAL: f64 = 0.09;
/// How much commoner a finding is beside one that often causes it.
const TOGETHER: f64 = 1.7;
/// How often an effusion is on both sides, and how often a finding of a lobe has another of its kind in another lobe.
const BILATERAL: f64 = 0.4;
const ANOTHER: f64 = 0.35;
/// Fluid deeper than this hides what is small in a lower lobe.
const HIDING_MM: f64 = 20.0;
/// Stream of the choices of a patient.
const STREAM: u64 = 1;

impl Recipe {
    /// A random patient on the grid of [`Recipe::chest`]: one in ten is normal, each of the 18 abnormalities is present in
    /// 12 to 45 % of the patients, with common sizes, sides and lobes, and sometimes several of a kind. Findings of lobes
    /// have a lobe each to themselves, and none that a large heart or an effusion would hide.
    pub fn patient(seed: u64) -> Self {
        let mut choice = Choice::new(seed, STREAM);
        let mut patient = Self::chest(seed);
        if choice.chance(NORMAL) {
            return patient;
        }
        for habit in &WIDESPREAD {
            if choice.chance(patient.likelihood(habit)) {
                widespread(&mut patient.findings, habit, &mut choice);
            }
        }
        let mut lobes = patient.free_lobes();
        choice.shuffle(&mut lobes);
        let mut focal: Vec<&Habit> = FOCAL.iter().filter(|habit| choice.chance(patient.likelihood(habit))).collect();
        choice.shuffle(&mut focal);
        // The first of each kind before a second of any.
        for habit in &focal {
            patient.findings.extend(lobes.pop().map(|place| in_lobe(habit, place, &mut choice)));
        }
        for habit in focal.iter().flat_map(|habit| [habit, habit]) {
            if choice.chance(ANOTHER) {
                patient.findings.extend(lobes.pop().map(|place| in_lobe(habit, place, &mut choice)));
            }
        }
        patient
    }

    fn has(&self, label: Label) -> bool {
        self.findings.iter().any(|finding| finding.label == label)
    }

    /// Probability of an abnormality in a patient who is not normal, given what was drawn before.
    fn likelihood(&self, habit: &Habit) -> f64 {
        let factor = if habit.beside.is_some_and(|cause| self.has(cause)) { TOGETHER } else { 1.0 };
        factor * habit.prevalence / (1.0 - NORMAL)
    }

    /// Lobes in which a finding is not hidden by what the patient has.
    fn free_lobes(&self) -> Vec<(Side, Lobe)> {
        let large = [Label::Cardiomegaly, Label::PericardialEffusion].map(|label| self.has(label));
        let is_deep = |side: Side| {
            let mut effusions = self.findings.iter().filter(|finding| finding.label == Label::PleuralEffusion);
            effusions.any(|finding| finding.side == Some(side) && finding.size_mm > HIDING_MM)
        };
        let is_free = |&(side, lobe): &(Side, Lobe)| match (side, lobe) {
            (Side::Left, Lobe::Middle) => large == [false; 2],
            (Side::Left, Lobe::Lower) => large != [true; 2] && !is_deep(side),
            (Side::Right, Lobe::Lower) => !is_deep(side),
            _ => true,
        };
        let lobes = [Lobe::Upper, Lobe::Middle, Lobe::Lower];
        let all = [Side::Left, Side::Right].into_iter().flat_map(|side| lobes.map(|lobe| (side, lobe)));
        all.filter(is_free).collect()
    }
}

/// A size in whole or, below 5 mm, half millimetres.
fn size_mm(habit: &Habit, choice: &mut Choice) -> f64 {
    let share = choice.fraction();
    let size = habit.from_mm + (habit.to_mm - habit.from_mm) * share * share;
    let step = if size < 5.0 { 0.5 } else { 1.0 };
    (size / step + 0.5).floor() * step
}

fn widespread(findings: &mut Vec<Finding>, habit: &Habit, choice: &mut Choice) {
    let finding = Finding::new(habit.label, size_mm(habit, choice));
    let (side, other) = if choice.chance(0.5) { (Side::Left, Side::Right) } else { (Side::Right, Side::Left) };
    let has_side = matches!(habit.label, Label::PleuralEffusion | Label::MedicalMaterial);
    findings.push(if has_side { finding.on(side) } else { finding });
    if habit.label == Label::PleuralEffusion && choice.chance(BILATERAL) {
        findings.push(Finding::new(habit.label, size_mm(habit, choice)).on(other));
    }
}

/// A finding somewhere in a lobe.
fn in_lobe(habit: &Habit, (side, lobe): (Side, Lobe), choice: &mut Choice) -> Finding {
    // Outwards, backwards and upwards: as far as the middle of the finding stays in every patient's lobe.
    let reach = match lobe {
        Lobe::Upper => [(-18.0, 20.0), (-24.0, 28.0), (-20.0, 20.0)],
        Lobe::Middle => [(3.0, 14.0), (-10.0, 12.0), (-8.0, 8.0)],
        Lobe::Lower => [(-6.0, 18.0), (-2.0, 18.0), (-6.0, 10.0)],
    };
    // Scars and bronchi have their place in a lobe.
    let is_bound = matches!(habit.label, Label::PulmonaryFibroticSequela | Label::Bronchiectasis);
    let share = if is_bound { 0.4 } else { 1.0 };
    let [outwards, y, z] = reach.map(|(low, high)| {
        let shift = share * (low + (high - low) * choice.fraction());
        (shift + 0.5).floor()
    });
    Finding::new(habit.label, size_mm(habit, choice)).in_lobe(side, lobe).shifted([side.sign() * outwards, y, z])
}
