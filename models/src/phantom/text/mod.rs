//! The report that goes with a phantom.

use super::{Finding, Lobe, Recipe, Side};
use crate::labels::Label;
use serde::{Deserialize, Serialize};

/// A report of a phantom, in the two sections of CT-RATE's reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is seen; begins with the note that this is no patient.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

const SYNTHETIC: &str = "Synthetic phantom, not a patient.";

/// What a reader wants to be told even when it is absent.
const DENIALS: [(Label, &str); 6] = [
    (Label::LungNodule, "No pulmonary nodule."),
    (Label::Consolidation, "No consolidation."),
    (Label::PleuralEffusion, "No pleural effusion."),
    (Label::PericardialEffusion, "No pericardial effusion."),
    (Label::Cardiomegaly, "Heart size is within normal limits."),
    (Label::Lymphadenopathy, "No enlarged mediastinal lymph nodes."),
];

/// Writes the report of a recipe.
pub(super) fn report(recipe: &Recipe) -> Report {
    let has = |label: Label| recipe.findings.iter().any(|finding| finding.label == label);
    let seen = recipe.findings.iter().map(sentence);
    let denied = DENIALS.iter().filter(|(label, _)| !has(*label)).map(|(_, text)| (*text).to_owned());
    let findings: Vec<String> = std::iter::once(SYNTHETIC.to_owned()).chain(seen).chain(denied).collect();
    let mut titles: Vec<String> = Vec::new();
    for finding in &recipe.findings {
        let title = format!("{}{}.", finding.label.title(), place(finding));
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let impression = if titles.is_empty() { "Normal chest CT.".to_owned() } else { titles.join(" ") };
    Report { findings: findings.join(" "), impression }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

fn lobe(of: Side, lobe: Lobe) -> &'static str {
    match (of, lobe) {
        (_, Lobe::Upper) => "upper lobe",
        (Side::Right, Lobe::Middle) => "middle lobe",
        (Side::Left, Lobe::Middle) => "lingula",
        (_, Lobe::Lower) => "lower lobe",
    }
}

/// ` in the right upper lobe`, ` on the left`, or nothing.
fn place(finding: &Finding) -> String {
    match (finding.side, finding.lobe) {
        (Some(of), Some(part)) => format!(" in the {} {}", side(of), lobe(of, part)),
        (Some(of), None) => format!(" on the {}", side(of)),
        (None, _) => String::new(),
    }
}

fn sentence(finding: &Finding) -> String {
    let (size, place) = (finding.size_mm, place(finding));
    match finding.label {
        Label::LungNodule => format!("A {size:.0} mm solid nodule is seen{place}."),
        Label::PleuralEffusion => format!("There is a pleural effusion{place}, {size:.0} mm deep."),
        Label::Consolidation => {
            format!("An area of consolidation with air bronchogram measuring {size:.0} mm is seen{place}.")
        }
        Label::LungOpacity => format!("Ground-glass opacity measuring {size:.0} mm is seen{place}."),
        Label::Atelectasis => format!("Plate-like atelectasis{place}, {size:.0} mm thick."),
        Label::Emphysema => "Emphysematous changes are present in both lungs.".to_owned(),
        Label::Cardiomegaly => format!("The heart is enlarged, {size:.0} mm across."),
        Label::PericardialEffusion => format!("There is a pericardial effusion, {size:.0} mm thick."),
        Label::CoronaryArteryWallCalcification => {
            format!("Calcified plaque over {size:.0} mm of the coronary artery wall.")
        }
        Label::ArterialWallCalcification => format!("Calcified plaque over {size:.0} mm of the aortic wall."),
        Label::HiatalHernia => format!("A hiatal hernia of {size:.0} mm is seen behind the heart."),
        Label::Lymphadenopathy => format!("Enlarged mediastinal lymph nodes, up to {size:.0} mm in short axis."),
        Label::MedicalMaterial => format!("A cardiac device with its lead is seen{place}."),
        Label::PulmonaryFibroticSequela
        | Label::MosaicAttenuationPattern
        | Label::PeribronchialThickening
        | Label::Bronchiectasis
        | Label::InterlobularSeptalThickening => format!("{}{place}.", finding.label.title()),
    }
}
