//! Which series of a study are worth reading: the site's rules, and the order that follows from them. Pure.

use crate::floor::fate::{Code, Refusal};
use crate::floor::phi::SeriesKey;
use crate::floor::subject::{Choice, Subject, Verdict};
use ctedge_models::scan::{Patterns, Traits};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Which series of a study are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Every series that a rule fits, or only the best of each study.
    pub(crate) mode: Mode,
    /// With `best`: seconds without a new series after which a study is decided on.
    pub(crate) study_quiet_s: f64,
    /// With `best`: what decides between series that the same rule fits, the weightiest first.
    pub(crate) prefer: Vec<Preference>,
    /// The first that fits a series counts. Without rules every series fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<Rule>,
}

impl Default for Settings {
    fn default() -> Self {
        let prefer = vec![Preference::Thinner, Preference::Longer];
        Self { mode: Mode::Each, study_quiet_s: 60.0, prefer, rules: Vec::new() }
    }
}

/// How many series of a study are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Every series that a rule fits, at once.
    Each,
    /// One: that of the earliest rule. The next is tried when it ends without flags.
    Best,
}

/// What decides between series that the same rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preference {
    /// Thinner slices.
    Thinner,
    /// Thicker slices.
    Thicker,
    /// More of the patient.
    Longer,
}

/// What a series must be like. What is left out does not matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Name in results.
    pub(crate) name: String,
    /// Patterns, one of which fits the Convolution Kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kernel: Vec<String>,
    /// Patterns, all of which fit values of the Image Type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) image_type: Vec<String>,
    /// Least and greatest slice thickness in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thickness_mm: Option<[f64; 2]>,
    /// Least and greatest extent along the patient in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coverage_mm: Option<[f64; 2]>,
    /// Fewest and most slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slices: Option<[u32; 2]>,
}

/// Most rules, patterns of a kind in one, and bytes of a name or pattern: the worker is asked all patterns in one message,
/// and what no rule fits is told with the names of all.
const RULES: usize = 16;
const PATTERNS: usize = 16;
const TEXT_BYTES: usize = 48;

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.1..=86_400.0).contains(&self.study_quiet_s) {
            let value = self.study_quiet_s;
            problems.push(format!("choice.study_quiet_s = {value}: must lie between 0.1 and 86400 seconds"));
        }
        if self.rules.len() > RULES {
            problems.push(format!("choice.rules: {} rules, at most {RULES}", self.rules.len()));
        }
        let names: BTreeSet<&str> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        if names.len() < self.rules.len() {
            problems.push("choice.rules: two rules have the same name".to_owned());
        }
        problems.extend(self.rules.iter().flat_map(Rule::problems));
        problems
    }

    /// Whether there is anything to choose by.
    pub(crate) fn asks(&self) -> bool {
        self.mode == Mode::Best || !self.rules.is_empty()
    }

    /// What the rules ask of the words in headers.
    pub(crate) fn patterns(&self) -> Patterns {
        Patterns {
            kernel: self.rules.iter().flat_map(|rule| rule.kernel.clone()).collect(),
            image_type: self.rules.iter().flat_map(|rule| rule.image_type.clone()).collect(),
        }
    }

    /// What the rules say of one series by itself; with the refusal of one that none fits.
    pub(crate) fn judge(&self, traits: &Traits) -> (Choice, Option<Refusal>) {
        let fitting = self.rules.iter().enumerate().find(|(_, rule)| rule.misses(traits).is_empty());
        let is_fit = fitting.is_some() || self.rules.is_empty();
        let choice = Choice {
            verdict: if is_fit { Verdict::Chosen } else { Verdict::NotChosen },
            rule: fitting.map(|(_, rule)| rule.name.clone()),
            rank: fitting.map(|(place, _)| place + 1),
            of: self.rules.len(),
            kernel: fitting.and_then(|(_, rule)| rule.fitting_kernel(traits)).cloned(),
            thickness_mm: thousandths(traits.thickness_mm),
            coverage_mm: thousandths(traits.coverage_mm),
            chosen_series_key: None,
            instead_of: None,
        };
        let why = || {
            let missed = self.rules.iter().map(|rule| format!("{}: {}", rule.name, rule.misses(traits).join(", ")));
            Refusal::new(Code::NotChosen, format!("no rule fits ({})", missed.collect::<Vec<_>>().join("; ")))
        };
        (choice, (!is_fit).then(why))
    }

    /// The order in which the series of a study are tried.
    pub(crate) fn order(&self, a: &Standing, b: &Standing) -> Ordering {
        self.compare(a, b).then_with(|| a.series_key.cmp(&b.series_key))
    }

    /// Which of two series is rather to be read: `Less` for the first, `Equal` where the settings do not care.
    pub(super) fn compare(&self, a: &Standing, b: &Standing) -> Ordering {
        let by = |preference: &Preference| match preference {
            Preference::Thinner => a.thickness_mm.total_cmp(&b.thickness_mm),
            Preference::Thicker => b.thickness_mm.total_cmp(&a.thickness_mm),
            Preference::Longer => b.coverage_mm.total_cmp(&a.coverage_mm),
        };
        let preferred = || self.prefer.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        self.place(a).cmp(&self.place(b)).then_with(preferred)
    }

    /// Place of the rule that fitted; one that is no longer there comes after all others.
    fn place(&self, standing: &Standing) -> usize {
        match &standing.rule {
            None if self.rules.is_empty() => 0,
            None => usize::MAX,
            Some(name) => self.rules.iter().position(|rule| rule.name == *name).unwrap_or(usize::MAX),
        }
    }
}

