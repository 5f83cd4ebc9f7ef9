//! Takes a recipe, gives the report that goes with it, worded in one of very many ways, and the statement that all its
//! wordings share. Owns the words: each abnormality's phrases and the denials.

mod denials;
mod phrases;
#[cfg(test)]
mod tests;
mod wording;

pub(super) use wording::reworded;

use super::{Finding, Lobe, Recipe, Side};
use crate::labels::Label;
use phrases::phrases;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A report of a phantom, in the two sections of CT-RATE's reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is seen; begins with the note that this is no patient.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

const SYNTHETIC: &str = "Synthetic phantom, not a patient.";

/// Where in a report a sentence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Mediastinum,
    Lungs,
    Pleura,
    Skeleton,
}

/// What a reader wants to be told even when it is absent.
const DENIALS: [(Label, &str); 6] = [
    (Label::LungNodule, "No pulmonary nodule."),
    (Label::Consolidation, "No consolidation."),
    (Label::PleuralEffusion, "No pleural effusion."),
    (Label::PericardialEffusion, "No pericardial effusion."),
    (Label::Cardiomegaly, "Heart size is within normal limits."),
    (Label::Lymphadenopathy, "No enlarged mediastinal lymph nodes."),
];

/// The plain report of a recipe: the first phrase for each finding, in the order of the findings.
pub(super) fn report(recipe: &Recipe) -> Report {
    let has = |label: Label| recipe.findings.iter().any(|finding| finding.label == label);
    let sentence = |finding: &Finding| {
        let [first, ..] = phrases(finding.label).one else { return String::new() };
        Words::plain(finding).fill(first)
    };
    let seen = recipe.findings.iter().map(sentence);
    let denied = DENIALS.iter().filter(|(label, _)| !has(*label)).map(|(_, text)| (*text).to_owned());
    let findings: Vec<String> = std::iter::once(SYNTHETIC.to_owned()).chain(seen).chain(denied).collect();
    let mut titles: Vec<String> = Vec::new();
    for finding in &recipe.findings {
        let title = Words::plain(finding).fill(&format!("{} {{place}}.", finding.label.title()));
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let impression = if titles.is_empty() { "Normal chest CT.".to_owned() } else { titles.join(" ") };
    Report { findings: findings.join(" "), impression }
}

/// What every wording of a recipe's report says, as one line: see [`Recipe::statement`].
pub(super) fn statement(recipe: &Recipe) -> String {
    let mut counts: BTreeMap<(Label, String), usize> = BTreeMap::new();
    for finding in &recipe.findings {
        let side = finding.side.map(|side| format!("@{}", side_name(side))).unwrap_or_default();
        let lobe = finding.lobe.map(|lobe| format!("/{}", lobe_name(lobe))).unwrap_or_default();
        let grade = phrases(finding.label).grades.map(|(names, bounds)| grade(finding.size_mm, names, bounds));
        let grade = grade.map(|grade| format!(" {grade}")).unwrap_or_default();
        *counts.entry((finding.label, format!("{side}{lobe}{grade}"))).or_default() += 1;
    }
    let times = |count: usize| if count > 1 { format!(" x{count}") } else { String::new() };
    let lines = counts.iter().map(|((label, rest), &count)| format!("{}{rest}{}", label.name(), times(count)));
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "normal".to_owned() } else { lines.join("; ") }
}

/// What stands in for the gaps of a phrase.
#[derive(Debug)]
struct Words {
    /// With the space before it; empty for a finding without a place.
    place: String,
    size: String,
    grade: &'static str,
}

impl Words {
    fn plain(finding: &Finding) -> Self {
        let place = match (finding.side, finding.lobe) {
            (Some(side), Some(lobe)) => format!(" in the {} {}", side_name(side), lobe_title(side, lobe)),
            (Some(side), None) => format!(" on the {}", side_name(side)),
            (None, _) => String::new(),
        };
        let grade = phrases(finding.label).grades.map(|(names, bounds)| grade(finding.size_mm, names, bounds));
        Self { place, size: format!("{} mm", stated_mm(finding.size_mm)), grade: grade.unwrap_or_default() }
    }

    /// The phrase without gaps, its first letter a capital.
    fn fill(&self, phrase: &str) -> String {
        let text = phrase.replace(" {place}", &self.place).replace("{size}", &self.size).replace("{grade}", self.grade);
        let text = match text.split_once("{a} ") {
            Some((before, after)) => format!("{before}{} {after}", article(after)),
            None => text,
        };
        capital(&text)
    }
}

/// A or an before this text: "an 8 mm", "an 11 mm", "an 18 mm", "a small".
fn article(after: &str) -> &'static str {
    let vowel = ["8", "11 ", "18 "].iter().any(|number| after.starts_with(number));
    if vowel { "an" } else { "a" }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A size as reports give it: whole millimetres, tenths where that is too coarse.
fn stated_mm(size_mm: f64) -> f64 {
    if size_mm < 10.0 { (size_mm * 10.0).round() / 10.0 } else { size_mm.round() }
}

/// Which of three grades a size as stated is.
fn grade(size_mm: f64, [low, middle, high]: [&'static str; 3], [from_middle, from_high]: [f64; 2]) -> &'static str {
    let stated = stated_mm(size_mm);
    if stated < from_middle {
        low
    } else if stated < from_high {
        middle
    } else {
        high
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

fn lobe_name(lobe: Lobe) -> &'static str {
    match lobe {
        Lobe::Upper => "upper",
        Lobe::Middle => "middle",
        Lobe::Lower => "lower",
    }
}

fn lobe_title(of: Side, lobe: Lobe) -> &'static str {
    match (of, lobe) {
        (_, Lobe::Upper) => "upper lobe",
        (Side::Right, Lobe::Middle) => "middle lobe",
        (Side::Left, Lobe::Middle) => "lingula",
        (_, Lobe::Lower) => "lower lobe",
    }
}
