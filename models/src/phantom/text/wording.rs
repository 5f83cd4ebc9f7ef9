//! One of very many wordings of a report.

use super::denials::{ALL_NORMAL, DENIALS, NORMAL};
use super::phrases::{Phrases, phrases};
use super::{Report, SYNTHETIC, Section, Words, capital, lobe_title, report, side_name, stated_mm};
use crate::labels::Label;
use crate::phantom::choice::Choice;
use crate::phantom::{Finding, Recipe};

/// Stream of the choices of a wording, so that they do not repeat those of the patient.
const STREAM: u64 = 2;
/// How often an absent abnormality is denied, and how often something normal is mentioned.
const DENIED: f64 = 0.3;
const MENTIONED: f64 = 0.25;

/// The report of a recipe in wording `wording`; wording 0 is the plain one.
pub(in crate::phantom) fn reworded(recipe: &Recipe, wording: u64) -> Report {
    if wording == 0 {
        return report(recipe);
    }
    // Two patients' wordings of one number have nothing in common.
    let mut choice = Choice::new(recipe.seed ^ wording.wrapping_mul(0x9e37_79b9_7f4a_7c15), STREAM);
    let mut sentences = seen(recipe, &mut choice);
    sentences.extend(denied(recipe, &mut choice));
    sentences.extend(
        NORMAL.iter().filter(|_fact| choice.chance(MENTIONED)).map(|&(section, text)| (section, text.to_owned())),
    );
    let mut findings = vec![SYNTHETIC.to_owned()];
    for section in [Section::Mediastinum, Section::Lungs, Section::Pleura, Section::Skeleton] {
        let mut part: Vec<String> =
            sentences.iter().filter(|(place, _)| *place == section).map(|(_, text)| text.clone()).collect();
        choice.shuffle(&mut part);
        findings.append(&mut part);
    }
    Report { findings: findings.join(" "), impression: impression(recipe, &mut choice) }
}

/// A sentence for each finding, or one for all of a kind.
fn seen(recipe: &Recipe, choice: &mut Choice) -> Vec<(Section, String)> {
    let mut sentences = Vec::new();
    for label in Label::all() {
        let findings: Vec<&Finding> = recipe.findings.iter().filter(|finding| finding.label == label).collect();
        let words = phrases(label);
        if can_be_listed(&findings, words) && choice.chance(0.6) {
            sentences.push((words.section, list(&findings, words, choice)));
        } else {
            sentences.extend(findings.iter().map(|finding| {
                let phrase = choice.pick(words.one);
                (words.section, Words::varied(finding, choice).fill(phrase))
            }));
        }
    }
    sentences
}

/// Whether several findings of a kind may stand in one sentence: each in a place of its own.
fn can_be_listed(findings: &[&Finding], words: &Phrases) -> bool {
    let place = |finding: &Finding| (finding.side, finding.lobe);
    let repeated =
        |(at, finding): (usize, &&Finding)| findings.iter().take(at).any(|other| place(other) == place(finding));
    findings.len() > 1 && !words.several.is_empty() && !findings.iter().enumerate().any(repeated)
}

fn list(findings: &[&Finding], words: &Phrases, choice: &mut Choice) -> String {
    let items = findings.iter().map(|finding| {
        let Words { place, size, .. } = Words::varied(finding, choice);
        if words.grades.is_some() { format!("{size}{place}") } else { place.trim_start().to_owned() }
    });
    let items: Vec<String> = items.collect();
    let items = match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    let number = ["no", "one", "two", "three", "four", "five", "six"].get(findings.len());
    let number = number.map_or_else(|| findings.len().to_string(), |word| (*word).to_owned());
    capital(&choice.pick(words.several).replace("{number}", &number).replace("{items}", &items))
}

/// Some of the sentences that are true because nothing of their kind is present; none denies twice.
fn denied(recipe: &Recipe, choice: &mut Choice) -> Vec<(Section, String)> {
    let labels = recipe.labels();
    let mut said: Vec<Label> =
        Label::all().zip(labels).filter(|(_, is_present)| *is_present).map(|(label, _)| label).collect();
    let mut sentences = Vec::new();
    let mut denials: Vec<_> = DENIALS.iter().collect();
    choice.shuffle(&mut denials);
    for denial in denials {
        let is_news = !denial.1.iter().any(|label| said.contains(label));
        if is_news && choice.chance(DENIED) {
            said.extend(denial.1);
            sentences.push((denial.0, choice.pick(denial.2).to_owned()));
        }
    }
    sentences
}

fn impression(recipe: &Recipe, choice: &mut Choice) -> String {
    let mut points: Vec<String> = Vec::new();
    for finding in &recipe.findings {
        let phrase = choice.pick(phrases(finding.label).brief);
        let point = Words::varied(finding, choice).fill(&format!("{phrase}."));
        if !points.contains(&point) {
            points.push(point);
        }
    }
    choice.shuffle(&mut points);
    if points.is_empty() { choice.pick(&ALL_NORMAL).to_owned() } else { points.join(" ") }
}

impl Words {
    /// Place and size in one of several ways.
    fn varied(finding: &Finding, choice: &mut Choice) -> Self {
        let plain = Self::plain(finding);
        let place = match (finding.side, finding.lobe) {
            (Some(side), Some(lobe)) => {
                let (side, lobe) = (side_name(side), lobe_title(side, lobe));
                let ways = [" in the {side} {lobe}", " within the {side} {lobe}", " in the {lobe} of the {side} lung"];
                choice.pick(&ways).replace("{side}", side).replace("{lobe}", lobe)
            }
            (Some(side), None) => {
                choice.pick(&[" on the {side}", " on the {side} side"]).replace("{side}", side_name(side))
            }
            (None, _) => String::new(),
        };
        let mm = stated_mm(finding.size_mm);
        let size = if mm >= 10.0 && choice.chance(0.4) { format!("{:.1} cm", mm / 10.0) } else { plain.size };
        Self { place, size, ..plain }
    }
}