impl Rule {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |what: &str| problems.push(format!("choice.rules: the rule {:?}: {what}", self.name));
        let is_good = |text: &String| (1..=TEXT_BYTES).contains(&text.len()) && !text.contains(char::is_control);
        if !is_good(&self.name) || !self.kernel.iter().chain(&self.image_type).all(is_good) {
            wrong(&format!("names and patterns have 1 to {TEXT_BYTES} letters"));
        }
        if self.kernel.len().max(self.image_type.len()) > PATTERNS {
            wrong(&format!("at most {PATTERNS} patterns of a kind"));
        }
        let bounds = [("thickness_mm", self.thickness_mm), ("coverage_mm", self.coverage_mm)];
        let slices = self.slices.map(|bounds| bounds.map(f64::from));
        for (name, bounds) in bounds.into_iter().chain([("slices", slices)]) {
            if bounds.is_some_and(|[low, high]| !(0.0..=high).contains(&low) || high.is_infinite()) {
                wrong(&format!("{name}: write the least and the greatest value, as in [0.5, 3]"));
            }
        }
        problems
    }

    fn fitting_kernel(&self, traits: &Traits) -> Option<&String> {
        self.kernel.iter().find(|pattern| traits.fitting.kernel.contains(*pattern))
    }

    /// What keeps a series from fitting, in words and numbers of ours.
    fn misses(&self, traits: &Traits) -> Vec<String> {
        let mut misses = Vec::new();
        if !self.kernel.is_empty() && self.fitting_kernel(traits).is_none() {
            misses.push("kernel".to_owned());
        }
        if !self.image_type.iter().all(|pattern| traits.fitting.image_type.contains(pattern)) {
            misses.push("image_type".to_owned());
        }
        for (name, bounds, value) in [
            ("thickness_mm", self.thickness_mm, thousandths(traits.thickness_mm)),
            ("coverage_mm", self.coverage_mm, thousandths(traits.coverage_mm)),
            ("slices", self.slices.map(|bounds| bounds.map(f64::from)), f64::from(traits.slices)),
        ] {
            if bounds.is_some_and(|[low, high]| !(low..=high).contains(&value)) {
                misses.push(format!("{name} {value}"));
            }
        }
        misses
    }
}

/// Thousandths of a millimetre: headers print no more.
fn thousandths(mm: f64) -> f64 {
    (mm * 1e3).round() / 1e3
}

/// Where a series stands among those of its study.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(super) series_key: SeriesKey,
    /// Name of the rule that fitted.
    pub(super) rule: Option<String>,
    pub(super) thickness_mm: f64,
    pub(super) coverage_mm: f64,
}

impl Standing {
    /// Of a series that the rules have been asked about.
    pub(crate) fn of(subject: &Subject) -> Option<Self> {
        let Choice { rule, thickness_mm, coverage_mm, .. } = subject.choice.clone()?;
        Some(Self { series_key: subject.series_key.clone(), rule, thickness_mm, coverage_mm })
    }
}
